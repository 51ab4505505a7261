/*
 * When munmap or MADV_DONTNEED returns, no thread on any hart still reaches the old frame: readers and writers of a
 * page that is unmapped fault at once, and a page mapped in its place never shows the old page's data. The frames
 * go to other processes meanwhile, whose own data must stay.
 */
#include "check.h"

enum { THREADS = 3, ROUNDS = 150 };

static volatile uint64_t *page;
static atomic_uint era; /* odd: mapped, even: being changed; the page's words carry the odd era */
static atomic_bool stop;
static atomic_uint faults;

static void *toucher(void *arg)
{
	while (!atomic_load(&stop)) {
		unsigned before, value;
		int code = sigsetjmp(probe_back, 1);

		if (code) {
			CHECK_EQ(code, SEGV_MAPERR);
			atomic_fetch_add(&faults, 1);
			relax();
			continue;
		}
		before = atomic_load(&era);
		probe_armed = 1;
		value = (unsigned)page[(uintptr_t)arg];
		page[100 + (uintptr_t)arg] = 1;
		probe_armed = 0;
		if (before % 2 && atomic_load(&era) == before)
			CHECK_EQ(value, before);
	}
	return NULL;
}

static void map_again(unsigned next)
{
	void *at = mmap((void *)(uintptr_t)page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			-1, 0);

	CHECK(at == (void *)(uintptr_t)page);
	for (unsigned i = 0; i < THREADS; i++) {
		CHECK_EQ(page[i], 0);
		page[i] = next;
	}
	atomic_store(&era, next);
}

static void round_of(unsigned round)
{
	unsigned next = round * 2 + 1;

	atomic_store(&era, next - 1);
	if (round % 3 == 0) {
		CHECK(munmap((void *)(uintptr_t)page, PAGE) == 0);
		CHECK_EQ(probe_read(page), SEGV_MAPERR);
		relax();
	} else if (round % 3 == 1) {
		CHECK(madvise((void *)(uintptr_t)page, PAGE, MADV_DONTNEED) == 0);
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(page[i], 0);
	}
	map_again(next);
	for (int i = 0; i < 20; i++)
		for (unsigned w = 0; w < THREADS; w++)
			CHECK_EQ(page[w], next);
}

static void neighbour(void)
{
	volatile uint64_t *own = map_anon(16 * PAGE);
	pid_t parent = getppid(); /* it ends by itself where its parent has failed */

	for (unsigned round = 0; getppid() == parent; round++) {
		CHECK_EQ(own[0], 0);
		pages_write((void *)(uintptr_t)own, 16 * PAGE, round);
		relax();
		pages_verify((void *)(uintptr_t)own, 16 * PAGE, round);
		CHECK_EQ(own[100], 0);
		CHECK(madvise((void *)(uintptr_t)own, 16 * PAGE, MADV_DONTNEED) == 0);
	}
}

int main(void)
{
	pthread_t threads[THREADS];
	pid_t other;
	int status;

	probe_init();
	page = map_anon(PAGE);
	other = child_fork();
	if (other == 0)
		neighbour();
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = thread_start(toucher, (void *)i);
	for (unsigned round = 0; round < ROUNDS || atomic_load(&faults) == 0; round++)
		round_of(round);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK(kill(other, SIGKILL) == 0);
	status = child_status(other);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return pass();
}
