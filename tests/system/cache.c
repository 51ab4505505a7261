/*
 * The page cache, tried on a disk: cache MODE DEVICE [NUMBER...]. What it finds wrong is a line and status 1; else the last line is
 * "ok". test_cache.py makes the disks.
 *
 *   coherent DEVICE PROCESSES SECONDS SEED  all map, read and write the same pages, against a model
 *   flood DEVICE                            makes more dirty than there is memory, by a mapping and by write()
 *   reclaim DEVICE MiB                      fills the cache, then wants that much memory
 *   stream DEVICE WAY                       a working set that is mapped survives a stream; WAY 0: by read(), 1: by a mapping
 *   fragments DEVICE CHILDREN               forks that many at once where every second frame is free, and few lie side by side
 *   errors DEVICE READ WRITE                page READ cannot be read, WRITE and WRITE + 64 not be written once
 *   copies DEVICE                           calls whose buffers are pages of the disk that must be read first
 *   sleep DEVICE                            one thread waits for the disk; the other runs on
 *   kill DEVICE                             a process that waits for the disk is killed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096UL
#define WORDS (PAGE / 8)

static const char *path;
static int fd;
static uint64_t pages;

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                            \
			fflush(stdout);                                                                                \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void *map(uint64_t first, uint64_t n, int flags)
{
	void *at = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, flags, fd, (off_t)(first * PAGE));

	CHECK(at != MAP_FAILED);
	return at;
}

/* Nothing of the disk, or of a file on one, stays in memory that is not mapped. */
static void forget(void)
{
	if (ioctl(fd, BLKFLSBUF, 0) != 0)
		CHECK(errno == ENOTTY && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/* ---- coherent: each page belongs to one process, who alone writes it; its version is odd while it does. */

struct model {
	_Atomic uint64_t checked;
	_Atomic uint64_t version[];
};

static struct model *model;
static uint64_t *shared;

static uint64_t word(uint64_t page, uint64_t version, uint64_t i)
{
	return version == 0 ? 0 : (page << 40 | version << 12 | i) * UINT64_C(0x9e3779b97f4a7c15);
}

static void write_page(uint64_t page, unsigned *seed)
{
	uint64_t version = atomic_load(&model->version[page]) + 2;
	uint64_t words[WORDS];

	atomic_store(&model->version[page], version - 1);
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = word(page, version, i);
	if (rand_r(seed) % 2 == 0) {
		CHECK(pwrite(fd, words, PAGE, (off_t)(page * PAGE)) == (ssize_t)PAGE);
	} else if (rand_r(seed) % 2 == 0) {
		CHECK(pwrite(fd, words, 1000, (off_t)(page * PAGE)) == 1000);
		CHECK(pwrite(fd, (char *)words + 1000, PAGE - 1000, (off_t)(page * PAGE + 1000)) ==
		      (ssize_t)PAGE - 1000);
	} else {
		memcpy(shared + page * WORDS, words, PAGE);
	}
	atomic_store(&model->version[page], version);
}

static void check_page(uint64_t page, unsigned *seed)
{
	uint64_t before = atomic_load(&model->version[page]);
	uint64_t words[WORDS];
	int way = rand_r(seed) % 3;

	if (before % 2 != 0)
		return;
	if (way == 0) {
		memcpy(words, shared + page * WORDS, PAGE);
	} else if (way == 1) {
		CHECK(pread(fd, words, PAGE, (off_t)(page * PAGE)) == (ssize_t)PAGE);
	} else {
		uint64_t *private = map(page, 1, MAP_PRIVATE);

		memcpy(words, private, PAGE);
		CHECK(munmap(private, PAGE) == 0);
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&model->version[page]) != before)
		return;
	for (uint64_t i = 0; i < WORDS; i++)
		if (words[i] != word(page, before, i)) {
			printf("page %lu version %lu way %d word %lu is %lx, not %lx\n", page, before, way, i, words[i],
			       word(page, before, i));
			fflush(stdout);
			_exit(1);
		}
	atomic_fetch_add(&model->checked, 1);
}

/* A private copy stays as it is, whatever happens to the file; what was not written of it goes with the file. */
static void check_private(uint64_t page, unsigned *seed)
{
	uint64_t *private = map(page, 2, MAP_PRIVATE);

	private[5] = 77;
	write_page(page, seed);
	CHECK(private[5] == 77);
	CHECK(madvise(private, 2 * PAGE, MADV_DONTNEED) == 0);
	CHECK(private[5] == word(page, atomic_load(&model->version[page]), 5));
	CHECK(munmap(private, 2 * PAGE) == 0);
}

static void sync_some(uint64_t page, unsigned *seed)
{
	switch (rand_r(seed) % 6) {
	case 0:
		CHECK(msync(shared + page * WORDS, PAGE, MS_SYNC) == 0);
		break;
	case 1:
		CHECK(fsync(fd) == 0);
		break;
	case 2:
		CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
		break;
	case 3:
		forget();
		break;
	case 4:
		CHECK(sync_file_range(fd, (off_t)(page * PAGE), 16 * PAGE, 7) == 0);
		break;
	case 5: /* as if it had never been touched */
		CHECK(madvise(shared + page * WORDS, PAGE, MADV_DONTNEED) == 0);
		break;
	}
}

static void fork_some(unsigned *seed)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0) {
		for (int i = 0; i < 20; i++)
			check_page((uint64_t)rand_r(seed) % pages, seed);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void coherent_process(unsigned me, unsigned processes, uint64_t end, unsigned seed)
{
	shared = map(0, pages, MAP_SHARED);
	while (now_ms() < end) {
		uint64_t mine = (uint64_t)rand_r(&seed) % ((pages - 1) / processes) * processes + me;

		switch (rand_r(&seed) % 32) {
		case 0:
			sync_some(mine, &seed);
			break;
		case 1:
			check_private(mine, &seed);
			break;
		case 2:
			fork_some(&seed);
			break;
		case 3 ... 12:
			write_page(mine, &seed);
			break;
		default:
			check_page((uint64_t)rand_r(&seed) % pages, &seed);
			break;
		}
	}
	_exit(0);
}

static void coherent(unsigned processes, unsigned seconds, unsigned seed)
{
	uint64_t end = now_ms() + seconds * 1000;
	uint64_t words[WORDS] __attribute__((aligned(4096)));
	int status, direct;

	model = mmap(NULL, sizeof(*model) + pages * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(model != MAP_FAILED);
	for (unsigned p = 0; p < processes; p++)
		if (fork() == 0)
			coherent_process(p, processes, end, seed + p * 1000);
	for (unsigned p = 0; p < processes; p++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(fsync(fd) == 0);
	forget();
	direct = open(path, O_RDONLY | O_DIRECT);
	CHECK(direct >= 0);
	for (uint64_t page = 0; page < pages; page++) {
		CHECK(pread(direct, words, PAGE, (off_t)(page * PAGE)) == (ssize_t)PAGE);
		for (uint64_t i = 0; i < WORDS; i++)
			CHECK(words[i] == word(page, atomic_load(&model->version[page]), i));
	}
	CHECK(atomic_load(&model->checked) > processes * 10);
}

/* ---- flood */

static void flood(void)
{
	uint64_t half = pages / 2;
	uint64_t *at = map(0, half, MAP_SHARED);
	uint64_t words[WORDS] = { 0 };

	for (uint64_t page = 0; page < half; page++)
		at[page * WORDS + page % WORDS] = page + 1;
	for (uint64_t page = half; page < pages; page++) {
		words[1] = page;
		CHECK(pwrite(fd, words, PAGE, (off_t)(page * PAGE)) == (ssize_t)PAGE);
	}
	for (uint64_t page = 0; page < half; page += 7)
		CHECK(at[page * WORDS + page % WORDS] == page + 1);
	for (uint64_t page = half; page < pages; page += 7) {
		CHECK(pread(fd, words, PAGE, (off_t)(page * PAGE)) == (ssize_t)PAGE);
		CHECK(words[1] == page);
	}
	CHECK(fsync(fd) == 0);
}

/* ---- reclaim */

static void reclaim(uint64_t mib)
{
	static char buffer[1 << 16];
	uint64_t *at = map(0, pages, MAP_SHARED);
	uint64_t sum = 0;
	char *memory;

	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	for (uint64_t page = 0; page < pages; page++)
		sum += at[page * WORDS];
	CHECK(sum == 0);
	memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	for (uint64_t i = 0; i < mib << 20; i += PAGE)
		memory[i] = (char)(i >> 12);
	for (uint64_t i = 0; i < mib << 20; i += PAGE)
		CHECK(memory[i] == (char)(i >> 12));
}

/* ---- stream */

#define SET 2048UL /* pages */

static _Atomic int streamed;
static uint64_t lost;

static void *use_set(void *unused)
{
	static unsigned char there[SET];
	volatile uint64_t *at = map(0, SET, MAP_SHARED);

	for (bool first = true; atomic_load(&streamed) == 0; first = false) {
		CHECK(mincore((void *)(uintptr_t)at, SET * PAGE, there) == 0);
		for (uint64_t page = 0; page < SET; page++) {
			lost += !first && (there[page] & 1) == 0;
			(void)at[page * WORDS];
		}
		usleep(2000);
	}
	return unused;
}

static void stream(unsigned long by_mapping)
{
	static char buffer[1 << 16];
	pthread_t thread;
	uint64_t seen = 0;

	CHECK(pthread_create(&thread, NULL, use_set, NULL) == 0);
	usleep(300000);
	if (by_mapping) {
		volatile uint64_t *at = map(0, pages, MAP_SHARED);

		for (uint64_t page = 2 * SET; page < pages; page++, seen++)
			(void)at[page * WORDS];
	} else {
		CHECK(lseek(fd, 2 * SET * PAGE, SEEK_SET) != -1);
		for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0; seen += (uint64_t)n / PAGE)
			;
	}
	atomic_store(&streamed, 1);
	CHECK(pthread_join(thread, NULL) == 0);
	printf("%lu pages went by, %lu were lost\n", seen, lost);
	CHECK(seen == pages - 2 * SET && lost < SET / 2);
}

/* ---- errors */

static sigjmp_buf caught;

static void on_bus(int number)
{
	siglongjmp(caught, number);
}

static int pipe_end(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	return ends[1];
}

static void errors(uint64_t bad_read, uint64_t bad_write)
{
	int first = open(path, O_RDWR), second = open(path, O_RDWR), later;
	volatile uint64_t *at = map(0, pages, MAP_SHARED);
	uint64_t words[2 * WORDS];

	signal(SIGBUS, on_bus);
	for (volatile int i = 0; i < 2; i++) {
		CHECK(at[(bad_read - 1) * WORDS] == 0); /* although the other is read with it */
		if (sigsetjmp(caught, 1) == 0) {
			(void)at[bad_read * WORDS];
			CHECK(!"no SIGBUS");
		}
		CHECK(pread(fd, words, PAGE, (off_t)(bad_read * PAGE)) == -1 && errno == EIO);
		CHECK(pread(fd, words, 2 * PAGE, (off_t)((bad_read - 1) * PAGE)) == (ssize_t)PAGE);
	}
	CHECK(write(pipe_end(), (void *)(uintptr_t)(at + bad_read * WORDS), 10) == -1 && errno == EFAULT);
	at[bad_write * WORDS] = 1234;
	CHECK(msync((void *)(uintptr_t)(at + bad_write * WORDS), PAGE, MS_SYNC) == -1 && errno == EIO);
	CHECK(msync((void *)(uintptr_t)(at + bad_write * WORDS), PAGE, MS_SYNC) == 0);
	CHECK(fsync(first) == -1 && errno == EIO);
	CHECK(fsync(first) == 0);
	CHECK(fdatasync(second) == -1 && errno == EIO);
	CHECK(fsync(second) == 0);
	later = open(path, O_RDWR);
	CHECK(later >= 0 && fsync(later) == 0);
	at[(bad_write + 64) * WORDS] = 4321;
	sleep(7); /* the kernel writes it back by itself, fails, and leaves it for a while */
	CHECK(fsync(later) == -1 && errno == EIO);
	CHECK(fsync(later) == 0);
	CHECK(fsync(first) == -1 && errno == EIO);
	CHECK(fsync(first) == 0);
}

/* ---- copies */

/* One page of the disk that is not in memory. */
static void *fresh(void)
{
	static uint64_t next = 8;

	next += 40; /* out of reach of what is read ahead */
	return map(next % pages, 1, MAP_SHARED);
}

static void on_signal(int number)
{
	(void)number;
}

static void copies(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	struct timespec moment = { .tv_nsec = 1000000 };
	stack_t stack = { .ss_size = 4 * PAGE };
	char buffer[PAGE];
	int ends[2];
	char *at;

	forget();
	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], fresh(), PAGE) == (ssize_t)PAGE);
	CHECK(read(ends[0], fresh(), PAGE) == (ssize_t)PAGE);
	at = map(1000, 20, MAP_SHARED); /* larger than what goes into a pipe at once, and read by another */
	if (fork() == 0) {
		for (ssize_t n, all = 0; all < 20 * (ssize_t)PAGE; all += n)
			CHECK((n = read(ends[0], fresh(), PAGE)) > 0);
		_exit(0);
	}
	CHECK(write(ends[1], at, 20 * PAGE) == 20 * (ssize_t)PAGE);
	CHECK(wait(NULL) > 0);
	memset(buffer, 'x', sizeof(buffer));
	at = fresh();
	CHECK(pread(fd, at, PAGE, 1100 * PAGE) == (ssize_t)PAGE && at[9] == 0);
	at = fresh();
	CHECK(pwrite(fd, at, PAGE, 1140 * PAGE) == (ssize_t)PAGE);
	CHECK(pwrite(fd, fresh(), 100, 1180 * PAGE + 100) == 100);
	at = map(1300, 1, MAP_SHARED);
	CHECK(pwrite(fd, at, PAGE, 1300 * PAGE) == (ssize_t)PAGE); /* onto itself */
	at = map(1340, 1, MAP_SHARED);
	CHECK(pread(fd, at, PAGE, 1340 * PAGE) == (ssize_t)PAGE);
	at = map(1400, 2, MAP_SHARED);
	CHECK(mincore(at, 2 * PAGE, (unsigned char *)buffer) == 0 && (buffer[0] & 1) == 0 && (buffer[1] & 1) == 0);
	CHECK(pread(fd, buffer + 2, 1, 1400 * PAGE) == 1);
	CHECK(mincore(at, 2 * PAGE, (unsigned char *)buffer) == 0 && (buffer[0] & 1) == 1);
	CHECK(posix_fadvise(fd, 1400 * PAGE, 8 * PAGE, POSIX_FADV_DONTNEED) == 0);
	CHECK(mincore(at, 2 * PAGE, (unsigned char *)buffer) == 0 && (buffer[0] & 1) == 0 && (buffer[1] & 1) == 0);
	CHECK(madvise(at, 2 * PAGE, MADV_WILLNEED) == 0);
	for (buffer[0] = buffer[1] = 0; (buffer[0] & buffer[1] & 1) == 0; usleep(1000)) /* it is on its way */
		CHECK(mincore(at, 2 * PAGE, (unsigned char *)buffer) == 0);
	CHECK(syscall(SYS_getdents64, open("/", O_RDONLY | O_DIRECTORY), fresh(), PAGE) > 0);
	at = fresh();
	CHECK(read(open("/proc/self/maps", O_RDONLY), at, PAGE) > 50 && memchr(at, '-', 20) != NULL);
	CHECK(syscall(SYS_futex, fresh(), FUTEX_WAIT, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
	CHECK(syscall(SYS_futex, fresh(), FUTEX_WAIT, 0, &moment, NULL, 0) == -1 && errno == ETIMEDOUT);
	CHECK(syscall(SYS_futex, fresh(), FUTEX_WAKE_OP, 1, 1, fresh(),
		      FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)) == 0);
	stack.ss_sp = map(1500, 4, MAP_SHARED);
	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0);
	at = fresh();
	CHECK(clock_gettime(CLOCK_REALTIME, (struct timespec *)at) == 0);
	at = fresh();
	CHECK(getcwd(at, PAGE) == at && at[0] == '/');
	at = fresh();
	CHECK(open(at, O_RDONLY) == -1 && errno == ENOENT);
	for (int i = 0; i < 100; i++) { /* with somebody who throws it out all the time */
		at = map(1700 + (uint64_t)i, 3, MAP_SHARED);
		forget();
		CHECK(write(ends[1], at, 3 * PAGE) == 3 * (ssize_t)PAGE);
		CHECK(read(ends[0], at, 3 * PAGE) == 3 * (ssize_t)PAGE);
		CHECK(munmap(at, 3 * PAGE) == 0);
	}
}

