/* Pairs of datagram and seqpacket sockets: boundaries, looking, cut messages, ends, options. */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "check.h"

static char big[300000];

static void pair_of(int type, int fd[2])
{
	CHECK(socketpair(AF_UNIX, type, 0, fd) == 0);
}

static void close_both(const int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

static void test_boundaries(int type)
{
	struct iovec parts[2] = { { "one", 3 }, { "two", 3 } };
	char text[16] = { 0 };
	int fd[2], bytes;

	pair_of(type, fd);
	CHECK(writev(fd[0], parts, 2) == 6 && write(fd[0], "three", 5) == 5 && send(fd[0], "", 0, 0) == 0);
	CHECK(ioctl(fd[1], FIONREAD, &bytes) == 0 && bytes == (type == SOCK_DGRAM ? 6 : 11));
	CHECK(recv(fd[1], text, 2, MSG_PEEK) == 2 && recv(fd[1], text, 2, MSG_PEEK | MSG_TRUNC) == 6);
	CHECK(read(fd[1], text, sizeof(text)) == 6 && memcmp(text, "onetwo", 6) == 0);
	CHECK(recv(fd[1], text, 3, MSG_TRUNC) == 5 && memcmp(text, "three", 3) == 0);
	CHECK(recv(fd[1], text, sizeof(text), 0) == 0);
	CHECK_ERR(recv(fd[1], text, sizeof(text), MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(send(fd[0], big, sizeof(big), 0), EMSGSIZE);
	CHECK_ERR(send(fd[0], (char *)8, 100, 0), EFAULT);
	CHECK(send(fd[0], "x", 1, 0) == 1);
	CHECK_ERR(recv(fd[1], (char *)8, 100, 0), EFAULT);
	CHECK_ERR(recv(fd[1], text, 1, MSG_DONTWAIT), EAGAIN); /* it is lost */
	close_both(fd);
}

static void test_headers(int type)
{
	char first[2], second[16];
	struct iovec parts[2] = { { first, sizeof(first) }, { second, 3 } };
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2, .msg_name = big, .msg_namelen = 20 };
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd[2];

	pair_of(type, fd);
	CHECK(write(fd[0], "0123456789", 10) == 10 && recvmsg(fd[1], &header, 0) == 5);
	CHECK(memcmp(second, "234", 3) == 0 && header.msg_namelen == 0);
	CHECK_EQ(header.msg_flags, type == SOCK_STREAM ? 0 : MSG_TRUNC);
	header.msg_iovlen = 2000;
	CHECK_ERR(recvmsg(fd[1], &header, 0), EMSGSIZE);
	CHECK_ERR(recvmsg(fd[1], (struct msghdr *)8, 0), EFAULT);
	CHECK(getsockname(fd[0], (struct sockaddr *)&address, &length) == 0 && length == 2);
	CHECK(address.ss_family == AF_UNIX);
	length = 1;
	CHECK(getpeername(fd[0], (struct sockaddr *)&address, &length) == 0 && length == 2);
	close_both(fd);
	CHECK_ERR(recv(STDIN_FILENO, first, 1, 0), ENOTSOCK);
	CHECK_ERR(recv(-1, first, 1, 0), EBADF);
}

static void test_ends(int type)
{
	struct pollfd wait = { .events = POLLIN | POLLOUT | POLLRDHUP };
	char text[4];
	int fd[2], error;
	socklen_t length = sizeof(error);

	pair_of(type, fd);
	wait.fd = fd[0];
	CHECK(poll(&wait, 1, 0) == 1 && wait.revents == POLLOUT);
	CHECK_ERR(shutdown(fd[0], 3), EINVAL);
	CHECK(shutdown(fd[0], SHUT_WR) == 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(send(fd[1], "x", 1, 0) == 1 && recv(fd[0], text, 4, 0) == 1);
	wait.fd = fd[1];
	CHECK(poll(&wait, 1, 0) == 1);
	CHECK_EQ(wait.revents, type == SOCK_DGRAM ? POLLOUT : POLLOUT | POLLIN | POLLRDHUP);
	if (type != SOCK_DGRAM)
		CHECK(recv(fd[1], text, 4, 0) == 0);
	CHECK(shutdown(fd[0], SHUT_RD) == 0 && recv(fd[0], text, 4, 0) == 0);
	CHECK_ERR(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(poll(&wait, 1, 0) == 1);
	CHECK_EQ(wait.revents, type == SOCK_DGRAM ? POLLOUT : POLLOUT | POLLIN | POLLRDHUP | POLLHUP);
	close_both(fd);

	pair_of(type, fd);
	CHECK(send(fd[1], "unread", 6, 0) == 6 && send(fd[0], "kept", 4, 0) == 4 && close(fd[0]) == 0);
	wait.fd = fd[1];
	if (type != SOCK_DGRAM) {
		CHECK(poll(&wait, 1, 0) == 1);
		CHECK_EQ(wait.revents, POLLOUT | POLLIN | POLLRDHUP | POLLHUP | POLLERR);
		CHECK(getsockopt(fd[1], SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == ECONNRESET);
		CHECK(recv(fd[1], text, 4, 0) == 4 && recv(fd[1], text, 4, 0) == 0);
		CHECK_ERR(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	} else {
		CHECK_ERR(send(fd[1], "x", 1, 0), ECONNREFUSED);
		CHECK_ERR(recv(fd[1], text, 4, MSG_DONTWAIT), EAGAIN);
		CHECK_ERR(send(fd[1], "x", 1, 0), ENOTCONN);
	}
	close(fd[1]);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int number)
{
	(void)number;
	pipes++;
}

static void test_sigpipe(void)
{
	int fd[2];

	signal(SIGPIPE, on_pipe);
	pair_of(SOCK_STREAM, fd);
	close(fd[1]);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(pipes == 0);
	CHECK_ERR(send(fd[0], "x", 1, 0), EPIPE);
	CHECK(pipes == 1);
	close(fd[0]);
	pair_of(SOCK_SEQPACKET, fd);
	close(fd[1]);
	CHECK_ERR(write(fd[0], "x", 1), EPIPE);
	CHECK(pipes == 1);
	close(fd[0]);
}

static void test_options(int type)
{
	struct timeval time = { 0, 50000 }, got;
	struct ucred who;
	int fd[2], value;
	socklen_t length = sizeof(value);
	uint64_t before;
	char text[4];

	pair_of(type, fd);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == type && length == 4);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_DOMAIN, &value, &length) == 0 && value == AF_UNIX);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_PROTOCOL, &value, &length) == 0 && value == 0);
	length = sizeof(who);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && who.pid == getpid());
	value = 10000;
	length = sizeof(value);
	CHECK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) == 0);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &value, &length) == 0 && value == 20000);
	CHECK_ERR(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &value, 2), EINVAL);
	CHECK_ERR(setsockopt(fd[0], SOL_SOCKET, 12345, &value, 4), ENOPROTOOPT);
	CHECK(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
	length = sizeof(got);
	CHECK(getsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &got, &length) == 0 && got.tv_sec == 0);
	CHECK(got.tv_usec >= 50000 && got.tv_usec <= 60000);
	before = now_ns();
	CHECK_ERR(recv(fd[0], text, 4, 0), EAGAIN);
	CHECK(now_ns() - before >= 40000000);
	time.tv_usec = 1000000;
	CHECK_ERR(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), EDOM);
	time.tv_usec = 20000;
	CHECK(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0);
	while (send(fd[0], big, 1000, 0) == 1000)
		continue;
	CHECK(errno == EAGAIN);
	close_both(fd);
}

