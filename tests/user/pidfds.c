/* Processes as descriptors: opening, poll, signals, waiting, clone, files of others, memory of one that is killed. */
#include <fcntl.h>
#include <poll.h>

#include "check.h"

#define SYS_send_signal 424
#define SYS_open	434
#define SYS_getfd	438
#define SYS_mrelease	448
#define BY_PIDFD	3
#define PIDFD		0x1000ULL

static int pidfd_of(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_open, pid, flags);
}

static long send_signal(int fd, int number, siginfo_t *info, unsigned flags)
{
	return syscall(SYS_send_signal, fd, number, info, flags);
}

static pid_t sleeper(void)
{
	pid_t pid = child_fork();

	while (pid == 0)
		pause();
	return pid;
}

static void test_open(void)
{
	int fd = pidfd_of(getpid(), 0);
	char byte;

	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK_ERR(read(fd, &byte, 1), EINVAL);
	close(fd);
	CHECK_ERR(pidfd_of(0, 0), EINVAL);
	CHECK_ERR(pidfd_of(-1, 0), EINVAL);
	CHECK_ERR(pidfd_of(getpid(), 1), EINVAL);
	CHECK_ERR(pidfd_of(0x3ffff0, 0), ESRCH);
	CHECK_ERR(send_signal(STDIN_FILENO, 0, NULL, 0), EBADF);
	CHECK_ERR(send_signal(-1, 0, NULL, 0), EBADF);
	CHECK_ERR(syscall(SYS_getfd, -1, 0, 0), EBADF);
	CHECK_ERR(syscall(SYS_mrelease, -1, 0), EBADF);
}

