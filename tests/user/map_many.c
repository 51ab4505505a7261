/* How many mappings of files a process can have is limited: then ENOMEM; it can still fork, cut the file off, unmap and map again. */
#include "check.h"

#define MOST (2UL << 20)

int main(void)
{
	int fd = memfd_create("many", 0);
	char *last = MAP_FAILED;
	unsigned long n;
	pid_t child;

	CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
	for (n = 0; n < MOST; n++) {
		/* Every other one differs, so that none is part of its neighbour. */
		char *at = mmap(NULL, PAGE, PROT_READ, n % 2 == 0 ? MAP_SHARED : MAP_PRIVATE, fd, 0);

		if (at == MAP_FAILED)
			break;
		last = at;
	}
	CHECK(n < MOST && n > 10000 && errno == ENOMEM);
	CHECK_EQ(*last, 0);
	child = fork();
	if (child == 0)
		_exit(*last);
	CHECK(child > 0);
	child_wait(child);
	CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, PAGE) == 0);
	CHECK_EQ(*last, 0);
	CHECK(munmap(last, PAGE) == 0);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	puts("ok");
	return 0;
}
