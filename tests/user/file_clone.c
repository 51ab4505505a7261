/*
 * FICLONE and FICLONERANGE where files have them (Linux's own tmpfs says EOPNOTSUPP: then only that is checked): a clone has the
 * content, and keeps it while the other is written, through mappings and by write; clones of clones; ranges; errors.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define PAGES 300

static int file_of(unsigned tag)
{
	int fd = memfd_create("clone", MFD_ALLOW_SEALING);
	char buffer[PAGE];

	CHECK(fd >= 0);
	for (unsigned i = 0; tag != 0 && i < PAGES; i++) {
		memset(buffer, (int)(tag + i) & 0xff, sizeof(buffer));
		CHECK_EQ(write(fd, buffer, sizeof(buffer)), PAGE);
	}
	return fd;
}

static char *map(int fd)
{
	char *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void check_content(int fd, unsigned tag, int except)
{
	char buffer[PAGE];

	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQ(pread(fd, buffer, sizeof(buffer), i * PAGE), PAGE);
		if ((int)i != except)
			CHECK_EQ((unsigned char)buffer[i % PAGE], (tag + i) & 0xff);
	}
}

static void whole(void)
{
	int a = file_of(1), b = file_of(0), c = file_of(9);
	char *pa = map(a), *pc = map(c), *private;
	pid_t child;

	CHECK(ioctl(b, FICLONE, a) == 0);
	CHECK_EQ(lseek(b, 0, SEEK_END), PAGES * PAGE);
	CHECK(ioctl(c, FICLONE, b) == 0);
	check_content(c, 1, -1);
	CHECK_EQ(pc[5 * PAGE], 6);
	private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, a, 0);
	CHECK(private != MAP_FAILED && private[7 * PAGE] == 8);
	pa[7 * PAGE] = 77;
	CHECK_EQ(private[7 * PAGE], 77); /* of a still, written or not */
	check_content(b, 1, -1);
	check_content(c, 1, -1);
	pc[200 * PAGE] = 55;
	CHECK_EQ(pa[200 * PAGE], (char)201);
	CHECK_EQ(pwrite(b, "x", 1, 100 * PAGE), 1);
	check_content(a, 1, 7);
	check_content(c, 1, 200);
	child = child_fork();
	if (child == 0) {
		pa[30 * PAGE] = 99;
		_exit(0);
	}
	child_wait(child);
	CHECK_EQ(pa[30 * PAGE], 99);
	CHECK_EQ(pc[30 * PAGE], 31);
	CHECK(ftruncate(b, 0) == 0 && ftruncate(a, PAGE) == 0);
	check_content(c, 1, 200);
	close(a);
	close(b);
	check_content(c, 1, 200);
	munmap(pa, PAGES * PAGE);
	munmap(pc, PAGES * PAGE);
	munmap(private, PAGES * PAGE);
	close(c);
}

static void ranges(void)
{
	int a = file_of(1), b = file_of(100);
	struct file_clone_range range = {
		.src_fd = a, .src_offset = 10 * PAGE, .src_length = 100 * PAGE, .dest_offset = 50 * PAGE
	};
	char *pb = map(b);

	CHECK(ioctl(b, FICLONERANGE, &range) == 0);
	CHECK(pb[49 * PAGE] == (char)149 && pb[50 * PAGE] == 11 && pb[149 * PAGE] == 110 &&
	      pb[150 * PAGE] == (char)250);
	pb[60 * PAGE] = 1;
	check_content(a, 1, -1);
	/* Within one file; to the end, which is not aligned. */
	range = (struct file_clone_range){ .src_fd = b, .src_offset = 0, .src_length = 2 * PAGE, .dest_offset = PAGE };
	CHECK_ERR(ioctl(b, FICLONERANGE, &range), EINVAL);
	range.dest_offset = 2 * PAGE;
	CHECK(ioctl(b, FICLONERANGE, &range) == 0 && pb[3 * PAGE] == 101);
	CHECK(ftruncate(a, 3 * PAGE + 10) == 0);
	range = (struct file_clone_range){ .src_fd = a, .src_offset = PAGE, .src_length = 0, .dest_offset = 0 };
	CHECK_ERR(ioctl(b, FICLONERANGE, &range), EINVAL); /* would end within b */
	CHECK(ftruncate(b, PAGE) == 0 && ioctl(b, FICLONERANGE, &range) == 0);
	CHECK_EQ(lseek(b, 0, SEEK_END), 2 * PAGE + 10);
	range.src_length = 100;
	CHECK_ERR(ioctl(b, FICLONERANGE, &range), EINVAL);
	range.src_length = 9 * PAGE;
	CHECK_ERR(ioctl(b, FICLONERANGE, &range), EINVAL);
	range.src_offset = 5;
	CHECK_ERR(ioctl(b, FICLONERANGE, &range), EINVAL);
	munmap(pb, PAGES * PAGE);
	close(a);
	close(b);
}

static void errors(void)
{
	int a = file_of(1), b = file_of(0), ends[2], directory = open("/", O_RDONLY | O_DIRECTORY);
	int reader, append;
	char path[64];

	CHECK(pipe(ends) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b);
	reader = open(path, O_RDONLY);
	append = open(path, O_WRONLY | O_APPEND);
	CHECK(reader >= 0 && append >= 0);
	CHECK_ERR(ioctl(b, FICLONE, 999), EBADF);
	CHECK_ERR(ioctl(reader, FICLONE, a), EBADF);
	CHECK_ERR(ioctl(append, FICLONE, a), EBADF);
	CHECK_ERR(ioctl(b, FICLONE, ends[0]), EXDEV);
	CHECK_ERR(ioctl(b, FICLONERANGE, NULL), EFAULT);
	CHECK(fcntl(b, F_ADD_SEALS, F_SEAL_GROW) == 0);
	CHECK_ERR(ioctl(b, FICLONE, a), EPERM);
	close(directory);
}

int main(void)
{
	int a = file_of(1), b = file_of(0);

	if (ioctl(b, FICLONE, a) != 0) {
		CHECK(errno == EOPNOTSUPP || errno == ENOTTY);
		puts("ok");
		return 0;
	}
	close(a);
	close(b);
	whole();
	ranges();
	errors();
	puts("ok");
	return 0;
}
