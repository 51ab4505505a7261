/*
 * What the benchmark does not measure, as it is no time an operation or needs more than a round: lines "NAME VALUE" on standard
 * output.
 *
 *   grow children N MIB    a process that has touched MIB MiB forks N children, none of which writes: bytes that each costs
 *                          (free memory before and after, of /proc/meminfo), ns of the first and of the last forks, ns that the
 *                          exit and wait of each takes
 *   grow beside MIB N C    a process with MIB MiB touched, N mappings that do not merge, and C children that sleep: what one operation
 *                          of each kind (figure_name) takes it, in ns
 *   grow rested N          a process that sleeps, and then stores to N pages for the first time: ns of each, and how many of their frames
 *                          an idle hart had cleared ahead (all of rounds that follow a first one)
 *   grow chain N           N forks, each by the child of the one before, whose parent exits: the same in the first and in the last
 *                          process, and ns of the first and of the last forks
 *
 * All on the first hart it may use, and under --icount, so ns are instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
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
#define AREA   (128 * PAGE)
#define TABLE  ((size_t)2 << 20) /* of which a leaf table has the pages */
#define SAMPLE 32		 /* calls that make a figure */

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

/* The number behind a name in a file of /proc. */
static uint64_t number_in(const char *file, const char *name)
{
	char text[4096];
	const char *at;
	ssize_t got;
	int fd = open(file, O_RDONLY);

	if (fd < 0)
		fail(file);
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	at = strstr(text, name);
	if (!at)
		fail(name);
	return strtoull(at + strlen(name), NULL, 10);
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

static void make_sleepers(unsigned count)
{
	pid_t *pids = calloc(count, sizeof(*pids));
	uint64_t *ns = calloc(count, sizeof(*ns));
	int fds[2];

	if (!pids || !ns || pipe(fds) != 0)
		fail("pipe");
	make_children(count, fds, pids, ns);
	usleep(100000);
}

/* Sorts them. In a few of many the clock's tick lets others run. */
static double median(uint64_t *values, unsigned count)
{
	unsigned i, j;

	for (i = 1; i < count; i++) {
		uint64_t value = values[i];

		for (j = i; j > 0 && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
	return (double)values[count / 2];
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
	before = number_in("/proc/meminfo", "MemFree:") * 1024;
	make_children(count, fds, pids, ns);
	usleep(100000); /* they run up to where they sleep */
	say("bytes_each", ((double)before - (double)number_in("/proc/meminfo", "MemFree:") * 1024) / count);
	say("fork_first", median(ns, few));
	say("fork_last", median(ns + count - few, few));
	say("cycle_beside", cycles(SAMPLE));
	close(fds[1]);
	start = now();
	for (i = 0; i < count; i++) {
		if (waitpid(pids[i], NULL, 0) != pids[i])
			fail("waitpid");
	}
	say("exit_wait_each", (double)(now() - start) / count);
}

enum figure {
	NULL_SYSCALL,
	ZERO_FILL,
	ZERO_READ,
	COW_COPY,
	COW_REUSE,
	MPROTECT,
	MUNMAP,
	MAP_TOUCH_UNMAP,
	FILE_SHARED_FAULT,
	FILE_PRIVATE_COW,
	FORK_CALL,
	FORK_EXIT_WAIT,
	FIGURES
};

/* In the order above. */
static const char *const figure_name[FIGURES] = { "null_syscall",     "zero_fill",	 "zero_read",
						  "cow_copy",	      "cow_reuse",	 "mprotect",
						  "munmap",	      "map_touch_unmap", "file_shared_fault",
						  "file_private_cow", "fork_call",	 "fork_exit_wait" };

/* Of one leaf table: of two halves at most one has a boundary in it. */
static char *area(char **whole)
{
	char *base = *whole = map(2 * AREA, PROT_READ | PROT_WRITE);
	uintptr_t last = (uintptr_t)base + AREA - 1;

	return (uintptr_t)base / TABLE == last / TABLE ? base : base + AREA;
}

static double touched(char *base, bool writes)
{
	uint64_t start = now();
	size_t at;

	for (at = 0; at < AREA; at += PAGE) {
		if (writes)
			*(volatile uint64_t *)(base + at) = at;
		else
			(void)*(volatile uint64_t *)(base + at);
	}
	return (double)(now() - start) / (double)(AREA / PAGE);
}

static double unmapped(char *base)
{
	uint64_t start = now();

	munmap(base, AREA);
	return (double)(now() - start) / (double)(AREA / PAGE);
}

static double null_syscalls(void)
{
	uint64_t start = now();
	unsigned i;

	for (i = 0; i < SAMPLE; i++)
		getppid();
	return (double)(now() - start) / SAMPLE;
}

static double protect_pairs(char *page)
{
	uint64_t start = now();
	unsigned i;

	for (i = 0; i < SAMPLE; i++) {
		mprotect(page, PAGE, PROT_READ);
		mprotect(page, PAGE, PROT_READ | PROT_WRITE);
		*(volatile uint64_t *)page = i;
	}
	return (double)(now() - start) / SAMPLE;
}

static double map_touch_unmaps(void)
{
	uint64_t start = now();
	unsigned i;

	for (i = 0; i < SAMPLE; i++) {
		char *page = map(PAGE, PROT_READ | PROT_WRITE);

		*(volatile uint64_t *)page = i;
		munmap(page, PAGE);
	}
	return (double)(now() - start) / SAMPLE;
}

/* A child that has all the pages until it is let go of. */
static pid_t hold(int *release)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe(fds) != 0)
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	close(fds[0]);
	*release = fds[1];
	return pid;
}

static void let_go(pid_t pid, int release)
{
	close(release);
	if (waitpid(pid, NULL, 0) != pid)
		fail("waitpid");
}

static void of_memory(double *figures)
{
	char *whole, *base = area(&whole);
	int release;
	pid_t pid;

	figures[ZERO_READ] = touched(base, false);
	munmap(whole, 2 * AREA);
	base = area(&whole);
	figures[ZERO_FILL] = touched(base, true);
	pid = hold(&release);
	*(volatile uint64_t *)base = 0; /* its table is copied for that */
	figures[COW_COPY] = touched(base, true);
	let_go(pid, release);
	pid = hold(&release);
	*(volatile uint64_t *)base = 0;
	let_go(pid, release);
	figures[COW_REUSE] = touched(base, true);
	figures[MPROTECT] = protect_pairs(base);
	figures[MUNMAP] = unmapped(base);
	munmap(whole, 2 * AREA);
	figures[MAP_TOUCH_UNMAP] = map_touch_unmaps();
}

static double of_file(int fd, int flags)
{
	char *base = mmap(NULL, AREA, PROT_READ | PROT_WRITE, flags, fd, 0);
	double each;

	if (base == MAP_FAILED)
		fail("mmap");
	each = touched(base, true);
	munmap(base, AREA);
	return each;
}

static void of_files(double *figures)
{
	int fd = memfd_create("grow", 0);

	if (fd < 0 || ftruncate(fd, AREA) != 0)
		fail("memfd");
	of_file(fd, MAP_SHARED);
	figures[FILE_SHARED_FAULT] = of_file(fd, MAP_SHARED);
	figures[FILE_PRIVATE_COW] = of_file(fd, MAP_PRIVATE);
	close(fd);
}

static double fork_calls(void)
{
	uint64_t taken = 0;
	unsigned i;

	for (i = 0; i < SAMPLE; i++) {
		uint64_t start = now();
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		taken += now() - start;
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			fail("fork");
	}
	return (double)taken / SAMPLE;
}

/* Twice: what is made at first and kept is there then. */
static void measure(double *figures)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		figures[NULL_SYSCALL] = null_syscalls();
		of_memory(figures);
		of_files(figures);
		figures[FORK_CALL] = fork_calls();
		figures[FORK_EXIT_WAIT] = cycles(SAMPLE);
	}
}

