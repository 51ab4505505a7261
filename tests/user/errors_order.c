/*
 * Which of several errors a call tells, where Linux tells another than what is looked at first might suggest: positions before rights and
 * addresses, nothing to move before what it would be moved by, kinds of files before rights, the way to a name before what it leads to.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define NOWHERE ((void *)0xfffffffffffff000)

static int ends[2], event, folder, file, null;

static void positions(void)
{
	char byte;
	off_t at = 0;

	CHECK(pread(ends[0], NOWHERE, 1, 0) == -1 && errno == ESPIPE);
	CHECK(pread(ends[1], &byte, 1, 0) == -1 && errno == ESPIPE);
	CHECK(pwrite(ends[0], &byte, 1, 0) == -1 && errno == ESPIPE);
	CHECK(preadv(event, NOWHERE, 1, 0) == -1 && errno == ESPIPE);
	CHECK(sendfile(ends[0], ends[0], &at, 1) == -1 && errno == ESPIPE);
	CHECK(sendfile(ends[0], ends[1], &at, 1) == -1 && errno == EBADF);
	CHECK(sendfile(event, file, NULL, 8) == -1 && errno == EINVAL);
	CHECK(lseek(file, 0, SEEK_CUR) == 0);
}

static void nothing_to_move(void)
{
	char byte = 0;
	struct iovec none = { &byte, 0 }, bad = { NOWHERE, 8 };

	CHECK(readv(folder, NULL, 0) == 0 && readv(folder, &none, 1) == 0 && preadv(folder, NULL, 0, 0) == 0);
	CHECK(process_vm_readv(getpid(), NULL, 0, &bad, 1, 0) == 0);
	CHECK(process_vm_readv(getpid(), &none, 1, NOWHERE, 1, 0) == 0);
	CHECK(process_vm_writev(getpid(), NOWHERE, 3, NOWHERE, 0, 0) == -1 && errno == EFAULT);
}

/* Of a vector lengths count before addresses, all of them; what cannot be read or written at all before both. */
static void vectors(void)
{
	static char word[8] = { 1 }; /* far below where programs' memory ends */
	struct iovec bad[] = { { NOWHERE, 8 }, { word, (size_t)-1 } }, two[] = { { word, 8 }, { word, 8 } };
	struct iovec some[] = { { word, 8 }, { word, 4 } }, far = { word, (size_t)INT64_MAX - 4095 };

	CHECK(readv(file, bad, 2) == -1 && errno == EINVAL);
	CHECK(readv(file, bad, 1) == -1 && errno == EFAULT);
	CHECK(process_vm_readv(getpid(), bad, 1, two, 1, 0) == -1 && errno == EFAULT);
	CHECK(process_vm_readv(getpid(), bad, 2, two, 1, 0) == -1 && errno == EINVAL);
	CHECK(lseek(file, 4, SEEK_SET) == 4 && readv(file, &far, 1) == 4 && lseek(file, 0, SEEK_SET) == 0);
	/* An eventfd takes words, each piece by itself. */
	CHECK(write(event, word, 7) == -1 && errno == EINVAL);
	CHECK(write(event, two, 16) == -1 && errno == EINVAL);
	word[0] = 1;
	CHECK(writev(event, two, 2) == 16 && read(event, word, 8) == 8 && word[0] == 2);
	word[0] = 1;
	CHECK(writev(event, some, 2) == 8 && writev(event, some + 1, 1) == -1 && errno == EINVAL);
	CHECK(read(event, word, 8) == 8 && word[0] == 1);
}

static void fallocates(void)
{
	CHECK(fallocate(999, 99, -1, 1) == -1 && errno == EBADF);
	CHECK(fallocate(ends[0], 99, -1, 1) == -1 && errno == EINVAL);
	CHECK(fallocate(ends[0], FALLOC_FL_PUNCH_HOLE, 0, 1) == -1 && errno == EOPNOTSUPP);
	CHECK(fallocate(ends[0], FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 1) == -1 && errno == EOPNOTSUPP);
	CHECK(fallocate(ends[0], FALLOC_FL_COLLAPSE_RANGE, 0, 1) == -1 && errno == EBADF);
	CHECK(fallocate(ends[1], FALLOC_FL_ZERO_RANGE, INT64_MAX, 1) == -1 && errno == ESPIPE);
	CHECK(fallocate(event, 0, 0, 1) == -1 && errno == ENODEV);
	CHECK(fallocate(null, 0, INT64_MAX, 1) == -1 && errno == ENODEV);
	CHECK(fallocate(folder, 0, 0, 1) == -1 && errno == EBADF);
	CHECK(fallocate(file, 0, INT64_MAX, 1) == -1 && errno == EFBIG);
	CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, INT64_MAX, 1) == -1 && errno == EFBIG);
}

