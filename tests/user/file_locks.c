/* flock and record locks: who is in whose way, pieces, closing, waiting, deadlock. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "check.h"

static const char name[] = "/tmp/locks.test";

static int open_it(void)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0);
	return fd;
}

static int lock(int fd, int command, int type, long start, long bytes)
{
	struct flock range = { .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = bytes };

	return fcntl(fd, command, &range);
}

/* What another process finds: the lock's owner, or 0. */
static struct flock found;

static int in_child(int (*body)(int fd), int fd)
{
	pid_t pid = child_fork();

	if (pid == 0)
		_exit(body(fd));
	return WEXITSTATUS(child_status(pid));
}

static int child_finds(int fd)
{
	CHECK(fcntl(fd, F_GETLK, &found) == 0);
	if (found.l_type == F_UNLCK)
		return 0;
	CHECK(found.l_pid == getppid());
	return (int)(found.l_type == F_WRLCK ? 100 : 10) + (int)found.l_start / 10;
}

static int finds(int fd, long start, long bytes)
{
	found = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = bytes };
	return in_child(child_finds, fd);
}

static int child_cannot(int fd)
{
	return lock(fd, F_SETLK, F_WRLCK, 0, 10) == -1 && errno == EAGAIN;
}

static void test_records(void)
{
	int fd = open_it(), other;

	CHECK(lock(fd, F_SETLK, F_WRLCK, 0, 100) == 0 && finds(fd, 50, 1) == 100);
	CHECK(in_child(child_cannot, fd) == 1);
	CHECK(lock(fd, F_SETLK, F_RDLCK, 40, 20) == 0 && finds(fd, 45, 1) == 14 && finds(fd, 70, 1) == 106);
	CHECK(lock(fd, F_SETLK, F_UNLCK, 20, 10) == 0 && finds(fd, 20, 10) == 0 && finds(fd, 35, 1) == 103);
	CHECK(lock(fd, F_SETLK, F_WRLCK, 20, 40) == 0 && finds(fd, 99, 1) == 100); /* all one again */
	CHECK(finds(fd, 100, 0) == 0);
	other = open_it();
	close(other); /* any descriptor of the file */
	CHECK(finds(fd, 0, 0) == 0);
	CHECK_ERR(lock(fd, F_SETLK, 7, 0, 1), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, -1, 1), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, 5, -6), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, INT64_MAX, 2), EOVERFLOW);
	CHECK_ERR(fcntl(fd, F_SETLK, (struct flock *)8), EFAULT);
	close(fd);
	fd = open(name, O_RDONLY);
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 0, 1), EBADF);
	CHECK(lock(fd, F_SETLK, F_RDLCK, 10, -5) == 0 && finds(fd, 0, 5) == 0 && finds(fd, 9, 1) == 10);
	close(fd);
}

static int child_waits(int fd)
{
	CHECK(lock(fd, F_SETLKW, F_WRLCK, 0, 10) == 0);
	return 5;
}

static void test_waiting(void)
{
	int fd = open_it();
	pid_t pid;

	CHECK(lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
	pid = child_fork();
	if (pid == 0)
		_exit(child_waits(fd));
	usleep(20000);
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
	CHECK_EQ(WEXITSTATUS(child_status(pid)), 5);
	CHECK(lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0); /* the child's went with it */
	close(fd);
}

static void test_deadlock(void)
{
	int fd = open_it(), ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0 && lock(fd, F_SETLK, F_WRLCK, 0, 1) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(lock(fd, F_SETLK, F_WRLCK, 1, 1) == 0 && write(ready[1], "x", 1) == 1);
		CHECK(lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0);
		_exit(0);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	usleep(50000);
	CHECK_ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
	child_wait(pid);
	close(ready[0]);
	close(ready[1]);
	close(fd);
}

static void test_ofd(void)
{
	int a = open_it(), b = open_it(), c;
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	CHECK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN);
	CHECK_ERR(lock(b, F_SETLK, F_RDLCK, 5, 10), EAGAIN);
	CHECK(fcntl(b, F_OFD_GETLK, &range) == 0 && range.l_type == F_WRLCK && range.l_pid == -1 && range.l_len == 10);
	range.l_pid = 1;
	CHECK_ERR(fcntl(b, F_OFD_SETLK, &range), EINVAL);
	c = dup(a);
	close(a);
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN);
	close(c);
	CHECK(lock(b, F_OFD_SETLKW, F_WRLCK, 5, 10) == 0);
	close(b);
}

static void *take_flock(void *arg)
{
	CHECK(flock(*(int *)arg, LOCK_EX) == 0);
	return NULL;
}

static void test_flock(void)
{
	int a = open_it(), b = open_it(), c = dup(a);
	pthread_t thread;

	CHECK(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH) == 0);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK(flock(b, LOCK_UN) == 0 && flock(a, LOCK_EX) == 0 && flock(c, LOCK_EX) == 0);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK(lock(b, F_SETLK, F_WRLCK, 0, 0) == 0); /* the two kinds do not see each other */
	thread = thread_start(take_flock, &b);
	usleep(20000);
	close(a);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK); /* c is the same open file */
	close(c);
	thread_join(thread);
	CHECK_ERR(flock(b, 0), EINVAL);
	CHECK_ERR(flock(-1, LOCK_SH), EBADF);
	close(b);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void test_interrupted(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerspec soon = { .it_value = { 0, 30000000 } };
	int a = open_it(), b = open_it();
	timer_t timer;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	CHECK(flock(a, LOCK_EX) == 0 && timer_settime(timer, 0, &soon, NULL) == 0);
	CHECK_ERR(flock(b, LOCK_EX), EINTR);
	CHECK(alarms == 1 && lock(a, F_OFD_SETLK, F_WRLCK, 0, 0) == 0);
	CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
	CHECK_ERR(lock(b, F_OFD_SETLKW, F_WRLCK, 0, 0), EINTR);
	timer_delete(timer);
	close(a);
	close(b);
}

int main(void)
{
	mkdir("/tmp", 0777);
	test_records();
	test_waiting();
	test_deadlock();
	test_ofd();
	test_flock();
	test_interrupted();
	unlink(name);
	return pass();
}
