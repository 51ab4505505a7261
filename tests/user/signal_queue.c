/*
 * Signals that wait: the order of real-time ones and their values, what sigtimedwait takes and what it says, queues with a
 * limit, sigsuspend, what the flags of sigaction do, and the codes that say where a signal came from.
 */
#include "check.h"

#include <sys/resource.h>
#include <sys/time.h>

static volatile sig_atomic_t count, code, value, depth, deepest, sender;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	depth++;
	if (depth > deepest)
		deepest = depth;
	count++;
	code = info->si_code;
	value = info->si_value.sival_int;
	sender = info->si_pid;
	if (count == 1)
		raise(number);
	depth--;
}

static void catch (int number, int flags)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	CHECK(sigaction(number, &action, NULL) == 0);
	count = depth = deepest = 0;
}

static void block(sigset_t *set, int how, int first, int last)
{
	sigemptyset(set);
	for (int number = first; number <= last; number++)
		sigaddset(set, number);
	CHECK(sigprocmask(how, set, NULL) == 0);
}

static void in_order(void)
{
	static const struct timespec now = { 0, 0 };
	union sigval number;
	siginfo_t info;
	sigset_t set;

	block(&set, SIG_BLOCK, SIGRTMIN, SIGRTMIN + 2);
	for (int i = 0; i < 30; i++) {
		number.sival_int = i;
		CHECK(sigqueue(getpid(), SIGRTMIN + i % 3, number) == 0);
	}
	CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 99 }) == 0);
	/* The lowest first, each in the order it was sent. */
	for (int i = 0; i < 30; i++) {
		int expected = i / 10 + i % 10 * 3;

		if (i == 20) {
			CHECK_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN + 1);
			CHECK_EQ(info.si_value.sival_int, 99);
		}
		CHECK_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN + i / 10);
		CHECK_EQ(info.si_value.sival_int, expected);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_pid, getpid());
		CHECK_EQ(info.si_signo, SIGRTMIN + i / 10);
	}
	CHECK_ERR(sigtimedwait(&set, &info, &now), EAGAIN);
	CHECK_ERR(sigtimedwait(&set, &info, &(struct timespec){ 0, 1000000000 }), EINVAL);
	CHECK_ERR(sigtimedwait(&set, &info, &(struct timespec){ 0, 5000000 }), EAGAIN);
	block(&set, SIG_UNBLOCK, SIGRTMIN, SIGRTMIN + 2);
}

static void limit(void)
{
	struct rlimit few = { 5, 5 };
	sigset_t set;
	unsigned sent = 0;

	block(&set, SIG_BLOCK, SIGRTMIN, SIGRTMIN + 1);
	CHECK(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
	while (sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }) == 0)
		CHECK(++sent <= 5);
	CHECK_EQ(errno, EAGAIN);
	/* kill gets through all the same. */
	CHECK(kill(getpid(), SIGRTMIN + 1) == 0);
	CHECK_EQ(sigwaitinfo(&set, NULL), sent == 0 ? SIGRTMIN + 1 : SIGRTMIN);
}

static void limit_body(void *unused)
{
	(void)unused;
	limit();
}

/* A handler that is not of the set ends the wait. */
static void interrupted_wait(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 10000 } };
	sigset_t set;

	block(&set, SIG_BLOCK, SIGRTMIN, SIGRTMIN);
	catch (SIGALRM, SA_RESTART);
	count = 1;
	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	CHECK_ERR(sigwaitinfo(&set, NULL), EINTR);
	CHECK_EQ(count, 2);
	block(&set, SIG_UNBLOCK, SIGRTMIN, SIGRTMIN);
}

static void suspended(void)
{
	sigset_t set, none, now;

	block(&set, SIG_BLOCK, SIGUSR1, SIGUSR1);
	catch (SIGUSR1, SA_RESTART);
	count = 1;
	CHECK(raise(SIGUSR1) == 0);
	CHECK_EQ(count, 1);
	sigemptyset(&none);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(count, 2);
	CHECK_EQ(code, SI_TKILL);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
	block(&set, SIG_UNBLOCK, SIGUSR1, SIGUSR1);
}

static void flags(void)
{
	struct sigaction now;

	/* It is sent again from its handler: held back, or not. */
	catch (SIGUSR1, 0);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK_EQ(count, 2);
	CHECK_EQ(deepest, 1);
	catch (SIGUSR1, SA_NODEFER);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK_EQ(count, 2);
	CHECK_EQ(deepest, 2);
	catch (SIGURG, (int)SA_RESETHAND);
	count = 1;
	CHECK(kill(getpid(), SIGURG) == 0);
	CHECK_EQ(count, 2);
	CHECK_EQ(code, SI_USER);
	CHECK_EQ(sender, getpid());
	CHECK(sigaction(SIGURG, NULL, &now) == 0);
	CHECK(now.sa_handler == SIG_DFL);
	CHECK(kill(getpid(), SIGURG) == 0);
	CHECK_EQ(count, 2);
	CHECK_ERR(sigaction(SIGKILL, &now, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &now, NULL), EINVAL);
}

static void codes(void)
{
	siginfo_t info = { .si_signo = SIGUSR2, .si_code = SI_QUEUE };
	pid_t pid;

	catch (SIGUSR2, 0);
	count = 1;
	info.si_value.sival_int = 77;
	CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR2, &info) == 0);
	CHECK(code == SI_QUEUE && value == 77);
	info.si_code = SI_ASYNCIO;
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR2, &info) == 0);
	CHECK_EQ(code, SI_ASYNCIO);
	pid = child_fork();
	if (pid == 0)
		for (;;)
			pause();
	info.si_code = SI_USER;
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR2, &info), EPERM);
	info.si_code = SI_TKILL;
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR2, &info), EPERM);
	info.si_code = SI_QUEUE;
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, 65, &info), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, 1 << 22, SIGUSR2, &info), ESRCH);
	CHECK(syscall(SYS_rt_sigqueueinfo, pid, 0, &info) == 0);
	CHECK(sigqueue(pid, SIGTERM, info.si_value) == 0);
	CHECK_EQ(child_status(pid), SIGTERM);
}

int main(void)
{
	in_order();
	child_run(limit_body, NULL);
	interrupted_wait();
	suspended();
	flags();
	codes();
	return pass();
}
