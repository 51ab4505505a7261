/*
 * What the kernel writes into and reads from memory on a program's behalf follows the rules of the program's own
 * access: copy-on-write is broken (and only for the one who asked), zero pages become real ones, permissions hold,
 * addresses of the kernel and beyond are EFAULT, and ranges may cross pages and tables.
 */
#include "check.h"

#include <sys/uio.h>

static int ends[2];

static void into_cow(void *arg)
{
	char *page = arg;

	CHECK_EQ(write(ends[1], "child", 5), 5);
	CHECK_EQ(read(ends[0], page + PAGE - 2, 5), 5);
	CHECK(memcmp(page + PAGE - 2, "child", 5) == 0);
	CHECK_EQ(page[0], 'p');
	CHECK_EQ(page[2 * PAGE - 1], 'p');
}

static void cow(void)
{
	char *page = map_anon(2 * PAGE);

	memset(page, 'p', 2 * PAGE);
	child_run(into_cow, page);
	for (unsigned i = 0; i < 2 * PAGE; i++)
		CHECK_EQ(page[i], 'p');
	pid_t pid = child_fork();
	if (pid == 0) {
		char token;

		CHECK_EQ(read(ends[0], &token, 1), 1);
		for (unsigned i = 0; i < 2 * PAGE; i++)
			CHECK_EQ(page[i], 'p');
		_exit(0);
	}
	CHECK_EQ(write(ends[1], "pa", 2), 2);
	pid_t reader = child_fork();
	if (reader == 0) {
		CHECK_EQ(read(ends[0], page + 7, 1), 1);
		_exit(page[7] == 'p' || page[7] == 'a' ? 0 : 1);
	}
	child_wait(pid);
	child_wait(reader);
}

static void zero_and_crossing(void)
{
	char *at = map_aligned(4 * MIB, 2 * MIB);
	char *across = at + 2 * MIB - 3;

	CHECK_EQ(at[2 * MIB], 0);
	CHECK_EQ(write(ends[1], "abcdefgh", 8), 8);
	CHECK_EQ(read(ends[0], across, 8), 8);
	CHECK(memcmp(across, "abcdefgh", 8) == 0);
	CHECK_EQ(across[-1], 0);
	CHECK_EQ(across[8], 0);
	CHECK_EQ(write(ends[1], at + MIB, 100), 100);
	CHECK_EQ(read(ends[0], at, 100), 100);
	pages_verify_zero(at, PAGE);
}

static void permissions(void)
{
	char *at = map_anon(4 * PAGE);
	struct iovec parts[2] = { { at, 3 }, { at + PAGE, 3 } };

	memset(at, 'x', 4 * PAGE);
	CHECK(mprotect(at, PAGE, PROT_READ) == 0);
	CHECK_EQ(write(ends[1], at, 4), 4);
	CHECK_ERR(read(ends[0], at, 4), EFAULT);
	CHECK_EQ(at[0], 'x');
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, at), EFAULT);
	CHECK_EQ(read(ends[0], at + PAGE, 4), 4);
	CHECK(mprotect(at, PAGE, PROT_NONE) == 0);
	CHECK_ERR(write(ends[1], at, 4), EFAULT);
	CHECK_EQ(write(ends[1], at + PAGE, 0), 0);
	CHECK(munmap(at + 3 * PAGE, PAGE) == 0);
	CHECK_ERR(write(ends[1], at + 3 * PAGE, 1), EFAULT);
	CHECK_ERR(syscall(SYS_write, ends[1], 0, 1), EFAULT);
	CHECK_ERR(syscall(SYS_write, ends[1], 8, 1), EFAULT);
	parts[0].iov_base = at + PAGE;
	parts[1].iov_base = at + 2 * PAGE;
	CHECK_EQ(writev(ends[1], parts, 2), 6);
	CHECK_EQ(read(ends[0], at + 2 * PAGE, 6), 6);
	CHECK(memcmp(at + 2 * PAGE, "xxxxxx", 6) == 0);
}

/* The child that is told to fill a page which is copy-on-write and another thread unmaps sees EFAULT or data, no more. */
static atomic_bool stop;
static char *racing;

static void *remapper(void *arg)
{
	while (!atomic_load(&stop)) {
		CHECK(munmap(racing, PAGE) == 0);
		CHECK(mmap(racing, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		      racing);
	}
	return arg;
}

static void race(void)
{
	pthread_t thread;
	unsigned good = 0;

	racing = map_anon(PAGE);
	thread = thread_start(remapper, NULL);
	/* Many times, and until one has met the page: the other thread may not have run yet. */
	for (int i = 0; i < 2000 || (good == 0 && i < 50000000); i++) {
		struct timespec *time = (struct timespec *)(racing + 16);

		/* The raw call: the vDSO of a Linux would write itself. */
		if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, time) == 0)
			good++;
		else
			CHECK_EQ(errno, EFAULT);
	}
	atomic_store(&stop, true);
	thread_join(thread);
	CHECK(good > 0);
}

int main(void)
{
	CHECK(pipe(ends) == 0);
	cow();
	zero_and_crossing();
	permissions();
	race();
	return pass();
}
