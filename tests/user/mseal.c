/*
 * mseal: what it refuses, whole and in part, on memory that was touched and that was not, private and shared; what it leaves
 * alone; that it is inherited; threads that seal while others unmap: sealed memory never goes.
 */
#include "check.h"

#define R PROT_READ
#define W PROT_WRITE

static long seal(void *at, size_t bytes)
{
	return syscall(462, at, bytes, 0UL);
}

static void arguments(void)
{
	char *p = map_anon(8 * PAGE);

	CHECK_ERR(syscall(462, p, PAGE, 1UL), EINVAL);
	CHECK_ERR(seal(p + 1, PAGE), EINVAL);
	CHECK_ERR(seal(p, -1UL), EINVAL);
	CHECK_ERR(seal(p, -PAGE), EINVAL);
	CHECK_EQ(seal(p, 0), 0);
	CHECK(munmap(p + 4 * PAGE, PAGE) == 0);
	CHECK_ERR(seal(p, 8 * PAGE), ENOMEM);
	CHECK_ERR(seal(p + 4 * PAGE, PAGE), ENOMEM);
	CHECK_ERR(seal(p, 1UL << 50), ENOMEM);
	/* Nothing was sealed by what failed. */
	CHECK(munmap(p, 8 * PAGE) == 0);
}

