/*
 * "#!": the rules are Linux's (binfmt_script.c there): 256 bytes count, one argument with all its blanks inside, an
 * interpreter's name that may have been cut off is refused.
 */
#include "kernel/script.h"

#include <string.h>

#include "kernel/cache.h"
#include "kernel/file.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/slab.h"

struct line {
	char bytes[SCRIPT_LINE_BYTES + 1];
	const char *interpreter;
	const char *argument; /* NULL: none */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *skip_blanks(char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static char *skip_word(char *p)
{
	while (*p != 0 && !is_blank(*p))
		p++;
	return p;
}

/* 0: no script; 1: *out says what to run; -ENOEXEC. */
static int parse(struct line *out, size_t length)
{
	char *line = out->bytes + 2;
	char *end, *name, *rest;

	if (length < 2 || memcmp(out->bytes, "#!", 2) != 0)
		return 0;
	out->bytes[length] = 0;
	end = strchr(line, '\n');
	name = skip_blanks(line);
	/* Without its end the line is cut off one byte earlier. */
	if (end == NULL && length == SCRIPT_LINE_BYTES) {
		out->bytes[SCRIPT_LINE_BYTES - 1] = 0;
		if (*skip_word(name) == 0)
			return -ENOEXEC;
	}
	if (end == NULL)
		end = line + strlen(line);
	while (end > line && is_blank(end[-1]))
		end--;
	*end = 0;
	if (name >= end)
		return -ENOEXEC;
	rest = skip_word(name);
	out->interpreter = name;
	out->argument = NULL;
	if (*rest != 0) {
		*rest = 0;
		out->argument = skip_blanks(rest + 1);
	}
	return 1;
}

static void put_in_front(struct script_lead *lead, const char *string)
{
	size_t n = strlen(string) + 1;

	CHECK(n <= lead->start);
	lead->start -= n;
	memcpy(lead->bytes + lead->start, string, n);
	lead->count++;
}

static int begin(struct script_lead *lead, const char *path)
{
	lead->bytes = kalloc(SCRIPT_LEAD_BYTES);
	if (lead->bytes == NULL)
		return -ENOMEM;
	lead->start = lead->end = SCRIPT_LEAD_BYTES;
	put_in_front(lead, path);
	return 0;
}

/* As parse. *name: the interpreter, in lead. */
static int look(struct script_lead *lead, const char *path, struct object *object, const char **name)
{
	struct line line = { .interpreter = NULL };
	int64_t got = cache_read(object, 0, line.bytes, MIN(object_bytes(object), (uint64_t)SCRIPT_LINE_BYTES));
	int result = got < 0 ? (int)got : parse(&line, (size_t)got);

	if (result > 0 && lead->bytes == NULL && begin(lead, path) != 0)
		return -ENOMEM;
	if (result > 0) {
		if (line.argument != NULL)
			put_in_front(lead, line.argument);
		put_in_front(lead, line.interpreter);
		*name = lead->bytes + lead->start;
	}
	return result;
}

int script_open(const char *path, struct script_lead *lead, struct object **out, struct file **exe)
{
	const char *name = path;

	for (unsigned depth = 0;; depth++) {
		int result = depth > SCRIPT_DEPTH ? -ELOOP : file_open_exec(name, out, exe);

		if (result != 0)
			return result;
		result = look(lead, path, *out, &name);
		if (result == 0)
			return 0;
		object_put(*out);
		file_put(*exe);
		if (result < 0)
			return result;
	}
}

void script_free(struct script_lead *lead)
{
	kfree(lead->bytes);
	lead->bytes = NULL;
}
