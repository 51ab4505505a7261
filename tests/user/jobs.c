/*
 * Job control: stopping and continuing whole processes, what their parents are told by wait and by SIGCHLD, groups and
 * sessions, groups that are orphaned.
 */
#include "check.h"

#include <sys/time.h>

static volatile sig_atomic_t chld_count, chld_code, chld_status, chld_pid, cont_count;

static void on_child(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	chld_count++;
	chld_code = info->si_code;
	chld_status = info->si_status;
	chld_pid = info->si_pid;
}

static void on_cont(int number)
{
	(void)number;
	cont_count++;
}

static void catch_children(int flags)
{
	struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART | flags };

	CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
	chld_count = 0;
}

static void wait_word(_Atomic int *word, int value)
{
	while (atomic_load(word) < value)
		relax();
}

static void expect_stopped(pid_t pid, int number)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_EQ(WIFSTOPPED(status), 1);
	CHECK_EQ(WSTOPSIG(status), number);
}

static void expect_continued(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK_EQ(WIFCONTINUED(status), 1);
}

/* A process of several threads that counts. */
static _Atomic int *counters;

static void *counting(void *arg)
{
	for (;;)
		atomic_fetch_add((_Atomic int *)arg, 1);
	return NULL;
}

static void stops_all_threads(void)
{
	pid_t pid = child_fork();
	int before[3];
	siginfo_t info;

	if (pid == 0) {
		thread_start(counting, (void *)&counters[0]);
		thread_start(counting, (void *)&counters[1]);
		counting((void *)&counters[2]);
	}
	for (int i = 0; i < 3; i++)
		wait_word(&counters[i], 1000);
	catch_children(0);
	for (int round = 0; round < 20; round++) {
		int count = chld_count;

		CHECK(kill(pid, SIGSTOP) == 0);
		memset(&info, 0, sizeof(info));
		CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0);
		CHECK_EQ(info.si_code, CLD_STOPPED);
		CHECK_EQ(info.si_status, SIGSTOP);
		CHECK_EQ(info.si_pid, pid);
		CHECK_EQ(info.si_signo, SIGCHLD);
		expect_stopped(pid, SIGSTOP);
		CHECK_EQ(chld_count, count + 1);
		CHECK(chld_code == CLD_STOPPED && chld_status == SIGSTOP && chld_pid == pid);
		/* Told once. */
		CHECK_EQ(waitpid(pid, NULL, WUNTRACED | WCONTINUED | WNOHANG), 0);
		for (int i = 0; i < 3; i++)
			before[i] = atomic_load(&counters[i]);
		usleep(2000);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(atomic_load(&counters[i]), before[i]);
		count = chld_count;
		CHECK(kill(pid, SIGCONT) == 0);
		expect_continued(pid);
		while (chld_count == count)
			relax();
		CHECK(chld_code == CLD_CONTINUED && chld_status == SIGCONT);
		for (int i = 0; i < 3; i++)
			wait_word(&counters[i], before[i] + 1);
	}
	/* SIGKILL ends one that is stopped. */
	CHECK(kill(pid, SIGSTOP) == 0);
	expect_stopped(pid, SIGSTOP);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK_EQ(child_status(pid), SIGKILL);
}

/* Other signals wait until it continues; SIGCONT can be caught and is effective all the same. */
static void signals_wait(void)
{
	int pipe_fds[2];
	pid_t pid;
	char byte;

	CHECK(pipe(pipe_fds) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(signal(SIGCONT, on_cont) != SIG_ERR);
		CHECK(setpgid(0, 0) == 0);
		CHECK(write(pipe_fds[1], "x", 1) == 1);
		/* A call that was interrupted by the stop goes on; one with a handler says so. */
		CHECK_ERR(pause(), EINTR);
		CHECK_EQ(cont_count, 1);
		raise(SIGTSTP);
		_exit(7);
	}
	CHECK(read(pipe_fds[0], &byte, 1) == 1);
	usleep(1000);
	CHECK(kill(pid, SIGTSTP) == 0);
	expect_stopped(pid, SIGTSTP);
	CHECK(kill(pid, SIGCONT) == 0);
	expect_stopped(pid, SIGTSTP);
	CHECK(kill(pid, SIGTERM) == 0);
	usleep(2000);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK_EQ(child_status(pid), SIGTERM);
	CHECK(close(pipe_fds[0]) == 0 && close(pipe_fds[1]) == 0);
}

/* A sleep that is stopped in the middle takes as long as it was to take; a read goes on. */
static void calls_go_on(void)
{
	uint64_t start = now_ns();
	int pipe_fds[2];
	pid_t pid;

	CHECK(pipe(pipe_fds) == 0);
	pid = child_fork();
	if (pid == 0) {
		struct timespec time = { 0, 50000000 };
		char byte;

		CHECK(nanosleep(&time, NULL) == 0);
		CHECK(now_ns() - start >= 50000000);
		CHECK(read(pipe_fds[0], &byte, 1) == 1);
		_exit(0);
	}
	usleep(10000);
	CHECK(kill(pid, SIGSTOP) == 0);
	expect_stopped(pid, SIGSTOP);
	CHECK(kill(pid, SIGCONT) == 0);
	usleep(100000);
	CHECK(kill(pid, SIGSTOP) == 0);
	expect_stopped(pid, SIGSTOP);
	CHECK(kill(pid, SIGCONT) == 0);
	expect_continued(pid);
	CHECK(write(pipe_fds[1], "x", 1) == 1);
	child_wait(pid);
	CHECK(close(pipe_fds[0]) == 0 && close(pipe_fds[1]) == 0);
}

