/*
 * What sharing costs, counted: frames by /proc/corral/counters, requests by /proc/diskstats, faults by getrusage.
 *
 *	sharing frames DIR	reading, mapping and forking take no frames but the cache's; private ones do when they are written
 *	sharing fork DIR	fork copies nothing of shared mappings, however many tables they have; the child finds what was there
 *	sharing clones DIR	a file cloned again and again: no frames for that, and what was cloned on the way costs nothing afterwards
 *	sharing cached FILE	of 8 MiB on a disk: read ahead, and once; who reads or maps it then, or runs a program twice, asks no disk
 *	sharing clean FILE	on a disk: the first write to a clean page of a shared mapping is a fault, also after it was written back
 *	sharing forms FILE	on a disk: each way to sync writes what it says, and those that promise it flush
 *	sharing later FILE	on a disk: what nobody syncs is written after a while, by itself
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/user/check.h"

#define PAGES  2048UL
#define BYTES  (PAGES * PAGE)
#define LITTLE 400 /* frames: tables, descriptors, what harts keep for themselves */

static const char *self;

static long number_of(const char *path, const char *name)
{
	static char text[8192];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	const char *at;

	CHECK(fd >= 0 && n > 0 && close(fd) == 0);
	text[n] = 0;
	at = strstr(text, name);
	CHECK(at != NULL);
	return atol(at + strlen(name));
}

static long frames(void)
{
	return number_of("/proc/corral/counters", "frames_free ");
}

struct done {
	long reads, read_sectors, write_sectors, flushes;
};

static struct done disk_done(void)
{
	struct done done;
	char line[512];
	int fd = open("/proc/diskstats", O_RDONLY);
	ssize_t n = read(fd, line, sizeof(line) - 1);

	CHECK(fd >= 0 && n > 0 && close(fd) == 0);
	line[n] = 0;
	CHECK(sscanf(line, " 254 0 vda %ld %*d %ld %*d %*d %*d %ld %*d %*d %*d %*d %*d %*d %*d %*d %ld", &done.reads,
		     &done.read_sectors, &done.write_sectors, &done.flushes) == 4);
	return done;
}

static volatile uint8_t *map(int fd, int flags)
{
	volatile uint8_t *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static uint8_t touch(volatile uint8_t *at)
{
	uint8_t sum = 0;

	for (unsigned long i = 0; i < PAGES; i++)
		sum = (uint8_t)(sum + at[i * PAGE]);
	return sum;
}

static void expect_frames(long before, long taken, const char *what)
{
	long now = before - frames();

	if (now >= taken - LITTLE && now <= taken + LITTLE)
		return;
	printf("%s: %ld frames instead of %ld\n", what, now, taken);
	exit(1);
}

static void read_all(int fd)
{
	static char buffer[64 * KIB];

	for (unsigned long at = 0; at < BYTES; at += sizeof(buffer))
		CHECK(pread(fd, buffer, sizeof(buffer), (off_t)at) == (ssize_t)sizeof(buffer));
}

/* Children that map it in both ways and look at all of it take no frames for that; nor does what fork copies. */
static void in_children(int fd, long before, long taken)
{
	int ends[2];
	char byte;

	CHECK(pipe(ends) == 0);
	for (int i = 0; i < 4; i++) {
		if (fork() != 0)
			continue;
		(void)touch(map(fd, MAP_SHARED));
		(void)touch(map(fd, MAP_PRIVATE));
		CHECK(write(ends[1], "x", 1) == 1);
		pause();
	}
	for (int i = 0; i < 4; i++)
		CHECK(read(ends[0], &byte, 1) == 1);
	expect_frames(before, taken, "four children");
	CHECK(signal(SIGTERM, SIG_IGN) != SIG_ERR && kill(0, SIGTERM) == 0);
	while (wait(NULL) > 0)
		;
	CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void count_frames(const char *dir)
{
	char path[300];
	long before = frames();
	volatile uint8_t *shared, *private;
	int fd;

	snprintf(path, sizeof(path), "%s/frames", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)BYTES) == 0);
	shared = map(fd, MAP_SHARED);
	for (unsigned long i = 0; i < PAGES; i++)
		shared[i * PAGE] = 1;
	expect_frames(before, PAGES, "a file of 8 MiB");
	private = map(fd, MAP_PRIVATE);
	CHECK(touch(private) == touch(shared));
	read_all(fd);
	expect_frames(before, PAGES, "a private mapping of it");
	in_children(fd, before, PAGES);
	for (unsigned long i = 0; i < PAGES; i++)
	private[i * PAGE] = 2;
	expect_frames(before, 2 * PAGES, "private pages that were written to");
	CHECK(shared[0] == 1 && shared[BYTES - PAGE] == 1);
	CHECK(madvise((void *)(uintptr_t) private, BYTES, MADV_DONTNEED) == 0);
	CHECK(private[0] == 1 && private[BYTES - PAGE] == 1);
	expect_frames(before, PAGES, "after MADV_DONTNEED");
	CHECK(munmap((void *)(uintptr_t) private, BYTES) == 0 && munmap((void *)(uintptr_t)shared, BYTES) == 0);
	CHECK(close(fd) == 0 && unlink(path) == 0);
	for (int i = 0; i < 100 && before - frames() > LITTLE; i++) /* volumes forget in the background */
		CHECK(usleep(100000) == 0);
	expect_frames(before, 0, "at the end");
}

