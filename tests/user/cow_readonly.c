/*
 * A fault on a page that is read-only by right stays a fault, whether or not the page is shared by fork: breaking
 * copy-on-write must not make it writable. The fault is SEGV_ACCERR, and the data stays.
 */
#include "check.h"

static char *page;

static void write_is_refused(void)
{
	CHECK_EQ(probe_write(page, 'x'), SEGV_ACCERR);
	CHECK(probe_address == page);
	CHECK_EQ(probe_signal, SIGSEGV);
	CHECK_EQ(page[0], 'a');
}

static void child_refused(void *arg)
{
	(void)arg;
	write_is_refused();
	CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
	page[0] = 'b';
	CHECK_EQ(page[0], 'b');
	CHECK(mprotect(page, PAGE, PROT_READ) == 0);
	CHECK_EQ(probe_write(page, 'x'), SEGV_ACCERR);
	CHECK_EQ(page[0], 'b');
}

static void child_killed(void *arg)
{
	(void)arg;
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)page = 'x';
}

static void untouched(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	CHECK_EQ(probe_write(at, 1), SEGV_ACCERR);
	CHECK_EQ(at[PAGE], 0);
	CHECK_EQ(probe_write(at + PAGE, 1), SEGV_ACCERR);
	CHECK_EQ(at[PAGE], 0);
	CHECK_EQ(at[0], 0);
}

static void text_and_rodata(void)
{
	static const char constant[] = "constant";

	CHECK_EQ(probe_write((char *)(uintptr_t)constant, 'C'), SEGV_ACCERR);
	CHECK_EQ(constant[0], 'c');
	CHECK_EQ(probe_write((void *)(uintptr_t)&text_and_rodata, 0), SEGV_ACCERR);
}

int main(void)
{
	probe_init();
	page = map_anon(2 * PAGE);
	memset(page, 'a', 2 * PAGE);

	/* Read-only before the fork. */
	CHECK(mprotect(page, PAGE, PROT_READ) == 0);
	write_is_refused();
	child_run(child_refused, NULL);
	write_is_refused();
	child_dies(child_killed, NULL, SIGSEGV);
	write_is_refused();

	/* Copy-on-write first, then read-only. */
	CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
	page[0] = 'a';
	for (int i = 0; i < 3; i++) {
		pid_t pid = child_fork();

		if (pid == 0) {
			CHECK(mprotect(page, PAGE, PROT_READ) == 0);
			child_refused(NULL);
			_exit(0);
		}
		CHECK(mprotect(page, PAGE, PROT_READ) == 0);
		write_is_refused();
		child_wait(pid);
		write_is_refused();
		CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
	}
	untouched();
	child_run((void (*)(void *))(void *)untouched, NULL);
	text_and_rodata();
	return pass();
}
