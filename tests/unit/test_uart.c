/*
 * The UARTs' drivers against registers in memory. The line's divisor and format are the firmware's (drivers/uart.h): where those registers
 * would be is no memory, so that who touches them crashes.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "drivers/uart.h"

#define REGS 8U

/* The 16550's: a page for each. The divisor latch lies behind a bit of LCR, so there is no way to it but by that one. */
enum { DATA, IER, FCR, LCR, MCR, LSR };
/* SiFive's, by words; the divisor is the last. */
enum { TXDATA, RXDATA, TXCTRL, RXCTRL, IE, IP, DIV };

static const uint8_t text[20] = "twenty bytes of text";

static uint8_t *pages(size_t n)
{
	void *at = mmap(NULL, n * (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void take_away(const uint8_t *page)
{
	assert_int_equal(mprotect((void *)(uintptr_t)page, (size_t)getpagesize(), PROT_NONE), 0);
}

static uint8_t *ns16550a_regs(struct uart *uart, unsigned width)
{
	uint8_t *regs = pages(REGS);

	*uart = (struct uart){ &ns16550a_ops, regs, (unsigned)__builtin_ctz((unsigned)getpagesize()), width, 0 };
	take_away(regs + ((size_t)LCR << uart->shift));
	return regs;
}

static void ns16550a_by(unsigned width)
{
	struct uart uart;
	uint8_t *regs = ns16550a_regs(&uart, width), *status = regs + ((size_t)LSR << uart.shift);

	/* What is looked at whether it answers: there is a byte in the other that may have come already. */
	assert_int_equal(uart.ops->quiet, LSR);
	regs[(size_t)IER << uart.shift] = 0x0f;
	uart.ops->start(&uart);
	assert_int_equal(regs[(size_t)IER << uart.shift], 0);
	assert_int_equal(regs[(size_t)FCR << uart.shift], 1);
	assert_int_equal(regs[(size_t)MCR << uart.shift], 0x0b);
	assert_int_equal(uart.ops->put(&uart, text, sizeof(text)), 0);
	assert_int_equal(uart.ops->get(&uart), -1);
	assert_false(uart.ops->idle(&uart));
	*status = 0x61;
	assert_int_equal(uart.ops->put(&uart, text, sizeof(text)), 16);
	assert_int_equal(regs[DATA], text[15]);
	assert_int_equal(uart.ops->get(&uart), text[15]);
	assert_true(uart.ops->idle(&uart));
	for (unsigned wanted = 4; wanted-- > 0;) {
		uart.ops->interrupts(&uart, (wanted & 1) != 0, (wanted & 2) != 0);
		assert_int_equal(regs[(size_t)IER << uart.shift], wanted);
	}
	uart.ops->acknowledge(&uart);
	assert_int_equal(munmap(regs, REGS << uart.shift), 0);
}

static void ns16550a_divisor(void **state)
{
	(void)state;
	ns16550a_by(1);
	ns16550a_by(4);
}

static void sifive_divisor(void **state)
{
	size_t page = (size_t)getpagesize();
	uint8_t *memory = pages(2);
	uint32_t *regs = (uint32_t *)(void *)(memory + page) - DIV;
	struct uart uart = { &sifive_uart_ops, (uint8_t *)regs, 0, 4, 0 };

	(void)state;
	take_away(memory + page);
	/* Two stop bits are the firmware's, too. */
	regs[TXCTRL] = 5U << 16 | 2;
	regs[RXCTRL] = 5U << 16;
	regs[IE] = 3;
	uart.ops->start(&uart);
	assert_int_equal(regs[IE], 0);
	assert_int_equal(regs[TXCTRL], 1U << 16 | 2 | 1);
	assert_int_equal(regs[RXCTRL], 1);
	assert_int_equal(uart.ops->put(&uart, text, sizeof(text)), sizeof(text));
	assert_int_equal(regs[TXDATA], text[sizeof(text) - 1]);
	regs[TXDATA] = 0x80000000U;
	assert_int_equal(uart.ops->put(&uart, text, sizeof(text)), 0);
	regs[RXDATA] = 'r';
	assert_int_equal(uart.ops->get(&uart), 'r');
	regs[RXDATA] = 0x80000000U;
	assert_int_equal(uart.ops->get(&uart), -1);
	assert_false(uart.ops->idle(&uart));
	regs[IP] = 1;
	assert_true(uart.ops->idle(&uart));
	for (unsigned wanted = 4; wanted-- > 0;) {
		uart.ops->interrupts(&uart, (wanted & 2) != 0, (wanted & 1) != 0);
		assert_int_equal(regs[IE], wanted);
	}
	uart.ops->acknowledge(&uart);
	assert_int_equal(munmap(memory, 2 * page), 0);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(ns16550a_divisor), UNIT_TEST(sifive_divisor) };

UNIT_MAIN("uart", tests)
