/* What mmap refuses and with which errno, where it places mappings, and what MAP_FIXED and its relatives do. */
#include "check.h"

#include <fcntl.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static bool fails(void *at, size_t bytes, int flags, int fd, long offset, int error)
{
	errno = 0;
	return mmap(at, bytes, RW, flags, fd, offset) == MAP_FAILED && errno == error;
}

static void refused(char *at)
{
	CHECK(fails(NULL, 0, ANON, -1, 0, EINVAL));
	CHECK(fails(at + 1, PAGE, ANON | MAP_FIXED, -1, 0, EINVAL));
	CHECK(fails(NULL, PAGE, MAP_ANONYMOUS, -1, 0, EINVAL));
	CHECK(fails(NULL, PAGE, MAP_PRIVATE, -1, 0, EBADF));
	CHECK(fails(NULL, PAGE, MAP_PRIVATE, 999, 0, EBADF));
	CHECK(fails(NULL, ~0UL, ANON, -1, 0, ENOMEM));
	CHECK(fails(NULL, 1UL << 60, ANON, -1, 0, ENOMEM));
	CHECK(fails((void *)(~0UL & ~(PAGE - 1)), PAGE, ANON | MAP_FIXED, -1, 0, ENOMEM));
	CHECK(fails((void *)0xffffffc080200000UL, PAGE, ANON | MAP_FIXED, -1, 0, ENOMEM));
	CHECK(fails(at, PAGE, ANON | MAP_FIXED_NOREPLACE, -1, 0, EEXIST));
	CHECK(fails(at - PAGE, 2 * PAGE, ANON | MAP_FIXED_NOREPLACE, -1, 0, EEXIST));
	CHECK_EQ(at[0], 'd');
}

static void placed(void)
{
	char *free_range = map_anon(16 * PAGE);
	char *got;

	CHECK(munmap(free_range, 16 * PAGE) == 0);
	got = mmap(free_range, PAGE, RW, ANON, -1, 0);
	CHECK(got == free_range);
	CHECK(mmap(free_range, PAGE, RW, ANON, -1, 0) != got);
	got = mmap(free_range + 4 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(got == free_range + 4 * PAGE);
	got[0] = 1;
	got[PAGE] = 2;
	got = mmap(free_range + 3 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	CHECK(got == free_range + 3 * PAGE);
	CHECK_EQ(got[PAGE], 0);
	CHECK_EQ(got[2 * PAGE], 2);
	got = mmap(NULL, 3 * PAGE + 5, RW, ANON, -1, 0);
	CHECK(got != MAP_FAILED && (uintptr_t)got % PAGE == 0);
	CHECK_EQ(probe_write(got + 4 * PAGE - 1, 1), 0);
	CHECK_EQ(probe_write(mmap((void *)4096, PAGE, RW, ANON, -1, 0), 1), 0);
}

static void no_overlap(void)
{
	enum { RANGES = 200 };
	static char *at[RANGES];
	uint64_t random = 12345;

	for (unsigned i = 0; i < RANGES; i++) {
		size_t bytes = (1 + random_next(&random) % 40) * PAGE;

		at[i] = map_anon(bytes);
		pages_verify_zero(at[i], PAGE);
		*(uint64_t *)at[i] = i + 1;
		*(uint64_t *)(at[i] + bytes - 8) += i + 1;
	}
	for (unsigned i = 0; i < RANGES; i++)
		CHECK(*(uint64_t *)at[i] == i + 1 || *(uint64_t *)at[i] == 2 * (i + 1));
}

static void of_file(const char *name)
{
	int fd = open(name, O_RDONLY);
	char *map;
	char first[4 + PAGE];

	CHECK(fd >= 0);
	CHECK(fails(NULL, PAGE, MAP_PRIVATE, fd, 1, EINVAL));
	CHECK(fails(NULL, PAGE, MAP_SHARED, fd, 0, EACCES));
	map = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, PAGE);
	CHECK(map != MAP_FAILED);
	CHECK_EQ(pread(fd, first, sizeof(first), PAGE), sizeof(first));
	CHECK(memcmp(map, first, sizeof(first)) == 0);
	map[0] ^= 1;
	CHECK_EQ(pread(fd, first + 1, 1, PAGE), 1);
	CHECK_EQ(first[1], first[0]);
	CHECK(close(fd) == 0);
	CHECK(memcmp(map + 1, first + 1, 0) == 0);
	CHECK_EQ((char)(map[0] ^ 1), first[0]);
}

static void past_the_end(const char *name)
{
	int fd = open(name, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);
	size_t whole = ((size_t)size + PAGE - 1) & ~(PAGE - 1);
	char *map = mmap(NULL, whole + 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	CHECK(map != MAP_FAILED && size > 0);
	for (size_t i = (size_t)size; i < whole; i++)
		CHECK_EQ(map[i], 0);
	CHECK_EQ(probe_read(map + whole), BUS_ADRERR);
	CHECK_EQ(probe_signal, SIGBUS);
	CHECK(probe_address == map + whole);
	CHECK(close(fd) == 0);
}

int main(void)
{
	char *at = map_anon(PAGE);

	probe_init();
	at[0] = 'd';
	refused(at);
	placed();
	no_overlap();
	of_file(self_path());
	past_the_end(self_path());
	return pass();
}
