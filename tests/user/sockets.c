/* socketpair(AF_UNIX, SOCK_STREAM): both ways, both ends closed, poll, not blocking. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "check.h"

static char buffer[300000];

static void test_ways(void)
{
	struct stat stat;
	char text[8];
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	CHECK(fstat(fd[0], &stat) == 0 && S_ISSOCK(stat.st_mode));
	CHECK(write(fd[0], "there", 5) == 5 && write(fd[1], "back", 4) == 4);
	CHECK(read(fd[1], text, 8) == 5 && memcmp(text, "there", 5) == 0);
	CHECK(recv(fd[0], text, 8, 0) == 4 && memcmp(text, "back", 4) == 0);
	CHECK_ERR(lseek(fd[0], 0, SEEK_SET), ESPIPE);
	CHECK(fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK_ERR(read(fd[0], text, 8), EAGAIN);
	CHECK(send(fd[1], "last", 4, 0) == 4 && close(fd[1]) == 0);
	CHECK(read(fd[0], text, 8) == 4 && read(fd[0], text, 8) == 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(fd[0], "x", 1), EPIPE);
	close(fd[0]);
}

static void test_poll(void)
{
	struct pollfd wait = { .events = POLLIN | POLLOUT };
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(fcntl(fd[0], F_GETFD) == FD_CLOEXEC);
	wait.fd = fd[0];
	CHECK(poll(&wait, 1, 0) == 1 && wait.revents == POLLOUT);
	while (write(fd[0], buffer, sizeof(buffer)) > 0)
		continue;
	CHECK(errno == EAGAIN && poll(&wait, 1, 0) == 0);
	wait.events = POLLIN;
	CHECK(write(fd[1], "x", 1) == 1 && poll(&wait, 1, -1) == 1 && wait.revents == POLLIN);
	close(fd[0]);
	close(fd[1]);
}

/* A child waits for room by poll, then for an answer. */
static void test_child(void)
{
	struct pollfd wait = { .events = POLLOUT };
	size_t done = 0;
	int fd[2];
	pid_t child;
	ssize_t n;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	child = fork();
	if (child == 0) {
		close(fd[0]);
		fcntl(fd[1], F_SETFL, O_NONBLOCK);
		wait.fd = fd[1];
		while (done < sizeof(buffer)) {
			CHECK(poll(&wait, 1, -1) == 1);
			n = write(fd[1], buffer + done, sizeof(buffer) - done);
			CHECK(n > 0 || errno == EAGAIN);
			done += n > 0 ? (size_t)n : 0;
		}
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], buffer, 4000)) > 0)
		done += (size_t)n;
	CHECK(n == 0 && done == sizeof(buffer) && waitpid(child, NULL, 0) == child);
	close(fd[0]);
}

int main(void)
{
	int fd[2];

	test_ways();
	test_poll();
	test_child();
	CHECK_ERR(socketpair(99, SOCK_STREAM, 0, fd), EAFNOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, 0x100, 0, fd), EINVAL);
	CHECK_ERR(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	puts("ok");
	return 0;
}
