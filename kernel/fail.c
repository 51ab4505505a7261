/*
 * /proc/corral/fail, in debug kernels: which allocations of a thread fail (lib/fail.h). Writing "N" makes the N-th allocation fail that the
 * writing thread makes from then on, "N+" that one and all after it, "0" no more; "N@SITE" and "N@SITE+" count only those
 * that are called from that address, in hex, which reading has given. Reading says how many it has made, how many
 * of them failed, and where the first of those was called. `fail=N` or `fail=N@SITE` at boot: each N-th of all,
 * from the first program on.
 */
#include "kernel/fail.h"

#ifdef CORRAL_DEBUG
#include <string.h>

#include "firmware/boot.h"
#include "kernel/file.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "kernel/thread.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "lib/fail.h"
#include "lib/types.h"

static struct file_ops fail_ops;
static struct fail_when from_boot; /* written by fail_boot alone */

static void fail_text(struct text *text)
{
	struct fail_seen seen = fail_seen();

	text_put(text, "calls %llu\nfailed %llu\nsite %#llx\n", (unsigned long long)seen.calls,
		 (unsigned long long)seen.failed, (unsigned long long)seen.site);
}

static int digit_of(char c, unsigned base)
{
	int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

	return digit < (int)base ? digit : -1;
}

static uint64_t number(const char **text, unsigned base, unsigned digits)
{
	uint64_t n = 0;

	for (; digits != 0 && digit_of(**text, base) >= 0; (*text)++, digits--)
		n = n * base + (uint64_t)digit_of(**text, base);
	return n;
}

/* N, N+, N@SITE or N@SITE+, and no more than a line's end behind it. */
static bool when_of(const char *text, struct fail_when *when)
{
	const char *from = text;

	*when = (struct fail_when){ .nth = number(&text, 10, 9) };
	if (text == from)
		return false;
	if (*text == '@') {
		from = ++text;
		when->site = number(&text, 16, 16);
		if (text == from)
			return false;
	}
	when->and_on = *text == '+';
	text += when->and_on;
	text += *text == '\n';
	return *text == '\0';
}

static int64_t fail_write(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t top = current_thread()->stack_top, left = io->left;
	char text[40] = "";
	struct fail_when when;

	(void)file;
	(void)at;
	if (io_take(io, text, sizeof(text) - 1) < MIN(left, sizeof(text) - 1))
		return io->error;
	if (io->left != 0 || !when_of(text, &when))
		return -EINVAL;
	fail_thread(top - THREAD_STACK_BYTES, top, &when);
	return (int64_t)left;
}

int fail_place(void)
{
	struct node *node;
	int error = node_create(S_IFREG | 0666U, &node);

	if (error != 0)
		return error;
	fail_ops = proc_ops;
	fail_ops.write = fail_write;
	node->ops = &fail_ops;
	node->made.text = fail_text;
	error = tree_place("/proc/corral/fail", node);
	node_put(node);
	return error;
}

void fail_boot(const char *value)
{
	if (value != NULL && !when_of(value, &from_boot))
		boot_fail("boot argument fail=%s: must be N or N@SITE", value);
}

void fail_begin(void)
{
	fail_each(&from_boot);
}

#else

int fail_place(void)
{
	return 0;
}

void fail_boot(const char *value)
{
	(void)value;
}

void fail_begin(void)
{
}

#endif
