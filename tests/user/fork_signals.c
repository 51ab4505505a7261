/*
 * fork beside signals: what is sent to a group reaches the children that its members are making, and no fork is interrupted.
 * And what clone and clone3 refuse, or do not mind.
 */
#include <linux/sched.h>
#include <sys/prctl.h>

#include "check.h"

#define ROUNDS	      60
#define CLONE_UNKNOWN 0x400000ULL /* CLONE_DETACHED */

static volatile sig_atomic_t signals;

/* One process at a time, but always a new one. */
static _Noreturn void run_away(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		if (pid < 0)
			relax();
	}
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Ended processes of the group are children of ours, sooner or later. */
static bool group_ends(pid_t group)
{
	for (int i = 0; i < 2000; i++) {
		reap();
		if (kill(-group, 0) != 0)
			return errno == ESRCH;
		usleep(1000);
	}
	return false;
}

static void kill_those_who_fork(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec wait = { 0, i % 37 * 100000 };
		pid_t pid = child_fork();

		if (pid == 0) {
			setpgid(0, 0);
			run_away();
		}
		CHECK(setpgid(pid, pid) == 0 || errno == EACCES || errno == ESRCH);
		nanosleep(&wait, NULL);
		(void)!kill(-pid, SIGKILL);
		CHECK(group_ends(pid));
	}
}

static void count(int signo)
{
	(void)signo;
	signals++;
}

/* Without SA_RESTART, yet fork never says EINTR. */
static void fork_in_a_storm(void)
{
	struct sigaction action = { .sa_handler = count };
	pid_t parent = getpid(), sender;
	int forks = 0;

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	sender = child_fork();
	if (sender == 0) {
		for (int i = 0; i < 3000 && kill(parent, SIGUSR1) == 0; i++)
			usleep(200);
		_exit(0);
	}
	for (; forks < 150; forks++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(0);
		child_wait(pid);
	}
	kill(sender, SIGKILL);
	child_status(sender);
	CHECK(signals != 0);
}

static long call_clone3(struct clone_args *args)
{
	long pid;

	args->exit_signal = SIGCHLD;
	pid = syscall(SYS_clone3, args, sizeof(*args));
	if (pid == 0)
		_exit(0);
	return pid;
}

static void arguments(void)
{
	struct clone_args detached = { .flags = CLONE_UNKNOWN };
	struct clone_args stack = { .stack = UINT64_C(0xffffffffff000000), .stack_size = PAGE };
	struct clone_args far = { .stack = 2 * PAGE, .stack_size = UINT64_C(1) << 62 };
	struct clone_args cgroup = { .cgroup = 5 };
	int tid = 0;
	long pid;

	CHECK_ERR(call_clone3(&detached), EINVAL);
	CHECK_ERR(call_clone3(&stack), EINVAL);
	CHECK_ERR(call_clone3(&far), EINVAL);
	pid = call_clone3(&cgroup);
	CHECK(pid > 0);
	child_wait((pid_t)pid);
	pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, 8, 0, &tid);
	if (pid == 0)
		_exit(tid != syscall(SYS_getpid));
	CHECK(pid > 0);
	child_wait((pid_t)pid);
	if (getpid() == 1)
		CHECK_ERR(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

int main(void)
{
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	arguments();
	fork_in_a_storm();
	kill_those_who_fork();
	return pass();
}
