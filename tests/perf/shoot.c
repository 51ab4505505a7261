/*
 * Which harts a change of the page tables asks: shoot HARTS. In each case HARTS - 1 other threads, each on its hart, do something with
 * the memory, and then spin or sleep while the first changes it. Prints "CASE OPERATIONS IPIS FENCES", the last two being
 * what /proc/corral/counters says was sent for all operations: interrupts, and fences on other harts by whatever way.
 *
 * The memory is 64 ranges of 2 MiB at most, so that no two operations share a leaf table.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_HARTS  8
#define PAGE	   ((size_t)4096)
#define RANGE	   ((size_t)2 << 20)
#define OPERATIONS 16
#define BASE	   ((char *)0x2000000000)
#define SPINS	   (1u << 14)

struct job {
	const char *name;
	size_t bytes;  /* of each operation's range that is used */
	bool sleeping; /* the others, while it is measured */
	bool forked;   /* a child holds the memory; ended: until it is measured */
	bool ended;
	void (*before)(void);		   /* by the first, after the others have done theirs */
	void (*other)(unsigned operation); /* by each of the others, for each range, before */
	void (*step)(unsigned operation);  /* by the first: measured */
};

static struct {
	unsigned harts;
	int cpu[MAX_HARTS];
	const struct job *job;
	size_t bytes;
	_Alignas(64)
		atomic_uint generation; /* counts up when the others are to do their part; a futex where they sleep */
	_Alignas(64) atomic_uint done;
	bool sleeping, over;
} shoot;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "shoot: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void pin(unsigned hart)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(shoot.cpu[hart], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("sched_setaffinity");
}

static char *range(unsigned operation)
{
	return BASE + operation * RANGE;
}

static void store(unsigned operation)
{
	size_t at;

	for (at = 0; at < shoot.bytes; at += PAGE)
		*(volatile uint64_t *)(range(operation) + at) = at + 1;
}

static void load(unsigned operation)
{
	size_t at;

	for (at = 0; at < shoot.bytes; at += PAGE)
		(void)*(volatile uint64_t *)(range(operation) + at);
}

static void unmap(unsigned operation)
{
	munmap(range(operation), shoot.bytes);
}

static void protect(unsigned operation)
{
	mprotect(range(operation), shoot.bytes, PROT_READ);
}

static void allow(unsigned operation)
{
	mprotect(range(operation), shoot.bytes, PROT_READ | PROT_WRITE);
}

/* The first has used all on the second hart. */
static void migrate(void)
{
	unsigned i;

	pin(1);
	for (i = 0; i < OPERATIONS; i++)
		store(i);
	pin(0);
}