/* A page in each of 512 tables. */
static void count_fork(const char *dir)
{
	const unsigned long spread = 2 * MIB, n = 512;
	char path[300], byte;
	volatile unsigned long *at;
	int fd, ends[2], status;
	long before;

	snprintf(path, sizeof(path), "%s/fork", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)(n * spread)) == 0 && pipe(ends) == 0);
	at = mmap(NULL, n * spread, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	for (unsigned long i = 0; i < n; i++)
		at[i * spread / sizeof(*at)] = i + 1;
	before = frames();
	if (fork() == 0) {
		CHECK(read(ends[0], &byte, 1) == 1);
		for (unsigned long i = 0; i < n; i++)
			CHECK(at[i * spread / sizeof(*at)]++ == i + 1);
		_exit(0);
	}
	if (before - frames() > 150) {
		printf("fork took %ld frames\n", before - frames());
		exit(1);
	}
	CHECK(write(ends[1], "x", 1) == 1 && wait(&status) > 0 && status == 0);
	for (unsigned long i = 0; i < n; i++)
		CHECK(at[i * spread / sizeof(*at)] == i + 2);
	CHECK(munmap((void *)(uintptr_t)at, n * spread) == 0 && close(fd) == 0 && unlink(path) == 0);
}

static int new_file(const char *dir)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/clones", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && unlink(path) == 0);
	return fd;
}

static void count_clones(const char *dir)
{
	long before = frames();
	int fd = new_file(dir);
	char page[PAGE];

	memset(page, 7, sizeof(page));
	for (unsigned long i = 0; i < PAGES; i++)
		CHECK(write(fd, page, sizeof(page)) == sizeof(page));
	for (int turn = 0; turn < 300; turn++) {
		int next = new_file(dir);

		CHECK(ioctl(next, FICLONE, fd) == 0);
		CHECK(pwrite(next, &turn, sizeof(turn), (off_t)(turn * (int)PAGE)) == sizeof(turn));
		CHECK(close(fd) == 0);
		fd = next;
	}
	expect_frames(before, PAGES, "after 300 clones of clones");
	for (int turn = 0; turn < 300; turn++) {
		CHECK(pread(fd, page, sizeof(page), (off_t)(turn * (int)PAGE)) == sizeof(page));
		CHECK(memcmp(page, &turn, sizeof(turn)) == 0 && page[PAGE - 1] == 7);
	}
	CHECK(close(fd) == 0);
	expect_frames(before, 0, "at the end");
}

/* ---- On a disk, which nobody else uses. */

static void run_copy(const char *path)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		execl(path, path, "nothing", (char *)NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void copy_self(const char *path)
{
	static char buffer[64 * KIB];
	int from = open(self, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n;

	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		CHECK(write(to, buffer, (size_t)n) == n);
	CHECK(n == 0 && fsync(to) == 0 && close(to) == 0 && close(from) == 0);
}

static void cached(const char *path)
{
	struct done before = disk_done(), after;
	char program[300];
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0);
	read_all(fd);
	after = disk_done();
	CHECK(after.read_sectors - before.read_sectors >= (long)(BYTES / 512));
	CHECK(after.read_sectors - before.read_sectors < (long)(BYTES / 512 + 1000));
	CHECK(after.reads - before.reads < (long)PAGES / 8); /* ahead, in large pieces */
	snprintf(program, sizeof(program), "%s-program", path);
	copy_self(program);
	run_copy(program);
	before = disk_done();
	read_all(fd);
	(void)touch(map(fd, MAP_SHARED));
	(void)touch(map(fd, MAP_PRIVATE));
	run_copy(program);
	after = disk_done();
	CHECK_EQ(after.reads, before.reads);
	CHECK(close(fd) == 0 && unlink(program) == 0);
}

static long faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt + usage.ru_majflt;
}

