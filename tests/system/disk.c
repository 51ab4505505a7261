/*
 * Reads and writes a disk from many processes; test_disk.py looks at the image. disk MODE DEVICE [NUMBER...]; what it finds wrong
 * is a line and status 1.
 *
 *   info DEVICE                     numbers, as stat and ioctl have them
 *   fill DEVICE PROCESSES BLOCKS    process p writes block i (of 4096) for every i % PROCESSES == p, in pieces of odd sizes
 *                                   and places; then fsync; then reads all and compares
 *   both DEVICE,DEVICE PROCESSES BLOCKS   fills both at once
 *   compare DEVICE 1 BLOCKS         the part of fill that reads
 *   errors DEVICE READ WRITE        reads and writes every sector past the cache: which fail, and with what; are to be READ, WRITE
 *   hang DEVICE                     reads: EIO is expected, and from then on again and for writes
 *   kill DEVICE                     a process that reads all of a slow disk is killed, and soon gone
 *   ends DEVICE                     what happens at the end, and with O_DIRECT
 *   steps FILE STEP...              one after the other, with a line "STEP RESULT ERROR" each. wN, rN: writes, reads N KiB behind
 *                                   what the last one did; mN, MN: writes to, reads the first N KiB by a shared mapping, "SIGBUS" if
 *                                   there is one; s: msync of all that is mapped; f, F: fsync, by a descriptor each; tN: ftruncate; o: opens it anew
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK  4096
#define SECTOR 512

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_disk(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0)
		fail(path);
	return fd;
}

/* What byte `at` of the disk is to be: test_disk.py knows it, too. */
static uint8_t pattern(uint64_t at)
{
	uint64_t x = (at >> 3) * UINT64_C(0x9e3779b97f4a7c15) + 12345;

	return (uint8_t)(x >> 32 >> (at & 7));
}

static int info(const char *path)
{
	int fd = open_disk(path, O_RDONLY);
	uint64_t bytes = 0;
	unsigned long sectors = 0;
	int block = 0, physical = 0, read_only = -1;
	struct stat stat;

	if (fstat(fd, &stat) != 0 || ioctl(fd, BLKGETSIZE64, &bytes) != 0 || ioctl(fd, BLKGETSIZE, &sectors) != 0 ||
	    ioctl(fd, BLKSSZGET, &block) != 0 || ioctl(fd, BLKPBSZGET, &physical) != 0 ||
	    ioctl(fd, BLKROGET, &read_only) != 0 || ioctl(fd, BLKFLSBUF, 0) != 0)
		fail("info");
	printf("%s %u:%u bytes=%lu sectors=%lu block=%d read_only=%d end=%ld\n",
	       S_ISBLK(stat.st_mode) ? "block" : "other", major(stat.st_rdev), minor(stat.st_rdev), bytes, sectors,
	       block, read_only, lseek(fd, 0, SEEK_END));
	return 0;
}

/* Pieces of 1 to 9000 bytes that cover [at, end). */
static void write_pieces(int fd, uint64_t at, uint64_t end, unsigned seed)
{
	static uint8_t buffer[9000];

	while (at < end) {
		uint64_t n = 1 + (uint64_t)rand_r(&seed) % sizeof(buffer);

		n = n < end - at ? n : end - at;
		for (uint64_t i = 0; i < n; i++)
			buffer[i] = pattern(at + i);
		if (pwrite(fd, buffer, n, (off_t)at) != (ssize_t)n)
			fail("pwrite");
		at += n;
	}
}

static int compare(int fd, uint64_t end)
{
	static uint8_t buffer[200000];

	for (uint64_t at = 0; at < end;) {
		uint64_t want = end - at < sizeof(buffer) ? end - at : sizeof(buffer);
		ssize_t n = pread(fd, buffer, want, (off_t)at);

		if (n != (ssize_t)want)
			fail("pread");
		for (ssize_t i = 0; i < n; i++, at++)
			if (buffer[i] != pattern(at)) {
				printf("byte %lu is %02x, not %02x\n", at, buffer[i], pattern(at));
				return 1;
			}
	}
	return 0;
}

/* Borders between processes lie within sectors: a part of a block is read, changed and written by two at once. */
static int fill(const char *path, unsigned processes, unsigned blocks)
{
	int fd = open_disk(path, O_RDWR);
	int status, bad = 0;

	for (unsigned p = 0; p < processes; p++) {
		if (fork() != 0)
			continue;
		for (unsigned i = p; i < blocks; i += processes)
			write_pieces(fd, (uint64_t)i * BLOCK + (i == 0 ? 0 : 100), (uint64_t)(i + 1) * BLOCK + 100, i);
		exit(fsync(fd) != 0);
	}
	while (wait(&status) > 0)
		bad |= status;
	if (bad != 0)
		return 1;
	return compare(fd, (uint64_t)blocks * BLOCK);
}