/* Whatever the others hold they lose: a range larger than any kernel flushes page by page. */
static void flush_all(void)
{
	char *far = BASE - (RANGE << 3);

	if (mmap(far, 4 * RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != far)
		fail("mmap");
	memset(far, 1, 4 * RANGE);
	munmap(far, 4 * RANGE);
}

static void protect_all(void)
{
	unsigned i;

	for (i = 0; i < OPERATIONS; i++)
		protect(i);
}

static const struct job jobs[] = {
	{ .name = "own_range/1", .bytes = PAGE, .step = unmap },
	{ .name = "own_range/512", .bytes = RANGE, .step = unmap },
	{ .name = "used_spinning/1", .bytes = PAGE, .other = load, .step = unmap },
	{ .name = "used_spinning/512", .bytes = RANGE, .other = load, .step = unmap },
	{ .name = "used_sleeping/512", .bytes = RANGE, .other = load, .sleeping = true, .step = unmap },
	{ .name = "after_migration/512", .bytes = RANGE, .sleeping = true, .before = migrate, .step = unmap },
	{ .name = "after_full_flush/512", .bytes = RANGE, .other = load, .before = flush_all, .step = unmap },
	{ .name = "protect_used/512", .bytes = RANGE, .other = load, .step = protect },
	{ .name = "allow_used/512", .bytes = RANGE, .other = load, .before = protect_all, .step = allow },
	{ .name = "cow_copy_own", .bytes = PAGE, .forked = true, .step = store },
	{ .name = "cow_copy_used", .bytes = PAGE, .forked = true, .other = load, .step = store },
	{ .name = "cow_reuse_used", .bytes = PAGE, .forked = true, .ended = true, .other = load, .step = store },
	{ .name = "zero_fill", .bytes = PAGE, .before = flush_all, .step = store },
};

static void wait_for_generation(unsigned value)
{
	unsigned spins = 0;

	/* Acquire: pairs with the release in let_others. */
	while (atomic_load_explicit(&shoot.generation, memory_order_acquire) != value) {
		if (shoot.sleeping)
			syscall(SYS_futex, &shoot.generation, FUTEX_WAIT_PRIVATE, value - 1, NULL, NULL, 0);
		else if (++spins % SPINS == 0)
			sched_yield();
	}
}

static void *other_main(void *argument)
{
	unsigned generation = 0, i;

	pin((unsigned)(uintptr_t)argument);
	for (;;) {
		wait_for_generation(++generation);
		if (shoot.over)
			return NULL;
		for (i = 0; shoot.job->other && i < OPERATIONS; i++)
			shoot.job->other(i);
		/* Release: pairs with the acquire in let_others. */
		atomic_fetch_add_explicit(&shoot.done, 1, memory_order_release);
	}
}

/* The others do their part; then they spin, or sleep. */
static void let_others(void)
{
	/* Relaxed: the release publishes it. */
	atomic_store_explicit(&shoot.done, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&shoot.generation, 1, memory_order_release);
	syscall(SYS_futex, &shoot.generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	while (atomic_load_explicit(&shoot.done, memory_order_acquire) != shoot.harts - 1)
		sched_yield();
	if (shoot.sleeping)
		usleep(50000); /* they have nothing to say when they sleep */
}

static void counted(unsigned long *ipis, unsigned long *fences)
{
	static const char *const names[] = { "ipis ", "remote_fences " };
	unsigned long *values[] = { ipis, fences };
	char text[8192];
	int fd = open("/proc/corral/counters", O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, text + 1, sizeof(text) - 2);
	unsigned i;

	if (got <= 0)
		fail("/proc/corral/counters");
	close(fd);
	text[0] = '\n';
	text[got + 1] = '\0';
	for (i = 0; i < 2; i++) {
		char line[32] = "\n";
		const char *at = strstr(text, strcat(line, names[i]));

		if (!at)
			fail(names[i]);
		*values[i] = strtoul(at + strlen(line), NULL, 10);
	}
}

static pid_t hold(int *release)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe(fds) != 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	if (pid < 0)
		fail("fork");
	close(fds[0]);
	*release = fds[1];
	usleep(50000);
	return pid;
}

static void run(const struct job *job)
{
	unsigned long ipis[2], fences[2];
	int release = -1;
	pid_t pid = 0;
	unsigned i;

	if (mmap(BASE, OPERATIONS * RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    BASE)
		fail("mmap");
	shoot.job = job;
	shoot.bytes = job->bytes;
	for (i = 0; i < OPERATIONS && job->step != store; i++)
		store(i);
	for (i = 0; i < OPERATIONS && job->forked; i++)
		store(i);
	if (job->forked)
		pid = hold(&release);
	if (job->ended) {
		close(release);
		waitpid(pid, NULL, 0);
	}
	shoot.sleeping = job->sleeping;
	let_others();
	if (job->before)
		job->before();
	counted(&ipis[0], &fences[0]);
	for (i = 0; i < OPERATIONS; i++)
		job->step(i);
	counted(&ipis[1], &fences[1]);
	printf("%s %u %lu %lu\n", job->name, OPERATIONS, ipis[1] - ipis[0], fences[1] - fences[0]);
	if (job->forked && !job->ended) {
		close(release);
		waitpid(pid, NULL, 0);
	}
	munmap(BASE, OPERATIONS * RANGE);
}

int main(int argc, char **argv)
{
	unsigned most = argc > 1 ? (unsigned)atoi(argv[1]) : MAX_HARTS;
	pthread_t thread[MAX_HARTS];
	cpu_set_t set;
	unsigned i;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		fail("sched_getaffinity");
	for (i = 0; i < CPU_SETSIZE && shoot.harts < most && shoot.harts < MAX_HARTS; i++) {
		if (CPU_ISSET(i, &set))
			shoot.cpu[shoot.harts++] = (int)i;
	}
	if (shoot.harts < 2) {
		fprintf(stderr, "shoot: needs 2 harts at least, and finds %u\n", shoot.harts);
		return 2;
	}
	pin(0);
	for (i = 1; i < shoot.harts; i++) {
		if (pthread_create(&thread[i], NULL, other_main, (void *)(uintptr_t)i) != 0)
			fail("pthread_create");
	}
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		run(&jobs[i]);
	shoot.over = true;
	atomic_fetch_add_explicit(&shoot.generation, 1, memory_order_release);
	syscall(SYS_futex, &shoot.generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	for (i = 1; i < shoot.harts; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
