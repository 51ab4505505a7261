/* A session's leader ends: the group in the foreground of its terminal gets SIGHUP, others do not, and the terminal is free. */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "check.h"

static volatile sig_atomic_t hung_up;

static void on_hang_up(int number)
{
	(void)number;
	hung_up = 1;
}

/* A member of a group of its own: says whether the signal came. In the background it is not to come. */
static void member(int leader_gone, int ready, int out, bool foreground)
{
	sigset_t blocked, before;
	char byte;

	signal(SIGHUP, on_hang_up);
	CHECK(setpgid(0, 0) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGHUP);
	CHECK(sigprocmask(SIG_BLOCK, &blocked, &before) == 0 && write(ready, "r", 1) == 1);
	CHECK(read(leader_gone, &byte, 1) == 0); /* all who hold the other end are gone */
	while (foreground && !hung_up)
		sigsuspend(&before);
	CHECK(sigprocmask(SIG_SETMASK, &before, NULL) == 0 && hung_up == foreground);
	CHECK(write(out, "d", 1) == 1);
	_exit(0);
}

static void leader(int out)
{
	int terminal, gone[2], ready[2];
	char byte;
	pid_t pid[2];

	CHECK(setsid() == getpid());
	terminal = open("/dev/console", O_RDWR | O_NOCTTY);
	CHECK(terminal >= 0 && ioctl(terminal, TIOCSCTTY, 1) == 0);
	signal(SIGTTOU, SIG_IGN);
	CHECK(pipe(gone) == 0 && pipe(ready) == 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = child_fork();
		if (pid[i] == 0) {
			close(gone[1]);
			member(gone[0], ready[1], out, i == 0);
		}
	}
	for (int i = 0; i < 2; i++) /* they have their groups, and wait */
		CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK(tcsetpgrp(terminal, pid[0]) == 0 && tcgetpgrp(terminal) == pid[0]);
	_exit(0);
}

int main(void)
{
	int out[2], terminal, status;
	char byte;
	pid_t pid;

	CHECK(pipe(out) == 0);
	signal(SIGHUP, SIG_IGN); /* it may be its own terminal that is taken */
	pid = child_fork();
	if (pid == 0)
		leader(out[1]);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(read(out[0], &byte, 1), 1);
	pid = child_fork();
	if (pid == 0) { /* it is nobody's: no stealing needed */
		CHECK(setsid() == getpid());
		terminal = open("/dev/console", O_RDWR | O_NOCTTY);
		CHECK(terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) == 0);
		_exit(0);
	}
	child_wait(pid);
	return pass();
}
