/* Open files that go from process to process in messages; credentials; and sockets that only messages hold any more. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static ssize_t send_files(int by, const int *fd, int count)
{
	char control[CMSG_SPACE(300 * sizeof(int))] = { 0 };
	struct iovec part = { "x", 1 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *message = (struct cmsghdr *)control;

	header.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(message), fd, (size_t)count * sizeof(int));
	return sendmsg(by, &header, 0);
}

/* How many came; room for so many. */
static int receive_files(int by, int *fd, int room, int flags, int *told)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	char text;
	struct iovec part = { &text, 1 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *message = (struct cmsghdr *)control;
	int count;

	header.msg_controllen = room == 0 ? 0 : CMSG_LEN((size_t)room * sizeof(int));
	CHECK(recvmsg(by, &header, flags) == 1);
	*told = header.msg_flags;
	if (header.msg_controllen == 0)
		return 0;
	CHECK(message->cmsg_level == SOL_SOCKET && message->cmsg_type == SCM_RIGHTS);
	count = (int)((message->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fd, CMSG_DATA(message), (size_t)count * sizeof(int));
	return count;
}

/* A pipe's end travels, and is the only one that is left. */
static void test_travel(int type)
{
	int pair[2], ends[2], got[4], told;
	char text[8];
	pid_t child;

	CHECK(socketpair(AF_UNIX, type, 0, pair) == 0 && pipe(ends) == 0);
	child = child_fork();
	if (child == 0) {
		close(ends[0]);
		close(ends[1]);
		CHECK(receive_files(pair[1], got, 4, MSG_CMSG_CLOEXEC, &told) == 1);
		CHECK((told & MSG_CTRUNC) == 0 && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
		CHECK(write(got[0], "through", 7) == 7);
		_exit(0);
	}
	CHECK(send_files(pair[0], &ends[1], 1) == 1 && close(ends[1]) == 0);
	child_wait(child);
	CHECK(read(ends[0], text, 8) == 7 && read(ends[0], text, 8) == 0);
	close(ends[0]);
	close(pair[0]);
	close(pair[1]);
}

static void test_room(int type)
{
	int pair[2], ends[2], sent[4], got[4], told;
	char text[4];

	CHECK(socketpair(AF_UNIX, type, 0, pair) == 0 && pipe2(ends, O_NONBLOCK) == 0);
	for (int i = 0; i < 4; i++)
		sent[i] = ends[1];
	CHECK(send_files(pair[0], sent, 4) == 1);
	CHECK(receive_files(pair[1], got, 2, 0, &told) == 2 && (told & MSG_CTRUNC) != 0);
	close(got[0]);
	close(got[1]);
	CHECK(send_files(pair[0], sent, 2) == 1);
	CHECK(receive_files(pair[1], got, 4, MSG_PEEK, &told) == 2 && told == 0);
	close(got[0]);
	close(got[1]);
	CHECK(receive_files(pair[1], got, 0, 0, &told) == 0 && (told & MSG_CTRUNC) != 0);
	CHECK(send_files(pair[0], sent, 1) == 1 && read(pair[1], text, 4) == 1); /* the file goes */
	CHECK(send_files(pair[0], sent, 1) == 1);
	close(pair[1]); /* with the file in its queue */
	close(pair[0]);
	close(ends[1]);
	CHECK(read(ends[0], text, 4) == 0); /* no writer is left anywhere */
	close(ends[0]);
}

static void test_errors(void)
{
	int pair[2], bad[300] = { -1 };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK_ERR(send_files(pair[0], bad, 1), EBADF);
	CHECK_ERR(send_files(pair[0], bad, 254), EINVAL);
	close(pair[0]);
	close(pair[1]);
}

static void test_stream_stops(void)
{
	int pair[2], got[4], told;
	char text[8];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(write(pair[0], "abc", 3) == 3 && send_files(pair[0], pair, 1) == 1 && write(pair[0], "def", 3) == 3);
	CHECK(recv(pair[1], text, 2, 0) == 2);
	/* What precedes the file may come with it; what follows does not. */
	CHECK(recv(pair[1], text, 8, MSG_WAITALL) == 2 && text[0] == 'c' && text[1] == 'x');
	CHECK(recv(pair[1], text, 8, 0) == 3);
	CHECK(send_files(pair[0], pair, 1) == 1 && receive_files(pair[1], got, 4, 0, &told) == 1);
	close(got[0]);
	close(pair[0]);
	close(pair[1]);
}

static void test_credentials(void)
{
	char control[CMSG_SPACE(sizeof(struct ucred))], text[4];
	struct iovec part = { text, 4 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *message = (struct cmsghdr *)control;
	struct ucred who;
	int pair[2], on = 1;

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 && write(pair[0], "x", 1) == 1);
	header.msg_controllen = sizeof(control);
	CHECK(recvmsg(pair[1], &header, 0) == 1 && message->cmsg_type == SCM_CREDENTIALS);
	memcpy(&who, CMSG_DATA(message), sizeof(who));
	CHECK(who.pid == getpid() && who.uid == getuid() && who.gid == getgid());
	header.msg_controllen = 0;
	CHECK(write(pair[0], "x", 1) == 1 && recvmsg(pair[1], &header, 0) == 1 && header.msg_flags == MSG_CTRUNC);
	close(pair[0]);
	close(pair[1]);
}

/* Pairs in each other's and their own queues, which nobody has any more; a pipe's end in one of them shows that they go. */
static void test_cycles(void)
{
	int a[2], b[2], ends[2], all[3];
	char text;

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, a) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, b) == 0);
	CHECK(pipe(ends) == 0);
	all[0] = a[0];
	all[1] = a[1];
	all[2] = ends[1];
	CHECK(send_files(b[0], all, 3) == 1);
	CHECK(send_files(a[0], b, 2) == 1);
	close(ends[1]);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	CHECK(read(ends[0], &text, 1) == 0); /* waits on Linux until its collector has run */
	close(ends[0]);
	for (int i = 0; i < 50; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a) == 0 && send_files(a[0], a, 2) == 1);
		close(a[0]);
		close(a[1]);
	}
}

/* A socket that holds the next one, and so on: all go at once. */
static void test_chain(void)
{
	int before[2], next[2];

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, before) == 0);
	for (int i = 0; i < 400; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, next) == 0);
		CHECK(send_files(next[0], before, 2) == 1);
		close(before[0]);
		close(before[1]);
		before[0] = next[0];
		before[1] = next[1];
	}
	close(before[0]);
	close(before[1]);
}

static void *churn(void *arg)
{
	const int *pair = arg;
	int got[4], told;

	for (int i = 0; i < 300; i++) {
		if (i % 2 == 0)
			CHECK(send_files(pair[0], pair, 2) == 1);
		else
			for (int n = receive_files(pair[1], got, 4, 0, &told); n > 0; n--)
				close(got[n - 1]);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[4];
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	for (size_t i = 0; i < COUNT(thread); i++)
		thread[i] = thread_start(churn, pair);
	for (size_t i = 0; i < COUNT(thread); i++)
		thread_join(thread[i]);
	for (int i = 0; i < 20; i++)
		CHECK(send_files(pair[0], pair, 2) == 1);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	test_errors();
	test_travel(SOCK_STREAM);
	test_travel(SOCK_DGRAM);
	test_room(SOCK_STREAM);
	test_room(SOCK_SEQPACKET);
	test_stream_stops();
	test_credentials();
	test_cycles();
	test_chain();
	test_threads();
	return pass();
}
