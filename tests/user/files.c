/* Files: bytes and positions, names and links, directories, descriptors, errors as Linux has them. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

#define BAD ((void *)16)

static char buffer[3 * PAGE];

static int make(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0644);

	CHECK(fd >= 0);
	return fd;
}

static long size_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return (long)st.st_size;
}

static void bytes_and_positions(void)
{
	struct iovec out[3] = { { (void *)"abc", 3 }, { NULL, 0 }, { (void *)"defg", 4 } };
	struct iovec in[2] = { { buffer, 2 }, { buffer + 100, 20 } };
	int fd = make("bytes");

	CHECK_EQ(write(fd, "hello world", 11), 11);
	CHECK_EQ(lseek(fd, -5, SEEK_END), 6);
	CHECK_EQ(read(fd, buffer, 100), 5);
	CHECK(memcmp(buffer, "world", 5) == 0);
	CHECK_EQ(read(fd, buffer, 100), 0);
	CHECK_EQ(pread(fd, buffer, 5, 0), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
	CHECK_EQ(lseek(fd, 2 * PAGE, SEEK_SET), 2 * PAGE);
	CHECK_EQ(write(fd, "X", 1), 1);
	CHECK_EQ(size_of(fd), 2 * PAGE + 1);
	CHECK_EQ(pread(fd, buffer, sizeof(buffer), 11), 2 * PAGE + 1 - 11);
	for (size_t i = 0; i < 2 * PAGE - 11; i++)
		CHECK_EQ(buffer[i], 0);
	CHECK(ftruncate(fd, 4) == 0 && ftruncate(fd, 10) == 0);
	CHECK_EQ(pread(fd, buffer, 100, 0), 10);
	CHECK(memcmp(buffer, "hell\0\0\0\0\0\0", 10) == 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(writev(fd, out, 3), 7);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(readv(fd, in, 2), 10);
	CHECK(memcmp(buffer, "ab", 2) == 0 && memcmp(buffer + 100, "cdefg", 5) == 0);
	CHECK(close(fd) == 0);
	fd = open("bytes", O_WRONLY | O_APPEND);
	CHECK_EQ(write(fd, "end", 3), 3);
	CHECK_EQ(size_of(fd), 13);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 13);
	CHECK(close(fd) == 0 && unlink("bytes") == 0);
}

static void bad_bytes(void)
{
	struct iovec bad[2] = { { buffer, 3 }, { BAD, 5 } };
	int fd = make("bad");

	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_ERR(read(fd, BAD, 5), EFAULT);
	CHECK_ERR(write(fd, BAD, 5), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(size_of(fd), 10);
	CHECK_EQ(writev(fd, bad, 2), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_ERR(syscall(SYS_read, fd, buffer, -1L), EFAULT);
	CHECK_ERR(readv(fd, bad, -1), EINVAL);
	CHECK_ERR(readv(fd, bad, 1025), EINVAL);
	CHECK_ERR(readv(fd, BAD, 2), EFAULT);
	bad[1].iov_len = (size_t)-1;
	CHECK_ERR(readv(fd, bad, 2), EINVAL);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, LLONG_MAX, SEEK_END), EINVAL);
	CHECK_ERR(lseek(fd, 0, 77), EINVAL);
	CHECK_ERR(pread(fd, buffer, 1, -1), EINVAL);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK(close(fd) == 0 && unlink("bad") == 0);
	CHECK_ERR(read(fd, buffer, 1), EBADF);
	CHECK_ERR(write(-1, buffer, 1), EBADF);
}

static void seen_by_mappings(void)
{
	int fd = make("map");
	char *map;

	CHECK(ftruncate(fd, 2 * PAGE) == 0);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	memcpy(map + PAGE, "mapped", 6);
	CHECK_EQ(pread(fd, buffer, 6, PAGE), 6);
	CHECK(memcmp(buffer, "mapped", 6) == 0);
	CHECK_EQ(pwrite(fd, "written", 7, 100), 7);
	CHECK(memcmp(map + 100, "written", 7) == 0);
	CHECK(close(fd) == 0 && unlink("map") == 0);
	CHECK(memcmp(map + 100, "written", 7) == 0);
	CHECK(munmap(map, 2 * PAGE) == 0);
}

static void names(void)
{
	struct stat st;
	int fd = make("a");

	CHECK(close(fd) == 0);
	CHECK_ERR(open("a", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	CHECK_ERR(open("none", O_RDONLY), ENOENT);
	CHECK_ERR(open("a/b", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("a/", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("", O_RDONLY), ENOENT);
	CHECK_ERR(open(BAD, O_RDONLY), EFAULT);
	CHECK_ERR(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open(".", O_WRONLY), EISDIR);
	CHECK_ERR(openat(1000, "a", O_RDONLY), EBADF);
	memset(buffer, 'n', 256);
	buffer[256] = 0;
	CHECK_ERR(open(buffer, O_RDONLY), ENAMETOOLONG);
	memset(buffer, '/', PATH_MAX);
	buffer[PATH_MAX] = 0;
	CHECK_ERR(open(buffer, O_RDONLY), ENAMETOOLONG);
	CHECK(link("a", "b") == 0 && stat("a", &st) == 0);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_ERR(link(".", "c"), EPERM);
	CHECK_ERR(link("/", "/"), EEXIST);
	CHECK(rename("b", "c") == 0 && access("b", F_OK) == -1 && access("c", W_OK) == 0);
	CHECK_ERR(access("c", X_OK), EACCES);
	CHECK(chmod("c", 0755) == 0 && access("a", X_OK) == 0);
	CHECK_ERR(unlink("none"), ENOENT);
	CHECK_ERR(unlink("."), EISDIR);
	CHECK(unlink("a") == 0 && unlink("c") == 0);
}

static void links(void)
{
	int fd;

	CHECK(symlink("target", "link") == 0);
	CHECK_EQ(readlink("link", buffer, 100), 6);
	CHECK_EQ(readlink("link", buffer, 3), 3);
	CHECK_ERR(readlink(".", buffer, 100), EINVAL);
	CHECK_ERR(readlink("link", buffer, 0), EINVAL);
	CHECK_ERR(open("link", O_RDONLY), ENOENT);
	CHECK_ERR(open("link", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	fd = open("link", O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0 && close(fd) == 0 && access("target", F_OK) == 0);
	CHECK_ERR(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK(symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
	CHECK_ERR(open("loop1", O_RDONLY), ELOOP);
	CHECK_ERR(symlink("", "empty"), ENOENT);
	CHECK(unlink("link") == 0 && unlink("target") == 0 && unlink("loop1") == 0 && unlink("loop2") == 0);
}

static void directories(void)
{
	struct dirent *entry;
	size_t letters = 0;
	DIR *dir;

	CHECK(mkdir("d", 0777) == 0 && mkdir("d/e/", 0777) == 0);
	CHECK_ERR(mkdir("d", 0777), EEXIST);
	CHECK_ERR(mkdir("..", 0777), EEXIST);
	CHECK_ERR(mkdir("x/y", 0777), ENOENT);
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(rmdir("d/."), EINVAL);
	CHECK_ERR(rmdir("d/e/.."), ENOTEMPTY);
	CHECK_ERR(unlink("d"), EISDIR);
	CHECK_ERR(rename("d", "d/e/f"), EINVAL);
	for (char name[] = "d/file0"; name[6] <= '9'; name[6]++)
		CHECK(close(make(name)) == 0);
	dir = opendir("d");
	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		letters += strlen(entry->d_name);
	CHECK_EQ(letters, 1 + 2 + 1 + 10 * 5);
	CHECK_ERR(syscall(SYS_getdents64, STDIN_FILENO, buffer, 100), ENOTDIR);
	CHECK(closedir(dir) == 0);
	for (char name[] = "d/file0"; name[6] <= '9'; name[6]++)
		CHECK(unlink(name) == 0);
	CHECK(chdir("d/e") == 0 && getcwd(buffer, sizeof(buffer)) != NULL);
	CHECK(strcmp(buffer + strlen(buffer) - 4, "/d/e") == 0);
	CHECK_ERR(syscall(SYS_getcwd, buffer, 3), ERANGE);
	CHECK(rmdir("../e") == 0);
	CHECK_ERR(syscall(SYS_getcwd, buffer, 300), ENOENT);
	CHECK_ERR(open("new", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK(chdir("../..") == 0 && rmdir("d") == 0);
}

static void descriptors(void)
{
	int fd = make("fd");
	int ends[2];
	int last = -1;
	int next;

	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 100);
	CHECK_EQ(fcntl(100, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(lseek(100, 5, SEEK_SET), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	CHECK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK) == 0);
	CHECK_EQ(fcntl(100, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_APPEND | O_NONBLOCK);
	CHECK_EQ(dup2(fd, fd), fd);
	CHECK_ERR(dup3(fd, fd, 0), EINVAL);
	CHECK_ERR(dup3(fd, 50, O_APPEND), EINVAL);
	CHECK_ERR(dup2(fd, -1), EBADF);
	CHECK_ERR(dup(1000), EBADF);
	CHECK_ERR(fcntl(fd, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(1000, F_GETFD), EBADF);
	CHECK_EQ(dup3(fd, 50, O_CLOEXEC), 50);
	CHECK(syscall(SYS_close_range, 50, 200, 0) == 0);
	CHECK_ERR(fcntl(50, F_GETFD), EBADF);
	CHECK_ERR(fcntl(100, F_GETFD), EBADF);
	CHECK_ERR(syscall(SYS_close_range, 9, 3, 0), EINVAL);
	CHECK_ERR(tcgetattr(fd, (struct termios *)buffer), ENOTTY);
	while ((next = dup(fd)) >= 0)
		last = next;
	CHECK_EQ(errno, EMFILE);
	CHECK(close(last) == 0);
	CHECK_ERR(pipe(ends), EMFILE);
	CHECK_EQ(dup(fd), last);
	CHECK(syscall(SYS_close_range, fd, last, 0) == 0 && unlink("fd") == 0);
}

/* A program that runs is not written to: a fuzzer that did so to its own text was how this was found missing. */
static void busy_text(void)
{
	CHECK_ERR(open("/proc/self/exe", O_WRONLY), ETXTBSY);
	CHECK_ERR(open("/proc/self/exe", O_RDONLY | O_TRUNC), ETXTBSY);
	CHECK_ERR(truncate("/proc/self/exe", 0), ETXTBSY);
}

