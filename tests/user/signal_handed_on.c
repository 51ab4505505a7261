/*
 * A signal that a thread was told of because it waited for it, and has not taken, is another's when it no longer waits: two come for one
 * sigtimedwait, which takes one; who does not block the other one gets that. Where they come before it waits the other takes the first, too, and
 * says so.
 */
#include "check.h"

#include <fcntl.h>

#define ROUNDS 5

static _Atomic pid_t waiting_as;
static _Atomic int handled;

static void count(int signo)
{
	CHECK_EQ(syscall(SYS_gettid), waiting_as);
	if (signo == SIGUSR1)
		CHECK_EQ(syscall(SYS_tgkill, getpid(), getpid(), SIGRTMIN), 0);
	handled++;
}

static void *takes_what_comes(void *none)
{
	sigset_t set;

	sigemptyset(&set);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &set, NULL), 0);
	waiting_as = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return none;
}

static void stay_on_one(void)
{
	cpu_set_t may, one;

	CHECK_EQ(sched_getaffinity(0, sizeof(may), &may), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &may))
			CPU_SET(cpu, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* On the waiter's processor: it sends both before the waiter runs again, most times. */
static pid_t start_sender(int from)
{
	pid_t parent = getpid(), child = fork();
	char byte;

	CHECK(child >= 0);
	if (child != 0)
		return child;
	while (read(from, &byte, 1) == 1) {
		CHECK_EQ(kill(parent, SIGUSR1), 0);
		CHECK_EQ(kill(parent, SIGUSR2), 0);
	}
	_exit(0);
}

static void wait_for(_Atomic int *counter, int value)
{
	for (int ms = 0; *counter != value && ms < 30000; ms++)
		usleep(1000);
	CHECK_EQ(*counter, value);
}

/* Whether the wait took the first of the two. */
static bool one_round(const sigset_t *set, int to)
{
	const struct timespec limit = { .tv_sec = 30 };
	int before = handled, expected = 2, got;

	CHECK_EQ(write(to, "", 1), 1);
	while ((got = sigtimedwait(set, NULL, &limit)) == SIGUSR2)
		expected--;
	CHECK(got == SIGUSR1 || got == SIGRTMIN);
	wait_for(&handled, before + expected - (got == SIGUSR1));
	return got == SIGUSR1;
}

int main(void)
{
	sigset_t set;
	pthread_t thread;
	pid_t sender;
	int to[2];

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	CHECK(signal(SIGUSR1, count) != SIG_ERR && signal(SIGUSR2, count) != SIG_ERR);
	CHECK_EQ(pthread_create(&thread, NULL, takes_what_comes, NULL), 0);
	while (waiting_as == 0)
		usleep(1000);
	CHECK_EQ(pipe2(to, O_CLOEXEC), 0);
	stay_on_one();
	sender = start_sender(to[0]);
	for (int rounds = 0; rounds < ROUNDS;)
		rounds += one_round(&set, to[1]);
	CHECK_EQ(kill(sender, SIGKILL), 0);
	CHECK_EQ(waitpid(sender, NULL, 0), sender);
	puts("ok");
	return 0;
}
