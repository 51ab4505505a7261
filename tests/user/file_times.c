/*
 * The times of a file, and what changes which: making it, writing and reading by call, writing through a mapping, its size, its mode,
 * its names, utimensat. In memory; a volume keeps some of it in two seconds and days.
 *
 *	file_times [DIRECTORY]
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "check.h"

#define COARSE_NS 30000000L /* Linux's clock for files may have ticks of 10 ms */

static char path[200], other[220];
static const char *directory;

static int64_t ns(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct times {
	int64_t accessed, modified, changed;
};

static struct times times_of(const char *name)
{
	struct stat stat;

	CHECK(lstat(name, &stat) == 0);
	return (struct times){ ns(stat.st_atim), ns(stat.st_mtim), ns(stat.st_ctim) };
}

static int64_t now(void)
{
	struct timespec time;

	CHECK(clock_gettime(CLOCK_REALTIME, &time) == 0);
	return ns(time);
}

/* What comes from now on is later than what was. */
static void let_time_pass(void)
{
	struct timespec time = { 0, COARSE_NS };

	CHECK(nanosleep(&time, NULL) == 0);
}

/* Which of the three are later than they were, as "amc". */
static void check_later(const char *name, const struct times *old, const char *which)
{
	struct times new = times_of(name);

	let_time_pass();
	if (strchr(which, '?') == NULL)
		CHECK_EQ(new.accessed > old->accessed, strchr(which, 'a') != NULL);
	CHECK_EQ(new.modified > old->modified, strchr(which, 'm') != NULL);
	CHECK_EQ(new.changed > old->changed, strchr(which, 'c') != NULL);
	CHECK(new.modified <= now() && new.changed <= now());
}

static void test_calls(int fd)
{
	struct times old = times_of(path);
	struct statvfs fs;
	char byte;

	CHECK(old.accessed == old.modified && old.modified == old.changed);
	CHECK(old.modified <= now() && old.modified > now() - 5000000000);
	let_time_pass();
	CHECK(write(fd, "hello", 5) == 5);
	check_later(path, &old, "mc");
	old = times_of(path);
	CHECK(ftruncate(fd, 3 * PAGE) == 0);
	check_later(path, &old, "mc");
	old = times_of(path);
	CHECK(fchmod(fd, 0640) == 0);
	check_later(path, &old, "c");
	CHECK(statvfs(path, &fs) == 0);
	if ((fs.f_flag & ST_NOATIME) != 0)
		return;
	old = times_of(path);
	CHECK(pread(fd, &byte, 1, 0) == 1);
	check_later(path, &old, "a");
	if ((fs.f_flag & ST_RELATIME) == 0)
		return;
	old = times_of(path);
	CHECK(pread(fd, &byte, 1, 0) == 1);
	check_later(path, &old, "");
}

static void test_names(void)
{
	struct times old = times_of(path), above = times_of(directory);

	snprintf(other, sizeof(other), "%s.other", path);
	CHECK(link(path, other) == 0);
	check_later(path, &old, "c");
	check_later(directory, &above, "?mc");
	old = times_of(path);
	above = times_of(directory);
	CHECK(unlink(other) == 0);
	check_later(path, &old, "c");
	check_later(directory, &above, "?mc");
	old = times_of(path);
	CHECK(rename(path, other) == 0);
	check_later(other, &old, "c");
	CHECK(rename(other, path) == 0);
}

static void test_setting(int fd)
{
	struct timespec set[2] = { { 1000000000, 5 }, { 0, UTIME_OMIT } };
	struct times old = times_of(path), new;

	CHECK(futimens(fd, set) == 0);
	new = times_of(path);
	CHECK(new.accessed == ns(set[0]) && new.modified == old.modified &&new.changed > old.changed);
	set[0].tv_nsec = UTIME_OMIT;
	set[1] = (struct timespec){ 1100000000, 7 };
	CHECK(utimensat(AT_FDCWD, path, set, 0) == 0);
	new = times_of(path);
	CHECK(new.accessed == 1000000000LL * 1000000000 + 5 && new.modified == ns(set[1]));
	old = new;
	let_time_pass();
	set[1].tv_nsec = UTIME_OMIT;
	CHECK(futimens(fd, set) == 0);
	check_later(path, &old, "");
	CHECK(futimens(fd, NULL) == 0);
	check_later(path, &old, "amc");
}

/* The first write to a page that a mapping does not have yet. */
static void test_mapping(int fd)
{
	struct timespec set[2] = { { 1200000000, 0 }, { 1200000000, 0 } };
	volatile char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct times old;
	int64_t before;
	pid_t child;

	CHECK(map != MAP_FAILED);
	let_time_pass();
	old = times_of(path);
	before = now();
	map[0] = 'x';
	check_later(path, &old, "?mc");
	CHECK(times_of(path).modified >= before - COARSE_NS);
	map[1] = 'x'; /* the page is there already, so nobody hears of this */
	map[PAGE] = 'x';
	CHECK(futimens(fd, set) == 0);
	CHECK_EQ(times_of(path).modified, ns(set[1]));
	old = times_of(path);
	let_time_pass();
	child = child_fork();
	if (child == 0) {
		map[2 * PAGE] = 'x';
		_exit(0);
	}
	child_wait(child);
	check_later(path, &old, "?mc");
	munmap((void *)(uintptr_t)map, 3 * PAGE);
}

int main(int argc, char **argv)
{
	int fd;

	directory = argc > 1 ? argv[1] : "/tmp";
	snprintf(path, sizeof(path), "%s/times.%d", directory, (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	test_calls(fd);
	test_names();
	test_setting(fd);
	test_mapping(fd);
	close(fd);
	unlink(path);
	return pass();
}