/* SIGCONT takes pending stops away, a stop takes a pending SIGCONT. */
static void cancel_each_other(void)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	CHECK(signal(SIGCONT, on_cont) != SIG_ERR);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(raise(SIGTSTP) == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGTSTP));
	CHECK(raise(SIGCONT) == 0);
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGTSTP) && sigismember(&pending, SIGCONT));
	CHECK(raise(SIGTSTP) == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGCONT));
	CHECK(signal(SIGTSTP, SIG_IGN) != SIG_ERR);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(signal(SIGTSTP, SIG_DFL) != SIG_ERR && signal(SIGCONT, SIG_DFL) != SIG_ERR);
}

static void no_stop_signals(void)
{
	pid_t pid = child_fork();

	if (pid == 0)
		for (;;)
			pause();
	catch_children(SA_NOCLDSTOP);
	CHECK(kill(pid, SIGSTOP) == 0);
	expect_stopped(pid, SIGSTOP);
	CHECK(kill(pid, SIGCONT) == 0);
	expect_continued(pid);
	usleep(2000);
	CHECK_EQ(chld_count, 0);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK_EQ(child_status(pid), SIGKILL);
	CHECK_EQ(chld_count, 1);
	CHECK(chld_code == CLD_KILLED && chld_status == SIGKILL);
	CHECK(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

static pid_t sleeper(pid_t group)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		setpgid(0, group);
		for (;;)
			pause();
	}
	/* Both do it, as shells do. */
	CHECK(setpgid(pid, group) == 0);
	return pid;
}

static void groups(void)
{
	pid_t a = sleeper(0), b = sleeper(a), c = sleeper(0);
	siginfo_t info;
	int status;

	CHECK_EQ(getpgid(a), a);
	CHECK_EQ(getpgid(b), a);
	CHECK_EQ(getsid(b), getsid(0));
	CHECK_ERR(waitpid(-getpgid(0) - 100000, NULL, WNOHANG), ECHILD);
	CHECK_ERR(waitid(P_PGID, (id_t)getpgid(0), &info, WEXITED | WNOHANG), ECHILD);
	CHECK_EQ(waitpid(-a, &status, WNOHANG), 0);
	CHECK(kill(-a, SIGSTOP) == 0);
	CHECK(waitpid(-a, &status, WUNTRACED) > 0 && WIFSTOPPED(status));
	CHECK(waitpid(-a, &status, WUNTRACED) > 0 && WIFSTOPPED(status));
	CHECK_EQ(waitpid(-a, &status, WUNTRACED | WNOHANG), 0);
	CHECK(killpg(a, SIGCONT) == 0);
	CHECK(waitpid(-a, &status, WCONTINUED) > 0 && WIFCONTINUED(status));
	CHECK(waitpid(-a, &status, WCONTINUED) > 0 && WIFCONTINUED(status));
	/* Waiting for stops only never takes the dead. */
	CHECK(kill(-a, SIGTERM) == 0);
	CHECK(waitid(P_PID, (id_t)a, &info, WEXITED | WNOWAIT) == 0);
	CHECK(info.si_code == CLD_KILLED && info.si_status == SIGTERM);
	CHECK_ERR(waitid(P_PID, (id_t)a, &info, WSTOPPED | WNOHANG), ECHILD);
	CHECK(waitid(P_PGID, (id_t)a, &info, WEXITED) == 0);
	CHECK(waitid(P_PGID, (id_t)a, &info, WEXITED) == 0);
	CHECK_ERR(kill(-a, 0), ESRCH);
	CHECK_ERR(setpgid(c, a), EPERM);
	CHECK_ERR(setpgid(c, -1), EINVAL);
	CHECK_ERR(setpgid(1 << 22, 0), ESRCH);
	CHECK_ERR(getpgid(1 << 22), ESRCH);
	CHECK(kill(c, SIGKILL) == 0);
	CHECK_EQ(child_status(c), SIGKILL);
	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
}

static void sessions(void)
{
	pid_t pid = child_fork();
	int status;

	if (pid == 0) {
		CHECK_EQ(setsid(), getpid());
		CHECK_EQ(getsid(0), getpid());
		CHECK_EQ(getpgid(0), getpid());
		CHECK_ERR(setsid(), EPERM);
		CHECK_ERR(setpgid(0, getppid()), EPERM);
		/* Nobody of its session could continue it: SIGTSTP does nothing, SIGSTOP stops all the same. */
		raise(SIGTSTP);
		raise(SIGTTIN);
		raise(SIGSTOP);
		_exit(0);
	}
	expect_stopped(pid, SIGSTOP);
	CHECK_ERR(setpgid(pid, 0), EPERM);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* When the last that could continue a stopped group ends, the group gets SIGHUP and SIGCONT. */
static void orphans(void)
{
	int pipe_fds[2];
	pid_t pid, child = 0;
	char byte;

	CHECK(pipe(pipe_fds) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(setsid() == getpid());
		child = child_fork();
		if (child == 0) {
			CHECK(setpgid(0, 0) == 0);
			CHECK(close(pipe_fds[0]) == 0);
			raise(SIGTSTP);
			_exit(99);
		}
		expect_stopped(child, SIGTSTP);
		CHECK(write(pipe_fds[1], &child, sizeof(child)) == sizeof(child));
		_exit(0);
	}
	CHECK(close(pipe_fds[1]) == 0);
	CHECK(read(pipe_fds[0], &child, sizeof(child)) == sizeof(child));
	child_wait(pid);
	/* Its end of the pipe goes when SIGHUP ends it. */
	CHECK_EQ(read(pipe_fds[0], &byte, 1), 0);
	CHECK(close(pipe_fds[0]) == 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int main(void)
{
	counters = map_shared(PAGE);
	stops_all_threads();
	signals_wait();
	calls_go_on();
	cancel_each_other();
	no_stop_signals();
	groups();
	sessions();
	orphans();
	return pass();
}
