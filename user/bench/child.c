/* Two pipes a child: one on which it says that it is there, one whose end lets it go. */
#include "user/bench/child.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_WRONG_DATA 3

/* How often the parent stands back so that a child on its own hart gets from its last write into its sleep. */
#define CHILD_SETTLE 4

static _Noreturn void hold(const struct region *regions, unsigned count, uint64_t salt, const int *ready, const int *go)
{
	char byte = 0;
	unsigned i;

	close(ready[0]);
	close(go[1]);
	if (write(ready[1], &byte, 1) != 1)
		_exit(1);
	while (read(go[0], &byte, 1) < 0 && errno == EINTR)
		;
	for (i = 0; i < count; i++) {
		if (!region_holds(&regions[i], salt + i, 0))
			_exit(CHILD_WRONG_DATA);
	}
	_exit(0);
}

static void close_pair(const int *fds)
{
	close(fds[0]);
	close(fds[1]);
}

enum bench_status child_wait(struct bench_run *run, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return bench_errno(run, "waitpid");
	}
	if (WIFSIGNALED(status))
		return bench_fail(run, "a child was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == CHILD_WRONG_DATA)
		return bench_fail(run, "wrong data: a child does not see what its parent had at the fork");
	if (WEXITSTATUS(status) != 0)
		return bench_fail(run, "a child ended with status %d", WEXITSTATUS(status));
	return BENCH_OK;
}

static enum bench_status wait_ready(struct bench_run *run, struct child *child, int fd)
{
	char byte;
	ssize_t got;
	int i;

	do
		got = read(fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1) {
		bench_fail(run, "a child ended before it was ready");
		child_release(run, child);
		return BENCH_FAILED;
	}
	for (i = 0; i < CHILD_SETTLE; i++)
		sched_yield();
	return BENCH_OK;
}

enum bench_status child_hold(struct bench_run *run, struct child *child, const struct region *regions, unsigned count,
			     uint64_t salt)
{
	enum bench_status status;
	int ready[2], go[2];

	if (pipe(ready) != 0)
		return bench_errno(run, "pipe");
	if (pipe(go) != 0) {
		status = bench_errno(run, "pipe");
		close_pair(ready);
		return status;
	}
	child->pid = fork();
	if (child->pid == 0)
		hold(regions, count, salt, ready, go);
	if (child->pid < 0) {
		child->pid = 0;
		status = bench_errno(run, "fork");
		close(go[1]);
	} else {
		child->release = go[1];
		close(ready[1]);
		ready[1] = -1;
		status = wait_ready(run, child, ready[0]);
	}
	close(go[0]);
	close(ready[0]);
	if (ready[1] >= 0)
		close(ready[1]);
	return status;
}

enum bench_status child_release(struct bench_run *run, struct child *child)
{
	pid_t pid = child->pid;

	if (!pid)
		return BENCH_OK;
	child->pid = 0;
	close(child->release);
	return child_wait(run, pid);
}
