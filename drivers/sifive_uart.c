/* SiFive's UART (FU540-C000 manual, chapter 13): register-level core. */
#include "drivers/uart.h"

enum { TXDATA = 0x00, RXDATA = 0x04, TXCTRL = 0x08, RXCTRL = 0x0c, IE = 0x10, IP = 0x14 };

#define DATA_FULL    0x80000000U /* txdata */
#define DATA_EMPTY   0x80000000U /* rxdata */
#define TXCTRL_MARK1 (1U << 16)	 /* the transmit interrupt: fewer than one entry queued */
#define CTRL_MARK    (7U << 16)
#define CTRL_ENABLE  1U
#define IE_TRANSMIT  1U
#define IE_RECEIVE   2U

static volatile uint32_t *reg(const struct uart *uart, unsigned at)
{
	return (volatile uint32_t *)(volatile void *)(uart->regs + at);
}

static void sifive_start(struct uart *uart)
{
	*reg(uart, IE) = 0;
	*reg(uart, TXCTRL) = (*reg(uart, TXCTRL) & ~CTRL_MARK) | TXCTRL_MARK1 | CTRL_ENABLE;
	/* more than no entry: at once */
	*reg(uart, RXCTRL) = (*reg(uart, RXCTRL) & ~CTRL_MARK) | CTRL_ENABLE;
}

static size_t sifive_put(struct uart *uart, const uint8_t *bytes, size_t n)
{
	size_t done = 0;

	while (done < n && (*reg(uart, TXDATA) & DATA_FULL) == 0)
		*reg(uart, TXDATA) = bytes[done++];
	return done;
}

static int sifive_get(struct uart *uart)
{
	uint32_t data = *reg(uart, RXDATA);

	return (data & DATA_EMPTY) != 0 ? -1 : (int)(data & 0xff);
}

static void sifive_interrupts(struct uart *uart, bool receive, bool transmit)
{
	uint8_t wanted = (receive ? IE_RECEIVE : 0) | (transmit ? IE_TRANSMIT : 0);

	if (wanted != uart->wanted)
		*reg(uart, IE) = wanted;
	uart->wanted = wanted;
}

/* Both of its interrupts are levels. */
static void sifive_acknowledge(struct uart *uart)
{
	(void)uart;
}

/* txwm with a mark of one is pending while nothing is queued. */
static bool sifive_idle(struct uart *uart)
{
	return (*reg(uart, IP) & IE_TRANSMIT) != 0;
}

const struct uart_ops sifive_uart_ops = {
	.compatible = "sifive,uart0",
	.width = 4,
	.start = sifive_start,
	.put = sifive_put,
	.get = sifive_get,
	.interrupts = sifive_interrupts,
	.acknowledge = sifive_acknowledge,
	.idle = sifive_idle,
};
