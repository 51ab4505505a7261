/*
 * A serial peripheral interface with one chip on it, as the SD card's driver uses it; sifive_spi.c is one, the tests have
 * another. One thread at a time uses it.
 */
#ifndef DRIVERS_SPI_H
#define DRIVERS_SPI_H

#include "lib/types.h"

struct spi_bus;

#define SPI_TRANSFER_MAX 1024U

/* Bytes that go out and come in at once, at least one. out NULL: all ones; in NULL: not kept. */
struct spi_piece {
	const uint8_t *out;
	uint8_t *in;
	uint32_t bytes;
};

struct spi_ops {
	/* The clock from now on: at most hz; or, where the controller's own clock is not known, as the firmware left it. */
	void (*set_clock)(struct spi_bus *bus, uint32_t hz);
	/* Whether the chip is selected, from the next transfer on. */
	void (*select)(struct spi_bus *bus, bool on);
	/* One piece after the other, SPI_TRANSFER_MAX bytes at most. Sleeps until they have gone. -EIO: the controller does not
	 * finish. */
	int (*transfer)(struct spi_bus *bus, const struct spi_piece *pieces, unsigned count);
	void (*sleep)(struct spi_bus *bus, uint64_t ns);
	uint64_t (*now)(struct spi_bus *bus); /* nanoseconds */
};

struct spi_bus {
	const struct spi_ops *ops;
};

#endif