/* How many faults a write to each of 64 pages is. */
static long write_faults(volatile uint8_t *at)
{
	long before = faults();

	for (unsigned long i = 0; i < 64; i++)
		at[i * PAGE]++;
	return faults() - before;
}

static void clean(const char *path)
{
	int fd = open(path, O_RDWR);
	volatile uint8_t *at;

	CHECK(fd >= 0);
	at = map(fd, MAP_SHARED);
	(void)touch(at);
	for (int turn = 0; turn < 3; turn++) {
		CHECK(write_faults(at) >= 64);
		CHECK(write_faults(at) < 8);
		CHECK(msync((void *)(uintptr_t)at, 64 * PAGE, MS_SYNC) == 0);
	}
	CHECK(close(fd) == 0);
}

/* ---- forms */

enum { NOTHING, WRITES, FLUSHES };

static int forms_fd, forms_sync_fd, forms_dsync_fd;
static volatile uint8_t *forms_map;

static int form(int which, unsigned long page)
{
	void *at = (void *)(uintptr_t)(forms_map + page * PAGE);
	off_t where = (off_t)(page * PAGE);

	switch (which) {
	case 0:
		return msync(at, PAGE, MS_SYNC);
	case 1:
		return msync(at, PAGE, MS_SYNC | MS_INVALIDATE);
	case 2:
		return fsync(forms_fd);
	case 3:
		return fdatasync(forms_fd);
	case 4:
		return syncfs(forms_fd);
	case 5:
		sync();
		return 0;
	case 6:
		return pwrite(forms_sync_fd, "sync", 4, where) == 4 ? 0 : -1;
	case 7:
		return pwrite(forms_dsync_fd, "dsync", 5, where) == 5 ? 0 : -1;
	case 8:
		return sync_file_range(forms_fd, where, PAGE, 7);
	case 9:
		return msync(at, PAGE, MS_ASYNC);
	default:
		return msync(at, PAGE, MS_INVALIDATE);
	}
}

static void forms(const char *path)
{
	static const int promise[] = { FLUSHES, FLUSHES, FLUSHES, FLUSHES, FLUSHES, FLUSHES,
				       FLUSHES, FLUSHES, WRITES,  NOTHING, NOTHING };

	forms_fd = open(path, O_RDWR);
	forms_sync_fd = open(path, O_RDWR | O_SYNC);
	forms_dsync_fd = open(path, O_RDWR | O_DSYNC);
	CHECK(forms_fd >= 0 && forms_sync_fd >= 0 && forms_dsync_fd >= 0);
	forms_map = map(forms_fd, MAP_SHARED);
	(void)touch(forms_map);
	CHECK(fsync(forms_fd) == 0);
	for (unsigned long i = 0; i < COUNT(promise); i++) {
		struct done before = disk_done(), after;

		snprintf((char *)(uintptr_t)(forms_map + i * PAGE), PAGE, "form %lu", i);
		CHECK(form((int)i, i) == 0);
		after = disk_done();
		printf("form %lu: %ld sectors, %ld flushes\n", i, after.write_sectors - before.write_sectors,
		       after.flushes - before.flushes);
		CHECK((after.write_sectors - before.write_sectors >= 8) == (promise[i] != NOTHING));
		CHECK(promise[i] != FLUSHES || after.flushes > before.flushes);
	}
}

static void later(const char *path)
{
	int fd = open(path, O_RDWR);
	struct done before = disk_done();

	CHECK(fd >= 0 && pwrite(fd, "later", 5, 0) == 5);
	for (int i = 0; i < 150 && disk_done().write_sectors - before.write_sectors < 8; i++)
		CHECK(usleep(100000) == 0);
	CHECK(disk_done().write_sectors - before.write_sectors >= 8);
	CHECK(close(fd) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return 42;
	CHECK(argc > 2);
	self = argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(argv[1], "frames") == 0)
		count_frames(argv[2]);
	else if (strcmp(argv[1], "fork") == 0)
		count_fork(argv[2]);
	else if (strcmp(argv[1], "clones") == 0)
		count_clones(argv[2]);
	else if (strcmp(argv[1], "cached") == 0)
		cached(argv[2]);
	else if (strcmp(argv[1], "clean") == 0)
		clean(argv[2]);
	else if (strcmp(argv[1], "forms") == 0)
		forms(argv[2]);
	else
		later(argv[2]);
	printf("ok\n");
	return 0;
}
