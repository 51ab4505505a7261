/* Pipes: order, blocking, end of file, EPIPE and SIGPIPE, whole small writes from many writers, large transfers. */
#include "check.h"

#include <fcntl.h>
#include <limits.h>

static void large_transfer(void)
{
	enum { BYTES = 600000 };
	static unsigned char buffer[70001];
	size_t done = 0;
	int ends[2];
	pid_t pid;

	CHECK(pipe(ends) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(close(ends[0]) == 0);
		while (done < BYTES) {
			size_t part = BYTES - done < sizeof(buffer) ? BYTES - done : sizeof(buffer);

			for (size_t i = 0; i < part; i++)
				buffer[i] = (unsigned char)((done + i) * 7 >> 3);
			CHECK_EQ(write(ends[1], buffer, part), part);
			done += part;
		}
		_exit(0);
	}
	CHECK(close(ends[1]) == 0);
	for (;;) {
		ssize_t got = read(ends[0], buffer, 1 + done % 9000);

		CHECK(got >= 0);
		if (got == 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			CHECK_EQ(buffer[i], (unsigned char)((done + (size_t)i) * 7 >> 3));
		done += (size_t)got;
	}
	CHECK_EQ(done, BYTES);
	child_wait(pid);
	CHECK(close(ends[0]) == 0);
}

/* Writes of up to PIPE_BUF bytes are not mixed. */
static void many_writers(void)
{
	enum { WRITERS = 5, MESSAGES = 60 };
	unsigned next[WRITERS] = { 0 };
	struct message {
		unsigned writer, number;
		char fill[500];
	} message;
	pid_t pids[WRITERS];
	int ends[2];

	CHECK(pipe(ends) == 0);
	for (unsigned w = 0; w < WRITERS; w++) {
		pids[w] = child_fork();
		if (pids[w] == 0) {
			for (unsigned i = 0; i < MESSAGES; i++) {
				message.writer = w;
				message.number = i;
				memset(message.fill, (int)(w * 16 + i % 16), sizeof(message.fill));
				CHECK_EQ(write(ends[1], &message, sizeof(message)), sizeof(message));
			}
			_exit(0);
		}
	}
	CHECK(close(ends[1]) == 0);
	for (unsigned i = 0; i < WRITERS * MESSAGES; i++) {
		for (size_t done = 0; done < sizeof(message);) {
			ssize_t got = read(ends[0], (char *)&message + done, sizeof(message) - done);

			CHECK(got > 0);
			done += (size_t)got;
		}
		CHECK(message.writer < WRITERS);
		CHECK_EQ(message.number, next[message.writer]++);
		for (unsigned b = 0; b < sizeof(message.fill); b++)
			CHECK_EQ(message.fill[b], (char)(message.writer * 16 + message.number % 16));
	}
	CHECK_EQ(read(ends[0], &message, 1), 0);
	for (unsigned w = 0; w < WRITERS; w++)
		child_wait(pids[w]);
	CHECK(close(ends[0]) == 0);
}

static void writes_to_nobody(void *arg)
{
	CHECK(write(*(int *)arg, "x", 1) != 1);
}

static void broken(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	CHECK(close(ends[0]) == 0);
	child_dies(writes_to_nobody, &ends[1], SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(ends[1], "x", 1), EPIPE);
	signal(SIGPIPE, SIG_DFL);
	CHECK(close(ends[1]) == 0);
}

static void nonblocking(void)
{
	static char fill[PAGE];
	int ends[2];
	size_t total = 0, back = 0;
	ssize_t put, got;

	CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
	CHECK_ERR(read(ends[0], fill, 1), EAGAIN);
	while ((put = write(ends[1], fill, sizeof(fill))) > 0)
		total += (size_t)put;
	CHECK_EQ(errno, EAGAIN);
	CHECK(total >= PIPE_BUF);
	CHECK_ERR(write(ends[1], fill, 100), EAGAIN);
	while ((got = read(ends[0], fill, 3333)) > 0)
		back += (size_t)got;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(back, total);
	CHECK_ERR(pipe2(ends, 0x7f000000), EINVAL);
	CHECK_ERR(lseek(ends[0], 0, SEEK_SET), ESPIPE);
	CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* Readers asleep are woken by data, and by the last writer's going. */
static void *sleeper(void *arg)
{
	char byte = 0;
	ssize_t got = read(*(int *)arg, &byte, 1);

	CHECK(got == 0 || (got == 1 && byte == 'w'));
	return (void *)(intptr_t)got;
}

static void wakes(void)
{
	pthread_t threads[4];
	int ends[2], total = 0;

	CHECK(pipe(ends) == 0);
	for (unsigned i = 0; i < 4; i++)
		threads[i] = thread_start(sleeper, &ends[0]);
	usleep(2000);
	CHECK_EQ(write(ends[1], "ww", 2), 2);
	usleep(2000);
	CHECK(close(ends[1]) == 0);
	for (unsigned i = 0; i < 4; i++)
		total += (int)(intptr_t)thread_join(threads[i]);
	CHECK_EQ(total, 2);
}

int main(void)
{
	large_transfer();
	many_writers();
	broken();
	nonblocking();
	wakes();
	return pass();
}
