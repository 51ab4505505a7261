/*
 * Runs a program while memory is short: beside FILE PROGRAM [ARG...]. Meanwhile two processes go through FILE, which should be longer
 * than memory, again and again: one reads it by call, one through a mapping, in which it makes every eighth page dirty. The
 * status is the program's. test_cache.py makes the disks.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

static void read_on(int fd)
{
	static char buffer[64 * 1024];

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 || (n == 0 && lseek(fd, 0, SEEK_SET) != 0))
			_exit(3);
	}
}

static void map_on(int fd, uint64_t bytes)
{
	volatile uint64_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t sum = 0;

	if (at == MAP_FAILED)
		_exit(3);
	for (;;) {
		for (uint64_t i = 0; i < bytes / PAGE; i++) {
			sum += at[i * PAGE / 8];
			if (i % 8 == 0)
				at[i * PAGE / 8] = sum;
		}
	}
}

int main(int argc, char **argv)
{
	int fd = argc < 3 ? -1 : open(argv[1], O_RDWR), status = 0;
	pid_t stream[2], program;
	off_t bytes;

	if (fd < 0)
		return 2;
	bytes = lseek(fd, 0, SEEK_END);
	if (lseek(fd, 0, SEEK_SET) != 0)
		return 2;
	for (int i = 0; i < 2; i++) {
		stream[i] = fork();
		if (stream[i] == 0 && i == 0)
			read_on(fd);
		if (stream[i] == 0)
			map_on(fd, (uint64_t)bytes);
	}
	program = fork();
	if (program == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (waitpid(program, &status, 0) != program)
		return 2;
	for (int i = 0; i < 2; i++) {
		int end;

		/* One that ended before has found something. */
		if (kill(stream[i], SIGKILL) != 0 || waitpid(stream[i], &end, 0) != stream[i] || !WIFSIGNALED(end) ||
		    WTERMSIG(end) != SIGKILL)
			return 3;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
