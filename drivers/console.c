/*
 * The console: rings between the harts and one UART, and the framing of console.h.
 *
 * Output goes into a ring as it shall be on the line, frame switches and all, and from there to the UART: at once as
 * far as it has room, then by its interrupt. Input comes by interrupt, is unframed and waits in a ring of its own;
 * when that is full, the receive interrupt is turned off and the bytes stay with the UART until there is room.
 *
 * lock (RANK_CONSOLE) guards all of `console` but `panicking`, and the UART; nothing is called while it is held but
 * the UART's driver. A panic takes no lock: the other harts are stopped, perhaps one of them while it holds it.
 */
#include "drivers/console.h"

#include <string.h>

#include "drivers/dt.h"
#include "drivers/plic.h"
#include "drivers/uart.h"
#include "firmware/log.h"
#include "firmware/sbi.h"
#include "firmware/tree.h"
#include "lib/lock.h"

#define DLE	  0x10
#define OUT_BYTES 16384U /* powers of two */
#define IN_UNITS  4096U
#define EOF_UNIT  0x100 /* in the input ring: the end was announced here */
/* What one byte of output may need in the ring: a switch, and itself escaped. */
#define WORST 4

enum unframe { TEXT, CONTROL, WINDOW };

static struct {
	struct spinlock lock;
	bool framed;
	bool live; /* a UART driver has taken over from the SBI */
	_Atomic bool panicking;
	struct uart uart;
	enum console_channel channel; /* what the line's other end thinks */
	uint32_t out_head, out_tail;  /* free-running; head is where bytes go in */
	uint32_t in_head, in_tail;
	bool writer_waits; /* console_write had to refuse something */
	enum unframe unframe;
	unsigned window_digits;
	uint32_t window_new, window; /* rows << 16 | columns */
	uint32_t window_told;	     /* what it was when the callbacks last ran */
	void (*readable)(void);
	void (*writable)(void);
	uint8_t out[OUT_BYTES];
	uint16_t in[IN_UNITS];
} console;

static bool is_panicking(void)
{
	/* relaxed: set by the only hart that still runs, or seen late by one that is about to be stopped */
	return atomic_load_explicit(&console.panicking, memory_order_relaxed);
}

static bool console_lock(void)
{
	if (is_panicking())
		return false;
	spin_lock(&console.lock, RANK_CONSOLE);
	return true;
}

static void console_unlock(bool locked)
{
	if (locked)
		spin_unlock(&console.lock, RANK_CONSOLE);
}

/* ---- Output. */

static uint32_t out_room_locked(void)
{
	return OUT_BYTES - (console.out_head - console.out_tail);
}

static void out_put_locked(uint8_t byte)
{
	console.out[console.out_head++ % OUT_BYTES] = byte;
}

/* Moves what the UART, or the SBI's console, takes now. */
static void out_pump_locked(void)
{
	while (console.out_head != console.out_tail) {
		uint32_t at = console.out_tail % OUT_BYTES;
		uint32_t n = MIN(console.out_head - console.out_tail, OUT_BYTES - at);
		if (console.live)
			n = (uint32_t)console.uart.ops->put(&console.uart, &console.out[at], n);
		else
			for (uint32_t i = 0; i < n; i++)
				sbi_putchar((char)console.out[at + i]);
		if (n == 0)
			return;
		console.out_tail += n;
	}
}

static void interrupts_update_locked(void)
{
	if (console.live)
		console.uart.ops->interrupts(&console.uart, console.in_head - console.in_tail < IN_UNITS,
					     console.out_head != console.out_tail || console.writer_waits);
}

static void out_switch_locked(enum console_channel channel)
{
	static const uint8_t letter[] = { [CONSOLE_KERNEL] = 'K', [CONSOLE_OUT] = 'O', [CONSOLE_ERR] = 'E' };

	if (!console.framed || console.channel == channel)
		return;
	out_put_locked(DLE);
	out_put_locked(letter[channel]);
	console.channel = channel;
}

