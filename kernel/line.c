/*
 * The line discipline. In canonical mode the bytes between done and tail are the line that is being typed, which erase and kill
 * may shorten; a byte with LINE_END or LINE_EOF completes it. Without it, every byte is ready at once.
 *
 * Invariant: head <= done <= tail <= head + LINE_BYTES, as differences modulo 2^32.
 */
#include "kernel/line.h"

#include <string.h>

#define SIGNAL_INT  2
#define SIGNAL_QUIT 3
#define SIGNAL_TSTP 20

static const struct termios line_default = {
	.iflag = ICRNL | IUTF8,
	.oflag = OPOST | ONLCR,
	.cflag = 0010002U | 0000060U | 0000200U | 0002000U | 0004000U, /* 115200 baud, 8 bits, CREAD, HUPCL, CLOCAL */
	.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.cc = { [VINTR] = 3,
		[VQUIT] = 28,
		[VERASE] = 127,
		[VKILL] = 21,
		[VEOF] = 4,
		[VMIN] = 1,
		[VSTART] = 17,
		[VSTOP] = 19,
		[VSUSP] = 26,
		[VREPRINT] = 18,
		[VDISCARD] = 15,
		[VWERASE] = 23,
		[VLNEXT] = 22 },
};

void line_init(struct line *line, void (*echo)(void *ctx, const char *bytes, size_t n), void *ctx)
{
	memset(line, 0, sizeof(*line));
	line->termios = line_default;
	line->echo = echo;
	line->ctx = ctx;
}

static bool line_has(const struct line *line, uint32_t lflag)
{
	return (line->termios.lflag & lflag) != 0;
}

static uint16_t *line_slot(struct line *line, uint32_t at)
{
	return &line->ring[at % LINE_BYTES];
}

/* A special character of 0 is switched off. */
static bool line_is(const struct line *line, uint8_t byte, enum line_char which)
{
	return byte != 0 && line->termios.cc[which] == byte;
}

static void line_echo_raw(struct line *line, const char *bytes, size_t n)
{
	if (n != 0)
		line->echo(line->ctx, bytes, n);
}

/* Control characters other than tab and newline show as ^X. */
static bool is_caret(const struct line *line, uint8_t byte)
{
	return line_has(line, ECHOCTL) && (byte < 32 || byte == 127) && byte != '\n' && byte != '\t';
}

static void line_echo(struct line *line, uint8_t byte)
{
	char caret[2] = { '^', (char)(byte ^ 64) };
	char plain = (char)byte;

	if (!line_has(line, ECHO) && !(byte == '\n' && line_has(line, ECHONL) && line_has(line, ICANON)))
		return;
	if (is_caret(line, byte))
		line_echo_raw(line, caret, 2);
	else
		line_echo_raw(line, &plain, 1);
}

/* A byte that continues a UTF-8 character: no column of its own. */
static bool is_continuation(const struct line *line, uint8_t byte)
{
	return (line->termios.iflag & IUTF8) != 0 && (byte & 0xc0) == 0x80;
}

static void line_echo_erase(struct line *line, uint8_t byte)
{
	if (!line_has(line, ECHO))
		return;
	if (!line_has(line, ECHOE)) {
		line_echo(line, line->termios.cc[VERASE]);
		return;
	}
	line_echo_raw(line, "\b \b", 3);
	if (is_caret(line, byte))
		line_echo_raw(line, "\b \b", 3);
}

/* Takes the last character of the line being typed away. False: there is none. */
static bool line_erase(struct line *line)
{
	uint8_t byte;

	do {
		if (line->tail == line->done)
			return false;
		byte = (uint8_t)*line_slot(line, --line->tail);
	} while (is_continuation(line, byte));
	line_echo_erase(line, byte);
	return true;
}

static uint8_t line_last(struct line *line)
{
	return (uint8_t)*line_slot(line, line->tail - 1);
}

static void line_erase_word(struct line *line)
{
	while (line->tail != line->done && (line_last(line) == ' ' || line_last(line) == '\t'))
		line_erase(line);
	while (line->tail != line->done && line_last(line) != ' ' && line_last(line) != '\t')
		line_erase(line);
}

static void line_kill(struct line *line)
{
	if (line_has(line, ECHOKE)) {
		while (line_erase(line))
			continue;
		return;
	}
	line->tail = line->done;
	line_echo(line, line->termios.cc[VKILL]);
	if (line_has(line, ECHOK) && line_has(line, ECHO))
		line_echo_raw(line, "\n", 1);
}

static void line_reprint(struct line *line)
{
	line_echo(line, line->termios.cc[VREPRINT]);
	line_echo_raw(line, "\n", 1);
	for (uint32_t at = line->done; at != line->tail; at++)
		line_echo(line, (uint8_t)*line_slot(line, at));
}

static bool line_is_full(const struct line *line, uint32_t spare)
{
	return line->tail - line->head >= LINE_BYTES - spare;
}

static void line_put(struct line *line, uint8_t byte, uint32_t flags)
{
	if (line_is_full(line, 0))
		return;
	*line_slot(line, line->tail++) = (uint16_t)(byte | flags);
	if (flags != 0 || !line_has(line, ICANON))
		line->done = line->tail;
}

