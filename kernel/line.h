/*
 * The line discipline: what a terminal makes of the bytes typed at it (termios(3), as Linux's n_tty). A pure state machine: no
 * locks, no devices; it compiles on the host. tty.c is its one user on the target.
 */
#ifndef KERNEL_LINE_H
#define KERNEL_LINE_H

#include "lib/types.h"

#define LINE_BYTES 4096U /* a power of two; the longest line is one less */
#define LINE_ECHO  128U	 /* the most that one byte typed echoes outside of an erased line */
#define LINE_CHARS 19U

/* c_iflag, c_oflag, c_lflag: those that mean something here. */
#define INLCR	0000100U
#define IGNCR	0000200U
#define ICRNL	0000400U
#define IUTF8	0040000U
#define OPOST	0000001U
#define ONLCR	0000004U
#define ISIG	0000001U
#define ICANON	0000002U
#define ECHO	0000010U
#define ECHOE	0000020U
#define ECHOK	0000040U
#define ECHONL	0000100U
#define NOFLSH	0000200U
#define TOSTOP	0000400U
#define ECHOCTL 0001000U
#define ECHOKE	0004000U
#define IEXTEN	0100000U

enum line_char {
	VINTR,
	VQUIT,
	VERASE,
	VKILL,
	VEOF,
	VTIME,
	VMIN,
	VSWTC,
	VSTART,
	VSTOP,
	VSUSP,
	VEOL,
	VREPRINT,
	VDISCARD,
	VWERASE,
	VLNEXT,
	VEOL2
};

/* As TCGETS and TCSETS pass it. */
struct termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line;
	uint8_t cc[LINE_CHARS];
};
_Static_assert(sizeof(struct termios) == 36, "as Linux has it");

struct line {
	struct termios termios;
	uint16_t ring[LINE_BYTES]; /* a byte, and LINE_END or LINE_EOF */
	uint32_t head;		   /* oldest byte; counts on, taken modulo LINE_BYTES */
	uint32_t done;		   /* canonical: up to here lines are complete; head <= done <= tail */
	uint32_t tail;
	bool literal; /* VLNEXT was typed */
	void (*echo)(void *ctx, const char *bytes, size_t n);
	void *ctx;
};

#define LINE_END 0x100U
#define LINE_EOF 0x200U

void line_init(struct line *line, void (*echo)(void *ctx, const char *bytes, size_t n), void *ctx);

/* How many bytes it can be given now. */
uint32_t line_room(const struct line *line);
/* A byte was typed: the signal that it means, or 0. */
int line_type(struct line *line, uint8_t byte);
/* How many bytes a read may have now. *eof: there is an end of file to be read, with or behind them. */
uint32_t line_ready(const struct line *line, bool *eof);
/* Looks at up to n bytes to be read: how many; *used: what line_consume is to be given once they are delivered. */
uint32_t line_peek(const struct line *line, char *bytes, uint32_t n, uint32_t *used);
void line_consume(struct line *line, uint32_t used);
void line_flush(struct line *line);
void line_set(struct line *line, const struct termios *termios);

#endif