static void say_all(const char *prefix, const double *figures)
{
	unsigned i;

	for (i = 0; i < FIGURES; i++) {
		printf("%s", prefix);
		say(figure_name[i], figures[i]);
	}
}

/* Neighbours differ in what they allow, so they stay mappings of their own. */
static void beside(unsigned mib, unsigned mappings, unsigned children)
{
	double figures[FIGURES];
	unsigned i;

	if (mib)
		touch(map((size_t)mib << 20, PROT_READ | PROT_WRITE), (size_t)mib << 20);
	for (i = 0; i < mappings; i++)
		map(PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
	if (children)
		make_sleepers(children);
	measure(figures);
	say_all("", figures);
}

/* The child of each goes on; what is measured, in the first and in the last, is in memory that they all share. */
static void chain(unsigned count)
{
	struct {
		double first[FIGURES], last[FIGURES];
		uint64_t ns[];
	} *seen = mmap(NULL, sizeof(*seen) + count * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned i, few = count < SAMPLE ? count : SAMPLE;
	size_t bytes = (size_t)4 << 20;
	pid_t first;

	if (seen == MAP_FAILED)
		fail("mmap");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	touch(map(bytes, PROT_READ | PROT_WRITE), bytes);
	first = fork();
	if (first == 0)
		measure(seen->first);
	for (i = 0; first == 0 && i < count; i++) {
		uint64_t start = now();
		pid_t pid = fork();

		if (pid < 0)
			_exit(1);
		if (pid > 0) {
			seen->ns[i] = now() - start;
			_exit(0);
		}
	}
	if (first == 0) {
		measure(seen->last);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	say_all("first_", seen->first);
	say_all("", seen->last);
	say("chain_fork_first", median(seen->ns, few));
	say("chain_fork", median(seen->ns + count - few, few));
}

/* The page tables are there already. */
static void rested(unsigned count)
{
	size_t bytes = count * PAGE;
	char *base = map(bytes, PROT_READ | PROT_WRITE);
	uint64_t before, start;

	touch(base, bytes);
	madvise(base, bytes, MADV_DONTNEED);
	usleep(100000);
	before = number_in("/proc/corral/counters", "cleared_uses");
	start = now();
	touch(base, bytes);
	say("store", (double)(now() - start) / count);
	say("cleared_uses", (double)(number_in("/proc/corral/counters", "cleared_uses") - before));
}

static void pin(void)
{
	cpu_set_t set;
	int i = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		fail("sched_getaffinity");
	while (!CPU_ISSET(i, &set))
		i++;
	CPU_ZERO(&set);
	CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("sched_setaffinity");
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	pin();
	if (count > 0 && argc == 4 && strcmp(argv[1], "children") == 0)
		children(count, (unsigned)atoi(argv[3]));
	else if (argc == 5 && strcmp(argv[1], "beside") == 0)
		beside(count, (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
	else if (count > 0 && argc == 3 && strcmp(argv[1], "rested") == 0)
		rested(count);
	else if (count > 0 && argc == 3 && strcmp(argv[1], "chain") == 0)
		chain(count);
	else
		return 2;
	return 0;
}
