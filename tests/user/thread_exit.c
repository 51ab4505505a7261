/*
 * How a process with threads ends: exit_group takes all of them wherever they are (running, asleep, in a system
 * call), the first thread may leave before the others, and a fatal signal in one ends all.
 */
#include "check.h"

static int never[2];
static pthread_mutex_t locked = PTHREAD_MUTEX_INITIALIZER;

static void *spins(void *arg)
{
	for (;;)
		relax();
	return arg;
}

static void *spins_hard(void *arg)
{
	for (volatile unsigned i = 0;; i++)
		;
	return arg;
}

static void *reads(void *arg)
{
	char byte;

	CHECK(read(never[0], &byte, 1) < 2);
	return arg;
}

static void *waits_futex(void *arg)
{
	pthread_mutex_lock(&locked);
	return arg;
}

static void *sleeps(void *arg)
{
	sleep(1000);
	return arg;
}

static void *maps(void *arg)
{
	for (;;) {
		char *at = map_anon(64 * PAGE);

		memset(at, 1, 64 * PAGE);
		CHECK(munmap(at, 64 * PAGE) == 0);
	}
	return arg;
}

static void *forks(void *arg)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return arg;
}

static void start_all(void)
{
	void *(*const bodies[])(void *) = { spins, spins_hard, reads, waits_futex, sleeps, maps, forks };

	CHECK(pthread_mutex_lock(&locked) == 0);
	for (unsigned i = 0; i < COUNT(bodies); i++)
		thread_start(bodies[i], NULL);
	for (int i = 0; i < 5; i++)
		relax();
}

static void *exits_7(void *arg)
{
	(void)arg;
	exit(7);
}

static void *crashes(void *arg)
{
	volatile uintptr_t nowhere = 8;

	*(volatile int *)nowhere = 1;
	return arg;
}

static void *last_one(void *arg)
{
	for (int i = 0; i < 20; i++)
		relax();
	_exit(9);
	return arg;
}

static int ends_as(int how)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		if (how != 3)
			start_all();
		if (how == 0)
			exit(6);
		if (how == 1)
			thread_start(exits_7, NULL);
		if (how == 2)
			thread_start(crashes, NULL);
		if (how == 3) {
			thread_start(last_one, NULL);
			pthread_exit(NULL);
		}
		if (how == 4)
			kill(getpid(), SIGKILL);
		for (;;)
			relax();
	}
	if (how == 5) {
		for (int i = 0; i < 50; i++)
			relax();
		CHECK(kill(pid, SIGKILL) == 0);
	}
	return child_status(pid);
}

int main(void)
{
	CHECK(pipe(never) == 0);
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(ends_as(0), 6 << 8);
		CHECK_EQ(ends_as(1), 7 << 8);
		CHECK_EQ(WTERMSIG(ends_as(2)), SIGSEGV);
		CHECK_EQ(ends_as(3), 9 << 8);
		CHECK_EQ(WTERMSIG(ends_as(4)), SIGKILL);
		CHECK_EQ(WTERMSIG(ends_as(5)), SIGKILL);
	}
	return pass();
}
