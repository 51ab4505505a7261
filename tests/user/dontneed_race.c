/*
 * The shape of CVE-2016-5195: writes race with MADV_DONTNEED on private pages, by the program and by the kernel on
 * its behalf. A write reaches this process's own copy or is thrown away with it; it never reaches the frame that
 * another process or the file holds, nor a page that is read-only.
 */
#include "check.h"

#include <fcntl.h>

enum { ROUNDS = 3000 };

static char *page, *readonly, *file;
static char file_first;
static int ends[2];
static atomic_bool stop;

static void *discards(void *arg)
{
	while (!atomic_load(&stop)) {
		CHECK(madvise(page, PAGE, MADV_DONTNEED) == 0);
		CHECK(madvise(readonly, PAGE, MADV_DONTNEED) == 0);
		CHECK(madvise(file, PAGE, MADV_DONTNEED) == 0);
	}
	return arg;
}

static void *stores(void *arg)
{
	while (!atomic_load(&stop)) {
		volatile char *at = page + 8;

		at[0] = 'w';
		CHECK(at[0] == 'w' || at[0] == 0);
		file[0] = 'w';
	}
	return arg;
}

static void race(void)
{
	pthread_t threads[2] = { thread_start(discards, NULL), thread_start(stores, NULL) };

	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(write(ends[1], "kk", 2), 2);
		CHECK_EQ(read(ends[0], page + 16, 1), 1);
		CHECK_ERR(read(ends[0], readonly, 1), EFAULT);
		CHECK(page[16] == 'k' || page[16] == 0);
		CHECK_EQ(readonly[0], 0);
		CHECK_EQ(read(ends[0], file + 1, 1), 1);
	}
	atomic_store(&stop, true);
	thread_join(threads[0]);
	thread_join(threads[1]);
}

int main(void)
{
	char *untouched;
	int fd;

	CHECK(pipe(ends) == 0);
	page = map_anon(PAGE);
	readonly = map_anon(PAGE);
	memset(page, 'p', PAGE);
	CHECK(mprotect(readonly, PAGE, PROT_READ) == 0);
	fd = open(self_path(), O_RDONLY);
	CHECK(fd >= 0);
	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	untouched = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(file != MAP_FAILED && untouched != MAP_FAILED);
	file_first = untouched[0];

	/* The child races; the frames it shares with us must not change. */
	pid_t pid = child_fork();
	if (pid == 0) {
		race();
		_exit(0);
	}
	child_wait(pid);
	for (unsigned i = 0; i < PAGE; i++)
		CHECK_EQ(page[i], 'p');
	pages_verify_zero(readonly, PAGE);
	CHECK_EQ(untouched[0], file_first);
	CHECK_EQ(untouched[1], 'E');
	CHECK_EQ(file[0], file_first);
	race();
	CHECK(madvise(file, PAGE, MADV_DONTNEED) == 0);
	CHECK_EQ(file[0], file_first);
	CHECK_EQ(untouched[0], file_first);
	return pass();
}
