/*
 * Threads on all harts write the same and neighbouring words of pages that are shared by fork again and again: no
 * update is lost when one of them breaks copy-on-write under the others, and no child's picture changes after the
 * fork.
 */
#include "check.h"

enum { THREADS = 4, PAGES = 16, FORKS = 40 };

struct shared {
	_Atomic uint64_t common[PAGES * PAGE / 8];
};

static struct shared *area;
static atomic_bool stop;
static uint64_t counts[THREADS];

static void *writer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t rounds = 0;

	do {
		for (unsigned page = 0; page < PAGES; page++) {
			atomic_fetch_add(&area->common[page * PAGE / 8], 1);
			atomic_fetch_add(&area->common[page * PAGE / 8 + 1 + me], 1);
		}
		rounds++;
		if (rounds % 64 == 0)
			relax();
	} while (!atomic_load(&stop));
	counts[me] = rounds;
	return NULL;
}

static void child(void)
{
	uint64_t seen[PAGES];

	for (unsigned page = 0; page < PAGES; page++)
		seen[page] = atomic_load(&area->common[page * PAGE / 8]);
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < THREADS; i++)
			sum += atomic_load(&area->common[page * PAGE / 8 + 1 + i]);
		CHECK(seen[page] >= sum && seen[page] <= sum + THREADS);
		CHECK_EQ(atomic_load(&area->common[page * PAGE / 8]), seen[page]);
		atomic_store(&area->common[page * PAGE / 8], 0);
		CHECK_EQ(atomic_load(&area->common[page * PAGE / 8]), 0);
	}
	_exit(0);
}

int main(void)
{
	pthread_t threads[THREADS];
	uint64_t total = 0;

	area = map_anon(sizeof(*area));
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(writer, (void *)(uintptr_t)i);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = child_fork();

		if (pid == 0)
			child();
		if (i % 2)
			relax();
		child_wait(pid);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	for (unsigned i = 0; i < THREADS; i++)
		total += counts[i];
	for (unsigned page = 0; page < PAGES; page++) {
		CHECK_EQ(atomic_load(&area->common[page * PAGE / 8]), total);
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(atomic_load(&area->common[page * PAGE / 8 + 1 + i]), counts[i]);
	}
	return pass();
}
