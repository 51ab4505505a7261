/*
 * What writes, appends, truncation, clones and seals of one file do to each other: appends and writes far behind the end at once make the
 * file only longer; clones in both directions at once end; what is sealed does not change any more, also where a write was on
 * its way; of a write that would make a sealed file longer whole pages before the end are done; a write from memory that
 * is not there leaves the size alone. Truncation of a file that many map does not keep others from their files.
 *
 *	file_apart [DIRECTORY]
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "check.h"

#define ROUNDS	300
#define MAPPERS 24
#define PAGES	64

static char path[200];
static atomic_bool done;

static int64_t size_of(int fd)
{
	struct stat stat;

	CHECK(fstat(fd, &stat) == 0);
	return stat.st_size;
}

/* ---- Only longer. */

static void *append(void *unused)
{
	static char record[600];
	int fd = open(path, O_WRONLY | O_APPEND);

	CHECK(fd >= 0);
	while (!atomic_load(&done))
		CHECK_EQ(write(fd, record, sizeof(record)), sizeof(record));
	close(fd);
	return unused;
}

static void test_longer(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pthread_t thread;

	CHECK(fd >= 0);
	atomic_store(&done, false);
	CHECK(pthread_create(&thread, NULL, append, NULL) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t end = size_of(fd) + 5000;

		CHECK_EQ(pwrite(fd, "x", 1, end - 1), 1);
		CHECK(size_of(fd) >= end);
		if (i % 16 == 15)
			CHECK(ftruncate(fd, 0) == 0);
	}
	atomic_store(&done, true);
	CHECK(pthread_join(thread, NULL) == 0);
	close(fd);
}

/* ---- Clones in both directions. */

static int file_of(char byte)
{
	int fd = memfd_create("apart", MFD_ALLOW_SEALING);
	char buffer[PAGE];

	CHECK(fd >= 0);
	memset(buffer, byte, sizeof(buffer));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_EQ(write(fd, buffer, sizeof(buffer)), PAGE);
	return fd;
}

static void clone_rounds(int from, int to, unsigned kind)
{
	struct file_clone_range range = {
		.src_fd = from, .src_offset = 3 * PAGE, .src_length = 20 * PAGE, .dest_offset = (30 + kind) * PAGE
	};

	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		CHECK(ioctl(to, FICLONERANGE, &range) == 0);
		if (kind == 2 && i % 8 == 0)
			CHECK(ftruncate(to, 25 * PAGE) == 0 && ftruncate(to, PAGES * PAGE) == 0);
	}
}

static void test_clones(void)
{
	int a = file_of('a'), b = file_of('b');
	pid_t child[3];
	char byte;

	if (ioctl(b, FICLONE, a) == 0) {
		for (unsigned i = 0; i < COUNT(child); i++) {
			child[i] = child_fork();
			if (child[i] == 0) {
				clone_rounds(i == 1 ? b : a, i == 1 ? a : i == 2 ? a : b, i);
				_exit(0);
			}
		}
		for (unsigned i = 0; i < COUNT(child); i++)
			child_wait(child[i]);
		CHECK(pread(a, &byte, 1, 3 * PAGE) == 1 && byte == 'a');
	} else {
		CHECK(errno == EOPNOTSUPP || errno == ENOTTY);
	}
	close(a);
	close(b);
}

/* ---- Seals. */

static void *write_until_sealed(void *argument)
{
	static char buffer[2][3 * PAGE];
	int fd = *(int *)argument;

	memset(buffer[1], 1, sizeof(buffer[1]));
	for (unsigned i = 0;; i++) {
		ssize_t n = pwrite(fd, buffer[i % 2], sizeof(buffer[0]), 100);

		if (n < 0) {
			CHECK_EQ(errno, EPERM);
			return NULL;
		}
	}
}

