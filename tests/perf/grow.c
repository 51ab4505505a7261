/*
 * What the benchmark does not measure, as it is no time an operation or needs more than a round: lines "NAME VALUE" on standard
 * output.
 *
 *   grow children N MIB    a process that has touched MIB MiB forks N children, none of which writes: bytes that each costs
 *                          (free memory before and after, of /proc/meminfo), ns of the first and of the last forks, ns that the
 *                          exit and wait of each takes
 *   grow mappings N        a process with N mappings that do not merge: ns of a map, of the first store, of an unmap there; of a
 *                          fork with exit and wait
 *   grow chain N           N forks, each by the child of the one before, whose parent exits: ns of the first and of the last
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE   ((size_t)4096)
#define SAMPLE 32 /* calls whose mean is a figure */

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "grow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void say(const char *name, double value)
{
	printf("%s %.1f\n", name, value);
}

static uint64_t memory_free(void)
{
	char text[4096];
	const char *at;
	ssize_t got;
	int fd = open("/proc/meminfo", O_RDONLY);

	if (fd < 0)
		fail("/proc/meminfo");
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	at = strstr(text, "MemFree:");
	if (!at)
		fail("MemFree");
	return strtoull(at + strlen("MemFree:"), NULL, 10) * 1024;
}

static char *map(size_t bytes, int protection)
{
	char *base = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		fail("mmap");
	return base;
}

static void touch(char *base, size_t bytes)
{
	size_t at;

	for (at = 0; at < bytes; at += PAGE)
		*(volatile uint64_t *)(base + at) = at + 1;
}

static double cycles(unsigned count)
{
	uint64_t start = now();
	unsigned i;

	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			fail("fork");
	}
	return (double)(now() - start) / count;
}

/* Each sleeps until the pipe's last writer has gone; the time of each fork in ns is kept. */
static void make_children(unsigned count, const int *fds, pid_t *pids, uint64_t *ns)
{
	unsigned i;
	char byte;

	for (i = 0; i < count; i++) {
		uint64_t start = now();

		pids[i] = fork();
		if (pids[i] == 0) {
			close(fds[1]);
			_exit(read(fds[0], &byte, 1) != 0);
		}
		if (pids[i] < 0)
			fail("fork");
		ns[i] = now() - start;
	}
}

static double mean(const uint64_t *values, unsigned count)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < count; i++)
		sum += (double)values[i];
	return sum / count;
}

static void children(unsigned count, unsigned mib)
{
	size_t bytes = (size_t)mib << 20;
	pid_t *pids = calloc(count, sizeof(*pids));
	uint64_t *ns = calloc(count, sizeof(*ns));
	unsigned i, few = count < SAMPLE ? count : SAMPLE;
	uint64_t before, start;
	int fds[2];

	if (!pids || !ns || pipe(fds) != 0)
		fail("pipe");
	if (bytes)
		touch(map(bytes, PROT_READ | PROT_WRITE), bytes);
	memset(pids, 0, count * sizeof(*pids));
	memset(ns, 0, count * sizeof(*ns));
	cycles(SAMPLE);
	before = memory_free();
	make_children(count, fds, pids, ns);
	usleep(100000); /* they run up to where they sleep */
	say("bytes_each", ((double)before - (double)memory_free()) / count);
	say("fork_first", mean(ns, few));
	say("fork_last", mean(ns + count - few, few));
	say("cycle_beside", cycles(SAMPLE));
	close(fds[1]);
	start = now();
	for (i = 0; i < count; i++) {
		if (waitpid(pids[i], NULL, 0) != pids[i])
			fail("waitpid");
	}
	say("exit_wait_each", (double)(now() - start) / count);
}

/* Neighbours differ in what they allow, so they stay mappings of their own. */
static void mappings(unsigned count)
{
	static char *last[SAMPLE];
	uint64_t start;
	unsigned i;

	for (i = 0; i < count; i++)
		map(PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
	start = now();
	for (i = 0; i < SAMPLE; i++)
		last[i] = map(PAGE, i % 2 ? PROT_READ | PROT_WRITE | PROT_EXEC : PROT_READ | PROT_WRITE);
	say("map", (double)(now() - start) / SAMPLE);
	start = now();
	for (i = 0; i < SAMPLE; i++)
		touch(last[i], PAGE);
	say("store", (double)(now() - start) / SAMPLE);
	start = now();
	for (i = 0; i < SAMPLE; i++)
		munmap(last[i], PAGE);
	say("unmap", (double)(now() - start) / SAMPLE);
	say("fork_exit_wait", cycles(4));
}

/* The child of each goes on; what each fork took is in memory that they all share. */
static void chain(unsigned count)
{
	uint64_t *ns = mmap(NULL, count * sizeof(*ns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned i, few = count < SAMPLE ? count : SAMPLE;
	size_t bytes = (size_t)4 << 20;
	pid_t first;

	if (ns == MAP_FAILED)
		fail("mmap");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	touch(map(bytes, PROT_READ | PROT_WRITE), bytes);
	first = fork();
	for (i = 0; first == 0 && i < count; i++) {
		uint64_t start = now();
		pid_t pid = fork();

		if (pid < 0)
			_exit(1);
		if (pid > 0) {
			ns[i] = now() - start;
			_exit(0);
		}
	}
	if (first == 0)
		_exit(0);
	while (wait(NULL) > 0)
		;
	say("fork_first", mean(ns, few));
	say("fork_last", mean(ns + count - few, few));
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	if (count > 0 && argc == 4 && strcmp(argv[1], "children") == 0)
		children(count, (unsigned)atoi(argv[3]));
	else if (count > 0 && argc == 3 && strcmp(argv[1], "mappings") == 0)
		mappings(count);
	else if (count > 0 && argc == 3 && strcmp(argv[1], "chain") == 0)
		chain(count);
	else
		return 2;
	return 0;
}
