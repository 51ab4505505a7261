/* Many threads touch the same untouched pages at the same moment: one frame each, every write kept. */
#include "check.h"

enum { THREADS = 6, PAGES = 64, ROUNDS = 8 };

static uint32_t *area;
static pthread_barrier_t barrier;

static void *toucher(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < PAGES; i++) {
			unsigned page = round % 2 ? PAGES - 1 - i : i;
			volatile uint32_t *word = &area[page * PAGE / 4 + me];

			CHECK_EQ(*word, 0);
			*word = round + me + 1;
		}
		pthread_barrier_wait(&barrier);
		for (unsigned page = 0; page < PAGES; page++)
			for (unsigned other = 0; other < THREADS; other++)
				CHECK_EQ(area[page * PAGE / 4 + other], round + other + 1);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			CHECK(madvise(area, PAGES * PAGE, MADV_DONTNEED) == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	area = map_anon(PAGES * PAGE);
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = thread_start(toucher, (void *)i);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	return pass();
}
