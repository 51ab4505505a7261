/*
 * An SD card in SPI mode, byte by byte, for test_sd.c: it does as the specification says, or as the test has told it to do
 * wrong. Its clock is the fake bus's: a byte takes as long as the clock says, a sleep what it says.
 */
#ifndef TESTS_FAKE_CARD_H
#define TESTS_FAKE_CARD_H

#include "drivers/spi.h"

#define CARD_SECTORS 4096U

enum card_kind { CARD_HIGH, CARD_STANDARD, CARD_VERSION_1, CARD_FOREIGN };

struct fake_card {
	/* How it is. */
	bool present;
	enum card_kind kind;
	bool write_protected;
	uint8_t serial;		/* a byte of its identification */
	unsigned busy_bytes;	/* after a write */
	unsigned access_bytes;	/* before data */
	unsigned wake_attempts; /* ACMD41 that it answers with idle */
	/* What goes wrong, so many times. */
	unsigned wrong_idle;	/* CMD0 answered with 0 */
	unsigned bad_data;	/* a bit of what is read is wrong */
	unsigned error_tokens;	/* in place of data */
	unsigned no_token;	/* no data, ever */
	unsigned refuse_data;	/* data answered with a checksum error */
	unsigned refuse_frames; /* commands answered with one */
	unsigned bad_status;	/* CMD13 tells of an error */
	bool busy_for_ever;	/* from the next write on */
	bool bus_fails;
	/* What came of it. */
	uint8_t data[CARD_SECTORS * 512U];
	unsigned violations; /* things a host may not do */
	unsigned commands[64];
	unsigned idle_clocks; /* with the card not selected, before the first command */
	uint32_t hz, hz_first;
	uint64_t ns, bytes;
};

extern struct fake_card card;
extern struct spi_bus fake_bus;

/* A new card in the slot, with random data. */
void fake_card_reset(enum card_kind kind);
/* It loses its supply and gets it back. */
void fake_card_power_cycle(void);

#endif
