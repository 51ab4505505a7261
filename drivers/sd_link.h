/*
 * What goes over the wire between an SD card and us in SPI mode (Physical Layer Simplified Specification 6.00, chapter 7):
 * commands and their answers, blocks of data, with checksums; waiting for a card that is busy. One thread at a time.
 *
 * A card cannot interrupt on this wire: whether it is ready is seen by clocking bytes. So waits look at it a few times at
 * once, and then sleep between looks.
 *
 * Errors: -EIO: the controller fails, the card says that something went wrong, or a checksum does not fit; -ENODEV: nothing
 * answers; -ETIMEDOUT: the card stays busy, or has no data.
 */
#ifndef DRIVERS_SD_LINK_H
#define DRIVERS_SD_LINK_H

#include "drivers/spi.h"
#include "lib/types.h"

enum sd_command {
	SD_GO_IDLE = 0,
	SD_SEND_IF_COND = 8,
	SD_SEND_CSD = 9,
	SD_SEND_CID = 10,
	SD_STOP = 12,
	SD_SEND_STATUS = 13,
	SD_SET_BLOCK_BYTES = 16,
	SD_READ_ONE = 17,
	SD_READ_MANY = 18,
	SD_WRITE_ONE = 24,
	SD_WRITE_MANY = 25,
	SD_APP_OP_COND = 41, /* behind SD_APP */
	SD_APP = 55,
	SD_READ_OCR = 58,
	SD_CRC_ON_OFF = 59,
};

/* The first byte of an answer. */
#define SD_R1_IDLE    0x01
#define SD_R1_ILLEGAL 0x04
#define SD_R1_CRC     0x08

/* What a block of data that goes to the card begins with. */
#define SD_TOKEN_ONE  0xfeU
#define SD_TOKEN_MANY 0xfcU

#define SD_LINK_CHUNK 8U

struct sd_link {
	struct spi_bus *bus;
	/* The driver's: bytes that came and were not looked at yet, [at, count). */
	uint8_t chunk[SD_LINK_CHUNK];
	uint32_t at, count;
	bool ready; /* it was not busy, and has got nothing since that makes it so */
};

/* So many bytes with the card not selected. */
int sd_link_idle(struct sd_link *link, unsigned bytes) MUST_CHECK;
/* The answer's first byte, or an error. The card is selected from here on; what else the command brings comes next. */
int sd_link_command(struct sd_link *link, enum sd_command command, uint32_t argument) MUST_CHECK;
/* The next n bytes of the answer. */
int sd_link_bytes(struct sd_link *link, uint8_t *to, uint32_t n) MUST_CHECK;
/* The end of a command, or of several: the card is not selected any more. */
int sd_link_end(struct sd_link *link) MUST_CHECK;

/* A block of data that the command makes the card send; at most SD_BLOCK_BYTES. more: the next one is wanted, too. */
#define SD_BLOCK_BYTES 512U
int sd_link_receive(struct sd_link *link, uint8_t *to, uint32_t n, bool more) MUST_CHECK;
/* A block of SD_BLOCK_BYTES to the card. It is busy afterwards. */
int sd_link_send(struct sd_link *link, uint8_t token, const uint8_t *from) MUST_CHECK;
/* The end of many. */
int sd_link_send_stop(struct sd_link *link) MUST_CHECK;
/* Until the card is not busy. */
int sd_link_ready(struct sd_link *link) MUST_CHECK;

#endif