static void test_end(void)
{
	pid_t pid = sleeper();
	int fd = pidfd_of(pid, O_NONBLOCK);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	siginfo_t info = { 0 };

	CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	CHECK(poll(&wait, 1, 0) == 0 && send_signal(fd, 0, NULL, 0) == 0);
	CHECK_ERR(waitid(BY_PIDFD, (id_t)fd, &info, WEXITED), EAGAIN);
	CHECK_ERR(send_signal(fd, 65, NULL, 0), EINVAL);
	CHECK_ERR(send_signal(fd, SIGTERM, NULL, 8), EINVAL);
	info.si_signo = SIGUSR1;
	CHECK_ERR(send_signal(fd, SIGTERM, &info, 0), EINVAL);
	info.si_signo = SIGTERM;
	CHECK_ERR(send_signal(fd, SIGTERM, &info, 0), EPERM); /* si_code would be kill's */
	CHECK_ERR(send_signal(fd, SIGTERM, (siginfo_t *)8, 0), EFAULT);
	CHECK(send_signal(fd, SIGTERM, NULL, 0) == 0);
	CHECK(poll(&wait, 1, -1) == 1 && wait.revents == POLLIN);
	CHECK(waitid(BY_PIDFD, (id_t)fd, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid);
	CHECK(send_signal(fd, SIGTERM, NULL, 0) == 0); /* it has ended, and is there */
	CHECK(waitid(BY_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_status == SIGTERM);
	CHECK_ERR(send_signal(fd, 0, NULL, 0), ESRCH);
	CHECK_ERR(syscall(SYS_getfd, fd, 0, 0), ESRCH);
	CHECK_ERR(syscall(SYS_mrelease, fd, 0), ESRCH);
	CHECK_ERR(waitid(BY_PIDFD, (id_t)fd, &info, WEXITED), ECHILD);
	CHECK_ERR(waitid(BY_PIDFD, 9999, &info, WEXITED), EBADF);
	close(fd);
}

static void *wait_for_end(void *arg)
{
	struct pollfd wait = { .fd = *(int *)arg, .events = POLLIN };

	CHECK(poll(&wait, 1, -1) == 1 && (wait.revents & POLLIN) != 0);
	return NULL;
}

static void test_many_wait(void)
{
	pthread_t thread[4];
	pid_t pid = sleeper();
	int fd = pidfd_of(pid, 0);

	for (size_t i = 0; i < COUNT(thread); i++)
		thread[i] = thread_start(wait_for_end, &fd);
	usleep(10000);
	CHECK(send_signal(fd, SIGKILL, NULL, 0) == 0);
	for (size_t i = 0; i < COUNT(thread); i++)
		thread_join(thread[i]);
	CHECK_EQ(child_status(pid), SIGKILL);
	close(fd);
}

static void test_clone(void)
{
	siginfo_t info = { 0 };
	int fd = -1;
	long pid = syscall(SYS_clone, PIDFD | SIGCHLD, NULL, &fd, NULL, NULL);

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(7);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(waitid(BY_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_pid == pid && info.si_status == 7);
	close(fd);
	CHECK_ERR(syscall(SYS_clone, PIDFD | SIGCHLD, NULL, (int *)8, NULL, NULL), EFAULT);
	CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD);
	CHECK_ERR(syscall(SYS_clone, PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, &fd, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_clone, PIDFD | CLONE_DETACHED | SIGCHLD, NULL, &fd, NULL, NULL), EINVAL);
}

static void test_clone3(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} args = { .flags = PIDFD | CLONE_PARENT_SETTID, .exit_signal = SIGCHLD };
	siginfo_t info = { 0 };
	int fd = -1, tid = 0;
	long pid;

	args.pidfd = (uintptr_t)&fd;
	args.parent_tid = (uintptr_t)&tid;
	pid = syscall(435, &args, sizeof(args));
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(9);
	CHECK(fd >= 0 && tid == pid && waitid(BY_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_status == 9);
	close(fd);
}

/* A pipe's end that a child made, and nobody inherited. */
static void test_getfd(void)
{
	int ends[2], told[2], fd, got;
	char text[8];
	pid_t pid;

	CHECK(pipe(told) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(pipe(ends) == 0 && write(told[1], &ends[0], sizeof(int)) == sizeof(int));
		CHECK(write(ends[1], "hers", 4) == 4);
		while (1)
			pause();
	}
	CHECK(read(told[0], &got, sizeof(got)) == sizeof(got));
	fd = pidfd_of(pid, 0);
	CHECK_ERR(syscall(SYS_getfd, fd, got, 1), EINVAL);
	CHECK_ERR(syscall(SYS_getfd, fd, 9999, 0), EBADF);
	got = (int)syscall(SYS_getfd, fd, got, 0);
	CHECK(got >= 0 && fcntl(got, F_GETFD) == FD_CLOEXEC);
	CHECK(read(got, text, 8) == 4 && memcmp(text, "hers", 4) == 0);
	kill(pid, SIGKILL);
	CHECK(read(got, text, 8) == 0);
	CHECK_EQ(child_status(pid), SIGKILL);
	close(got);
	close(fd);
	close(told[0]);
	close(told[1]);
}

static void test_mrelease(void)
{
	int told[2], fd;
	char byte;
	pid_t pid;
	long result;

	CHECK(pipe(told) == 0);
	pid = child_fork();
	if (pid == 0) {
		pages_write(map_anon(16 * MIB), 16 * MIB, 1);
		CHECK(write(told[1], "x", 1) == 1);
		while (1)
			pause();
	}
	CHECK(read(told[0], &byte, 1) == 1);
	fd = pidfd_of(pid, 0);
	CHECK_ERR(syscall(SYS_mrelease, fd, 1), EINVAL);
	CHECK_ERR(syscall(SYS_mrelease, fd, 0), EINVAL); /* it lives */
	kill(pid, SIGKILL);
	result = syscall(SYS_mrelease, fd, 0);
	CHECK(result == 0 || errno == ESRCH); /* it may be gone already */
	CHECK_EQ(child_status(pid), SIGKILL);
	close(fd);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	test_open();
	test_end();
	test_many_wait();
	test_clone();
	test_clone3();
	test_getfd();
	test_mrelease();
	return pass();
}
