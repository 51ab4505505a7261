/*
 * The garbage collector's write barrier: pages are made read-only, the handler of SIGSEGV notes which page was
 * written and makes it writable again, the write is retried and kept. By one thread, by several at once, and in a
 * child of fork.
 */
#include "check.h"

enum { PAGES = 300, THREADS = 4, ROUNDS = 4 };

static char *heap;
static atomic_uchar dirty[PAGES];

static void barrier(int number, siginfo_t *info, void *context)
{
	size_t page = (size_t)((char *)info->si_addr - heap) / PAGE;

	(void)number;
	(void)context;
	if (page >= PAGES || info->si_code != SEGV_ACCERR)
		check_fail(__FILE__, __LINE__, "a fault that is none of the barrier's");
	atomic_fetch_or(&dirty[page], 1);
	if (mprotect(heap + page * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
		check_fail(__FILE__, __LINE__, "mprotect in the handler");
}

static void protect(void)
{
	for (unsigned page = 0; page < PAGES; page++)
		atomic_store(&dirty[page], 0);
	CHECK(mprotect(heap, PAGES * PAGE, PROT_READ) == 0);
}

static void *mutator(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned page = 0; page < PAGES; page += 2)
		((volatile uint64_t *)(heap + page * PAGE))[me]++;
	return NULL;
}

static void collect(uint64_t expected)
{
	for (unsigned page = 0; page < PAGES; page++) {
		CHECK_EQ(atomic_load(&dirty[page]), page % 2 == 0);
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(((volatile uint64_t *)(heap + page * PAGE))[i], page % 2 ? 0 : expected);
	}
}

static void round_of(uint64_t expected)
{
	pthread_t threads[THREADS];

	protect();
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = thread_start(mutator, (void *)i);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	collect(expected);
}

static void child(void *arg)
{
	(void)arg;
	for (uint64_t i = 1; i <= ROUNDS; i++)
		round_of(ROUNDS + i);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = barrier, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	heap = map_anon(PAGES * PAGE);
	for (uint64_t i = 1; i <= ROUNDS; i++)
		round_of(i);
	child_run(child, NULL);
	collect(ROUNDS);
	child_run(child, NULL);
	return pass();
}
