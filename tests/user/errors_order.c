/*
 * Which of several errors a call tells, where Linux tells another than what is looked at first might suggest: positions before rights and
 * addresses, nothing to move before what it would be moved by, kinds of files before rights.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define NOWHERE ((void *)0xfffffffffffff000)

static int ends[2], event, folder, file;

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
	CHECK(folder >= 0 && file >= 0 && event >= 0 && pipe(ends) == 0 && write(file, "12345678", 8) == 8);
	CHECK(lseek(file, 0, SEEK_SET) == 0);
	positions();
	nothing_to_move();
	kinds();
	CHECK(close(folder) == 0 && rmdir("/errors.d") == 0 && unlink("/errors.f") == 0);
	puts("ok");
	return 0;
}
