/*
 * clone and clone3 as no library calls them: what processes share when they are told to, what they do not, which
 * combinations are refused; vfork's waiting.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/stat.h>

static _Alignas(16) char stack[64 * 1024];
static volatile int step;

static void handler_a(int number)
{
	(void)number;
}

static void handler_b(int number)
{
	(void)number;
}

static void *handler_of(int number)
{
	struct sigaction now;

	CHECK(sigaction(number, NULL, &now) == 0);
	return (void *)now.sa_handler;
}

static int changes(void *unused)
{
	(void)unused;
	signal(SIGUSR1, handler_b);
	if (chdir("/dev") != 0)
		_exit(1);
	umask(011);
	step = 2;
	close(100);
	_exit(0);
}

static void run(int flags)
{
	int status;
	pid_t pid = clone(changes, stack + sizeof(stack), flags | SIGCHLD, NULL);

	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void shared(int flags)
{
	char where[100];
	mode_t mask;

	CHECK(chdir("/") == 0);
	umask(022);
	CHECK(dup2(1, 100) == 100);
	CHECK(signal(SIGUSR1, handler_a) != SIG_ERR);
	step = 1;
	run(flags);
	CHECK_EQ(step, (flags & CLONE_VM) != 0 ? 2 : 1);
	CHECK(handler_of(SIGUSR1) == (void *)((flags & CLONE_SIGHAND) != 0 ? handler_b : handler_a));
	CHECK(getcwd(where, sizeof(where)));
	CHECK(strcmp(where, (flags & CLONE_FS) != 0 ? "/dev" : "/") == 0);
	mask = umask(022);
	CHECK_EQ(mask, (flags & CLONE_FS) != 0 ? 011 : 022);
	CHECK_EQ(fcntl(100, F_GETFD) < 0, (flags & CLONE_FILES) != 0);
}

/* Three that share, and the one in the middle ends first. */
static int waits_for_change(void *arg)
{
	while (step < 5)
		sched_yield();
	_exit(handler_of(SIGUSR2) == (void *)handler_b ? 0 : 1);
	return *(int *)arg;
}

static void ring(void)
{
	static _Alignas(16) char other[64 * 1024];
	int flags = CLONE_VM | CLONE_SIGHAND | CLONE_FS;
	pid_t pid;
	int status;

	CHECK(signal(SIGUSR2, handler_a) != SIG_ERR);
	pid = clone(waits_for_change, other + sizeof(other), flags | SIGCHLD, NULL);
	CHECK(pid > 0);
	run(flags);
	CHECK(signal(SIGUSR2, handler_b) != SIG_ERR);
	step = 5;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(chdir("/") == 0);
}

static long clone3(struct clone_args *args, size_t size)
{
	return syscall(SYS_clone3, args, size);
}

static void clears_handlers(void)
{
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	long pid;
	int status;

	CHECK(signal(SIGUSR1, handler_a) != SIG_ERR && signal(SIGUSR2, SIG_IGN) != SIG_ERR);
	pid = clone3(&args, sizeof(args));
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(handler_of(SIGUSR1) == (void *)SIG_DFL && handler_of(SIGUSR2) == (void *)SIG_IGN ? 0 : 1);
	CHECK_EQ(waitpid((pid_t)pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* An exit signal of one's own, which only __WALL and __WCLONE wait for. */
static void exit_signal(int number)
{
	struct clone_args args = { .exit_signal = (unsigned)number };
	long pid = clone3(&args, CLONE_ARGS_SIZE_VER0);
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(3);
	CHECK_ERR(waitpid((pid_t)pid, &status, 0), ECHILD);
	CHECK_EQ(waitpid((pid_t)pid, &status, __WCLONE), pid);
	CHECK_EQ(WEXITSTATUS(status), 3);
}

static void refused(uint64_t flags, uint64_t signal_number)
{
	struct clone_args args = { .flags = flags, .exit_signal = signal_number };

	CHECK_ERR(clone3(&args, sizeof(args)), EINVAL);
}

static void errors(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	char large[sizeof(args) + 8] = { 0 };

	refused(CLONE_THREAD, 0);
	refused(CLONE_SIGHAND, SIGCHLD);
	refused(CLONE_THREAD | CLONE_SIGHAND, 0);
	refused(CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND, SIGCHLD);
	refused(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, SIGCHLD);
	refused(0, 65);
	refused(SIGCHLD, 0);
	CHECK_ERR(clone3(&args, CLONE_ARGS_SIZE_VER0 - 1), EINVAL);
	CHECK_ERR(clone3(NULL, sizeof(args)), EFAULT);
	large[sizeof(args)] = 1;
	CHECK_ERR(syscall(SYS_clone3, large, sizeof(large)), E2BIG);
	memset(large, 0, sizeof(large));
	CHECK_ERR(syscall(SYS_clone3, large, 4097), E2BIG);
	((struct clone_args *)(void *)large)->exit_signal = 65;
	CHECK_ERR(syscall(SYS_clone3, large, sizeof(large)), EINVAL);
	args.stack = (uint64_t)(uintptr_t)stack;
	CHECK_ERR(clone3(&args, sizeof(args)), EINVAL);
	args.stack = 0;
	args.stack_size = 4096;
	CHECK_ERR(clone3(&args, sizeof(args)), EINVAL);
}

/* The parent stands while the child uses its memory, and goes on when the child has ended. */
static void vfork_waits(void)
{
	volatile int word = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		uint64_t until = now_ns() + 20000000;

		while (now_ns() < until)
			;
		word = 1;
		_exit(0);
	}
	CHECK_EQ(word, 1);
	child_wait(pid);
}

int main(void)
{
	shared(0);
	shared(CLONE_VM);
	shared(CLONE_FS);
	shared(CLONE_FILES);
	shared(CLONE_VM | CLONE_SIGHAND);
	shared(CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES);
	shared(CLONE_VM | CLONE_VFORK);
	ring();
	clears_handlers();
	exit_signal(0);
	exit_signal(SIGUSR2);
	errors();
	vfork_waits();
	return pass();
}
