/*
 * What large, slow and odd FAT volumes do: the first argument says which part.
 *
 *	volume_large names DIR N	creates, finds and removes N files in a directory: the last as quickly as the first
 *	volume_large slow DIR		while a disk is slow to write one file, others are found, read and written
 *	volume_large big DIR		8 GiB with clusters of 64 KiB: a file behind the first 4 GiB
 *	volume_large odd DIR		names and calls at the edge of what vfat does
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/user/check.h"

#define FAILS(call, error) CHECK_ERR(call, error)
#define SLOW_BYTES	   (4U << 20)
#define NS		   1000000000ULL

static uint64_t now(void)
{
	struct timespec at;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
	return (uint64_t)at.tv_sec * NS + (uint64_t)at.tv_nsec;
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void expect_fd(int fd, const char *text)
{
	char buffer[64] = { 0 };

	CHECK(pread(fd, buffer, sizeof(buffer), 0) == (ssize_t)strlen(text) && strcmp(buffer, text) == 0);
}

static void expect(const char *name, const char *text)
{
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0);
	expect_fd(fd, text);
	CHECK(close(fd) == 0);
}

/* ---- Many names. */

static const char *name_of(unsigned i)
{
	static char name[64];

	snprintf(name, sizeof(name), "A file of very many %u", i * 7919);
	return name;
}

static uint64_t create_range(unsigned from, unsigned to)
{
	uint64_t start = now();

	for (unsigned i = from; i < to; i++) {
		int fd = open(name_of(i), O_WRONLY | O_CREAT | O_EXCL, 0644);

		CHECK(fd >= 0 && close(fd) == 0);
	}
	return (now() - start) / (to - from);
}

static uint64_t find_range(unsigned from, unsigned to)
{
	uint64_t start = now();
	struct stat st;

	for (unsigned i = from; i < to; i++)
		CHECK(stat(name_of(i), &st) == 0);
	return (now() - start) / (to - from);
}

static void names(unsigned n)
{
	uint64_t first, last, found;
	struct stat st;

	CHECK(mkdir("many", 0755) == 0 && chdir("many") == 0);
	first = create_range(0, n / 4);
	(void)create_range(n / 4, n / 4 * 3);
	last = create_range(n / 4 * 3, n);
	found = find_range(0, n);
	printf("create: %lu ns at first, %lu ns at last; find: %lu ns\n", first, last, found);
	CHECK(last < 4 * first + 1000000);
	FAILS(stat("A file of very many", &st), ENOENT);
	for (unsigned i = 0; i < n; i += 2)
		CHECK(unlink(name_of(i)) == 0);
	for (unsigned i = 0; i < n; i++)
		CHECK((stat(name_of(i), &st) == 0) == (i % 2 != 0));
	CHECK(chdir("..") == 0);
}

/* ---- A slow disk. */

static void write_slowly(void)
{
	static char data[SLOW_BYTES];
	int fd = open("slow", O_WRONLY);

	memset(data, 's', sizeof(data));
	CHECK(fd >= 0 && write(fd, data, sizeof(data)) == (ssize_t)sizeof(data) && fsync(fd) == 0 && close(fd) == 0);
}

static void slow(void)
{
	uint64_t start, longest = 0, took, calls = 0;
	int fd = open("slow", O_WRONLY | O_CREAT, 0644), status;
	struct stat st;
	pid_t pid;

	/* What is measured is data: the clusters are taken before. */
	CHECK(fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SLOW_BYTES) == 0 && fsync(fd) == 0 && close(fd) == 0);
	put("other", "other");
	sync();
	start = now();
	pid = child_fork();
	if (pid == 0) {
		write_slowly();
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		uint64_t before = now();

		expect("other", "other");
		FAILS(stat("no such file", &st), ENOENT);
		CHECK(truncate("other", 6) == 0 && truncate("other", 5) == 0);
		longest = now() - before > longest ? now() - before : longest;
		calls++;
	}
	took = now() - start;
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	printf("fsync: %lu ms; meanwhile %lu turns, the longest %lu ms\n", took / 1000000, calls, longest / 1000000);
	fflush(stdout);
	/* The host may be busy; where each turn waits for the disk there are as many as batches of pages. */
	CHECK(took > NS && calls > 1000 && longest < took / 2);
}

/* ---- A big one. */

