/* An SD card in SPI mode: what it is, and reading and writing it. SDSC, SDHC and SDXC. One thread at a time. */
#ifndef DRIVERS_SD_CARD_H
#define DRIVERS_SD_CARD_H

#include "drivers/block.h"
#include "drivers/sd_link.h"

#define SD_ID_BYTES 16U

struct sd_card {
	struct sd_link link;
	uint32_t slot_hz; /* the most that the slot may be clocked with */
	/* sd_card_start's. */
	uint32_t hz;
	uint64_t sectors;
	bool by_sectors; /* SDHC, SDXC: addresses are of sectors, not of bytes */
	bool read_only;
	char name[6]; /* that its maker gave it */
	uint32_t serial;
	uint8_t id[SD_ID_BYTES]; /* no other card has the same */
};

/*
 * Wakes up the card in the slot, whatever state it is in. -ENODEV: there is none; -EIO: it cannot be used, *why says why not (a
 * constant string).
 */
int sd_card_start(struct sd_card *card, const char **why) MUST_CHECK;

/*
 * What the segments hold, or are to hold, in one command to the card. 0; -EIO: it may go well if it is done again;
 * -ENODEV: the card is gone, or has lost its supply, or is another one.
 */
int sd_card_transfer(struct sd_card *card, bool write, uint64_t sector, const struct block_segment *segments,
		     uint32_t count) MUST_CHECK;

#endif