/* One place is kept for what completes the line. */
static void line_put_typed(struct line *line, uint8_t byte)
{
	if (line_is_full(line, 1)) {
		line_echo_raw(line, "\a", 1);
		return;
	}
	line_echo(line, byte);
	line_put(line, byte, 0);
}

static int line_signal(struct line *line, uint8_t byte)
{
	int signal = line_is(line, byte, VINTR)	  ? SIGNAL_INT
		     : line_is(line, byte, VQUIT) ? SIGNAL_QUIT
		     : line_is(line, byte, VSUSP) ? SIGNAL_TSTP
						  : 0;

	if (signal != 0) {
		if (!line_has(line, NOFLSH))
			line_flush(line);
		line_echo(line, byte);
	}
	return signal;
}

/* Whether the byte edited the line or completed it. */
static bool line_edit(struct line *line, uint8_t byte)
{
	bool extended = line_has(line, IEXTEN);

	if (line_is(line, byte, VERASE)) {
		line_erase(line);
	} else if (line_is(line, byte, VKILL)) {
		line_kill(line);
	} else if (extended && line_is(line, byte, VWERASE)) {
		line_erase_word(line);
	} else if (extended && line_is(line, byte, VREPRINT)) {
		line_reprint(line);
	} else if (line_is(line, byte, VEOF)) {
		line_put(line, 0, LINE_EOF);
	} else if (byte == '\n' || line_is(line, byte, VEOL) || (extended && line_is(line, byte, VEOL2))) {
		line_echo(line, byte);
		line_put(line, byte, LINE_END);
	} else {
		return false;
	}
	return true;
}

static bool line_translate(const struct line *line, uint8_t *byte)
{
	uint32_t iflag = line->termios.iflag;

	if (*byte == '\r') {
		if ((iflag & IGNCR) != 0)
			return false;
		if ((iflag & ICRNL) != 0)
			*byte = '\n';
	} else if (*byte == '\n' && (iflag & INLCR) != 0) {
		*byte = '\r';
	}
	return true;
}

int line_type(struct line *line, uint8_t byte)
{
	int signal;

	if (line->literal) {
		line->literal = false;
		line_put_typed(line, byte);
		return 0;
	}
	if (!line_translate(line, &byte))
		return 0;
	signal = line_has(line, ISIG) ? line_signal(line, byte) : 0;
	if (signal != 0)
		return signal;
	if (line_has(line, ICANON)) {
		if (line_has(line, IEXTEN) && line_is(line, byte, VLNEXT)) {
			line->literal = true;
			if (line_has(line, ECHO) && line_has(line, ECHOCTL))
				line_echo_raw(line, "^\b", 2);
			return 0;
		}
		if (line_edit(line, byte))
			return 0;
	}
	line_put_typed(line, byte);
	return 0;
}

/*
 * While no line is complete, a full one must still hear what edits or completes it, so bytes are taken and dropped. Once one
 * is, what comes can wait in the driver until it has been read. Without canonical mode, the place kept spare is none.
 */
uint32_t line_room(const struct line *line)
{
	uint32_t used = line->tail - line->head;

	if (line_has(line, ICANON) && line->done == line->head)
		return LINE_BYTES;
	return used + 1 >= LINE_BYTES ? 0 : LINE_BYTES - 1 - used;
}

static uint32_t line_limit(const struct line *line)
{
	return line_has(line, ICANON) ? line->done : line->tail;
}

uint32_t line_ready(const struct line *line, bool *eof)
{
	uint32_t n = 0;

	*eof = false;
	for (uint32_t at = line->head; at != line_limit(line); at++) {
		uint16_t entry = line->ring[at % LINE_BYTES];

		if ((entry & LINE_EOF) != 0) {
			*eof = true;
			break;
		}
		n++;
		if ((entry & LINE_END) != 0 && line_has(line, ICANON))
			break;
	}
	return n;
}

uint32_t line_peek(const struct line *line, char *bytes, uint32_t n, uint32_t *used)
{
	uint32_t at = line->head;
	uint32_t got = 0;

	/* An end of file goes with the bytes before it, also where the reader's room ends right there. */
	while (at != line_limit(line)) {
		uint16_t entry = line->ring[at % LINE_BYTES];

		if ((entry & LINE_EOF) != 0) {
			at++;
			break;
		}
		if (got == n)
			break;
		bytes[got++] = (char)entry;
		at++;
		if ((entry & LINE_END) != 0 && line_has(line, ICANON))
			break;
	}
	*used = at - line->head;
	return got;
}

void line_consume(struct line *line, uint32_t used)
{
	line->head += used;
	if (line->done - line->head > line->tail - line->head)
		line->done = line->head;
}

void line_flush(struct line *line)
{
	line->head = line->tail;
	line->done = line->tail;
}

void line_set(struct line *line, const struct termios *termios)
{
	bool was = line_has(line, ICANON);

	line->termios = *termios;
	line->literal = false;
	if (was != line_has(line, ICANON))
		line->done = line->tail; /* what was typed in one mode is ready in the other */
}