static void big(void)
{
	static char data[300000], back[sizeof(data)];
	int far = open("far", O_RDWR | O_CREAT, 0644), fd;
	struct statfs fs;

	CHECK(statfs(".", &fs) == 0 && fs.f_bsize == 65536 && fs.f_blocks > 130000 && fs.f_bfree > 130000);
	for (unsigned i = 0; i < 2; i++) {
		fd = open(i == 0 ? "first" : "second", O_WRONLY | O_CREAT, 0644);
		CHECK(fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, i == 0 ? 0xffff0000 : 0x10000000) == 0);
		/* held until the end: what a size does not need is free again */
	}
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + (i >> 9));
	CHECK(far >= 0 && write(far, data, sizeof(data)) == (ssize_t)sizeof(data) && fsync(far) == 0);
	CHECK(pread(far, back, sizeof(back), 0) == (ssize_t)sizeof(back) && memcmp(data, back, sizeof(back)) == 0);
	CHECK(statfs(".", &fs) == 0 && fs.f_bfree < 65000 && mkdir("directory", 0755) == 0);
	put("directory/small", "small");
	expect("directory/small", "small");
}

/* ---- Odd things. */

static void odd_names(void)
{
	char text[PATH_MAX] = { 0 };
	struct stat st, again;

	put("Case", "case");
	CHECK(stat("Case", &st) == 0 && rename("Case", "cASE") == 0 && stat("CASE", &again) == 0);
	CHECK(st.st_ino == again.st_ino && syscall(SYS_getcwd, text, sizeof(text)) > 0);
	expect("case", "case");
	CHECK(syscall(SYS_renameat2, AT_FDCWD, "cASE", AT_FDCWD, "case", 1) < 0 || stat("case", &st) == 0);
	put("another", "another");
	FAILS((int)syscall(SYS_renameat2, AT_FDCWD, "another", AT_FDCWD, "case", 2), EINVAL); /* RENAME_EXCHANGE */
	FAILS((int)syscall(SYS_renameat2, AT_FDCWD, "another", AT_FDCWD, "CASE", 1), EEXIST);
	expect("another", "another");
	/* Half a pair is no character, whether alone or with the other half. */
	FAILS(open("a\xed\xa0\x80", O_WRONLY | O_CREAT, 0644), EINVAL);
	FAILS(open("a\xed\xb0\x80", O_WRONLY | O_CREAT, 0644), EINVAL);
	FAILS(open("a\xed\xa0\xbd\xed\xb8\x80", O_WRONLY | O_CREAT, 0644), EINVAL);
	FAILS(mkdir("a\xff", 0755), EINVAL);
	FAILS(rename("another", "a\xed\xa0\x80"), EINVAL);
	put("a\xf0\x9f\x98\x80", "a face");
	expect("A\xf0\x9f\x98\x80", "a face");
	CHECK(unlink("a\xf0\x9f\x98\x80") == 0 && unlink("another") == 0 && unlink("case") == 0);
}

static void unlinked(const char *home)
{
	char link[64], text[PATH_MAX], want[PATH_MAX];
	ssize_t n;
	int fd, again;

	put("unlinked", "content");
	fd = open("unlinked", O_RDWR);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, text, sizeof(text) - 1);
	snprintf(want, sizeof(want), "%s/unlinked", home);
	CHECK(fd >= 0 && n == (ssize_t)strlen(want) && memcmp(text, want, strlen(want)) == 0);
	CHECK(unlink("unlinked") == 0);
	n = readlink(link, text, sizeof(text) - 1);
	snprintf(want, sizeof(want), "%s/unlinked (deleted)", home);
	CHECK(n == (ssize_t)strlen(want) && memcmp(text, want, strlen(want)) == 0);
	again = open(link, O_RDWR);
	CHECK(again >= 0);
	expect_fd(again, "content");
	CHECK(pwrite(again, "CON", 3, 0) == 3 && fsync(again) == 0 && close(fd) == 0);
	put("unlinked", "another");
	expect_fd(again, "CONtent");
	CHECK(close(again) == 0 && unlink("unlinked") == 0);
	n = readlink("/proc/self/cwd", text, sizeof(text) - 1);
	CHECK(n == (ssize_t)strlen(home) && memcmp(text, home, strlen(home)) == 0);
}

/* Through the cache as all else: any place and length will do. */
static void direct(void)
{
	static char buffer[8192] __attribute__((aligned(4096)));
	int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0644);

	memset(buffer, 'd', sizeof(buffer));
	CHECK(fd >= 0 && write(fd, buffer, sizeof(buffer)) == (ssize_t)sizeof(buffer));
	CHECK(pwrite(fd, "odd", 3, 777) == 3 && pread(fd, buffer + 1, 5, 776) == 5);
	CHECK(memcmp(buffer + 1, "doddd", 5) == 0 && close(fd) == 0 && unlink("direct") == 0);
}

int main(int argc, char **argv)
{
	CHECK(argc > 2 && chdir(argv[2]) == 0);
	if (strcmp(argv[1], "names") == 0 && argc > 3) {
		names((unsigned)atoi(argv[3]));
	} else if (strcmp(argv[1], "slow") == 0) {
		slow();
	} else if (strcmp(argv[1], "big") == 0) {
		big();
	} else {
		odd_names();
		unlinked(argv[2]);
		direct();
	}
	return pass();
}
