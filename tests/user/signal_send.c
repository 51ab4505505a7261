/*
 * Signals that are sent: kill, raise, to a thread, masks, pending ones, waking sleepers with EINTR, SIGCHLD,
 * errors.
 */
#include "check.h"

static atomic_int got, from;
static volatile pthread_t where;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)context;
	atomic_store(&from, info->si_pid);
	where = pthread_self();
	atomic_fetch_add(&got, number == SIGUSR1 ? 1 : 100);
}

static void install(int number, int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	CHECK(sigaction(number, &action, NULL) == 0);
}

static void to_self(void)
{
	sigset_t set, old, pending;

	atomic_store(&got, 0);
	CHECK(raise(SIGUSR1) == 0);
	CHECK_EQ(atomic_load(&got), 1);
	CHECK_EQ(atomic_load(&from), getpid());
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK_EQ(atomic_load(&got), 2);
	CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	CHECK_EQ(sigismember(&old, SIGUSR1), 0);
	CHECK(raise(SIGUSR1) == 0 && raise(SIGUSR1) == 0);
	CHECK_EQ(atomic_load(&got), 2);
	CHECK(sigpending(&pending) == 0);
	CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	CHECK_EQ(atomic_load(&got), 3);
	signal(SIGUSR2, SIG_IGN);
	CHECK(raise(SIGUSR2) == 0);
	CHECK_EQ(atomic_load(&got), 3);
}

static int never[2];

static void *blocked_reader(void *arg)
{
	char byte;

	CHECK_ERR(read(never[0], &byte, 1), EINTR);
	return arg;
}

static void *spinner(void *arg)
{
	while (atomic_load(&got) == 0)
		relax();
	CHECK(pthread_equal(where, pthread_self()));
	return arg;
}

static void to_thread(void)
{
	pthread_t thread;

	atomic_store(&got, 0);
	thread = thread_start(spinner, NULL);
	CHECK(pthread_kill(thread, SIGUSR1) == 0);
	thread_join(thread);
	CHECK_EQ(atomic_load(&got), 1);
	CHECK(pipe(never) == 0);
	atomic_store(&got, 0);
	thread = thread_start(blocked_reader, NULL);
	usleep(5000);
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
	CHECK(atomic_load(&got) >= 1);
}

/* A thread that never enters the kernel on its own is reached too. */
static void *computing(void *arg)
{
	while (atomic_load_explicit(&got, memory_order_relaxed) == 0)
		;
	return arg;
}

static void to_computing(void)
{
	pthread_t thread;

	atomic_store(&got, 0);
	thread = thread_start(computing, NULL);
	usleep(3000);
	CHECK(pthread_kill(thread, SIGUSR1) == 0);
	thread_join(thread);
}

static void child_signals(void)
{
	sigset_t set, old;
	pid_t pid;

	install(SIGCHLD, 0);
	atomic_store(&got, 0);
	CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGCHLD) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	pid = child_fork();
	if (pid == 0)
		_exit(0);
	child_wait(pid);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	CHECK_EQ(atomic_load(&got), 100);
	CHECK_EQ(atomic_load(&from), pid);
	signal(SIGCHLD, SIG_DFL);
	pid = child_fork();
	if (pid == 0) {
		atomic_store(&got, 0);
		while (atomic_load(&got) == 0)
			relax();
		_exit(atomic_load(&from) == getppid() ? 0 : 1);
	}
	usleep(5000);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		CHECK(kill(pid, SIGUSR1) == 0);
		usleep(1000);
	}
}

static void errors(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	sigset_t all;

	CHECK_ERR(sigaction(SIGKILL, &action, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &action, NULL), EINVAL);
	CHECK_ERR(sigaction(65, &action, NULL), EINVAL);
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(999999, SIGUSR1), ESRCH);
	CHECK_ERR(syscall(SYS_tgkill, getpid(), 999999, SIGUSR1), ESRCH);
	CHECK(kill(getpid(), 0) == 0);
	CHECK(sigfillset(&all) == 0);
	CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	pid_t pid = child_fork();
	if (pid == 0) {
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	CHECK_EQ(child_status(pid), SIGKILL);
}

int main(void)
{
	install(SIGUSR1, 0);
	to_self();
	to_thread();
	to_computing();
	child_signals();
	errors();
	return pass();
}
