/*
 * 64 GiB of reserved addresses cost next to nothing, and any page of them can be used, protected, forked and
 * unmapped.
 */
#include "check.h"

static const size_t places[] = { 0, 1, 7 * GIB + 3 * MIB, 8 * GIB - 1, 8 * GIB, 31 * GIB + PAGE, 64 * GIB - 1 };

static void verify(const char *at, char value)
{
	for (unsigned i = 2; i < COUNT(places); i++)
		CHECK_EQ(at[places[i]], (char)(value + (char)i));
}

static void child(void *arg)
{
	char *at = arg;

	verify(at, 1);
	for (unsigned i = 0; i < COUNT(places); i++)
		at[places[i]] = (char)(50 + i);
	CHECK(munmap(at + 16 * GIB, 8 * GIB) == 0);
	verify(at, 50);
}

int main(void)
{
	char *at = mmap(NULL, 64 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(at != MAP_FAILED);
	probe_init();
	for (unsigned i = 0; i < COUNT(places); i++) {
		CHECK_EQ(at[places[i]], 0);
		at[places[i]] = (char)(1 + i);
	}
	child_run(child, at);
	verify(at, 1);
	CHECK(mprotect(at + 4 * GIB, 8 * GIB, PROT_READ) == 0);
	verify(at, 1);
	CHECK_EQ(probe_write(at + 8 * GIB, 1), SEGV_ACCERR);
	CHECK_EQ(probe_write(at + 11 * GIB + 77, 1), SEGV_ACCERR);
	CHECK_EQ(probe_write(at + 12 * GIB, 1), 0);
	CHECK(mprotect(at + 4 * GIB, 8 * GIB, PROT_READ | PROT_WRITE) == 0);
	CHECK(madvise(at, 64 * GIB, MADV_DONTNEED) == 0);
	for (unsigned i = 0; i < COUNT(places); i++)
		CHECK_EQ(at[places[i]], 0);
	CHECK(munmap(at + GIB, 62 * GIB) == 0);
	CHECK_EQ(probe_read(at + GIB), SEGV_MAPERR);
	CHECK_EQ(probe_read(at + GIB - 1), 0);
	CHECK_EQ(probe_read(at + 63 * GIB), 0);
	CHECK(munmap(at, 64 * GIB) == 0);
	for (int i = 0; i < 300; i++) {
		at = mmap(NULL, 64 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		CHECK(at != MAP_FAILED);
		CHECK(munmap(at, 64 * GIB) == 0);
	}
	return pass();
}
