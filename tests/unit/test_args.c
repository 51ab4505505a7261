/* The boot arguments' parser (firmware/args.c), on the host: quoting, the program's part, unknown words. */
#include "tests/unit/unit.h"

#include "firmware/boot.h"

void *early_alloc(uint64_t bytes, uint64_t align);

/* Exactly as much as was asked for, so that ASan sees a byte too many. */
void *early_alloc(uint64_t bytes, uint64_t align)
{
	void *at = NULL;

	assert_int_equal(posix_memalign(&at, MAX(align, sizeof(void *)), bytes), 0);
	memset(at, 0, bytes);
	return at;
}

void boot_fail(const char *fmt, ...)
{
	hw_panic("%s", fmt);
}

static char unknown[256];

static void note(const char *word)
{
	strcat(unknown, word);
	strcat(unknown, "|");
}

static void plain(void **state)
{
	unsigned count;

	(void)state;
	boot_args_init("  init=/bin/x\ttlb=ipi quiet tlb=rfence empty=  odd=a=b\n");
	assert_string_equal(boot_arg("init"), "/bin/x");
	assert_string_equal(boot_arg("tlb"), "rfence"); /* the last one counts */
	assert_string_equal(boot_arg("quiet"), "");
	assert_string_equal(boot_arg("empty"), "");
	assert_string_equal(boot_arg("odd"), "a=b");
	assert_null(boot_arg("ini"));
	assert_null(boot_arg("initx"));
	assert_null(boot_program_args(&count)[0]);
	assert_int_equal(count, 0);
	boot_args_unknown(note);
	assert_string_equal(unknown, "");
}

static void quotes(void **state)
{
	unsigned count;
	char **program;

	(void)state;
	boot_args_init(
		"a=\"x y\" 'b=1 2' c=\\ d e=\\\"q\\\" -- prog \"two words\" '' 'it''s' back\\\\slash 'raw\\n' -- -x=1");
	assert_string_equal(boot_arg("a"), "x y");
	assert_string_equal(boot_arg("b"), "1 2");
	assert_string_equal(boot_arg("c"), " d");
	assert_string_equal(boot_arg("e"), "\"q\"");
	assert_null(boot_arg("-x"));
	program = boot_program_args(&count);
	assert_int_equal(count, 8);
	assert_string_equal(program[0], "prog");
	assert_string_equal(program[1], "two words");
	assert_string_equal(program[2], "");
	assert_string_equal(program[3], "its");
	assert_string_equal(program[4], "back\\slash");
	assert_string_equal(program[5], "raw\\n");
	assert_string_equal(program[6], "--");
	assert_string_equal(program[7], "-x=1");
	assert_null(program[8]);
}

static void nothing(void **state)
{
	unsigned count = 5;

	(void)state;
	boot_args_init("");
	assert_null(boot_arg("init"));
	assert_null(boot_program_args(&count)[0]);
	assert_int_equal(count, 0);
}

static void one_letter_words(void **state)
{
	unsigned count;

	(void)state;
	boot_args_init("a b c d e -- f g h");
	assert_string_equal(boot_arg("c"), "");
	assert_string_equal(boot_program_args(&count)[2], "h");
	assert_int_equal(count, 3);
	boot_args_unknown(note);
	assert_string_equal(unknown, "a|b|d|e|");
}

static void do_init(void *arg)
{
	boot_args_init(arg);
}

static void an_open_quote(void **state)
{
	static char text[] = "a=1 b=\"x y";

	(void)state;
	assert_non_null(fake_panic_of(do_init, text));
}

static void a_lone_backslash(void **state)
{
	(void)state;
	boot_args_init("a=x\\");
	assert_non_null(boot_arg("a"));
}

/* Any bytes: nothing is read or written outside (ASan), and all words come back. */
static void random_bytes(void **state)
{
	static const char letters[] = "ab=  \"'\\-- \t";
	char *text = malloc(200);

	(void)state;
	(void)unit_seed();
	for (unsigned i = 0; i < 199; i++)
		text[i] = letters[fake_below(sizeof(letters) - 1)];
	text[199] = '\0';
	(void)fake_panic_of(do_init, text);
	free(text);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(plain),	  UNIT_TEST(quotes),	       UNIT_TEST(nothing),	UNIT_TEST(one_letter_words),
	UNIT_TEST(an_open_quote), UNIT_TEST(a_lone_backslash), UNIT_TEST(random_bytes),
};

UNIT_MAIN("args", tests)
