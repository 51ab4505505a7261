/* fsync and its kind, msync, hints, preadv2 and pwritev2: what they take and refuse, on files and on what is none. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "check.h"

static void on_files(int file, int end)
{
	CHECK(fsync(file) == 0 && fdatasync(file) == 0 && syncfs(file) == 0);
	CHECK_ERR(fsync(end), EINVAL);
	CHECK_ERR(fdatasync(end), EINVAL);
	CHECK_ERR(fsync(-1), EBADF);
	CHECK_ERR(syncfs(-1), EBADF);
	CHECK(fsync(open("/", O_RDONLY | O_DIRECTORY)) == 0);
	CHECK_ERR(fsync(open("/", O_PATH)), EBADF);
	sync();
	CHECK(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE) == 0);
	CHECK(sync_file_range(file, PAGE, PAGE, 7) == 0);
	CHECK_ERR(sync_file_range(file, 0, 0, 8), EINVAL);
	CHECK_ERR(sync_file_range(file, -1, 0, 1), EINVAL);
	CHECK_ERR(sync_file_range(file, 0, -1, 1), EINVAL);
	CHECK_ERR(sync_file_range(end, 0, 0, 1), ESPIPE);
	CHECK_ERR(sync_file_range(-1, 0, 0, 8), EBADF);
}

static void hints(int file, int end)
{
	CHECK(readahead(file, 0, 1 << 20) == 0);
	CHECK_ERR(readahead(end, 0, PAGE), EINVAL);
	CHECK_ERR(readahead(-1, 0, PAGE), EBADF);
	for (int advice = 0; advice <= POSIX_FADV_NOREUSE; advice++)
		CHECK(posix_fadvise(file, 0, PAGE, advice) == 0);
	CHECK(posix_fadvise(file, 0, PAGE, 77) == EINVAL);
	CHECK(posix_fadvise(file, 0, -1, 0) == EINVAL);
	CHECK(posix_fadvise(end, 0, PAGE, 0) == ESPIPE);
}

static void mappings(int file)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	CHECK(at != MAP_FAILED);
	at[3] = 'm';
	CHECK(msync(at, 4 * PAGE, MS_SYNC) == 0 && msync(at, 4 * PAGE, MS_ASYNC) == 0);
	CHECK(msync(at, 1, MS_SYNC | MS_INVALIDATE) == 0 && msync(at, PAGE, 0) == 0);
	CHECK_ERR(msync(at, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(at, PAGE, 64), EINVAL);
	CHECK_ERR(msync(at + 1, PAGE, MS_SYNC), EINVAL);
	CHECK(munmap(at + PAGE, PAGE) == 0);
	CHECK_ERR(msync(at, 4 * PAGE, MS_SYNC), ENOMEM);
	CHECK_ERR(msync(at + PAGE, PAGE, MS_SYNC), ENOMEM);
	CHECK(mlock(at, PAGE) == 0);
	CHECK_ERR(msync(at, PAGE, MS_INVALIDATE), EBUSY);
	CHECK(msync(at, PAGE, MS_SYNC) == 0 && munlock(at, PAGE) == 0 && msync(at, PAGE, MS_INVALIDATE) == 0);
	CHECK(madvise(at, PAGE, MADV_WILLNEED) == 0);
	CHECK_ERR(madvise(at + PAGE, PAGE, MADV_WILLNEED), ENOMEM);
}

static void flags(int file, int end)
{
	char text[16] = { 0 };
	struct iovec out = { "abc", 3 }, in = { text, sizeof(text) };

	CHECK(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
	CHECK(pwritev2(file, &out, 1, -1, 0) == 3 && lseek(file, 0, SEEK_CUR) == 3);
	CHECK(pwritev2(file, &out, 1, 0, RWF_DSYNC) == 3 && pwritev2(file, &out, 1, 1, RWF_SYNC) == 3);
	CHECK(pwritev2(file, &out, 1, 0, RWF_APPEND) == 3 && lseek(file, 0, SEEK_CUR) == 3);
	CHECK(lseek(file, 0, SEEK_END) == 7 && lseek(file, 0, SEEK_SET) == 0);
	CHECK(preadv2(file, &in, 1, 2, RWF_HIPRI) == 5 && memcmp(text, "bcabc", 5) == 0);
	CHECK(preadv2(file, &in, 1, -1, 0) == 7 && memcmp(text, "aabcabc", 7) == 0 && lseek(file, 0, SEEK_CUR) == 7);
	CHECK_ERR(preadv2(file, &in, 1, -2, 0), EINVAL);
	CHECK_ERR(preadv2(file, &in, 1, 0, 1 << 20), EOPNOTSUPP);
	CHECK_ERR(preadv2(end, &in, 1, 0, 0), ESPIPE);
}

/* All writes with O_SYNC and O_DSYNC are as others where nothing is behind the file. */
static void synchronous(void)
{
	int file = open("/sync_calls.tmp", O_RDWR | O_CREAT | O_SYNC, 0600);

	CHECK(file >= 0 && (fcntl(file, F_GETFL) & O_SYNC) == O_SYNC);
	CHECK(write(file, "x", 1) == 1 && close(file) == 0 && unlink("/sync_calls.tmp") == 0);
}

int main(void)
{
	int file = memfd_create("sync", 0), ends[2];

	CHECK(file >= 0 && ftruncate(file, 16 * PAGE) == 0 && pipe(ends) == 0);
	on_files(file, ends[0]);
	hints(file, ends[0]);
	mappings(file);
	flags(file, ends[0]);
	synchronous();
	printf("ok\n");
	return 0;
}
