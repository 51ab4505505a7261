/*
 * The kernel's log: lines for people, on the console's kernel channel. Never from a fault path. Any context, any
 * hart.
 */
#ifndef FIRMWARE_LOG_H
#define FIRMWARE_LOG_H

#include "lib/types.h"

/* One line; the newline is added. Printed as "[    0.012345] corral: ..." */
void klog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Where lines go: the SBI console until drivers/ sets another. write returns when the bytes are on the line or queued
 * in order, flush when they are all on the line; panic says that what follows is a panic's, and from then on write
 * and flush must wait for no lock: its holder may be stopped.
 */
struct log_sink {
	void (*write)(const char *bytes, size_t n);
	void (*flush)(void);
	void (*panic)(void);
};
void log_set_sink(const struct log_sink *sink);
void log_flush(void);

/* For panics: text as it is, without time, through the sink. */
void log_panic_begin(void);
void log_raw(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
