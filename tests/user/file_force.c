/*
 * /proc/self/mem gets at pages of files that are not in memory: shared ones, private ones to be written, and some that the program
 * itself may not touch. And what sendfile writes to a file is there.
 *
 *	file_force [DIRECTORY]
 */
#include "check.h"

#include <fcntl.h>
#include <sys/sendfile.h>

#define PAGES 16UL
#define BYTES (PAGES * PAGE)

static int fd, mem;

static char *map(int perm, int flags)
{
	char *at = mmap(NULL, BYTES, perm, flags, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void forget(void)
{
	CHECK(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
}

static void force(const volatile char *at)
{
	char nine = 9;

	forget();
	CHECK_EQ(pwrite(mem, &nine, 1, (off_t)at), 1);
}

static void expect(const volatile char *at, char value)
{
	char got = 0;

	forget();
	CHECK_EQ(pread(mem, &got, 1, (off_t)at), 1);
	CHECK_EQ(got, value);
}

static void by_sendfile(const char *directory)
{
	static char bytes[BYTES];
	char path[200];
	off_t from = 0;
	int src;

	snprintf(path, sizeof(path), "%s/force.src", directory);
	src = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	memset(bytes, 5, BYTES);
	CHECK(src >= 0 && unlink(path) == 0 && write(src, bytes, BYTES) == (ssize_t)BYTES &&
	      lseek(fd, 0, SEEK_SET) == 0);
	forget();
	CHECK_EQ(sendfile(fd, src, &from, BYTES), BYTES);
	forget();
	CHECK(pread(fd, bytes, BYTES, 0) == (ssize_t)BYTES);
	for (size_t i = 0; i < BYTES; i++)
		CHECK_EQ(bytes[i], 5);
	close(src);
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : "/tmp";
	static char bytes[BYTES];
	char path[200], *shared, *private, *fixed, *none;

	snprintf(path, sizeof(path), "%s/force", directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	mem = open("/proc/self/mem", O_RDWR);
	memset(bytes, 7, BYTES);
	CHECK(fd >= 0 && mem >= 0 && unlink(path) == 0 && write(fd, bytes, BYTES) == (ssize_t)BYTES);
	shared = map(PROT_READ | PROT_WRITE, MAP_SHARED);
	private = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	fixed = map(PROT_READ, MAP_PRIVATE);
	none = map(PROT_NONE, MAP_PRIVATE);
	for (size_t at = 0; at < BYTES; at += PAGE) {
		force(shared + at);
		CHECK_EQ(shared[at], 9);
		force(private + at + 1);
		CHECK_EQ(private[at + 1], 9);
		force(fixed + at + 1);
		CHECK_EQ(fixed[at + 1], 9);
		expect(shared + at + 1, 7);
		expect(none + at, 9);
		expect(none + at + 1, 7);
	}
	by_sendfile(directory);
	puts("ok");
	return 0;
}