static void copies(void)
{
	int memory = memfd_create("errors", 0);
	char word[8];

	CHECK(memory >= 0);
	CHECK(syscall(SYS_copy_file_range, ends[0], NOWHERE, 999, NULL, 1, 9) == -1 && errno == EBADF);
	CHECK(syscall(SYS_copy_file_range, ends[0], NOWHERE, ends[1], NULL, 1, 9) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_copy_file_range, ends[0], NULL, folder, NULL, 1, 0) == -1 && errno == EISDIR);
	CHECK(copy_file_range(file, NULL, memory, NULL, 8, 0) == -1 && errno == EXDEV);
	CHECK(sendfile(memory, file, NULL, 8) == 8 && lseek(file, 0, SEEK_CUR) == 8);
	/* Not from everything that has a position. */
	CHECK(sendfile(memory, null, NULL, 8) == -1 && errno == EINVAL);
	CHECK(sendfile(memory, folder, NULL, 8) == -1 && errno == EINVAL);
	CHECK(sendfile(ends[1], null, NULL, 8) == -1 && errno == EINVAL);
	CHECK(sendfile(memory, null, NULL, 0) == 0);
	CHECK(lseek(memory, 0, SEEK_SET) == 0 && read(memory, word, 8) == 8 && memcmp(word, "12345678", 8) == 0);
	CHECK(lseek(file, 0, SEEK_SET) == 0 && close(memory) == 0);
}

static void paths(void)
{
	char text[8];

	CHECK(readlinkat(AT_FDCWD, "", text, sizeof(text)) == -1 && errno == ENOENT);
	CHECK(readlinkat(file, "", text, sizeof(text)) == -1 && errno == ENOENT);
	CHECK(readlinkat(event, "", text, sizeof(text)) == -1 && errno == ENOENT);
	CHECK(readlinkat(AT_FDCWD, "/errors.f", text, sizeof(text)) == -1 && errno == EINVAL);
	/* The way to the new name before whether there is an old one. */
	CHECK(renameat2(AT_FDCWD, "/errors.none", AT_FDCWD, NOWHERE, 0) == -1 && errno == EFAULT);
	CHECK(rename("/errors.none", "/errors.f/x") == -1 && errno == ENOTDIR);
	CHECK(renameat2(AT_FDCWD, "/errors.none", AT_FDCWD, "/errors.d/.", 0) == -1 && errno == EBUSY);
	CHECK(renameat2(AT_FDCWD, "/errors.none", AT_FDCWD, "/errors.d/.", RENAME_NOREPLACE) == -1 && errno == EEXIST);
	CHECK(renameat2(AT_FDCWD, "/errors.none", AT_FDCWD, "/errors.f", RENAME_NOREPLACE) == -1 && errno == ENOENT);
}

/* Lengths that are more than all there is; a range with a hole is locked up to it. */
static void memory(void)
{
	size_t most = (size_t)INT64_MAX - 4095;
	char *at = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED && munmap(at + PAGE, PAGE) == 0);
	CHECK(madvise(at, most, MADV_DOFORK) == -1 && errno == ENOMEM);
	CHECK(mmap(at + 8, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK(errno == ENOMEM);
	CHECK(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, INT64_MIN) == MAP_FAILED && errno == EOVERFLOW);
	CHECK(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, null, INT64_MIN) == MAP_FAILED && errno == EOVERFLOW);
	CHECK(mlock(at, 3 * PAGE) == -1 && errno == ENOMEM);
	CHECK(msync(at, PAGE, MS_INVALIDATE) == -1 && errno == EBUSY);
	CHECK(msync(at + 2 * PAGE, PAGE, MS_INVALIDATE) == 0);
	CHECK(munlock(at, 3 * PAGE) == -1 && errno == ENOMEM);
	CHECK(msync(at, PAGE, MS_INVALIDATE) == 0 && munmap(at, 3 * PAGE) == 0);
}

/* Positions up to the last that there are; behind them nothing, of any kind of file. */
static void far_away(void)
{
	int memory = memfd_create("errors", 0), zero = open("/dev/zero", O_RDWR);
	off_t last = INT64_MAX - 4095, at = 100;
	char word[8], *page;
	int left;

	CHECK(memory >= 0 && zero >= 0);
	CHECK(pwrite(memory, word, 8, last) == 8 && lseek(memory, 0, SEEK_END) == last + 8);
	CHECK(pread(memory, word, 8, last) == 8 && ftruncate(memory, INT64_MAX) == 0 && ftruncate(memory, 8) == 0);
	CHECK(pwrite(memory, word, 8, INT64_MAX) == -1 && errno == EINVAL);
	CHECK(pread(zero, word, 8, INT64_MAX - 8) == 8 && pread(zero, word, 8, INT64_MAX - 7) == -1 && errno == EINVAL);
	CHECK(pread(folder, word, 8, INT64_MAX) == -1 && errno == EINVAL);
	CHECK(pread(folder, word, 8, 0) == -1 && errno == EISDIR);
	CHECK(lseek(memory, INT64_MAX, SEEK_SET) == INT64_MAX);
	CHECK(write(memory, word, 8) == -1 && errno == EINVAL && read(memory, word, 8) == -1 && errno == EINVAL);
	/* Devices have the same everywhere, so sendfile's position stays. */
	CHECK(sendfile(ends[1], zero, &at, 8) == 8 && at == 100 && read(ends[0], word, 8) == 8);
	CHECK(lseek(event, 100, SEEK_END) == 0 && lseek(event, 0, 99) == -1 && errno == EINVAL);
	CHECK(lseek(memory, 10, SEEK_SET) == 10 && ioctl(memory, FIONREAD, &left) == 0 && left == -2);
	/* Shared it is as long as it is mapped. */
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	CHECK(page != MAP_FAILED && read(zero, page, PAGE) == (ssize_t)PAGE && munmap(page, PAGE) == 0);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, PAGE);
	CHECK(page != MAP_FAILED && read(zero, page, PAGE) == -1 && errno == EFAULT && munmap(page, PAGE) == 0);
	CHECK(close(memory) == 0 && close(zero) == 0);
}

