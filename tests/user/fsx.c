/*
 * Random operations on one file against a model in memory, after the manner of Apple's and Linux's fsx: reads, writes, mapped
 * reads and writes, cuts, growth, holes, syncs, closing and opening again. After each the file's size is right, and all that
 * was read was as the model has it.
 *
 *	fsx SEED [DIRECTORY [OPERATIONS [keep]]]
 *
 * keep: leaves the file there as "fsx.data", and prints its size and sum for whoever looks at the disk afterwards.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "check.h"

#define BYTES_MOST (300 * KIB)

static uint64_t state;
static uint8_t model[BYTES_MOST + PAGE];
static uint8_t buffer[BYTES_MOST + PAGE];
static uint64_t bytes; /* of the file, by the model */
static char path[300];
static int fd;
static unsigned number; /* of the operation */

static uint64_t below(uint64_t limit)
{
	return limit == 0 ? 0 : random_next(&state) % limit;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Any place; often near the end of the file, or of a page. */
static uint64_t place(uint64_t limit)
{
	uint64_t at = below(limit + 1);

	if (below(4) == 0)
		at = at / PAGE * PAGE;
	if (below(4) == 0)
		at = bytes;
	return least(at, limit);
}

static uint64_t amount(uint64_t limit)
{
	return least(1 + below(below(3) == 0 ? 60000 : 3000), limit);
}

static void check_same(const uint8_t *got, uint64_t at, uint64_t n, const char *how)
{
	for (uint64_t i = 0; i < n; i++) {
		if (got[i] == model[at + i])
			continue;
		fprintf(stderr, "operation %u, %s: byte %lu of %lu is 0x%02x, not 0x%02x\n", number, how, at + i, bytes,
			got[i], model[at + i]);
		exit(1);
	}
}

static void check_size(void)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_size, bytes);
}

static void grow_to(uint64_t end)
{
	if (end <= bytes)
		return;
	memset(model + bytes, 0, end - bytes);
	bytes = end;
}

static void fill(uint64_t n)
{
	uint8_t first = (uint8_t)below(256);

	for (uint64_t i = 0; i < n; i++)
		buffer[i] = (uint8_t)(first + i * 3 + (i >> 8));
}

static void do_read(void)
{
	uint64_t at = place(BYTES_MOST), n = amount(BYTES_MOST);
	uint64_t want = at < bytes ? least(n, bytes - at) : 0;

	CHECK_EQ(pread(fd, buffer, n, (off_t)at), want);
	check_same(buffer, at, want, "read");
}

static void do_readv(void)
{
	uint64_t at = place(bytes), half = amount(BYTES_MOST / 2);
	struct iovec part[2] = { { buffer, half }, { buffer + half, half } };
	uint64_t want = least(2 * half, bytes - at);

	CHECK_EQ(lseek(fd, (off_t)at, SEEK_SET), at);
	CHECK_EQ(readv(fd, part, 2), want);
	check_same(buffer, at, want, "readv");
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), at + want);
}

static void do_write(void)
{
	uint64_t at = place(BYTES_MOST - 1), n = amount(BYTES_MOST - at);

	fill(n);
	CHECK_EQ(pwrite(fd, buffer, n, (off_t)at), n);
	grow_to(at + n);
	memcpy(model + at, buffer, n);
}

static void do_append(void)
{
	int other = open(path, O_WRONLY | O_APPEND);
	uint64_t n = amount(BYTES_MOST - bytes);

	CHECK(other >= 0);
	fill(n);
	CHECK_EQ(write(other, buffer, n), n);
	CHECK(close(other) == 0);
	memcpy(model + bytes, buffer, n);
	bytes += n;
}

static void do_map_read(void)
{
	uint64_t at = place(bytes), n = least(amount(BYTES_MOST), bytes - at);
	uint64_t start = at / PAGE * PAGE;
	uint8_t *map;

	if (n == 0)
		return;
	map = mmap(NULL, at + n - start, PROT_READ, below(2) == 0 ? MAP_SHARED : MAP_PRIVATE, fd, (off_t)start);
	CHECK(map != MAP_FAILED);
	check_same(map + (at - start), at, n, "mapped read");
	CHECK(munmap(map, at + n - start) == 0);
}

