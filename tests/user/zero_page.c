/*
 * Untouched memory reads as zeros, without becoming writable for anybody else: a write is private to its page, and
 * after MADV_DONTNEED the page is zeros again. Many pages, both read-before-write and write-first, with and without
 * fork.
 */
#include "check.h"

enum { PAGES = 1100 };

static void read_then_write(char *at)
{
	pages_verify_zero(at, PAGES * PAGE);
	for (unsigned page = 0; page < PAGES; page += 3)
		at[page * PAGE + page % PAGE] = 1;
	for (unsigned page = 0; page < PAGES; page++) {
		CHECK_EQ(at[page * PAGE + page % PAGE], page % 3 == 0);
		at[page * PAGE + page % PAGE] = 0;
	}
	pages_verify_zero(at, PAGES * PAGE);
}

static void discard(char *at)
{
	pages_write(at, PAGES * PAGE, 3);
	CHECK(madvise(at + 10 * PAGE, 600 * PAGE, MADV_DONTNEED) == 0);
	pages_verify(at, 10 * PAGE, 3);
	pages_verify_zero(at + 10 * PAGE, 600 * PAGE);
	for (unsigned page = 610; page < PAGES; page++)
		CHECK_EQ(*(uint64_t *)(at + page * PAGE), pattern(3, page));
	CHECK(madvise(at, PAGES * PAGE, MADV_DONTNEED) == 0);
	pages_verify_zero(at, PAGES * PAGE);
}

static void child(void *arg)
{
	pages_verify_zero(arg, PAGES * PAGE);
	read_then_write(arg);
	discard(arg);
	pages_write(arg, PAGES * PAGE, 4);
}

static void errors(char *at)
{
	CHECK_ERR(madvise(at + 1, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERR(madvise(at, PAGE, 12345), EINVAL);
	CHECK(madvise(at, 0, MADV_DONTNEED) == 0);
	CHECK(munmap(at + PAGE, PAGE) == 0);
	at[0] = at[2 * PAGE] = 1;
	CHECK_ERR(madvise(at, 3 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_EQ(at[0], 0);
	CHECK_EQ(at[2 * PAGE], 0);
	CHECK_ERR(madvise(at, ~0UL & ~(PAGE - 1), MADV_DONTNEED), EINVAL);
}

int main(void)
{
	char *at = map_anon(PAGES * PAGE);

	pages_verify_zero(at, PAGES * PAGE);
	child_run(child, at);
	read_then_write(at);
	discard(at);
	child_run(child, at);
	pages_verify_zero(at, PAGES * PAGE);
	errors(at);
	return pass();
}