/* A reader that is slower than its writer, and the reverse: all in order. */
static void test_child(int type)
{
	uint32_t number, n = 0;
	int fd[2];
	pid_t child;

	pair_of(type, fd);
	child = child_fork();
	if (child == 0) {
		close(fd[0]);
		for (number = 0; number < 5000; number++)
			CHECK(write(fd[1], &number, sizeof(number)) == sizeof(number));
		CHECK(read(fd[1], &number, sizeof(number)) == sizeof(number) && number == 5000);
		_exit(0);
	}
	for (; n < 5000; n++)
		CHECK(recv(fd[0], &number, sizeof(number), MSG_WAITALL) == sizeof(number) && number == n);
	CHECK(write(fd[0], &n, sizeof(n)) == sizeof(n));
	child_wait(child);
	close_both(fd);
}

static void test_many(void)
{
	struct iovec part[3] = { { "a", 1 }, { "bc", 2 }, { "def", 3 } };
	struct mmsghdr header[4] = { { .msg_hdr = { .msg_iov = &part[0], .msg_iovlen = 1 } },
				     { .msg_hdr = { .msg_iov = &part[1], .msg_iovlen = 1 } },
				     { .msg_hdr = { .msg_iov = &part[2], .msg_iovlen = 1 } } };
	char text[4][8];
	int fd[2];

	pair_of(SOCK_DGRAM, fd);
	CHECK(sendmmsg(fd[0], header, 3, 0) == 3 && header[2].msg_len == 3);
	for (int i = 0; i < 3; i++)
		part[i] = (struct iovec){ text[i], 8 };
	header[3] = header[0];
	CHECK(recvmmsg(fd[1], header, 4, MSG_WAITFORONE, NULL) == 3);
	CHECK(header[0].msg_len == 1 && header[1].msg_len == 2 && header[2].msg_len == 3);
	CHECK_ERR(recvmmsg(fd[1], header, 4, MSG_DONTWAIT, NULL), EAGAIN);
	close_both(fd);
}

int main(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int fd[2];

	for (size_t i = 0; i < COUNT(types); i++) {
		if (types[i] != SOCK_STREAM)
			test_boundaries(types[i]);
		test_headers(types[i]);
		if (types[i] != SOCK_STREAM)
			test_ends(types[i]);
		test_options(types[i]);
		test_child(types[i]);
	}
	test_sigpipe();
	test_many();
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 7, fd), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_RDM, 0, fd), ESOCKTNOSUPPORT);
	return pass();
}