/* Nothing is nothing whatever else is said; advice goes on behind holes, and stops at what it is not for. */
static void ranges(void)
{
	size_t most = (size_t)INT64_MAX - 4095;
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED && mprotect(at, 0, 0x40) == 0 && msync(at, (size_t)-1, 0) == 0);
	CHECK(mprotect(at, (size_t)-1, 0x40) == -1 && errno == ENOMEM);
	CHECK(mprotect(at, PAGE, 0x40) == -1 && errno == EINVAL);
	CHECK(mmap((void *)0xfffffffff0000000, PAGE, PROT_READ, MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK(errno == ENOMEM);
	at[0] = at[PAGE] = at[3 * PAGE] = 1;
	CHECK(mlock(at + PAGE, PAGE) == 0 && munmap(at + 2 * PAGE, PAGE) == 0);
	CHECK(madvise(at, 4 * PAGE, MADV_DONTNEED) == -1 && errno == EINVAL);
	CHECK(at[0] == 0 && at[PAGE] == 1 && at[3 * PAGE] == 1 && munlock(at + PAGE, PAGE) == 0);
	CHECK(madvise(at + PAGE, 3 * PAGE, MADV_DONTNEED) == -1 && errno == ENOMEM && at[3 * PAGE] == 0);
	CHECK(mmap(at + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) == at + PAGE);
	CHECK(madvise(at, 2 * PAGE, MADV_DOFORK) == 0 && madvise(at, 2 * PAGE, MADV_KEEPONFORK) == 0);
	CHECK(madvise(at, 2 * PAGE, MADV_WIPEONFORK) == -1 && errno == EINVAL);
	CHECK(madvise(at, 4 * PAGE, MADV_DOFORK) == -1 && errno == ENOMEM && munmap(at, 4 * PAGE) == 0);
	/* Also where all memory ends before the range does: what is mapped without a hole has it. */
	at = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(at != MAP_FAILED && munmap(at + PAGE, PAGE) == 0);
	CHECK(mprotect(at, most, PROT_READ) == -1 && errno == ENOMEM && read(null, at, 0) == 0);
	CHECK(getcwd(at, PAGE) == NULL && errno == EFAULT);
	CHECK(mlock(at, most) == -1 && errno == ENOMEM && msync(at, PAGE, MS_INVALIDATE) == -1 && errno == EBUSY);
	CHECK(msync(at, most, MS_INVALIDATE) == -1 && errno == EBUSY && msync(at + PAGE, most, 0) == -1 &&
	      errno == ENOMEM);
	CHECK(munmap(at, 3 * PAGE) == 0);
}

static void kinds(void)
{
	CHECK(syscall(SYS_copy_file_range, ends[1], NULL, ends[0], NULL, 1, 0) == -1 && errno == EINVAL);
	CHECK(fcntl(ends[0], F_GETFL) == O_RDONLY && fcntl(ends[1], F_GETFL) == O_WRONLY);
	CHECK(mkdir("/errors.d/a", 0700) == 0);
	CHECK(close(open("/errors.d/a/f", O_CREAT | O_RDWR, 0600)) == 0);
	CHECK(rename("/errors.d/a/f", "/errors.d/a") == -1 && errno == ENOTEMPTY);
	CHECK(rename("/errors.d/a/f", "/errors.d") == -1 && errno == ENOTEMPTY);
	CHECK(unlink("/errors.d/a/f") == 0 && rmdir("/errors.d/a") == 0);
}

int main(void)
{
	CHECK(mkdir("/errors.d", 0700) == 0);
	folder = open("/errors.d", O_RDONLY | O_DIRECTORY);
	file = open("/errors.f", O_CREAT | O_RDWR, 0600);
	event = eventfd(0, EFD_NONBLOCK);
	null = open("/dev/null", O_RDWR);
	CHECK(null >= 0 && folder >= 0 && file >= 0 && event >= 0 && pipe(ends) == 0 &&
	      write(file, "12345678", 8) == 8);
	CHECK(lseek(file, 0, SEEK_SET) == 0);
	positions();
	nothing_to_move();
	kinds();
	vectors();
	fallocates();
	copies();
	paths();
	memory();
	far_away();
	ranges();
	CHECK(close(folder) == 0 && rmdir("/errors.d") == 0 && unlink("/errors.f") == 0);
	puts("ok");
	return 0;
}
