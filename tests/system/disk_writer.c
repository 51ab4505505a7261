/*
 * Writes files, makes them durable, and says so: what a power-cut test checks against the disk afterwards.
 *
 *	disk_writer SEED DIRECTORY OPERATIONS
 *
 * Before an operation it prints "begin", after it has been made durable (fsync, fdatasync, msync, O_SYNC or sync, by chance) "done", with
 * the same words: "write NAME OFFSET BYTES TURN", "truncate NAME BYTES", "create NAME", "rename NAME NAME", "unlink NAME". Byte i
 * of a file written in turn t is content(i, t): tests/system/test_power_cut.py has the same. Between them it writes to a file
 * "noise", which it never syncs.
 */
#include <fcntl.h>
#include <stdarg.h>

#include "tests/user/check.h"

#define FILES	   6
#define BYTES_MOST (160 * KIB)

static uint64_t state;
static const char *directory;

static struct {
	bool there;
	unsigned name;
	uint64_t bytes;
} files[FILES];

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t dice(uint64_t below)
{
	return random_next(&state) % below;
}

static uint8_t content(uint64_t at, uint64_t turn)
{
	return (uint8_t)(at * 7 + (at >> 9) + turn * 131 + 1);
}

static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	char line[200];
	va_list words;
	int n;

	va_start(words, format);
	n = vsnprintf(line, sizeof(line), format, words);
	va_end(words);
	CHECK_EQ(write(STDOUT_FILENO, line, (size_t)n), n);
}

static const char *path_of(unsigned name)
{
	static char path[2][300];
	static unsigned turn;
	char *at = path[turn++ % 2];

	snprintf(at, sizeof(path[0]), "%s/A file with a long name %u.data", directory, name);
	return at;
}

static int file_open(unsigned i, int flags)
{
	int fd = open(path_of(files[i].name), O_RDWR | flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void write_mapped(unsigned i, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	uint64_t start = offset / PAGE * PAGE;
	int fd = file_open(i, 0);
	uint8_t *map;

	if (offset + bytes > files[i].bytes)
		CHECK(ftruncate(fd, (off_t)(offset + bytes)) == 0);
	map = mmap(NULL, offset + bytes - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	CHECK(map != MAP_FAILED);
	memcpy(map + (offset - start), data, bytes);
	CHECK(msync(map, offset + bytes - start, MS_SYNC) == 0);
	if (offset + bytes > files[i].bytes)
		CHECK(fsync(fd) == 0); /* msync says nothing of the file's size */
	CHECK(munmap(map, offset + bytes - start) == 0 && close(fd) == 0);
}

static void write_by_call(unsigned i, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	unsigned how = (unsigned)dice(4);
	int fd = file_open(i, how == 0 ? O_SYNC : how == 1 ? O_DSYNC : 0);

	for (uint64_t done = 0; done < bytes;) {
		uint64_t part = least(bytes - done, 1 + dice(40000));
		ssize_t n = pwrite(fd, data + done, part, (off_t)(offset + done));

		CHECK(n > 0);
		done += (uint64_t)n;
	}
	if (how == 2)
		CHECK(fsync(fd) == 0);
	if (how == 3)
		CHECK(fdatasync(fd) == 0);
	CHECK(close(fd) == 0);
}

static void write_some(unsigned i, uint64_t turn)
{
	static uint8_t data[BYTES_MOST];
	uint64_t offset = dice(2) == 0 ? files[i].bytes : dice(files[i].bytes + 1);
	uint64_t bytes = 1 + dice(dice(4) == 0 ? BYTES_MOST / 2 : 3000);

	offset = least(offset, BYTES_MOST - 1);
	bytes = least(bytes, BYTES_MOST - offset);
	for (uint64_t k = 0; k < bytes; k++)
		data[k] = content(offset + k, turn);
	say("begin write %u %lu %lu %lu\n", files[i].name, offset, bytes, turn);
	if (dice(3) == 0)
		write_mapped(i, offset, data, bytes);
	else
		write_by_call(i, offset, data, bytes);
	files[i].bytes = offset + bytes > files[i].bytes ? offset + bytes : files[i].bytes;
	say("done write %u %lu %lu %lu\n", files[i].name, offset, bytes, turn);
}

static void truncate_some(unsigned i)
{
	uint64_t bytes = dice(files[i].bytes * 5 / 4 + 1);
	int fd = file_open(i, 0);

	bytes = least(bytes, BYTES_MOST);
	say("begin truncate %u %lu\n", files[i].name, bytes);
	CHECK(ftruncate(fd, (off_t)bytes) == 0 && fsync(fd) == 0 && close(fd) == 0);
	files[i].bytes = bytes;
	say("done truncate %u %lu\n", files[i].name, bytes);
}

static void sync_directory(void)
{
	int fd;

	if (dice(2) == 0) {
		sync();
		return;
	}
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0 && fsync(fd) == 0 && close(fd) == 0);
}

static void create(unsigned i, uint64_t turn)
{
	int fd;

	files[i].name = (unsigned)turn;
	say("begin create %u\n", files[i].name);
	fd = file_open(i, O_CREAT | O_EXCL);
	CHECK(fsync(fd) == 0 && close(fd) == 0);
	sync_directory();
	files[i].there = true;
	files[i].bytes = 0;
	say("done create %u\n", files[i].name);
}

static void rename_some(unsigned i, uint64_t turn)
{
	say("begin rename %u %lu\n", files[i].name, turn);
	CHECK(rename(path_of(files[i].name), path_of((unsigned)turn)) == 0);
	sync_directory();
	say("done rename %u %lu\n", files[i].name, turn);
	files[i].name = (unsigned)turn;
}

static void unlink_some(unsigned i)
{
	say("begin unlink %u\n", files[i].name);
	CHECK(unlink(path_of(files[i].name)) == 0);
	sync_directory();
	say("done unlink %u\n", files[i].name);
	files[i].there = false;
}

static void noise(void)
{
	static uint8_t data[20000];
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/noise", directory);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, data, sizeof(data), (off_t)dice(400000)) == (ssize_t)sizeof(data));
	if (dice(4) == 0)
		CHECK(ftruncate(fd, (off_t)dice(300000)) == 0);
	CHECK(close(fd) == 0);
}

static void operation(uint64_t turn)
{
	unsigned i = (unsigned)dice(FILES);
	uint64_t what = dice(16);

	if (!files[i].there)
		create(i, turn);
	else if (what == 0)
		unlink_some(i);
	else if (what == 1)
		rename_some(i, turn);
	else if (what == 2)
		truncate_some(i);
	else if (what < 5)
		noise();
	else
		write_some(i, turn);
}

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	state = strtoull(argv[1], NULL, 0);
	directory = argv[2];
	for (uint64_t turn = 1; turn <= strtoull(argv[3], NULL, 0); turn++)
		operation(turn);
	return pass();
}
