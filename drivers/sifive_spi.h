/*
 * SiFive's SPI controller (FU540-C000 manual, chapter 19) behind spi.h: the core. sd.c finds it in the tree; the tests give it
 * a fake one.
 */
#ifndef DRIVERS_SIFIVE_SPI_H
#define DRIVERS_SIFIVE_SPI_H

#include "drivers/event.h"
#include "drivers/spi.h"
#include "lib/lock.h"

struct sifive_spi {
	struct spi_bus bus;
	/* Set before sifive_spi_start. */
	volatile void *regs;
	uint32_t input_hz; /* the controller's own clock; 0: not known */
	uint32_t chip;	   /* which of its chip selects */
	uint32_t depth;	   /* of its queues, in bytes; at least 1 */
	const struct event_ops *events;
	void *moved; /* an event: the transfer is over */
	/* The driver's. */
	struct spinlock lock; /* RANK_BLOCK: guards what follows, and the registers while a transfer is under way */
	const struct spi_piece *out, *in; /* that it is at, and how far in it */
	uint32_t out_at, in_at;
	uint32_t total, sent, received; /* bytes of all pieces */
	bool busy;
};

/* Takes the controller over from the firmware. */
void sifive_spi_start(struct sifive_spi *spi);
/* Its interrupt. arg: its struct sifive_spi. Whether bytes have moved. */
bool sifive_spi_interrupt(void *arg);

#endif