/* ---- sleep, kill: the disk is slow */

static _Atomic int done;

static void *reader(void *unused)
{
	volatile uint64_t *at = map(0, pages, MAP_SHARED);

	for (uint64_t page = 0; page < 8; page++)
		(void)at[page * 100 * WORDS];
	atomic_store(&done, 1);
	return unused;
}

static void sleep_beside(void)
{
	uint64_t start = now_ms(), turns = 0;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, reader, NULL) == 0);
	while (atomic_load(&done) == 0) {
		turns++;
		sched_yield();
	}
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(now_ms() - start > 300); /* else the disk was not slow */
	CHECK(turns > 1000);
}

static void kill_reader(void)
{
	pid_t child = fork();
	uint64_t start;
	int status;

	if (child == 0) {
		volatile uint64_t *at = map(0, pages, MAP_SHARED);

		for (uint64_t page = 0; page < pages; page += 70)
			(void)at[page * WORDS];
		_exit(0);
	}
	usleep(100000);
	start = now_ms();
	CHECK(kill(child, SIGKILL) == 0);
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(now_ms() - start < 2000);
}

/* ---- fragments: a thread's stack is several frames side by side; in a full cache with gaps of one page there are none. */

static void fragments(unsigned long children)
{
	static char buffer[64 * PAGE];
	int gate[2], status;
	char byte;

	CHECK(pipe(gate) == 0);
	while (read(fd, buffer, sizeof(buffer)) > 0)
		continue;
	for (uint64_t page = 1; page < pages; page += 2)
		CHECK(posix_fadvise(fd, (off_t)(page * PAGE), PAGE, POSIX_FADV_DONTNEED) == 0);
	for (unsigned long i = 0; i < children; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			close(gate[1]);
			_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1); /* until the parent closes its end */
		}
	}
	close(gate[1]);
	for (unsigned long i = 0; i < children; i++)
		CHECK(wait(&status) > 0 && status == 0);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	unsigned long number[3] = { 0 };

	for (int i = 0; i < 3 && i + 3 < argc; i++)
		number[i] = strtoul(argv[i + 3], NULL, 10);
	path = argv[2];
	fd = argc > 2 ? open(path, O_RDWR) : -1;
	CHECK(fd >= 0);
	pages = (uint64_t)lseek(fd, 0, SEEK_END) / PAGE;
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	if (strcmp(mode, "coherent") == 0)
		coherent((unsigned)number[0], (unsigned)number[1], (unsigned)number[2]);
	else if (strcmp(mode, "flood") == 0)
		flood();
	else if (strcmp(mode, "reclaim") == 0)
		reclaim(number[0]);
	else if (strcmp(mode, "stream") == 0)
		stream(number[0]);
	else if (strcmp(mode, "fragments") == 0)
		fragments(number[0]);
	else if (strcmp(mode, "errors") == 0)
		errors(number[0], number[1]);
	else if (strcmp(mode, "copies") == 0)
		copies();
	else if (strcmp(mode, "sleep") == 0)
		sleep_beside();
	else if (strcmp(mode, "kill") == 0)
		kill_reader();
	else
		return 2;
	printf("ok\n");
	return 0;
}