/* As many bytes as have room, each with what must go with it. */
static size_t out_queue_locked(enum console_channel channel, const uint8_t *bytes, size_t n)
{
	size_t done;

	for (done = 0; done < n && out_room_locked() >= WORST; done++) {
		out_switch_locked(channel);
		if (console.framed && bytes[done] == DLE)
			out_put_locked(DLE);
		else if (!console.framed && bytes[done] == '\n')
			out_put_locked('\r');
		out_put_locked(bytes[done]);
	}
	return done;
}

size_t console_write(enum console_channel channel, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	size_t done = 0, taken;
	bool locked = console_lock();

	do {
		taken = out_queue_locked(channel, from + done, n - done);
		done += taken;
		out_pump_locked();
	} while (taken != 0 && done < n);
	if (done < n)
		console.writer_waits = true;
	interrupts_update_locked();
	console_unlock(locked);
	return done;
}

static void out_drain_locked(void)
{
	while (console.out_head != console.out_tail)
		out_pump_locked();
}

void console_write_sync(enum console_channel channel, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	bool locked = console_lock();

	while (n > 0) {
		size_t done = out_queue_locked(channel, from, n);
		from += done;
		n -= done;
		out_drain_locked();
	}
	interrupts_update_locked();
	console_unlock(locked);
}

void console_flush(void)
{
	bool locked = console_lock();

	out_drain_locked();
	while (console.live && !console.uart.ops->idle(&console.uart))
		;
	console_unlock(locked);
}

/* A mark is a control sequence of its own, of no channel. */
static void mark(const char *bytes)
{
	bool locked = console_lock();

	if (console.framed) {
		out_drain_locked();
		while (*bytes != '\0')
			out_put_locked((uint8_t)*bytes++);
		out_drain_locked();
	}
	console_unlock(locked);
}

void console_mark_exit(unsigned status)
{
	static const char digit[] = "0123456789abcdef";
	const char bytes[] = { DLE, 'X', digit[status >> 4 & 15], digit[status & 15], '\0' };

	mark(bytes);
}

/* ---- Input. */

static void in_put_locked(uint16_t unit)
{
	console.in[console.in_head++ % IN_UNITS] = unit;
}

static void window_digit_locked(uint8_t byte)
{
	uint32_t digit = byte <= '9' ? (uint32_t)byte - '0' : ((uint32_t)byte | 0x20) - 'a' + 10;

	console.window_new = console.window_new << 4 | (digit & 15);
	if (++console.window_digits < 8)
		return;
	console.window = console.window_new;
	console.unframe = TEXT;
}

static void in_control_locked(uint8_t byte)
{
	console.unframe = TEXT;
	if (byte == DLE) {
		in_put_locked(DLE);
	} else if (byte == 'Z') {
		in_put_locked(EOF_UNIT);
	} else if (byte == 'W') {
		console.unframe = WINDOW;
		console.window_digits = 0;
		console.window_new = 0;
	}
}

static void in_byte_locked(uint8_t byte)
{
	if (console.unframe == WINDOW)
		window_digit_locked(byte);
	else if (console.unframe == CONTROL)
		in_control_locked(byte);
	else if (console.framed && byte == DLE)
		console.unframe = CONTROL;
	else
		in_put_locked(byte);
}

/* Takes what the UART has while there is room. */
static void in_pump_locked(void)
{
	while (console.live && console.in_head - console.in_tail < IN_UNITS) {
		int byte = console.uart.ops->get(&console.uart);
		if (byte < 0)
			return;
		in_byte_locked((uint8_t)byte);
	}
}

size_t console_read(void *bytes, size_t n, unsigned *flags)
{
	uint8_t *to = bytes;
	size_t done = 0;
	bool locked = console_lock();

	*flags = 0;
	/* First: no interrupt tells of what is taken out of the UART here, so who is told that there is no more must have it. */
	in_pump_locked();
	while (done < n && *flags == 0 && console.in_tail != console.in_head) {
		uint16_t unit = console.in[console.in_tail++ % IN_UNITS];
		if (unit == EOF_UNIT)
			*flags = CONSOLE_EOF;
		else
			to[done++] = (uint8_t)unit;
	}
	interrupts_update_locked();
	console_unlock(locked);
	return done;
}

