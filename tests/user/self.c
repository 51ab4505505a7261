/* What processes say about themselves: prctl, nice values, policies, ids that do not change; who inherits what. */
#include "check.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static void pdeath_body(void *arg)
{
	int *fds = arg;
	int value = -1;
	pid_t pid;

	CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	pid = child_fork();
	if (pid == 0) {
		sigset_t set;
		int number;

		CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0);
		CHECK_EQ(value, 0);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
		CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0);
		CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0);
		CHECK_EQ(value, SIGUSR2);
		CHECK(write(fds[1], "x", 1) == 1);
		CHECK(sigwait(&set, &number) == 0);
		CHECK(write(fds[1], "y", 1) == 1);
		_exit(0);
	}
	CHECK(read(fds[0], &value, 1) == 1);
}

/* The grandchild is told of its parent's end, and is ours to wait for. */
static void family(void)
{
	int fds[2], value = 5, status;
	char byte = 0;

	CHECK(pipe(fds) == 0);
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0);
	CHECK_EQ(value, 0);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0);
	CHECK_EQ(value, 1);
	child_run(pdeath_body, fds);
	CHECK(read(fds[0], &byte, 1) == 1 && byte == 'y');
	CHECK(wait(&status) > 0 && status == 0);
	CHECK_ERR(wait(&status), ECHILD);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0);
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void flags_body(void *arg)
{
	(void)arg;
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 1234);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 7);
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
}

static void flags(void)
{
	struct sched_param param = { .sched_priority = 0 };
	char name[16];

	CHECK(prctl(PR_SET_NAME, "sixteen bytes and more") == 0);
	CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "sixteen bytes a") == 0);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 50000);
	CHECK(prctl(PR_SET_TIMERSLACK, 1234) == 0);
	CHECK_ERR(prctl(12345), EINVAL);

	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
	CHECK_EQ(getpriority(PRIO_PROCESS, getpid()), 7);
	CHECK(getpriority(PRIO_PGRP, 0) <= 7);
	errno = 0;
	CHECK_ERR(getpriority(PRIO_PROCESS, 1 << 22), ESRCH);
	CHECK_ERR(getpriority(PRIO_PGRP, 1 << 22), ESRCH);
	CHECK_ERR(getpriority((__priority_which_t)3, 0), EINVAL);
	CHECK_ERR(setpriority((__priority_which_t)-1, 0, 0), EINVAL);
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &param) == 0);
	CHECK_ERR(sched_setscheduler(0, 77, &param), EINVAL);
	CHECK_ERR(sched_setscheduler(1 << 22, SCHED_OTHER, &param), ESRCH);
	param.sched_priority = 1;
	CHECK_ERR(sched_setscheduler(0, SCHED_OTHER, &param), EINVAL);
	child_run(flags_body, NULL);
}

static void ids(void)
{
	uid_t a, b, c;

	CHECK(getresuid(&a, &b, &c) == 0);
	CHECK(setreuid(a, b) == 0 && setresuid(a, b, c) == 0 && setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1) == 0);
	CHECK(setuid(getuid()) == 0 && setgid(getgid()) == 0);
	CHECK_EQ(syscall(SYS_setfsuid, -1), getuid());
	CHECK_ERR(syscall(SYS_setuid, -1), EINVAL);
	CHECK(getgroups(0, NULL) >= 0);
	CHECK_ERR(syscall(SYS_getgroups, -1, NULL), EINVAL);
}

int main(void)
{
	family();
	flags();
	ids();
	return pass();
}
