/*
 * wait4: statuses, WNOHANG, which child, ECHILD, and what becomes of orphans: they go to the first process, which
 * gets to wait for them when it is this one.
 */
#include "check.h"

#include <sys/resource.h>

static pid_t exits(int code)
{
	pid_t pid = child_fork();

	if (pid == 0)
		_exit(code);
	return pid;
}

static void statuses(void)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGINT, SIGSEGV, SIGBUS, SIGUSR1, SIGPIPE, SIGHUP };
	int gate[2], status;
	struct rusage usage;

	for (int code = 0; code < 256; code += 51) {
		status = child_status(exits(code));
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
	}
	CHECK_EQ(child_status(exits(0x4ff)), 0xff00);
	CHECK(pipe(gate) == 0);
	for (unsigned i = 0; i < COUNT(signals); i++) {
		pid_t pid = child_fork();
		char token;

		if (pid == 0) {
			CHECK(read(gate[0], &token, 1) < 2);
			_exit(1);
		}
		CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
		CHECK(kill(pid, signals[i]) == 0);
		status = child_status(pid);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), signals[i]);
		CHECK_ERR(kill(pid, 0), ESRCH);
	}
	pid_t pid = exits(3);
	CHECK_EQ(wait4(pid, &status, 0, &usage), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
}

static void which(void)
{
	pid_t first = exits(1), second = exits(2), got;
	int status, seen = 0;

	CHECK_EQ(waitpid(second, &status, 0), second);
	CHECK_EQ(WEXITSTATUS(status), 2);
	CHECK_ERR(waitpid(second, &status, 0), ECHILD);
	CHECK_EQ(waitpid(-1, NULL, 0), first);
	CHECK_ERR(waitpid(-1, &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, WNOHANG), ECHILD);
	CHECK_ERR(waitpid(getppid(), &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, 0x10000000), EINVAL);
	for (int i = 0; i < 10; i++)
		exits(i);
	for (int i = 0; i < 10; i++) {
		got = waitpid(-1, &status, 0);
		CHECK(got > 0 && WIFEXITED(status));
		seen |= 1 << WEXITSTATUS(status);
	}
	CHECK_EQ(seen, 0x3ff);
	CHECK_ERR(waitpid(-1, &status, 0), ECHILD);
}

/* A child is reaped by whichever thread waits; two threads that wait for one child: one gets it. */
static void *waits(void *arg)
{
	int status;
	pid_t got = waitpid(-1, &status, 0);

	(void)arg;
	if (got < 0)
		CHECK_EQ(errno, ECHILD);
	return (void *)(intptr_t)got;
}

static void by_threads(void)
{
	for (int round = 0; round < 10; round++) {
		pthread_t a, b;
		pid_t pid = exits(0), got_a, got_b;

		a = thread_start(waits, NULL);
		b = thread_start(waits, NULL);
		got_a = (pid_t)(intptr_t)thread_join(a);
		got_b = (pid_t)(intptr_t)thread_join(b);
		CHECK((got_a == pid && got_b == -1) || (got_b == pid && got_a == -1));
	}
}

static void orphans(void)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		pid_t parent = getpid();

		for (int i = 0; i < 3; i++) {
			if (child_fork() == 0) {
				while (getppid() == parent)
					relax();
				_exit(0);
			}
		}
		_exit(0);
	}
	child_wait(pid);
	if (getpid() == 1)
		for (int i = 0; i < 3; i++)
			CHECK(waitpid(-1, NULL, 0) > 0);
	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
}

int main(void)
{
	statuses();
	which();
	by_threads();
	orphans();
	return pass();
}