/* [at, at + 4 pages) is sealed; what lies around it is not. */
static void is_sealed(char *at, bool writable)
{
	char *spare = map_anon(8 * PAGE);

	CHECK_ERR(munmap(at, 4 * PAGE), EPERM);
	CHECK_ERR(munmap(at + PAGE, PAGE), EPERM);
	CHECK_ERR(munmap(at - PAGE, 2 * PAGE), EPERM);
	CHECK_EQ(probe_read(at - PAGE), 0);
	CHECK_ERR(mprotect(at + PAGE, PAGE, writable ? R : R | W), EPERM);
	CHECK_ERR(mprotect(at - PAGE, 6 * PAGE, writable ? R : R | W), EPERM);
	CHECK(mmap(at + PAGE, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mremap(at, 4 * PAGE, 2 * PAGE, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM);
	CHECK(mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare) == MAP_FAILED && errno == EPERM);
	CHECK(mremap(spare, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED && errno == EPERM);
	CHECK_EQ(mlock(at, 4 * PAGE), 0);
	CHECK_EQ(munlock(at, 4 * PAGE), 0);
	CHECK_EQ(madvise(at, 4 * PAGE, MADV_WILLNEED), 0);
	CHECK_EQ(seal(at, 4 * PAGE), 0);
	CHECK_EQ(probe_read(at), 0);
	CHECK_EQ(probe_write(at, 1), writable ? 0 : SEGV_ACCERR);
	CHECK(munmap(spare, 8 * PAGE) == 0);
}

static char *area(int flags, bool touched)
{
	char *p = mmap(NULL, 8 * PAGE, R | W, MAP_ANONYMOUS | flags, -1, 0);

	CHECK(p != MAP_FAILED);
	if (touched)
		pages_write(p, 8 * PAGE, 5);
	return p + 2 * PAGE;
}

static void seals(int flags)
{
	for (int touched = 0; touched < 2; touched++) {
		char *at = area(flags, touched);

		CHECK_EQ(seal(at, 4 * PAGE), 0);
		is_sealed(at, true);
		/* Writable: its contents may go. */
		CHECK_EQ(madvise(at, 4 * PAGE, MADV_DONTNEED), 0);
		CHECK_EQ(mprotect(at - 2 * PAGE, 2 * PAGE, R), 0);
		CHECK(munmap(at - 2 * PAGE, 2 * PAGE) == 0 && munmap(at + 4 * PAGE, 2 * PAGE) == 0);
	}
}

static void read_only(void)
{
	char *at = area(MAP_PRIVATE, true), *shared = area(MAP_SHARED, true);

	CHECK(mprotect(at, 4 * PAGE, R) == 0 && mprotect(shared, 4 * PAGE, R) == 0);
	CHECK(seal(at, 4 * PAGE) == 0 && seal(shared, 4 * PAGE) == 0);
	is_sealed(at, false);
	is_sealed(shared, false);
	CHECK_EQ(madvise(shared, 4 * PAGE, MADV_DONTNEED), 0);
	CHECK_ERR(madvise(at, PAGE, MADV_DONTNEED), EPERM);
	CHECK_ERR(madvise(at, PAGE, MADV_FREE), EPERM);
	CHECK_ERR(madvise(at, PAGE, MADV_DONTFORK), EPERM);
	CHECK_ERR(madvise(at, PAGE, MADV_WIPEONFORK), EPERM);
	CHECK_EQ(madvise(at, PAGE, MADV_DOFORK), 0);
	CHECK(at[0] != 0 && at[2 * PAGE] != 0);
	/* What lies before it is discarded all the same. */
	CHECK_ERR(madvise(at - PAGE, 6 * PAGE, MADV_DONTNEED), EPERM);
	pages_verify_zero(at - PAGE, PAGE);
	CHECK(at[3 * PAGE] != 0 && at[4 * PAGE] != 0);
}

static void inherited(void)
{
	char *at = area(MAP_PRIVATE, true), *shared = area(MAP_SHARED, false);
	pid_t pid;

	CHECK(seal(at, 4 * PAGE) == 0 && seal(shared, 4 * PAGE) == 0);
	pid = child_fork();
	if (pid == 0) {
		is_sealed(at, true);
		is_sealed(shared, true);
		at = area(MAP_PRIVATE, false);
		CHECK(munmap(at, PAGE) == 0);
		_exit(0);
	}
	child_wait(pid);
	is_sealed(at, true);
	is_sealed(shared, true);
}

/* The first page can be mapped, by root, and sealed. */
static void page_zero(void)
{
	void *volatile at = NULL;
	pid_t pid = child_fork();

	if (pid == 0) {
		at = mmap(at, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		CHECK(at == NULL);
		CHECK_EQ(seal(at, PAGE), 0);
		CHECK_ERR(mprotect(at, PAGE, R), EPERM);
		CHECK_EQ(probe_read(at), SEGV_ACCERR);
		_exit(0);
	}
	child_wait(pid);
}

/* The heap does not shrink over it, and grows on. */
static void heap(void)
{
	char *end = sbrk(4 * PAGE);

	CHECK(end != (void *)-1);
	end = (char *)(((uintptr_t)end + PAGE - 1) & ~(PAGE - 1));
	CHECK_EQ(seal(end + PAGE, PAGE), 0);
	CHECK((char *)syscall(SYS_brk, end) > end);
	CHECK_EQ(probe_read(end + PAGE), 0);
	CHECK(sbrk(PAGE) != (void *)-1);
}

/* Threads seal pages of one area while others unmap, protect and discard: a page whose sealing succeeded stays as it was. */
#define AREA_PAGES 700

static char *ground;
static _Atomic int sealed[AREA_PAGES];
static _Atomic int stop;

static void *harm(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!stop) {
		unsigned page = (unsigned)(random_next(&seed) % AREA_PAGES);
		bool was = sealed[page];
		char *at = ground + page * PAGE;
		int error = 0;

		switch (random_next(&seed) % 3) {
		case 0:
			error = munmap(at, PAGE);
			break;
		case 1:
			error = mprotect(at, PAGE, PROT_NONE);
			break;
		default:
			error = mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED;
		}
		CHECK(!was || error != 0);
	}
	return NULL;
}

/* How many pages were still there to be sealed: none, if the others were so much quicker. */
static unsigned at_once(void)
{
	pthread_t threads[3];
	unsigned kept = 0;

	memset((void *)sealed, 0, sizeof(sealed));
	stop = 0;
	ground = map_anon(AREA_PAGES * PAGE);
	pages_write(ground, AREA_PAGES * PAGE, 9);
	for (uintptr_t i = 0; i < COUNT(threads); i++)
		threads[i] = thread_start(harm, (void *)(i + 3));
	for (unsigned page = 0; page < AREA_PAGES; page++) {
		long result = seal(ground + page * PAGE, PAGE);

		CHECK(result == 0 || errno == ENOMEM);
		if (result == 0)
			sealed[page] = 1;
	}
	usleep(20000);
	stop = 1;
	for (unsigned i = 0; i < COUNT(threads); i++)
		thread_join(threads[i]);
	for (unsigned page = 0; page < AREA_PAGES; page++) {
		char *at = ground + page * PAGE;

		if (!sealed[page] || probe_read(at) != 0)
			continue;
		kept++;
		CHECK_ERR(munmap(at, PAGE), EPERM);
	}
	return kept;
}

int main(void)
{
	unsigned kept = 0;

	probe_init();
	arguments();
	seals(MAP_PRIVATE);
	seals(MAP_SHARED);
	read_only();
	inherited();
	heap();
	page_zero();
	for (unsigned round = 0; round < 100 && kept == 0; round++)
		kept = at_once();
	CHECK(kept > 0);
	return pass();
}
