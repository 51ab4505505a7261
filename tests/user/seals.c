/* Seals of memfds, enforced against writes, sizes and mappings; eventfd; copy_file_range and fadvise. */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "check.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif

static int sealed(int seals)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	CHECK(fd >= 0 && fcntl(fd, F_GET_SEALS) == 0 && ftruncate(fd, 2 * PAGE) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0 && fcntl(fd, F_GET_SEALS) == seals);
	return fd;
}

static void test_sizes(void)
{
	int fd = sealed(F_SEAL_SHRINK);

	CHECK_ERR(ftruncate(fd, PAGE), EPERM);
	CHECK(ftruncate(fd, 3 * PAGE) == 0);
	close(fd);
	fd = sealed(F_SEAL_GROW);
	CHECK_ERR(ftruncate(fd, 3 * PAGE), EPERM);
	CHECK_ERR(pwrite(fd, "x", 1, 2 * PAGE), EPERM);
	CHECK(pwrite(fd, "x", 1, 0) == 1 && ftruncate(fd, PAGE) == 0);
	close(fd);
	fd = sealed(F_SEAL_SEAL);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	close(fd);
	fd = memfd_create("plain", 0);
	CHECK(fd >= 0 && fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
	close(fd);
}

static void test_writes(void)
{
	int fd = sealed(0);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *copy;

	CHECK(map != MAP_FAILED);
	map[0] = 'a';
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK(mprotect(map, PAGE, PROT_READ) == 0);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY); /* it may be made writable again */
	CHECK(munmap(map, PAGE) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(copy != MAP_FAILED && copy[0] == 'a');
	copy[0] = 'b';
	CHECK(munmap(copy, PAGE) == 0);
	close(fd);
}

static void test_future(void)
{
	int fd = sealed(0);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *second;

	CHECK(map != MAP_FAILED && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
	map[0] = 'a'; /* this mapping goes on */
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	second = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(second != MAP_FAILED && second[0] == 'a');
	CHECK_ERR(mprotect(second, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK(munmap(second, PAGE) == 0 && munmap(map, PAGE) == 0);
	close(fd);
}

static void *adder(void *arg)
{
	uint64_t three = 3;

	usleep(20000);
	CHECK(write(*(int *)arg, &three, sizeof(three)) == sizeof(three));
	return NULL;
}

static void test_eventfd(void)
{
	int fd = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };
	uint64_t value;
	pthread_t thread;

	CHECK(fd >= 0 && read(fd, &value, 8) == 8 && value == 1 && read(fd, &value, 8) == 8 && value == 1);
	CHECK_ERR(read(fd, &value, 8), EAGAIN);
	CHECK_ERR(read(fd, &value, 7), EINVAL);
	CHECK(poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLOUT);
	value = UINT64_MAX;
	CHECK_ERR(write(fd, &value, 8), EINVAL);
	value = UINT64_MAX - 1;
	CHECK(write(fd, &value, 8) == 8);
	CHECK(poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLIN);
	CHECK_ERR(write(fd, &value, 8), EAGAIN);
	close(fd);
	CHECK_ERR(syscall(SYS_eventfd2, 0, 0x40), EINVAL);
	fd = eventfd(0, 0);
	CHECK(pthread_create(&thread, NULL, adder, &fd) == 0);
	CHECK(read(fd, &value, 8) == 8 && value == 3);
	CHECK(pthread_join(thread, NULL) == 0);
	close(fd);
}

static void test_copy(void)
{
	int from = memfd_create("from", 0), to = memfd_create("to", 0);
	off_t at = 4090, where = 5;
	char text[16];

	CHECK(pwrite(from, "deep in the file", 16, 4090) == 16);
	CHECK(copy_file_range(from, &at, to, &where, 100, 0) == 16 && at == 4106 && where == 21);
	CHECK(pread(to, text, 16, 5) == 16 && memcmp(text, "deep in the file", 16) == 0);
	CHECK(copy_file_range(from, &at, to, NULL, 100, 0) == 0);
	at = 0;
	CHECK(copy_file_range(from, &at, to, NULL, 7, 0) == 7 && lseek(to, 0, SEEK_CUR) == 7);
	CHECK_ERR(copy_file_range(from, NULL, to, NULL, 1, 1), EINVAL);
	at = 0, where = 1;
	CHECK_ERR(copy_file_range(from, &at, from, &where, 100, 0), EINVAL);
	CHECK(posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED) == 0 && posix_fadvise(from, 0, 0, 77) == EINVAL);
	close(from);
	close(to);
}

/* Who may execute it stays as it is. */
static void test_execution(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	CHECK(fd >= 0 && fchmod(fd, 0644) == 0 && fcntl(fd, F_ADD_SEALS, 32) == 0 && fcntl(fd, F_GET_SEALS) == 32);
	CHECK(fchmod(fd, 0600) == 0 && fchmod(fd, 04666) == 0 && pwrite(fd, "x", 1, 0) == 1);
	CHECK(fchmod(fd, 0700) == -1 && errno == EPERM);
	CHECK(fchmod(fd, 0645) == -1 && errno == EPERM);
	close(fd);
	fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	CHECK(fd >= 0 && fchmod(fd, 0700) == 0 && fcntl(fd, F_ADD_SEALS, 32) == 0);
	CHECK(fcntl(fd, F_GET_SEALS) == (32 | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | 16));
	CHECK(fchmod(fd, 0600) == -1 && errno == EPERM);
	CHECK(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
	close(fd);
	fd = memfd_create("sealed", 8 /* MFD_NOEXEC_SEAL */);
	CHECK(fd >= 0 && fcntl(fd, F_GET_SEALS) == 32 && fchmod(fd, 0777) == -1 && errno == EPERM);
	close(fd);
}

/* What /proc calls a memfd, however long its name. */
static void test_names(void)
{
	char name[251], path[64], want[300], text[300];

	for (size_t bytes = 0; bytes <= 249; bytes += 83) {
		int fd;
		ssize_t n;

		memset(name, 'n', bytes);
		name[bytes] = 0;
		fd = memfd_create(name, 0);
		CHECK(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		snprintf(want, sizeof(want), "/memfd:%s (deleted)", name);
		n = readlink(path, text, sizeof(text) - 1);
		CHECK_EQ(n, strlen(want));
		text[n] = 0;
		CHECK_EQ(strcmp(text, want), 0);
		CHECK_EQ(readlink(path, text, 5), 5);
		close(fd);
	}
	memset(name, 'n', 250);
	name[250] = 0;
	CHECK_ERR(memfd_create(name, 0), EINVAL);
	CHECK_ERR(memfd_create((const char *)8, 0), EFAULT);
}

int main(void)
{
	test_execution();
	test_sizes();
	test_writes();
	test_future();
	test_eventfd();
	test_copy();
	test_names();
	puts("ok");
	return 0;
}
