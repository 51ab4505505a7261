/* MAP_DROPPABLE: pages that go when they are paged out; what it may not be combined with; fork wipes it. */
#include "check.h"

#include <fcntl.h>

#define DROPPABLE 8
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static char *map(int flags)
{
	return mmap(NULL, 600 * PAGE, PROT_READ | PROT_WRITE, DROPPABLE | flags, -1, 0);
}

static void dropped(char *at, size_t bytes)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		CHECK_EQ(madvise(at, bytes, MADV_PAGEOUT), 0);
		if (memchr(at, 'A', bytes) == NULL)
			return;
		usleep(50000);
	}
	CHECK(!"pages stay");
}

int main(void)
{
	char *at = map(MAP_ANONYMOUS), *other = map_anon(4 * PAGE);
	int fd = open(self_path(), O_RDONLY);
	pid_t pid;

	CHECK(at != MAP_FAILED);
	CHECK_ERR(map(0), EBADF);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, DROPPABLE, fd, 0), EINVAL);
	CHECK_ERR(map(MAP_ANONYMOUS | MAP_LOCKED), EINVAL);
	CHECK_ERR(map(MAP_ANONYMOUS | MAP_HUGETLB), EINVAL);
	CHECK_ERR(map(MAP_ANONYMOUS | MAP_GROWSDOWN), EINVAL);
	memset(at, 'A', 600 * PAGE);
	memset(other, 'A', 4 * PAGE);
	CHECK(memchr(at, 0, 600 * PAGE) == NULL);
	dropped(at + PAGE, 3 * PAGE);
	CHECK(at[0] == 'A' && at[4 * PAGE] == 'A');
	dropped(at, 600 * PAGE);
	CHECK_EQ(madvise(other, 4 * PAGE, MADV_PAGEOUT), 0);
	CHECK(memchr(other, 0, 4 * PAGE) == NULL);

	/* The child has it empty, whatever is said. */
	memset(at, 'A', 600 * PAGE);
	CHECK_ERR(madvise(at, 600 * PAGE, MADV_KEEPONFORK), EINVAL);
	CHECK_ERR(madvise(at, 600 * PAGE, MADV_DODUMP), EINVAL);
	CHECK_EQ(madvise(at, 600 * PAGE, MADV_DONTDUMP), 0);
	CHECK_EQ(madvise(at, 600 * PAGE, MADV_WIPEONFORK), 0);
	CHECK_EQ(madvise(at, PAGE, MADV_DONTFORK), 0);
	CHECK_EQ(madvise(at, PAGE, MADV_DOFORK), 0);
	pid = child_fork();
	if (pid == 0) {
		pages_verify_zero(at, 600 * PAGE);
		memset(at, 'A', 600 * PAGE);
		dropped(at, 600 * PAGE);
		_exit(0);
	}
	child_wait(pid);
	CHECK(memchr(at, 0, 600 * PAGE) == NULL);
	CHECK_EQ(mlock(at, PAGE), 0);
	dropped(at, 600 * PAGE);
	CHECK(munmap(at + 9 * PAGE, PAGE) == 0);
	CHECK_ERR(madvise(at, 600 * PAGE, MADV_PAGEOUT), ENOMEM);
	CHECK(munmap(at, 600 * PAGE) == 0);
	CHECK_ERR(madvise(at, PAGE, MADV_PAGEOUT), ENOMEM);
	return pass();
}
