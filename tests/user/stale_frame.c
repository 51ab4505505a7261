/*
 * Frames that one thread unmaps are taken by others at once. No thread reaches a frame through a translation from
 * before, and all memory a program is given is cleared: each thread fills its mappings with its own mark and looks
 * for foreign ones, while other processes do the same.
 */
#include "check.h"

enum { THREADS = 4, PROCESSES = 2, ROUNDS = 120, PAGES = 24 };

static void one_round(uint64_t tag)
{
	char *at = map_anon(PAGES * PAGE);

	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned word = 0; word < PAGE / 8; word += 61)
			CHECK_EQ(((uint64_t *)(at + page * PAGE))[word], 0);
	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned word = 0; word < PAGE / 8; word += 61)
			((uint64_t *)(at + page * PAGE))[word] = tag;
	for (unsigned page = 0; page < PAGES; page++)
		for (unsigned word = 0; word < PAGE / 8; word += 61)
			CHECK_EQ(((volatile uint64_t *)(at + page * PAGE))[word], tag);
	if (tag % 3 == 0)
		CHECK(munmap(at + 3 * PAGE, 5 * PAGE) == 0);
	CHECK(munmap(at, PAGES * PAGE) == 0);
}

static void *worker(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round((uint64_t)(uintptr_t)arg * 1000000 + i + 1);
	return NULL;
}

static void all_threads(unsigned process)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(worker, (void *)(uintptr_t)(process * THREADS + i + 1));
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
}

int main(void)
{
	pid_t pids[PROCESSES];

	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			all_threads(i + 1);
			_exit(0);
		}
	}
	all_threads(0);
	for (unsigned i = 0; i < PROCESSES; i++)
		child_wait(pids[i]);
	return pass();
}