static void devices(void)
{
	struct pollfd fds[2] = { { .fd = 1000, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	int fd = open("/dev/null", O_RDWR);

	CHECK_EQ(write(fd, buffer, 100), 100);
	CHECK_EQ(read(fd, buffer, 100), 0);
	fds[1].fd = fd;
	CHECK_EQ(poll(fds, 2, -1), 2);
	CHECK_EQ(fds[0].revents, POLLNVAL);
	CHECK_EQ(fds[1].revents, POLLIN);
	CHECK(close(fd) == 0);
	fd = open("/dev/zero", O_RDONLY);
	memset(buffer, 1, 100);
	CHECK_EQ(read(fd, buffer, 100), 100);
	CHECK_EQ(buffer[99], 0);
	CHECK(close(fd) == 0);
	fd = open("/dev/full", O_WRONLY);
	CHECK_ERR(write(fd, buffer, 1), ENOSPC);
	CHECK(close(fd) == 0);
	fd = open("/dev/urandom", O_RDONLY);
	CHECK_EQ(read(fd, buffer, 300), 300);
	CHECK(memcmp(buffer, buffer + 150, 150) != 0);
	CHECK(close(fd) == 0);
}

int main(void)
{
	char home[] = "/tmp/files-XXXXXX";

	CHECK(mkdir("/tmp", 01777) == 0 || errno == EEXIST);
	CHECK(mkdtemp(home) != NULL && chdir(home) == 0);
	bytes_and_positions();
	bad_bytes();
	seen_by_mappings();
	names();
	links();
	directories();
	descriptors();
	devices();
	busy_text();
	CHECK(chdir("/") == 0 && rmdir(home) == 0);
	(void)rmdir("/tmp"); /* what is left in memory would be missing from the free frames */
	puts("ok");
	return 0;
}
