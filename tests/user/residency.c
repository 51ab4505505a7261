/* mincore, mlock and its family, msync, madvise's newer kinds, regions that grow down, RLIMIT_AS and RLIMIT_DATA. */
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static void in_core(void)
{
	char *at = map_anon(600 * PAGE);
	unsigned char vec[600];

	at[0] = 1;
	at[3 * PAGE] = 1;
	at[599 * PAGE] = 1;
	CHECK_EQ(mincore(at, 600 * PAGE, vec), 0);
	for (int i = 0; i < 600; i++)
		CHECK_EQ(vec[i] & 1, i == 0 || i == 3 || i == 599);
	CHECK_ERR(mincore(at + 1, PAGE, vec), EINVAL);
	CHECK_EQ(mincore(at, 0, vec), 0);
	CHECK_ERR(mincore(at, PAGE, (void *)8), EFAULT);
	CHECK_EQ(munmap(at + PAGE, PAGE), 0);
	CHECK_ERR(mincore(at, 3 * PAGE, vec), ENOMEM);
	CHECK_ERR(mincore(at, 1UL << 62, vec), ENOMEM);
}

static void locked(void)
{
	char *at = map_anon(8 * PAGE);
	unsigned char vec[8];

	CHECK_EQ(mlock(at + 100, 2 * PAGE), 0);
	CHECK_EQ(mincore(at, 8 * PAGE, vec), 0);
	CHECK_EQ(vec[0] & vec[1] & vec[2] & 1, 1);
	CHECK_EQ(vec[3] & 1, 0);
	CHECK_EQ(munlock(at, 8 * PAGE), 0);
	CHECK_EQ(munmap(at + 4 * PAGE, PAGE), 0);
	CHECK_ERR(mlock(at, 8 * PAGE), ENOMEM);
	CHECK_ERR(munlock(at, 8 * PAGE), ENOMEM);
	CHECK_EQ(mlock(at, 0), 0);
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(64), EINVAL);
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	CHECK_EQ(munlockall(), 0);
}

static void synced(void)
{
	char *at = map_anon(4 * PAGE);

	CHECK_EQ(msync(at, 4 * PAGE, MS_SYNC), 0);
	CHECK_EQ(msync(at, 0, MS_SYNC), 0);
	CHECK_ERR(msync(at + 1, PAGE, MS_SYNC), EINVAL);
	CHECK_ERR(msync(at, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(at, PAGE, 64), EINVAL);
	CHECK_EQ(munmap(at + PAGE, PAGE), 0);
	CHECK_ERR(msync(at, 4 * PAGE, MS_ASYNC), ENOMEM);
}

static void advised(void)
{
	char *at = map_anon(16 * PAGE);
	unsigned char vec[16];

	CHECK_EQ(madvise(at, 4 * PAGE, MADV_POPULATE_READ), 0);
	CHECK_EQ(madvise(at + 4 * PAGE, 4 * PAGE, MADV_POPULATE_WRITE), 0);
	CHECK_EQ(mincore(at, 16 * PAGE, vec), 0);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(vec[i] & 1, i < 8);
	pages_write(at, 16 * PAGE, 1);
	CHECK_EQ(madvise(at, 16 * PAGE, MADV_FREE), 0);
	at[0] = 'w';
	CHECK_EQ(at[0], 'w');
	CHECK_EQ(mprotect(at, PAGE, PROT_READ), 0);
	CHECK_ERR(madvise(at, PAGE, MADV_POPULATE_WRITE), EINVAL);
	CHECK_ERR(madvise(at, PAGE, 200), EINVAL);
	CHECK_EQ(munmap(at + PAGE, PAGE), 0);
	CHECK_ERR(madvise(at, 4 * PAGE, MADV_POPULATE_READ), ENOMEM);
	CHECK_ERR(madvise(at, 4 * PAGE, MADV_DONTNEED), ENOMEM);
}

static void grown(void)
{
	char *area = map_anon(1024 * PAGE), *at;

	CHECK_EQ(munmap(area, 1024 * PAGE), 0);
	at = mmap(area + 1000 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	CHECK(at == area + 1000 * PAGE);
	at[0] = 1;
	at[-1] = 2;
	CHECK_EQ(at[-PAGE], 0);
	for (int i = 1; i < 300; i++)
		at[-i * PAGE] = (char)i;
	for (int i = 1; i < 300; i++)
		CHECK_EQ(at[-i * PAGE], (char)i);
	/* Linux keeps 256 pages between it and what lies below. */
	CHECK(mmap(area + 400 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      area + 400 * PAGE);
	at = area + 658 * PAGE;
	*at = 1;
	CHECK_EQ(probe_write(area + 500 * PAGE, 1), SEGV_MAPERR);
}

static void limited(void)
{
	struct rlimit none, limit = { 512 << 20, RLIM_INFINITY };
	char *at;

	CHECK_EQ(getrlimit(RLIMIT_AS, &none), 0);
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	at = mmap(NULL, 1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(at == MAP_FAILED && errno == ENOMEM);
	at = map_anon(64 << 20);
	at[0] = 1;
	CHECK_ERR(mremap(at, 64 << 20, 1 << 30, MREMAP_MAYMOVE), ENOMEM);
	CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	CHECK_EQ(getrlimit(RLIMIT_DATA, &none), 0);
	limit.rlim_cur = 128 << 20;
	CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
	at = mmap(NULL, 256 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(at == MAP_FAILED && errno == ENOMEM);
	at = mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(at != MAP_FAILED);
	CHECK_EQ(setrlimit(RLIMIT_DATA, &none), 0);
}

int main(void)
{
	probe_init();
	in_core();
	locked();
	synced();
	advised();
	grown();
	limited();
	return pass();
}
