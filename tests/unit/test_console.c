/*
 * The console's input (drivers/console.c) from a fake UART, whose line is up while it has a byte and the driver wants to know. A byte that
 * the driver has taken out brings no interrupt any more: whoever has read all there was must have it.
 */
#include "tests/unit/unit.h"

#include <libfdt.h>

#include "drivers/console.h"
#include "drivers/dt.h"
#include "drivers/plic.h"
#include "drivers/uart.h"
#include "firmware/log.h"
#include "firmware/sbi.h"
#include "firmware/tree.h"

#define MANY  5000U
#define QUIET 5U

static struct {
	uint8_t bytes[MANY];
	unsigned n, taken;
	bool wanted;
} line;

static plic_handler *interrupt;
static unsigned readable_calls;

/* ---- The machine. */

static void start(struct uart *uart)
{
	(void)uart;
}

static size_t put(struct uart *uart, const uint8_t *bytes, size_t n)
{
	(void)uart;
	(void)bytes;
	return n;
}

static int get(struct uart *uart)
{
	(void)uart;
	return line.taken < line.n ? line.bytes[line.taken++] : -1;
}

static void interrupts(struct uart *uart, bool receive, bool transmit)
{
	(void)uart;
	(void)transmit;
	line.wanted = receive;
}

static bool idle(struct uart *uart)
{
	(void)uart;
	return true;
}

const struct uart_ops ns16550a_ops = { .compatible = "fake",
				       .width = 1,
				       .quiet = QUIET,
				       .start = start,
				       .put = put,
				       .get = get,
				       .interrupts = interrupts,
				       .acknowledge = start,
				       .idle = idle };
const struct uart_ops sifive_uart_ops = { .compatible = "another" };

int dt_stdout(const void *fdt)
{
	(void)fdt;
	return 0;
}

volatile void *dt_map(const void *fdt, int node, uint64_t at, unsigned width)
{
	(void)fdt;
	(void)node;
	assert_int_equal(at, QUIET);
	assert_int_equal(width, 1);
	return &line;
}

int dt_interrupt(const void *fdt, int node, unsigned *source)
{
	(void)fdt;
	(void)node;
	*source = 1;
	return 0;
}

uint32_t tree_u32(const void *fdt, int node, const char *name, uint32_t absent)
{
	(void)fdt;
	(void)node;
	(void)name;
	return absent;
}

int fdt_node_check_compatible(const void *fdt, int node, const char *compatible)
{
	(void)fdt;
	(void)node;
	return strcmp(compatible, "fake") != 0;
}

int plic_enable(unsigned source, plic_handler *handler, void *arg, const char *name)
{
	(void)source;
	(void)arg;
	(void)name;
	interrupt = handler;
	return 0;
}

void sbi_putchar(char c)
{
	(void)c;
}

void log_set_sink(const struct log_sink *sink)
{
	(void)sink;
}

void klog(const char *fmt, ...)
{
	(void)fmt;
}

static void readable(void)
{
	readable_calls++;
}

static void writable(void)
{
}

static void begin(void)
{
	const struct fake_config config = { .harts = 1 };

	fake_start(&config);
	console_probe(NULL, true);
	console_set_callbacks(readable, writable);
}

static void comes(const void *bytes, size_t n)
{
	memcpy(line.bytes + line.n, bytes, n);
	line.n += (unsigned)n;
}

static bool line_is_up(void)
{
	return line.wanted && line.taken < line.n;
}

/* ---- Tests. */

/* Before its interrupt is taken, or while another one is being served: then the PLIC never learns of it. */
static void what_comes_meanwhile_is_read(void **state)
{
	char got[16];
	unsigned flags;

	(void)state;
	begin();
	comes("x", 1);
	assert_true(line_is_up());
	assert_int_equal(console_read(got, sizeof(got), &flags), 1);
	assert_int_equal(got[0], 'x');
	comes("\x10Z", 2);
	assert_int_equal(console_read(got, sizeof(got), &flags), 0);
	assert_int_equal(flags, CONSOLE_EOF);
}

/* More than there is room for stays with the UART, and its line comes up again when there is some. */
static void all_is_read_in_order(void **state)
{
	uint8_t got[64];
	unsigned flags, at = 0;
	size_t n;

	(void)state;
	begin();
	for (unsigned i = 0; i < MANY; i++)
		line.bytes[line.n++] = (uint8_t)('0' + i % 64);
	assert_true(interrupt(NULL));
	assert_int_equal(readable_calls, 1);
	assert_false(line_is_up());
	do {
		n = console_read(got, sizeof(got), &flags);
		assert_true(n == sizeof(got) || at + n == MANY);
		assert_true(at + n == MANY || line_is_up() || line.taken == line.n);
		for (size_t i = 0; i < n; i++, at++)
			assert_int_equal(got[i], '0' + at % 64);
	} while (n != 0);
	assert_int_equal(at, MANY);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(what_comes_meanwhile_is_read), UNIT_TEST(all_is_read_in_order) };

UNIT_MAIN("console", tests)
