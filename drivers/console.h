/*
 * The console: one UART, one byte stream each way, several channels in it.
 *
 * Plain (the default): everything is text for the person at the line; "\n" goes out as "\r\n".
 *
 * Framed (boot argument console=mux, what scripts/corral asks for): bytes go out as they are, and DLE (0x10) announces
 * a control byte: DLE K, DLE O, DLE E: what follows is of the kernel, of standard output, of standard error (state at
 * start: K); DLE DLE: a literal 0x10; DLE P: the machine panicked; DLE X n: the first program ended: n is two
 * hexadecimal digits of its exit status. When the driver is ready to receive it sends DLE K, needed or not: the other
 * side sends nothing before it. Inward: DLE DLE is a literal 0x10, DLE Z is end of file, DLE W rrrr cccc (hexadecimal)
 * the window's size.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

#include "lib/types.h"

enum console_channel { CONSOLE_KERNEL, CONSOLE_OUT, CONSOLE_ERR };

/* Until this is called, output goes through the SBI console, a byte at a time. Probes the UART that /chosen/stdout-path
 * names and takes its receive interrupt; keeps the SBI console, and says so, where there is no driver for it. */
void console_probe(const void *fdt, bool framed);
bool console_framed(void);

/*
 * Queues n bytes for the channel, whole or in part, and returns how many were taken: 0 when the ring is full, then
 * console_writable() is called when there is room again. A frame switch is never split from its bytes.
 */
size_t console_write(enum console_channel channel, const void *bytes, size_t n);
/* The same, waiting by polling the device: for the log before the scheduler runs, for panics. */
void console_write_sync(enum console_channel channel, const void *bytes, size_t n);
/* Everything queued is on the line when it returns. Before power-off. */
void console_flush(void);

/* Bytes received, oldest first. At most n; 0: none now. CONSOLE_EOF in *flags once where the end was announced. */
#define CONSOLE_EOF 1U
size_t console_read(void *bytes, size_t n, unsigned *flags);

/*
 * kernel/ sets these: called from interrupt context, with no driver lock held, when input arrived, the window
 * changed, or output has room.
 */
void console_set_callbacks(void (*readable)(void), void (*writable)(void));

/* For programs at the line, framed only: the first program ended with this status. The panic's mark goes by itself. */
void console_mark_exit(unsigned status);

/* The window's size where it is known, else 0, 0. */
void console_window(unsigned *rows, unsigned *columns);

#endif
