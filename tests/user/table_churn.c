/*
 * Page tables come and go under the feet of those who walk them: one thread maps and unmaps whole 2 MiB and 1 GiB
 * ranges while others touch them, protect parts of them and have the kernel copy from and to them. Whoever touches
 * gets the range's data, zeros, or a fault; tables that were freed become other processes' data meanwhile.
 */
#include "check.h"

enum { THREADS = 3, ROUNDS = 80, SPAN_PAGES = 600 };

static char *base;
static atomic_bool stop;
static atomic_uint touched;
static int ends[2];

static void *toucher(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg + 99;

	while (!atomic_load(&stop)) {
		size_t page = random_next(&random) % SPAN_PAGES;
		char *at = base + (random_next(&random) % 2 ? 0 : GIB) + page * PAGE;
		int code = probe_write(at + 16 * (uintptr_t)arg, 1);

		CHECK(code == 0 || code == SEGV_MAPERR || code == SEGV_ACCERR);
		code = probe_read(at + 2048);
		CHECK(code == 0 || code == SEGV_MAPERR);
		if (code == 0)
			atomic_fetch_add(&touched, 1);
	}
	return NULL;
}

static void *copier(void *arg)
{
	uint64_t random = 7;

	while (!atomic_load(&stop)) {
		char *at = base + random_next(&random) % SPAN_PAGES * PAGE;
		long done = syscall(SYS_clock_gettime, CLOCK_MONOTONIC, at + 64);

		CHECK(done == 0 || errno == EFAULT);
		done = syscall(SYS_write, ends[1], at + 2048, 8);
		if (done == 8) {
			uint64_t word;

			CHECK_EQ(read(ends[0], &word, 8), 8);
			CHECK_EQ(word, 0);
		} else {
			CHECK_EQ(done, -1);
			CHECK_EQ(errno, EFAULT);
		}
	}
	return arg;
}

static void neighbour(void)
{
	pid_t parent = getppid(); /* it ends by itself where its parent has failed */

	for (uint64_t round = 0; getppid() == parent; round++) {
		char *own = map_anon(64 * PAGE);

		pages_verify_zero(own, PAGE);
		pages_write(own, 64 * PAGE, round);
		relax();
		pages_verify(own, 64 * PAGE, round);
		CHECK(munmap(own, 64 * PAGE) == 0);
	}
}

static void churn(unsigned round)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	char *part = base + (round % 3 == 2 ? GIB : 0);

	CHECK(mmap(part, SPAN_PAGES * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == part);
	for (unsigned page = 0; page < SPAN_PAGES; page += 37)
		CHECK_EQ(probe_write(part + page * PAGE + 1000, 1), 0);
	CHECK(mprotect(part + 500 * PAGE, 50 * PAGE, PROT_READ) == 0);
	CHECK_EQ(probe_write(part + 510 * PAGE, 1), SEGV_ACCERR);
	if (round % 8 == 0) {
		pid_t pid = child_fork();

		if (pid == 0)
			_exit(probe_write(part, 1));
		child_wait(pid);
	}
	if (round % 2)
		CHECK(munmap(part, SPAN_PAGES * PAGE) == 0);
	else
		CHECK(munmap(base, 2 * GIB) == 0);
	CHECK_EQ(probe_read(part + 37 * PAGE), SEGV_MAPERR);
}

int main(void)
{
	pthread_t threads[THREADS + 1];
	pid_t other;

	probe_init();
	CHECK(pipe(ends) == 0);
	/* Far from where the system places mappings, so that nothing else takes the holes. */
	base = (char *)(1UL << 36);
	other = child_fork();
	if (other == 0)
		neighbour();
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = thread_start(toucher, (void *)i);
	threads[THREADS] = thread_start(copier, NULL);
	for (unsigned round = 0; round < ROUNDS || atomic_load(&touched) < 100; round++)
		churn(round);
	atomic_store(&stop, true);
	for (unsigned i = 0; i <= THREADS; i++)
		thread_join(threads[i]);
	CHECK(kill(other, SIGKILL) == 0);
	CHECK_EQ(child_status(other), SIGKILL);
	return pass();
}
