/*
 * Futexes: values compared, time-outs, wake counts, requeue, between threads and, on shared memory, between
 * processes.
 */
#include "check.h"

#include <linux/futex.h>

static atomic_uint *word, *second;
static atomic_uint waiting, woken;

static long futex(void *at, int operation, unsigned value, const struct timespec *timeout, void *other, unsigned value3)
{
	return syscall(SYS_futex, at, operation, value, timeout, other, value3);
}

static void *waiter(void *arg)
{
	atomic_fetch_add(&waiting, 1);
	while (atomic_load(word) == 0)
		if (futex(word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0)
			break;
	atomic_fetch_add(&woken, 1);
	return arg;
}

static void timeouts(void)
{
	struct timespec brief = { 0, 15 * 1000 * 1000 }, absolute;
	uint64_t start = now_ns();

	CHECK_ERR(futex(word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(word, FUTEX_WAIT_PRIVATE, 0, &brief, NULL, 0), ETIMEDOUT);
	CHECK(now_ns() - start >= 15 * 1000 * 1000);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &absolute) == 0);
	CHECK_ERR(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 0, &absolute, NULL, ~0U), ETIMEDOUT);
	CHECK_ERR(futex(word, FUTEX_WAIT_BITSET_PRIVATE, 0, &absolute, NULL, 0), EINVAL);
	CHECK_ERR(futex((char *)word + 1, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINVAL);
	CHECK_EQ(futex(word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
	CHECK_ERR(futex(word, 99, 0, NULL, NULL, 0), ENOSYS);
}

static void wait_for_waiters(unsigned count)
{
	struct timespec pause = { 0, 2 * 1000 * 1000 };

	while (atomic_load(&waiting) < count)
		relax();
	nanosleep(&pause, NULL);
}

static void wake_counts(void)
{
	pthread_t threads[6];
	unsigned out = 0;

	for (unsigned i = 0; i < 6; i++)
		threads[i] = thread_start(waiter, NULL);
	wait_for_waiters(6);
	while (out < 2) {
		long got = futex(word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);

		CHECK(got == 0 || got == 1);
		out += (unsigned)got;
	}
	while (atomic_load(&woken) < 2)
		relax();
	CHECK_EQ(atomic_load(&woken), 2);
	long moved = futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)100, second, 0);
	CHECK(moved >= 1 && moved <= 4);
	CHECK_ERR(futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)100, second, 77), EAGAIN);
	atomic_store(word, 1);
	while (atomic_load(&woken) < 6) {
		futex(second, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
		futex(word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
		relax();
	}
	for (unsigned i = 0; i < 6; i++)
		thread_join(threads[i]);
	atomic_store(word, 0);
}

/* Ping-pong: every lost wake-up would hang it. */
static void ping_pong(atomic_uint *ball, int wait, int wake, unsigned me)
{
	for (unsigned i = 0; i < 400; i++) {
		unsigned seen;

		while ((seen = atomic_load(ball)) % 2 != me)
			futex(ball, wait, seen, NULL, NULL, 0);
		atomic_store(ball, seen + 1);
		futex(ball, wake, 1, NULL, NULL, 0);
	}
}

static void *partner(void *arg)
{
	ping_pong(arg, FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE, 1);
	return NULL;
}

int main(void)
{
	atomic_uint *shared = map_shared(PAGE), *ball = map_anon(PAGE);
	pthread_t thread;
	pid_t pid;

	word = map_anon(PAGE);
	second = word + 16;
	timeouts();
	wake_counts();
	thread = thread_start(partner, ball);
	ping_pong(ball, FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE, 0);
	thread_join(thread);
	CHECK_EQ(atomic_load(ball), 800);
	pid = child_fork();
	ping_pong(shared, FUTEX_WAIT, FUTEX_WAKE, pid == 0);
	if (pid == 0)
		_exit(0);
	child_wait(pid);
	CHECK_EQ(atomic_load(shared), 800);
	return pass();
}