static void test_seal(void)
{
	static char first[4 * PAGE], again[4 * PAGE];

	for (unsigned i = 0; i < 20; i++) {
		int fd = file_of(0);
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, write_until_sealed, &fd) == 0);
		usleep(200 * i);
		CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
		CHECK_EQ(pread(fd, first, sizeof(first), 0), sizeof(first));
		usleep(1000);
		CHECK_EQ(pread(fd, again, sizeof(again), 0), sizeof(again));
		CHECK(memcmp(first, again, sizeof(first)) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		close(fd);
	}
}

static void test_sealed_size(void)
{
	static char buffer[4 * PAGE];
	int fd = memfd_create("apart", MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE + 100) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
	memset(buffer, 7, sizeof(buffer));
	CHECK_EQ(pwrite(fd, buffer, 2 * PAGE + 100, 0), 2 * PAGE + 100);
	CHECK_EQ(pwrite(fd, buffer, 3 * PAGE, 0), 2 * PAGE);
	CHECK_ERR(pwrite(fd, buffer, 101, 2 * PAGE), EPERM);
	CHECK_EQ(pwrite(fd, buffer, 100, 2 * PAGE), 100);
	CHECK_ERR(pwrite(fd, buffer, 1, 2 * PAGE + 100), EPERM);
	CHECK_EQ(size_of(fd), 2 * PAGE + 100);
	close(fd);
}

/* ---- Memory that is not there. */

static void test_bad_memory(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec parts[2] = { { page, 10 }, { page + PAGE, 10 } };

	CHECK(fd >= 0 && page != MAP_FAILED && munmap(page + PAGE, PAGE) == 0);
	CHECK_ERR(write(fd, page + PAGE, 100), EFAULT);
	CHECK_EQ(size_of(fd), 0);
	CHECK_EQ(writev(fd, parts, 2), 10);
	CHECK_EQ(size_of(fd), 10);
	CHECK_EQ(write(fd, page + PAGE - 7, 7), 7);
	CHECK_EQ(size_of(fd), 17);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 17);
	close(fd);
	fd = open(path, O_RDWR | O_TRUNC);
	CHECK_ERR(pwrite(fd, page + PAGE, 100, 5 * PAGE), EFAULT);
	CHECK_EQ(size_of(fd), 0);
	close(fd);
}

/* ---- Others. */

static void mapper(int fd)
{
	volatile char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sigset_t none;

	CHECK(map != MAP_FAILED);
	for (unsigned i = 0; i < PAGES; i++)
		(void)map[i * PAGE];
	sigemptyset(&none);
	sigsuspend(&none);
	_exit(0);
}

static void *cut(void *argument)
{
	int fd = *(int *)argument;

	while (!atomic_load(&done))
		CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, PAGES * PAGE) == 0);
	return NULL;
}

static void test_others(void)
{
	int fd = file_of('m');
	pid_t child[MAPPERS];
	pthread_t thread;

	for (unsigned i = 0; i < MAPPERS; i++) {
		child[i] = child_fork();
		if (child[i] == 0)
			mapper(fd);
	}
	atomic_store(&done, false);
	CHECK(pthread_create(&thread, NULL, cut, &fd) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int mine = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

		CHECK(mine >= 0 && write(mine, path, sizeof(path)) == sizeof(path) && unlink(path) == 0);
		close(mine);
	}
	atomic_store(&done, true);
	CHECK(pthread_join(thread, NULL) == 0);
	for (unsigned i = 0; i < MAPPERS; i++) {
		int status;

		CHECK(kill(child[i], SIGTERM) == 0);
		CHECK(waitpid(child[i], &status, 0) == child[i] && WIFSIGNALED(status));
	}
	close(fd);
}

int main(int argc, char **argv)
{
	snprintf(path, sizeof(path), "%s/apart.%d", argc > 1 ? argv[1] : "/tmp", (int)getpid());
	test_longer();
	test_clones();
	test_seal();
	test_sealed_size();
	test_bad_memory();
	test_others();
	unlink(path);
	return pass();
}