void console_window(unsigned *rows, unsigned *columns)
{
	bool locked = console_lock();

	*rows = console.window >> 16;
	*columns = console.window & 0xffff;
	console_unlock(locked);
}

/* ---- The UART's interrupt, and setting up. */

static bool console_interrupt(void *arg)
{
	(void)arg;
	bool locked = console_lock();
	console.uart.ops->acknowledge(&console.uart);
	in_pump_locked();
	out_pump_locked();
	bool readable = console.in_tail != console.in_head || console.window != console.window_told;
	bool writable = console.writer_waits && out_room_locked() >= OUT_BYTES / 2;
	console.window_told = console.window;
	if (writable)
		console.writer_waits = false;
	interrupts_update_locked();
	console_unlock(locked);
	if (readable && console.readable != NULL)
		console.readable();
	if (writable && console.writable != NULL)
		console.writable();
	return true;
}

void console_set_callbacks(void (*readable)(void), void (*writable)(void))
{
	bool locked = console_lock();

	console.readable = readable;
	console.writable = writable;
	console_unlock(locked);
}

bool console_framed(void)
{
	return console.framed;
}

static void log_write(const char *bytes, size_t n)
{
	console_write_sync(CONSOLE_KERNEL, bytes, n);
}

static void log_panic(void)
{
	static const char panic_mark[] = { DLE, 'P', '\0' };

	/* relaxed: see is_panicking */
	atomic_store_explicit(&console.panicking, true, memory_order_relaxed);
	mark(panic_mark);
}

static const struct log_sink console_sink = { .write = log_write, .flush = console_flush, .panic = log_panic };

/* Registers further apart than any UART's are: the tree lies, and they would be behind what is mapped. */
#define SHIFT_MAX 4U

static const struct uart_ops *driver_find(const void *fdt, int node)
{
	static const struct uart_ops *const drivers[] = { &ns16550a_ops, &sifive_uart_ops };

	if (node >= 0 && tree_u32(fdt, node, "reg-shift", 0) > SHIFT_MAX)
		return NULL;
	for (unsigned i = 0; node >= 0 && i < ARRAY_LEN(drivers); i++)
		if (fdt_node_check_compatible(fdt, node, drivers[i]->compatible) == 0)
			return drivers[i];
	return NULL;
}

/* As the tree has it. regs NULL: there is no driver for it, or nothing to drive. */
static struct uart uart_find(const void *fdt, int node)
{
	struct uart uart = { .ops = driver_find(fdt, node) };

	if (uart.ops == NULL)
		return uart;
	uart.shift = tree_u32(fdt, node, "reg-shift", 0);
	uart.width = tree_u32(fdt, node, "reg-io-width", uart.ops->width);
	uart.regs = dt_map(fdt, node, (uint64_t)uart.ops->quiet << uart.shift, uart.width);
	return uart;
}

static void uart_start(const struct uart *uart)
{
	bool locked = console_lock();

	console.uart = *uart;
	uart->ops->start(&console.uart);
	console.live = true;
	console_unlock(locked);
}

void console_probe(const void *fdt, bool framed)
{
	static const char ready[] = { DLE, 'K', '\0' };
	int node = dt_stdout(fdt);
	struct uart uart = uart_find(fdt, node);
	unsigned source;

	if (uart.regs != NULL)
		uart_start(&uart);
	else
		klog("no driver for the console's UART: the firmware's console, without input");
	console.framed = framed;
	log_set_sink(&console_sink);
	if (uart.regs == NULL)
		return;
	if (dt_interrupt(fdt, node, &source) != 0 || plic_enable(source, console_interrupt, NULL, "console") != 0)
		klog("the console's UART has no interrupt: no input");
	bool locked = console_lock();
	interrupts_update_locked();
	console_unlock(locked);
	mark(ready);
}
