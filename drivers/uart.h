/*
 * A UART, as the console uses it. The console's lock is held for each call; none waits. The firmware has set the
 * divisor and the format, and drivers leave them alone.
 */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#include "lib/types.h"

struct uart;

struct uart_ops {
	const char *compatible;
	unsigned width; /* of a register, in bytes, where the tree does not say */
	unsigned quiet; /* a register that may be read without taking anything out */
	void (*start)(struct uart *uart);
	/* Bytes taken: as many as the transmitter has room for now. */
	size_t (*put)(struct uart *uart, const uint8_t *bytes, size_t n);
	/* A received byte, or -1. */
	int (*get)(struct uart *uart);
	/* Which interrupts are wanted: a byte has come, the transmitter has room. */
	void (*interrupts)(struct uart *uart, bool receive, bool transmit);
	/* First thing when its interrupt has come. */
	void (*acknowledge)(struct uart *uart);
	/* Whether everything has left the transmitter. */
	bool (*idle)(struct uart *uart);
};

struct uart {
	const struct uart_ops *ops;
	volatile uint8_t *regs;
	unsigned shift; /* registers are 1 << shift bytes apart */
	unsigned width; /* and accessed by 1 or 4 bytes */
	uint8_t wanted; /* the driver's: interrupts that are on */
};

extern const struct uart_ops ns16550a_ops;
extern const struct uart_ops sifive_uart_ops;

#endif
