/* FIFOs: opens that wait for each other, those that do not, poll, names that go; and pipes opened again through /proc. */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"

static const char name[] = "/tmp/fifo.test";

static void *open_to_write(void *arg)
{
	int fd = open(name, O_WRONLY);

	CHECK(fd >= 0 && write(fd, arg, strlen(arg)) == (ssize_t)strlen(arg));
	close(fd);
	return NULL;
}

static void test_meeting(void)
{
	pthread_t thread = thread_start(open_to_write, "hello");
	struct stat stat_of;
	char text[16];
	int fd;

	usleep(20000);
	fd = open(name, O_RDONLY);
	CHECK(fd >= 0 && fstat(fd, &stat_of) == 0 && S_ISFIFO(stat_of.st_mode));
	CHECK(read(fd, text, sizeof(text)) == 5 && memcmp(text, "hello", 5) == 0);
	thread_join(thread);
	CHECK(read(fd, text, sizeof(text)) == 0);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
	close(fd);
	for (int i = 0; i < 50; i++) {
		thread = thread_start(open_to_write, "again");
		fd = open(name, O_RDONLY);
		CHECK(fd >= 0 && read(fd, text, sizeof(text)) == 5);
		thread_join(thread);
		close(fd);
	}
}

static void test_no_waiting(void)
{
	struct pollfd wait = { .events = POLLIN };
	char text[4];
	int in, out, both;

	CHECK_ERR(open(name, O_WRONLY | O_NONBLOCK), ENXIO);
	in = open(name, O_RDONLY | O_NONBLOCK);
	CHECK(in >= 0 && read(in, text, 4) == 0);
	wait.fd = in;
	CHECK(poll(&wait, 1, 0) == 0); /* no hang-up before there was a writer */
	out = open(name, O_WRONLY | O_NONBLOCK);
	CHECK(out >= 0);
	CHECK_ERR(read(in, text, 4), EAGAIN);
	CHECK(write(out, "abc", 3) == 3 && poll(&wait, 1, 0) == 1 && wait.revents == POLLIN);
	close(out);
	CHECK(poll(&wait, 1, 0) == 1 && wait.revents == (POLLIN | POLLHUP));
	CHECK(read(in, text, 4) == 3 && read(in, text, 4) == 0);
	close(in);
	both = open(name, O_RDWR);
	in = open(name, O_RDONLY | O_NONBLOCK);
	close(both);
	wait.fd = in;
	CHECK(poll(&wait, 1, 0) == 1 && wait.revents == POLLHUP); /* there was a writer */
	close(in);

	both = open(name, O_RDWR);
	CHECK(both >= 0 && write(both, "x", 1) == 1);
	wait.fd = both;
	wait.events = POLLIN | POLLOUT;
	CHECK(poll(&wait, 1, 0) == 1 && wait.revents == (POLLIN | POLLOUT));
	in = open(name, O_RDONLY);
	CHECK(in >= 0 && read(in, text, 4) == 1);
	CHECK(write(both, "left", 4) == 4);
	close(both);
	close(in);
	in = open(name, O_RDONLY | O_NONBLOCK);
	CHECK(read(in, text, 4) == 0); /* what was inside went with the last of them */
	close(in);
	CHECK_ERR(open(name, O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(mkfifo(name, 0600), EEXIST);
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
	timer_t timer;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
	CHECK_ERR(open(name, O_RDONLY), EINTR);
	CHECK(alarms == 1);
	CHECK_ERR(open(name, O_WRONLY | O_NONBLOCK), ENXIO); /* nobody is left of that open */
	timer_delete(timer);
}

static void *wait_for_input(void *arg)
{
	struct pollfd wait = { .fd = *(int *)arg, .events = POLLIN };

	CHECK(poll(&wait, 1, -1) == 1 && (wait.revents & POLLIN) != 0);
	return NULL;
}

static void test_unlinked(void)
{
	int in = open(name, O_RDONLY | O_NONBLOCK), out = open(name, O_WRONLY);
	pthread_t thread;
	char text[4];

	CHECK(in >= 0 && out >= 0 && unlink(name) == 0);
	CHECK_ERR(open(name, O_RDONLY | O_NONBLOCK), ENOENT);
	thread = thread_start(wait_for_input, &in);
	usleep(10000);
	CHECK(write(out, "still", 4) == 4);
	thread_join(thread);
	CHECK(read(in, text, 4) == 4);
	close(in);
	close(out);
}

/* A writer that has come and gone before the reader looks for it: the reader's open returns all the same. */
static void test_brief_writer(void)
{
	char text[2];
	pid_t pid;
	int fd;

	CHECK(mkfifo(name, 0600) == 0);
	for (int round = 0; round < 300; round++) {
		pid = child_fork();
		if (pid == 0) {
			fd = open(name, O_WRONLY);
			_exit(fd < 0 || write(fd, "x", 1) != 1);
		}
		fd = open(name, O_RDONLY);
		CHECK(fd >= 0);
		CHECK_EQ(read(fd, text, 2), 1);
		CHECK_EQ(read(fd, text, 2), 0);
		CHECK(close(fd) == 0);
		CHECK_EQ(child_status(pid), 0);
	}
	CHECK(unlink(name) == 0);
}

static void test_again(void)
{
	char path[40], text[40];
	int ends[2], in, out;
	ssize_t n;

	CHECK(pipe(ends) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	n = readlink(path, text, sizeof(text));
	CHECK(n > 6 && memcmp(text, "pipe:[", 6) == 0);
	out = open(path, O_WRONLY); /* the same pipe, its other end */
	CHECK(out >= 0 && write(out, "new", 3) == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
	in = open(path, O_RDONLY | O_NONBLOCK);
	CHECK(in >= 0 && read(in, text, 8) == 3);
	CHECK_ERR(read(in, text, 8), EAGAIN);
	close(ends[1]);
	CHECK_ERR(read(in, text, 8), EAGAIN);
	close(out);
	CHECK(read(in, text, 8) == 0);
	close(ends[0]);
	close(in);
}

int main(void)
{
	mkdir("/tmp", 0777);
	unlink(name);
	CHECK(mkfifo(name, 0600) == 0);
	test_meeting();
	test_no_waiting();
	test_interrupted();
	test_unlinked();
	test_brief_writer();
	test_again();
	return pass();
}
