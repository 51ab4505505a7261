/*
 * The log. A line is formatted on the caller's stack and given to the sink in one piece, which is what keeps lines of
 * several harts apart; there is no lock here, so a panic never waits for one. Lines longer than the buffer are cut.
 */
#include "firmware/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "firmware/sbi.h"
#include "firmware/trap.h"
#include "lib/types.h"

#define LINE_BYTES 400

static void sbi_write(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			sbi_putchar('\r');
		sbi_putchar(bytes[i]);
	}
}

static void nothing(void)
{
}

static const struct log_sink sbi_sink = { .write = sbi_write, .flush = nothing, .panic = nothing };

/* release and acquire: who sees the sink sees it set up. */
static const struct log_sink *_Atomic sink = &sbi_sink;

static const struct log_sink *sink_get(void)
{
	return atomic_load_explicit(&sink, memory_order_acquire);
}

void log_set_sink(const struct log_sink *to)
{
	atomic_store_explicit(&sink, to, memory_order_release);
}

void log_flush(void)
{
	sink_get()->flush();
}

void log_panic_begin(void)
{
	sink_get()->panic();
}

void klog(const char *fmt, ...)
{
	char line[LINE_BYTES];
	uint64_t us = time_ns() / 1000;
	int head = snprintf(line, sizeof(line), "[%5lu.%06lu] corral: ", us / 1000000, us % 1000000);
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, args);
	va_end(args);
	size_t length = MIN((size_t)head + (size_t)MAX(n, 0), sizeof(line) - 2);
	line[length] = '\n';
	sink_get()->write(line, length + 1);
}

void log_raw(const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n > 0)
		sink_get()->write(line, MIN((size_t)n, sizeof(line) - 1));
}
