/*
 * When mprotect returns, no thread on any hart can still do what it took away, not even once: threads write in a loop
 * to a page that another makes read-only, and every value seen after its return stays. Then the same for PROT_NONE.
 */
#include "check.h"

enum { THREADS = 3, ROUNDS = 150 };

static volatile uint64_t *words;
static atomic_bool stop;
static atomic_uint faults[THREADS];

static void *writer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	volatile unsigned round = 0;

	while (!atomic_load(&stop)) {
		volatile uint64_t *word = &words[me * 8];
		int code = sigsetjmp(probe_back, 1);

		if (code) {
			CHECK_EQ(code, SEGV_ACCERR);
			atomic_fetch_add(&faults[me], 1);
			relax();
			continue;
		}
		probe_armed = 1;
		for (int i = 0; i < 200; i++)
			(*word)++;
		probe_armed = 0;
		if (round++ % 16 == 0)
			relax();
	}
	return NULL;
}

static void all_faulted(void)
{
	unsigned before[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		before[i] = atomic_load(&faults[i]);
	for (unsigned i = 0; i < THREADS; i++)
		while (atomic_load(&faults[i]) == before[i])
			relax();
}

static void readonly_round(void)
{
	uint64_t seen[THREADS];

	CHECK(mprotect((void *)(uintptr_t)words, PAGE, PROT_READ) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		seen[i] = words[i * 8];
	for (int again = 0; again < 50; again++)
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(words[i * 8], seen[i]);
	all_faulted();
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(words[i * 8], seen[i]);
	CHECK(mprotect((void *)(uintptr_t)words, PAGE, PROT_READ | PROT_WRITE) == 0);
}

int main(void)
{
	pthread_t threads[THREADS];

	probe_init();
	words = map_anon(PAGE);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(writer, (void *)(uintptr_t)i);
	for (int round = 0; round < ROUNDS; round++) {
		readonly_round();
		if (round % 4 == 0) {
			CHECK(mprotect((void *)(uintptr_t)words, PAGE, PROT_NONE) == 0);
			all_faulted();
			CHECK(mprotect((void *)(uintptr_t)words, PAGE, PROT_READ | PROT_WRITE) == 0);
		}
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	return pass();
}
