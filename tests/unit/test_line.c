/* The line discipline (kernel/line.c), on the host: editing, echo, ends, signals, raw mode, and random typing against its bounds. */
#include "tests/unit/unit.h"

#include "kernel/line.h"

static char echoed[4096];
static size_t echoed_bytes;
static struct line line;

static void echo(void *ctx, const char *bytes, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n && echoed_bytes < sizeof(echoed) - 1; i++)
		echoed[echoed_bytes++] = bytes[i];
	echoed[echoed_bytes] = 0;
}

static void start(void)
{
	line_init(&line, echo, NULL);
	echoed_bytes = 0;
	echoed[0] = 0;
}

static int type(const char *keys)
{
	int signal = 0;

	for (; *keys != 0; keys++)
		signal = line_type(&line, (uint8_t)*keys);
	return signal;
}

/* One read of up to n bytes. */
static void expect_read(uint32_t n, const char *text, bool eof)
{
	char bytes[LINE_BYTES];
	bool at_end;
	uint32_t ready = line_ready(&line, &at_end);
	uint32_t used;
	uint32_t got = line_peek(&line, bytes, MIN(n, ready), &used);

	assert_int_equal(got, strlen(text));
	assert_memory_equal(bytes, text, got);
	assert_int_equal(at_end, eof);
	line_consume(&line, used);
}

static void editing(void **state)
{
	bool eof;

	(void)state;
	start();
	type("abd\x7f"
	     "c");
	assert_int_equal(line_ready(&line, &eof), 0);
	type("\r");
	assert_string_equal(echoed, "abd\b \bc\n");
	expect_read(100, "abc\n", false);
	type("gone\x15one two  \x17three\n");
	expect_read(4, "one ", false);
	expect_read(100, "three\n", false);
	type("\x7f\x7f\x15\x17x\n");
	expect_read(100, "x\n", false);
	type("\xc3\xa9\x7f!\n"); /* one character of two bytes */
	expect_read(100, "!\n", false);
	type("\x16\x03\x16\x16\n"); /* literally */
	expect_read(100, "\x03\x16\n", false);
}

static void ends(void **state)
{
	bool eof;

	(void)state;
	start();
	type("\x04");
	expect_read(10, "", true);
	assert_int_equal(line_ready(&line, &eof), 0);
	assert_int_equal(eof, 0);
	type("abc\x04"
	     "def\n");
	expect_read(3, "abc", true); /* the end goes with what it ends, and is no end of file */
	expect_read(10, "def\n", false);
	type("one\ntwo\n");
	expect_read(100, "one\n", false);
	expect_read(100, "two\n", false);
}

static void signals(void **state)
{
	bool eof;

	(void)state;
	start();
	assert_int_equal(type("lost\x03"), 2);
	assert_string_equal(echoed, "lost^C");
	assert_int_equal(type("\x1c"), 3);
	assert_int_equal(type("\x1a"), 20);
	assert_int_equal(line_ready(&line, &eof), 0);
	type("kept\n");
	expect_read(100, "kept\n", false);
}

static void raw(void **state)
{
	struct termios termios;

	(void)state;
	start();
	type("half");
	termios = line.termios;
	termios.lflag = 0;
	termios.iflag = 0;
	line_set(&line, &termios);
	expect_read(100, "half", false);
	assert_int_equal(type("\x03\x04\r\x7f"), 0);
	expect_read(100, "\x03\x04\r\x7f", false);
	assert_string_equal(echoed, "half");
}

/* A line that is too long loses its end, not its newline; a full line waits for its reader. */
static void full(void **state)
{
	bool eof;

	(void)state;
	start();
	for (unsigned i = 0; i < LINE_BYTES + 100; i++) {
		assert_int_not_equal(line_room(&line), 0);
		line_type(&line, 'x');
	}
	assert_int_equal(line_ready(&line, &eof), 0);
	type("\n");
	assert_int_equal(line_ready(&line, &eof), LINE_BYTES);
	assert_int_equal(line_room(&line), 0);
}

static void random_typing(void **state)
{
	char bytes[500];

	(void)state;
	(void)unit_seed();
	start();
	for (unsigned step = 0; step < unit_steps(300000); step++) {
		uint32_t used, ready;
		bool eof;

		if (fake_below(3) == 0) {
			ready = line_ready(&line, &eof);
			uint32_t want = MIN((uint32_t)fake_below(500), ready);
			uint32_t got = line_peek(&line, bytes, want, &used);

			assert_in_range(got, 0, want);
			assert_in_range(used, got, got + 1);
			line_consume(&line, used);
		} else if (fake_below(500) == 0) {
			struct termios termios = line.termios;

			termios.lflag ^= ICANON;
			line_set(&line, &termios);
		} else {
			for (uint64_t n = fake_below(1000) == 0 ? 5000 : 1; n > 0 && line_room(&line) != 0; n--)
				line_type(&line, (uint8_t)(fake_below(4) == 0 ? fake_below(256) : 'a'));
		}
		assert_in_range(line.tail - line.head, 0, LINE_BYTES);
		assert_in_range(line.done - line.head, 0, line.tail - line.head);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(editing), UNIT_TEST(ends), UNIT_TEST(signals),
	UNIT_TEST(raw),	    UNIT_TEST(full), UNIT_TEST(random_typing),
};

UNIT_MAIN("line", tests)