static int only_compare(const char *path, unsigned blocks)
{
	int fd = open_disk(path, O_RDONLY);

	printf("end %ld\n", lseek(fd, 0, SEEK_END));
	return compare(fd, (uint64_t)blocks * BLOCK);
}

static int both(char *paths, unsigned processes, unsigned blocks)
{
	char *second = strchr(paths, ',');
	int status;

	if (second == NULL)
		return 2;
	*second++ = 0;
	for (int i = 0; i < 2; i++)
		if (fork() == 0)
			exit(fill(i == 0 ? paths : second, processes, blocks));
	for (int i = 0; i < 2; i++)
		if (wait(&status) < 0 || status != 0)
			return 1;
	return 0;
}

static int errors(const char *path, long bad_read, long bad_write)
{
	int fd = open_disk(path, O_RDWR | O_DIRECT);
	long sectors = lseek(fd, 0, SEEK_END) / SECTOR;
	uint8_t buffer[SECTOR] __attribute__((aligned(SECTOR)));
	int wrong = 0;

	for (long sector = 0; sector < sectors; sector++) {
		memset(buffer, 1 + (int)(sector % 255), sizeof(buffer));
		errno = 0;
		ssize_t n = pwrite(fd, buffer, SECTOR, sector * SECTOR);
		if (n != (sector == bad_write ? -1 : SECTOR) || errno != (sector == bad_write ? EIO : 0)) {
			printf("write of sector %ld: %zd %s\n", sector, n, strerror(errno));
			wrong = 1;
		}
	}
	for (long sector = 0; sector < sectors; sector++) {
		errno = 0;
		ssize_t n = pread(fd, buffer, SECTOR, sector * SECTOR);
		if (n != (sector == bad_read ? -1 : SECTOR) || errno != (sector == bad_read ? EIO : 0)) {
			printf("read of sector %ld: %zd %s\n", sector, n, strerror(errno));
			wrong = 1;
		} else if (n == SECTOR && sector != bad_write && buffer[7] != 1 + (int)(sector % 255)) {
			printf("sector %ld is lost\n", sector);
			wrong = 1;
		}
	}
	errno = 0;
	printf("fsync %d %s\n", fsync(fd), strerror(errno));
	errno = 0;
	printf("fsync %d %s\n", fsync(fd), strerror(errno));
	return wrong;
}

static int hang(const char *path)
{
	int fd = open_disk(path, O_RDWR | O_DIRECT);
	uint8_t buffer[BLOCK * 4] __attribute__((aligned(BLOCK))) = { 0 };

	for (int i = 0; i < 2; i++) {
		errno = 0;
		ssize_t n = i == 0 ? pread(fd, buffer, sizeof(buffer), 0) : pwrite(fd, buffer, sizeof(buffer), 0);
		printf("%zd %s\n", n, strerror(errno));
	}
	return 0;
}

static int kill_reader(const char *path)
{
	static uint8_t buffer[1 << 20];
	int fd = open_disk(path, O_RDWR), status;
	pid_t child = fork();

	if (child == 0) {
		for (;;)
			(void)!pread(fd, buffer, sizeof(buffer), 0);
	}
	usleep(100000);
	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		fail("waitpid");
	return pread(fd, buffer, BLOCK, 0) != BLOCK;
}

static void expect(const char *what, long result, int error, long wanted, int wanted_error)
{
	if (result == wanted && (result >= 0 || error == wanted_error))
		return;
	printf("%s: %ld %s\n", what, result, result < 0 ? strerror(error) : "");
	exit(1);
}

