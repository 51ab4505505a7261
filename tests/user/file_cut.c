/*
 * Truncation and holes under mappings: SIGBUS behind the end, zeros after growing again, private copies included; and the same against
 * threads that fault, children, unmapping and remapping (CVE-2022-39188).
 */
#include "check.h"

#include <fcntl.h>

#define PAGES	64
#define HALF	(PAGES / 2)
#define THREADS 4

static __thread sigjmp_buf on_bus;
static __thread volatile sig_atomic_t expecting;
static atomic_bool stop;

static void bus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!expecting || sig != SIGBUS || info->si_code != BUS_ADRERR)
		check_say("a SIGBUS that nobody expects\n");
	siglongjmp(on_bus, 1);
}

/* 0: SIGBUS; 1: read or written. */
static int access_word(volatile long *at, long value, long *out)
{
	expecting = 1;
	if (sigsetjmp(on_bus, 1) != 0) {
		expecting = 0;
		return 0;
	}
	if (value != 0)
		*at = value;
	else
		*out = *at;
	expecting = 0;
	return 1;
}

static long *page(void *base, unsigned i)
{
	return (long *)((char *)base + i * PAGE);
}

static void one_thread(void)
{
	int fd = memfd_create("cut", 0);
	long *shared, *private, value = -1;

	CHECK(fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0);
	shared = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	for (unsigned i = 0; i < PAGES; i++) {
		*page(shared, i) = i + 1;
		if (i % 2 == 0)
			*page(private, i) = 1000 + i;
		CHECK_EQ(*page(private, i), i % 2 == 0 ? 1000 + i : i + 1);
	}
	CHECK(ftruncate(fd, HALF * PAGE + 8) == 0);
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(access_word(page(shared, i), 0, &value), i <= HALF);
		CHECK_EQ(access_word(page(private, i), i + 1, NULL), i <= HALF);
	}
	CHECK_ERR(write(fd, page(shared, PAGES - 1), 8), EFAULT);
	CHECK(ftruncate(fd, PAGES * PAGE) == 0);
	for (unsigned i = HALF + 1; i < PAGES; i++)
		CHECK(*page(shared, i) == 0 && *page(private, i) == 0);
	/* Holes. No private copies are left. */
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(ftruncate(fd, PAGES * PAGE) == 0);
	for (unsigned i = 0; i < PAGES; i++)
		memset(page(shared, i), 5, PAGE);
	*page(private, 20) = 9;
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 * PAGE + 100, 20 * PAGE) == 0);
	CHECK_EQ(lseek(fd, 10 * PAGE, SEEK_HOLE), 11 * PAGE);
	CHECK_EQ(lseek(fd, 12 * PAGE, SEEK_DATA), 30 * PAGE);
	CHECK(((char *)page(shared, 10))[99] == 5 && ((char *)page(shared, 10))[100] == 0);
	CHECK(*page(shared, 11) == 0 && *page(shared, 29) == 0 && *page(private, 20) == 9 && *page(private, 21) == 0);
	CHECK(((char *)page(shared, 30))[99] == 0 && ((char *)page(shared, 30))[100] == 5);
	CHECK_EQ(lseek(fd, 0, SEEK_END), PAGES * PAGE);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), EOPNOTSUPP);
	munmap(shared, PAGES * PAGE);
	munmap(private, PAGES * PAGE);
	close(fd);
}

struct work {
	int fd;
	unsigned seed;
	long *shared;
};

/* The lower half is never cut: this thread's words are there as it left them. */
static void *toucher(void *arg)
{
	struct work *work = arg;
	unsigned own = work->seed % THREADS + 1;
	long known[HALF] = { 0 };

	while (!atomic_load(&stop)) {
		unsigned i = (unsigned)rand_r(&work->seed) % PAGES;
		long value = rand_r(&work->seed) % 2 ? rand_r(&work->seed) | 1 : 0, seen = 0;
		int there = access_word(page(work->shared, i) + 8 * own, value, &seen);

		CHECK(there || i >= HALF);
		if (i < HALF && value != 0)
			known[i] = value;
		else if (i < HALF)
			CHECK_EQ(seen, known[i]);
	}
	return NULL;
}

static void *mapper(void *arg)
{
	struct work *work = arg;

	while (!atomic_load(&stop)) {
		int flags = rand_r(&work->seed) % 2 ? MAP_SHARED : MAP_PRIVATE;
		long *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, work->fd, 0), *to, seen;

		CHECK(at != MAP_FAILED);
		for (unsigned n = 0; n < 8; n++)
			access_word(page(at, (unsigned)rand_r(&work->seed) % PAGES), 0, &seen);
		to = mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE);
		CHECK(to != MAP_FAILED);
		for (unsigned n = 0; n < 8; n++)
			access_word(page(to, (unsigned)rand_r(&work->seed) % PAGES), flags == MAP_PRIVATE, &seen);
		munmap(to, PAGES * PAGE);
	}
	return NULL;
}

static void *forker(void *arg)
{
	struct work *work = arg;

	while (!atomic_load(&stop)) {
		pid_t child = fork();
		long seen;

		CHECK(child >= 0);
		if (child == 0) {
			for (unsigned i = 0; i < PAGES; i += 3)
				access_word(page(work->shared, i), 0, &seen);
			_exit(0);
		}
		CHECK(waitpid(child, NULL, 0) == child);
	}
	return NULL;
}

static void race(unsigned seed)
{
	void *(*const bodies[])(void *) = { toucher, toucher, toucher, mapper, forker };
	struct work work[COUNT(bodies)];
	pthread_t threads[COUNT(bodies)];
	int fd = memfd_create("race", 0);
	long *shared, seen;

	CHECK(fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0);
	shared = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED);
	for (unsigned i = 0; i < COUNT(bodies); i++) {
		work[i] = (struct work){ fd, i, shared };
		CHECK(pthread_create(&threads[i], NULL, bodies[i], &work[i]) == 0);
	}
	for (unsigned round = 0; round < 40; round++) {
		unsigned i = HALF + (unsigned)rand_r(&seed) % HALF;

		CHECK(access_word(page(shared, i), 1, &seen));
		if (round % 3 == 0) {
			CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HALF * PAGE, HALF * PAGE) == 0);
			CHECK(access_word(page(shared, i), 0, &seen) && seen == 0);
		}
		CHECK(ftruncate(fd, HALF * PAGE) == 0);
		CHECK(!access_word(page(shared, i), 0, &seen));
		CHECK(ftruncate(fd, PAGES * PAGE) == 0);
		CHECK(access_word(page(shared, i), 0, &seen) && seen == 0);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < COUNT(bodies); i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = bus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	one_thread();
	race(argc > 1 ? (unsigned)atoi(argv[1]) : 1);
	puts("ok");
	return 0;
}
