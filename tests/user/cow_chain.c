/*
 * A chain of forks in which every generation writes some pages and leaves others: each sees its own writes and,
 * where it wrote nothing, those of the nearest ancestor from before the fork. Copy-on-write lost on the second fork
 * of a chain (a page that is already copy-on-write, or was never written since) shows here.
 */
#include "check.h"

enum { GENERATIONS = 8, PAGES = 64 };

static bool writes(unsigned generation, unsigned page)
{
	return generation == 0 || page % (generation + 1) == 0;
}

static void verify(volatile uint64_t *at, unsigned generation)
{
	for (unsigned page = 0; page < PAGES; page++) {
		unsigned owner = generation;

		while (!writes(owner, page))
			owner--;
		CHECK_EQ(at[page * PAGE / 8], pattern(owner, page));
	}
}

static void live(volatile uint64_t *at, unsigned generation, bool write_after)
{
	pid_t pid;

	for (unsigned page = 0; page < PAGES; page++)
		if (writes(generation, page))
			at[page * PAGE / 8] = pattern(generation, page);
	verify(at, generation);
	if (generation == GENERATIONS)
		return;
	pid = child_fork();
	if (pid == 0) {
		verify(at, generation);
		live(at, generation + 1, write_after);
		verify(at, generation + 1);
		_exit(0);
	}
	if (write_after) {
		for (unsigned page = 0; page < PAGES; page++)
			at[page * PAGE / 8] = pattern(100 + generation, page);
		child_wait(pid);
		for (unsigned page = 0; page < PAGES; page++)
			CHECK_EQ(at[page * PAGE / 8], pattern(100 + generation, page));
		_exit(0);
	}
	child_wait(pid);
	verify(at, generation);
	if (generation > 0)
		_exit(0);
}

static void write_after(void *arg)
{
	live(arg, 0, true);
}

int main(void)
{
	void *at = map_anon(PAGES * PAGE);
	pid_t pid;

	live(at, 0, false);
	child_run(write_after, at);
	verify(at, 0);

	/* Untouched between two forks: the second fork must not take the page for private. */
	pages_write(at, PAGE, 7);
	pid = child_fork();
	if (pid == 0) {
		pid_t second = child_fork();

		if (second == 0) {
			pages_write(at, PAGE, 8);
			_exit(0);
		}
		child_wait(second);
		pages_verify(at, PAGE, 7);
		_exit(0);
	}
	child_wait(pid);
	pages_verify(at, PAGE, 7);
	return pass();
}