#define EXPECT(call, wanted, wanted_error)                                                                             \
	do {                                                                                                           \
		long result_ = (call);                                                                                 \
		expect(#call, result_, errno, wanted, wanted_error);                                                   \
	} while (0)

static int ends(const char *path)
{
	static uint8_t buffer[BLOCK] __attribute__((aligned(BLOCK)));
	int fd = open_disk(path, O_RDWR);
	int direct = open_disk(path, O_RDWR | O_DIRECT);
	long end = lseek(fd, 0, SEEK_END);

	EXPECT(read(fd, buffer, BLOCK), 0, 0);
	EXPECT(write(fd, buffer, 1), -1, ENOSPC);
	EXPECT(pread(fd, buffer, BLOCK, end - 100), 100, 0);
	EXPECT(pwrite(fd, buffer, BLOCK, end - 100), 100, 0);
	EXPECT(pwrite(fd, buffer, BLOCK, end + 5), -1, ENOSPC);
	EXPECT(lseek(fd, 1, SEEK_END), -1, EINVAL);
	EXPECT(lseek(fd, -1, SEEK_SET), -1, EINVAL);
	EXPECT(lseek(fd, 5, SEEK_DATA), 5, 0);
	EXPECT(lseek(fd, 5, SEEK_HOLE), end, 0);
	EXPECT(pread(direct, buffer, BLOCK, 0), BLOCK, 0);
	EXPECT(pwrite(direct, buffer, SECTOR, SECTOR), SECTOR, 0);
	EXPECT(pread(direct, buffer, 100, 0), -1, EINVAL);
	EXPECT(pread(direct, buffer, SECTOR, 1), -1, EINVAL);
	EXPECT(pread(fd, (void *)8, BLOCK, 0), -1, EFAULT);
	EXPECT(ftruncate(fd, 0), -1, EINVAL);
	EXPECT(fdatasync(fd), 0, 0);
	EXPECT(ioctl(fd, 0x5413, buffer), -1, ENOTTY);
	return 0;
}

/* ---- steps */

static struct {
	int fd, second;
	uint8_t *map;
	size_t mapped;
} file;

static sigjmp_buf after_bus;

static void on_bus(int signo)
{
	(void)signo;
	siglongjmp(after_bus, 1);
}

static long touch(size_t bytes, bool write)
{
	volatile uint8_t *at;
	volatile uint8_t sum = 0;

	if (file.map != NULL)
		munmap(file.map, file.mapped);
	file.mapped = bytes;
	file.map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
	if (file.map == MAP_FAILED)
		fail("mmap");
	at = file.map;
	if (sigsetjmp(after_bus, 1) != 0)
		return -2;
	for (size_t i = 0; i < bytes; i++)
		if (write)
			at[i] = pattern(i);
		else
			sum = (uint8_t)(sum + at[i]);
	return 0;
}

static long step(char what, long kib)
{
	static uint8_t bytes[8 << 20];
	size_t n = (size_t)kib << 10;

	for (size_t i = 0; what == 'w' && i < n; i++)
		bytes[i] = pattern(i);
	switch (what) {
	case 'w':
		return write(file.fd, bytes, n);
	case 'r':
		return read(file.fd, bytes, n);
	case 'm':
	case 'M':
		return touch(n, what == 'm');
	case 's':
		return msync(file.map, file.mapped, MS_SYNC);
	case 't':
		return ftruncate(file.fd, (off_t)n);
	case 'o':
		close(file.fd);
		return (file.fd = open("/proc/self/fd/9", O_RDWR)) < 0 ? -1 : 0;
	default:
		return fsync(what == 'f' ? file.fd : file.second);
	}
}

static int steps(const char *path, char **what)
{
	file.fd = open_disk(path, O_RDWR | O_CREAT);
	file.second = open_disk(path, O_RDONLY);
	if (dup2(file.second, 9) != 9)
		fail("dup2");
	signal(SIGBUS, on_bus);
	for (; *what != NULL; what++) {
		long result;

		errno = 0;
		result = step(**what, atol(*what + 1));
		printf("%s %ld %s\n", *what, result, result == -2 ? "SIGBUS" : result < 0 ? strerror(errno) : "");
	}
	return 0;
}

int main(int argc, char **argv)
{
	long a = argc > 3 ? atol(argv[3]) : 0, b = argc > 4 ? atol(argv[4]) : 0;

	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "steps") == 0)
		return steps(argv[2], argv + 3);
	if (strcmp(argv[1], "info") == 0)
		return info(argv[2]);
	if (strcmp(argv[1], "fill") == 0)
		return fill(argv[2], (unsigned)a, (unsigned)b);
	if (strcmp(argv[1], "compare") == 0)
		return only_compare(argv[2], (unsigned)b);
	if (strcmp(argv[1], "both") == 0)
		return both(argv[2], (unsigned)a, (unsigned)b);
	if (strcmp(argv[1], "errors") == 0)
		return errors(argv[2], a, b);
	if (strcmp(argv[1], "hang") == 0)
		return hang(argv[2]);
	if (strcmp(argv[1], "kill") == 0)
		return kill_reader(argv[2]);
	return strcmp(argv[1], "ends") == 0 ? ends(argv[2]) : 2;
}
