/*
 * futex_waitv: any of several words, private and shared; both clocks; what is refused and in which order; wakes that race with
 * the queueing of 128 words, and with requeue: none is lost.
 */
#include "check.h"

#define WORDS 128

struct waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};

#define U32		   2U
#define PRIVATE		   128U
#define FUTEX_WAKE_	   1
#define FUTEX_CMP_REQUEUE_ 4

static struct waitv words[WORDS];

static long waitv(const void *from, unsigned count, unsigned flags, const struct timespec *until, int clock)
{
	return syscall(449, from, count, flags, until, clock);
}

static long wake(_Atomic uint32_t *word, unsigned most)
{
	return syscall(SYS_futex, word, FUTEX_WAKE_ | (words[0].flags & PRIVATE), most, NULL, NULL, 0);
}

static _Atomic uint32_t *memory;
static _Atomic int ready;

static void prepare(uint32_t flags)
{
	for (unsigned i = 0; i < WORDS; i++) {
		memory[i] = 0;
		words[i] = (struct waitv){ 0, (uintptr_t)&memory[i], U32 | flags, 0 };
	}
}

static void refusals(void)
{
	struct timespec past = { 0, 1 }, bad = { 0, 1000000000 };
	struct waitv *edge = map_anon(2 * PAGE);

	prepare(0);
	CHECK_ERR(waitv(words, 1, 1, NULL, 0), EINVAL);
	CHECK_ERR(waitv(words, 0, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(words, 129, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(NULL, 1, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(words, 1, 0, &past, CLOCK_TAI), EINVAL);
	CHECK_ERR(waitv(words, 1, 0, &past, CLOCK_BOOTTIME), EINVAL);
	CHECK_ERR(waitv(words, 1, 0, &bad, CLOCK_MONOTONIC), EINVAL);
	CHECK_ERR(waitv(words, 1, 0, (void *)8, CLOCK_MONOTONIC), EFAULT);
	CHECK_ERR(waitv((void *)8, 1, 0, NULL, 0), EFAULT);
	CHECK_ERR(waitv((void *)0xffffffc080200000, 1, 0, NULL, 0), EFAULT);
	CHECK_ERR(waitv(words, WORDS, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
	CHECK_ERR(waitv(words, WORDS, 0, &past, CLOCK_REALTIME), ETIMEDOUT);
	CHECK(munmap((char *)edge + PAGE, PAGE) == 0);
	edge = (struct waitv *)((char *)edge + PAGE) - 1;
	*edge = words[0];
	CHECK_ERR(waitv(edge, 2, 0, &past, CLOCK_MONOTONIC), EFAULT);
	words[3].flags = PRIVATE;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EINVAL);
	words[3].flags = U32 | 4;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EINVAL);
	words[3].flags = 3;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EINVAL);
	prepare(PRIVATE);
	words[3].reserved = 1;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EINVAL);
	prepare(PRIVATE);
	words[3].value = 1ULL << 32;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EINVAL);
	prepare(PRIVATE);
	words[0].value = 1;
	CHECK_ERR(waitv(words, 4, 0, NULL, 0), EAGAIN);
	words[3].address++;
	CHECK_ERR(waitv(words, 4, 0, NULL, 0), EINVAL);
	words[3].address = 0xffffffc080200000;
	CHECK_ERR(waitv(words, 4, 0, NULL, 0), EFAULT);
	prepare(PRIVATE);
	words[3].address = 0;
	CHECK_ERR(waitv(words, 4, 0, &past, CLOCK_MONOTONIC), EFAULT);
	CHECK_EQ(wake(&memory[0], 9), 0);
}

static void deadlines(void)
{
	uint64_t start = now_ns();
	struct timespec until;

	prepare(PRIVATE);
	for (int clock = CLOCK_REALTIME; clock <= CLOCK_MONOTONIC; clock++) {
		CHECK(clock_gettime(clock, &until) == 0);
		until.tv_nsec += 20000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		CHECK_ERR(waitv(words, 5, 0, &until, clock), ETIMEDOUT);
	}
	CHECK(now_ns() - start >= 40000000);
}

static void *sleeper(void *arg)
{
	long count = (long)arg;

	ready = 1;
	return (void *)waitv(words, (unsigned)count, 0, NULL, 0);
}

/* Wakes each word in turn until it has woken somebody. */
static void each_word(uint32_t flags, long count)
{
	prepare(flags);
	for (long i = 0; i < count; i++) {
		pthread_t thread;

		ready = 0;
		thread = thread_start(sleeper, (void *)count);
		while (!ready)
			relax();
		while (wake(&memory[i], 1) == 0)
			relax();
		CHECK_EQ((long)thread_join(thread), i);
	}
}

/* The value changes, then the wake: whichever of the words it is, and whenever it comes, the sleeper sees one of both. */
static _Atomic int rounds_done;

static void *changer(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!rounds_done) {
		unsigned i = (unsigned)(random_next(&seed) % WORDS);

		atomic_fetch_add(&memory[i], 1);
		wake(&memory[i], 1);
		if (random_next(&seed) % 8 == 0)
			relax();
	}
	return NULL;
}

static void races(void)
{
	pthread_t threads[2];
	unsigned woken = 0, changed = 0;

	prepare(PRIVATE);
	rounds_done = 0;
	for (uintptr_t i = 0; i < COUNT(threads); i++)
		threads[i] = thread_start(changer, (void *)(i + 7));
	for (unsigned round = 0; round < 300; round++) {
		long got;

		for (unsigned i = 0; i < WORDS; i++)
			words[i].value = memory[i];
		got = waitv(words, WORDS, 0, NULL, 0);
		CHECK(got >= 0 || errno == EAGAIN);
		CHECK(got < WORDS);
		if (got >= 0)
			woken++;
		else
			changed++;
	}
	rounds_done = 1;
	for (unsigned i = 0; i < COUNT(threads); i++)
		thread_join(threads[i]);
	CHECK_EQ(woken + changed, 300);
}

/* Waits for word 0 and 1; word 0's waiters go to word 1000, which is not among them, and are woken there. */
static void requeued(void)
{
	pthread_t thread;

	prepare(PRIVATE);
	ready = 0;
	thread = thread_start(sleeper, (void *)2L);
	while (syscall(SYS_futex, &memory[0], FUTEX_CMP_REQUEUE_ | PRIVATE, 0, (void *)1L, &memory[1000], 0) == 0)
		relax();
	CHECK_EQ(wake(&memory[0], 1), 0);
	CHECK_EQ(wake(&memory[1000], 1), 1);
	CHECK_EQ((long)thread_join(thread), 0);
	CHECK_EQ(wake(&memory[1], 1), 0);
}

static void on_signal(int number)
{
	(void)number;
}

static void interrupted(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerspec soon = { .it_value = { 0, 20000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	prepare(PRIVATE);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
	CHECK_ERR(waitv(words, 9, 0, NULL, 0), EINTR);
	CHECK(timer_delete(timer) == 0);
}

/* Another process, with another address of the same page. */
static void across_processes(void)
{
	pid_t pid;

	prepare(0);
	pid = child_fork();
	if (pid == 0) {
		while (wake(&memory[77], 1) == 0)
			relax();
		_exit(0);
	}
	CHECK_EQ(waitv(words, WORDS, 0, NULL, 0), 77);
	child_wait(pid);
}

int main(void)
{
	memory = map_anon(2 * PAGE);
	refusals();
	deadlines();
	each_word(PRIVATE, WORDS);
	each_word(0, 3);
	races();
	requeued();
	interrupted();
	memory = map_shared(2 * PAGE);
	each_word(0, 9);
	across_processes();
	return pass();
}
