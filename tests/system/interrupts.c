/*
 * What waiting for disks costs, and where their interrupts come; test_interrupts.py judges. interrupts MODE NUMBER DEVICE...
 *
 *   idle NUMBER DEVICE...   NUMBER blocks (of 4096) are read from each disk, past the cache, one at a time
 *   busy NUMBER DEVICE...   the same, while a process computes on each hart
 *   many NUMBER DEVICE...   NUMBER processes read 20 times 64 blocks from each disk, past the cache
 *   beside NUMBER DEVICE    a process computes while another reads as in idle: "reader MICROSECONDS counter PERMILLE": the
 *                           processor's time that the reader took, and how much of all time the other had
 *
 * Then, but for beside: /proc/interrupts, /proc/corral/disks, /proc/diskstats, each behind a line "== path".
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define MANY  64

static uint8_t buffer[MANY * BLOCK] __attribute__((aligned(BLOCK)));

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_blocks(const char *path, long blocks, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		fail(path);
	for (long i = 0; i < blocks; i++)
		if (pread(fd, buffer, bytes, i % 32 * (long)bytes) != (ssize_t)bytes)
			fail("pread");
	close(fd);
}

static void read_all(char **paths, long blocks)
{
	for (; *paths != NULL; paths++)
		read_blocks(*paths, blocks, BLOCK);
}

/* Until it is killed. */
static pid_t compute(long hart)
{
	pid_t child = fork();
	cpu_set_t set;

	if (child != 0)
		return child;
	CPU_ZERO(&set);
	CPU_SET((size_t)hart, &set);
	if (hart >= 0 && sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("sched_setaffinity");
	for (volatile uint64_t n = 0;; n++)
		;
}

static void busy(char **paths, long blocks)
{
	long harts = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t child[64];

	for (long i = 0; i < harts; i++)
		child[i] = compute(i);
	read_all(paths, blocks);
	for (long i = 0; i < harts; i++)
		if (kill(child[i], SIGKILL) != 0 || waitpid(child[i], NULL, 0) != child[i])
			fail("kill");
}

static void many(char **paths, long processes)
{
	int status, bad = 0;

	for (long i = 0; i < processes; i++)
		if (fork() == 0) {
			for (char **path = paths; *path != NULL; path++)
				read_blocks(*path, 20, sizeof(buffer));
			exit(0);
		}
	while (wait(&status) > 0)
		bad |= status;
	if (bad != 0)
		exit(1);
}

static int64_t microseconds(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec * INT64_C(1000000) + at.tv_nsec / 1000;
}

static void beside(const char *path, long blocks)
{
	int64_t began = microseconds(CLOCK_MONOTONIC), own = microseconds(CLOCK_PROCESS_CPUTIME_ID), took;
	pid_t child = compute(-1);
	struct rusage usage;

	read_blocks(path, blocks, BLOCK);
	took = microseconds(CLOCK_MONOTONIC) - began;
	kill(child, SIGKILL);
	if (wait4(child, NULL, 0, &usage) != child)
		fail("wait4");
	printf("reader %ld counter %ld\n", (long)(microseconds(CLOCK_PROCESS_CPUTIME_ID) - own),
	       (long)((usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec) * 1000 / took));
}

static void show(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];

	if (file == NULL)
		fail(path);
	printf("== %s\n", path);
	while (fgets(line, sizeof(line), file) != NULL)
		fputs(line, stdout);
	fclose(file);
}

int main(int argc, char **argv)
{
	long number = argc > 3 ? atol(argv[2]) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc <= 3)
		return 2;
	if (strcmp(argv[1], "beside") == 0) {
		beside(argv[3], number);
		return 0;
	}
	if (strcmp(argv[1], "idle") == 0)
		read_all(argv + 3, number);
	else if (strcmp(argv[1], "busy") == 0)
		busy(argv + 3, number);
	else
		many(argv + 3, number);
	show("/proc/interrupts");
	show("/proc/corral/disks");
	show("/proc/diskstats");
	return 0;
}
