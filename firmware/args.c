/*
 * Boot arguments, parsed once at boot into words in early memory; then only read, but for the marks of which words were
 * asked for, which are kernel_main's. No locks.
 */
#include <string.h>

#include "firmware/boot.h"
#include "firmware/memory.h"

struct word {
	char *text;
	bool asked;
};

static struct {
	struct word *word;
	unsigned count; /* of words before "--" */
	char **program; /* the words behind it, NULL-terminated */
	unsigned program_count;
	bool parsed;
} args;

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word from *from to *to without its quotes, terminated. False: a quote is not closed. */
static bool word_copy(const char **from, char **to)
{
	char quote = '\0';

	for (; **from != '\0' && (quote != '\0' || !is_blank(**from)); ++*from) {
		if (**from == quote) {
			quote = '\0';
		} else if (quote == '\0' && (**from == '"' || **from == '\'')) {
			quote = **from;
		} else {
			if (**from == '\\' && quote != '\'' && (*from)[1] != '\0')
				++*from;
			*(*to)++ = **from;
		}
	}
	*(*to)++ = '\0';
	return quote == '\0';
}

static void word_put(char *text, bool *program)
{
	if (*program)
		args.program[args.program_count++] = text;
	else if (strcmp(text, "--") == 0)
		*program = true;
	else
		args.word[args.count++] = (struct word){ text, false };
}

void boot_args_init(const char *bootargs)
{
	size_t room = strlen(bootargs) + 1, words = room / 2 + 1;
	bool program = false;

	if (args.parsed)
		return;
	char *to = early_alloc(room, 1);
	args.word = early_alloc(words * sizeof(args.word[0]), 16);
	args.program = early_alloc((words + 1) * sizeof(args.program[0]), 16);
	args.parsed = true;
	for (;;) {
		while (is_blank(*bootargs))
			bootargs++;
		if (*bootargs == '\0')
			break;
		char *text = to;
		if (!word_copy(&bootargs, &to))
			boot_fail("boot arguments: a quote is not closed in: %s", text);
		word_put(text, &program);
	}
}

const char *boot_arg(const char *key)
{
	size_t length = strlen(key);
	const char *value = NULL;

	for (unsigned i = 0; i < args.count; i++) {
		const char *text = args.word[i].text;
		if (strncmp(text, key, length) != 0 || (text[length] != '=' && text[length] != '\0'))
			continue;
		args.word[i].asked = true;
		value = text + length + (text[length] == '=');
	}
	return value;
}

char **boot_program_args(unsigned *count)
{
	*count = args.program_count;
	return args.program;
}

void boot_args_unknown(void (*visit)(const char *word))
{
	for (unsigned i = 0; i < args.count; i++)
		if (!args.word[i].asked)
			visit(args.word[i].text);
}
