/* The 16550A and what is compatible with it: register-level core. */
#include "drivers/uart.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, MCR = 4, LSR = 5 };

#define IER_RECEIVE  0x01
#define IER_TRANSMIT 0x02
#define FCR_ENABLE   0x01
#define MCR_DTR	     0x01
#define MCR_RTS	     0x02
#define MCR_OUT2     0x08 /* gates the interrupt line where there is such a gate */
#define LSR_READY    0x01
#define LSR_THRE     0x20
#define LSR_IDLE     0x40
#define FIFO_BYTES   16

static uint8_t reg_read(const struct uart *uart, unsigned reg)
{
	volatile uint8_t *at = uart->regs + (reg << uart->shift);

	return uart->width == 4 ? (uint8_t) * (volatile uint32_t *)(volatile void *)at : *at;
}

static void reg_write(const struct uart *uart, unsigned reg, uint8_t value)
{
	volatile uint8_t *at = uart->regs + (reg << uart->shift);

	if (uart->width == 4)
		*(volatile uint32_t *)(volatile void *)at = value;
	else
		*at = value;
}

static void ns16550a_start(struct uart *uart)
{
	reg_write(uart, IER, 0);
	reg_write(uart, FCR, FCR_ENABLE);
	reg_write(uart, MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
}

/* THRE says that the FIFO is empty, so it takes its whole size. */
static size_t ns16550a_put(struct uart *uart, const uint8_t *bytes, size_t n)
{
	if ((reg_read(uart, LSR) & LSR_THRE) == 0)
		return 0;
	n = MIN(n, FIFO_BYTES);
	for (size_t i = 0; i < n; i++)
		reg_write(uart, THR, bytes[i]);
	return n;
}

static int ns16550a_get(struct uart *uart)
{
	return (reg_read(uart, LSR) & LSR_READY) != 0 ? reg_read(uart, RBR) : -1;
}

/* The transmitter interrupts when it becomes empty, or when the interrupt is turned on while it is. */
static void ns16550a_interrupts(struct uart *uart, bool receive, bool transmit)
{
	uint8_t wanted = (receive ? IER_RECEIVE : 0) | (transmit ? IER_TRANSMIT : 0);

	if (wanted != uart->wanted)
		reg_write(uart, IER, wanted);
	uart->wanted = wanted;
}

/* Reading IIR ends the transmitter's interrupt, so it must be read nowhere else: the interrupt would be lost. */
static void ns16550a_acknowledge(struct uart *uart)
{
	(void)reg_read(uart, IIR);
}

static bool ns16550a_idle(struct uart *uart)
{
	return (reg_read(uart, LSR) & LSR_IDLE) != 0;
}

const struct uart_ops ns16550a_ops = {
	.compatible = "ns16550a",
	.width = 1,
	.quiet = LSR,
	.start = ns16550a_start,
	.put = ns16550a_put,
	.get = ns16550a_get,
	.interrupts = ns16550a_interrupts,
	.acknowledge = ns16550a_acknowledge,
	.idle = ns16550a_idle,
};
