/*
 * Plain (not atomic) writes of each thread to its own words of shared pages, while the process forks in a loop:
 * each thread always reads back what it wrote last. A stale writable or stale read-only translation on one hart
 * shows as an old value: a write that went to the frame the child keeps.
 */
#include "check.h"

enum { THREADS = 4, PAGES = 8, FORKS = 60 };

static volatile uint64_t *area;
static atomic_bool stop;

static void *writer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t value = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		value++;
		for (unsigned page = 0; page < PAGES; page++) {
			volatile uint64_t *word = &area[page * PAGE / 8 + me * 8];

			CHECK_EQ(*word, value - 1);
			*word = value;
		}
		for (unsigned page = 0; page < PAGES; page++)
			CHECK_EQ(area[page * PAGE / 8 + me * 8], value);
		if (value % 128 == 0)
			relax();
	}
	return (void *)(uintptr_t)value;
}

int main(void)
{
	pthread_t threads[THREADS];

	area = map_anon(PAGES * PAGE);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(writer, (void *)(uintptr_t)i);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = child_fork();

		if (pid == 0) {
			uint64_t copy[PAGES * THREADS];

			for (unsigned w = 0; w < PAGES * THREADS; w++)
				copy[w] = area[w / THREADS * PAGE / 8 + w % THREADS * 8];
			for (int again = 0; again < 20; again++) {
				relax();
				for (unsigned w = 0; w < PAGES * THREADS; w++)
					CHECK_EQ(area[w / THREADS * PAGE / 8 + w % THREADS * 8], copy[w]);
			}
			_exit(0);
		}
		child_wait(pid);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++) {
		uint64_t value = (uint64_t)(uintptr_t)thread_join(threads[i]);

		for (unsigned page = 0; page < PAGES; page++)
			CHECK_EQ(area[page * PAGE / 8 + i * 8], value);
	}
	return pass();
}
