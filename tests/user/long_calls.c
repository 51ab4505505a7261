/*
 * Calls that take long in the kernel: who sleeps meanwhile wakes in time, also where there is one hart, and can kill the
 * caller.
 */
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "check.h"

#define PIECES 1024
#define LATE   5000000000ULL

static _Noreturn void read_much(const char *path)
{
	struct iovec piece[PIECES];
	char *at = map_anon(MIB);
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	for (int i = 0; i < PIECES; i++)
		piece[i] = (struct iovec){ at, MIB };
	for (;;)
		CHECK(readv(fd, piece, PIECES) > 0);
}

static void nothing(int signo)
{
	(void)signo;
}

/* Signals end such a read with what it has. */
static void read_until_alarm(void)
{
	struct sigaction action = { .sa_handler = nothing };
	struct itimerval soon = { { 0, 0 }, { 0, 50000 } };
	struct iovec piece[PIECES];
	char *at = map_anon(MIB);
	int fd = open("/dev/urandom", O_RDONLY);
	uint64_t start = now_ns();
	ssize_t n;

	for (int i = 0; i < PIECES; i++)
		piece[i] = (struct iovec){ at, MIB };
	CHECK(fd >= 0 && sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	n = readv(fd, piece, PIECES);
	CHECK(n > 0 && n < (ssize_t)(PIECES * MIB));
	CHECK(now_ns() - start < LATE);
	CHECK(close(fd) == 0 && munmap(at, MIB) == 0);
}

static _Noreturn void send_much(void)
{
	int from = open("/dev/zero", O_RDONLY), to = open("/dev/null", O_WRONLY);

	CHECK(from >= 0 && to >= 0);
	for (;;)
		CHECK(sendfile(to, from, NULL, GIB) > 0);
}

static _Noreturn void write_much(void)
{
	struct iovec piece[PIECES];
	char *at = map_anon(MIB);
	int fd = open("/tmp/long", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	for (int i = 0; i < PIECES; i++)
		piece[i] = (struct iovec){ at, MIB };
	/* Over and over the same MiB. */
	for (;;)
		for (int i = 0; i < PIECES; i++)
			CHECK(pwritev(fd, piece, 4, 0) > 0);
}

static _Noreturn void call_long(int which)
{
	switch (which) {
	case 0:
		read_much("/dev/urandom");
	case 1:
		read_much("/dev/zero");
	case 2:
		send_much();
	default:
		write_much();
	}
}

int main(void)
{
	(void)!mkdir("/tmp", 0777);
	read_until_alarm();
	for (int i = 0; i < 8; i++) {
		pid_t pid = child_fork();
		uint64_t start = now_ns();

		if (pid == 0)
			call_long(i % 4);
		for (int k = 0; k < 3; k++)
			usleep(20000);
		CHECK(kill(pid, SIGKILL) == 0);
		CHECK_EQ(child_status(pid), SIGKILL);
		CHECK(now_ns() - start < LATE);
	}
	unlink("/tmp/long");
	return pass();
}