static void do_map_write(void)
{
	uint64_t at = place(bytes), n = least(amount(BYTES_MOST), bytes - at);
	uint64_t start = at / PAGE * PAGE;
	uint8_t *map;

	if (n == 0)
		return;
	map = mmap(NULL, at + n - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	CHECK(map != MAP_FAILED);
	fill(n);
	memcpy(map + (at - start), buffer, n);
	memcpy(model + at, buffer, n);
	if (below(3) == 0)
		CHECK(msync(map, at + n - start, below(2) == 0 ? MS_SYNC : MS_ASYNC) == 0);
	CHECK(munmap(map, at + n - start) == 0);
}

/* What is written to a private mapping, and behind the end of a shared one's last page, is never in the file. */
static void do_map_lost(void)
{
	uint64_t start = bytes / PAGE * PAGE;
	uint8_t *map;

	if (bytes % PAGE == 0)
		return;
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)start);
	CHECK(map != MAP_FAILED);
	memset(map, 0xee, PAGE);
	CHECK(munmap(map, PAGE) == 0);
}

static void do_truncate(void)
{
	uint64_t end = place(BYTES_MOST);

	CHECK((below(2) == 0 ? ftruncate(fd, (off_t)end) : truncate(path, (off_t)end)) == 0);
	grow_to(end);
	bytes = end;
}

static void do_hole(void)
{
	uint64_t at = place(bytes), n = amount(BYTES_MOST);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) != 0) {
		CHECK(errno == EOPNOTSUPP);
		return;
	}
	if (at < bytes)
		memset(model + at, 0, least(n, bytes - at));
}

static void do_allocate(void)
{
	uint64_t at = place(BYTES_MOST - 1), n = amount(BYTES_MOST - at);

	if (fallocate(fd, 0, (off_t)at, (off_t)n) != 0) {
		CHECK(errno == EOPNOTSUPP);
		return;
	}
	grow_to(at + n);
}

static void do_sync(void)
{
	CHECK((below(2) == 0 ? fsync(fd) : fdatasync(fd)) == 0);
}

static void do_reopen(void)
{
	CHECK(close(fd) == 0);
	fd = open(path, O_RDWR | (below(8) == 0 ? O_SYNC : 0));
	CHECK(fd >= 0);
}

static void do_advise(void)
{
	CHECK(posix_fadvise(fd, 0, 0, below(2) == 0 ? POSIX_FADV_DONTNEED : POSIX_FADV_WILLNEED) == 0);
}

static void operation(void)
{
	static void (*const operations[])(void) = {
		do_read, do_readv,    do_write,	   do_write, do_append, do_map_read, do_map_write, do_map_write,
		do_read, do_map_lost, do_truncate, do_hole,  do_sync,	do_reopen,   do_advise,	   do_allocate,
	};

	operations[below(COUNT(operations))]();
	check_size();
}

static void check_whole(void)
{
	CHECK_EQ(pread(fd, buffer, sizeof(buffer), 0), bytes);
	check_same(buffer, 0, bytes, "all of it");
}

static uint32_t sum(void)
{
	uint32_t all = 0;

	for (uint64_t i = 0; i < bytes; i++)
		all = all * 31 + model[i];
	return all;
}

int main(int argc, char **argv)
{
	unsigned operations = argc > 3 ? (unsigned)atoi(argv[3]) : 2000;
	bool keep = argc > 4;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	state += state == 0;
	if (keep)
		snprintf(path, sizeof(path), "%s/fsx.data", argv[2]);
	else
		snprintf(path, sizeof(path), "%s/fsx.%d", argc > 2 ? argv[2] : "/tmp", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	for (number = 0; number < operations; number++) {
		operation();
		if (number % 64 == 0)
			check_whole();
	}
	check_whole();
	CHECK(close(fd) == 0);
	if (keep)
		printf("%lu %u\n", bytes, sum());
	else
		CHECK(unlink(path) == 0);
	return pass();
}
