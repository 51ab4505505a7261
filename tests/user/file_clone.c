/*
 * FICLONE and FICLONERANGE where files have them (Linux's own tmpfs says EOPNOTSUPP: then only that is checked): a clone has the
 * content, and keeps it while the other is written, through mappings and by write; clones of clones; ranges; errors.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>

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

/*
 * Random ranges of two files against a model: most lie so that whole parts of the index can be shared, some do not, and some are
 * within one file; with writes, holes and cuts in between.
 */
#define MANY   4500UL /* pages: more than one level of 64 each */
#define RANGES 250

static uint32_t model[2][MANY];
static uint64_t state = 1;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t dice(uint64_t sides)
{
	return random_next(&state) % sides;
}

static void model_write(const int *fd, unsigned f, uint64_t page, uint32_t word)
{
	CHECK_EQ(pwrite(fd[f], &word, sizeof(word), (off_t)(page * PAGE)), sizeof(word));
	model[f][page] = word;
}

static void random_clone(const int *fd)
{
	unsigned from = (unsigned)dice(2), to = dice(4) == 0 ? from : 1 - from;
	uint64_t unit = (uint64_t[]){ 1, 64, 64, 4096 }[dice(4)];
	uint64_t at = dice(MANY / unit) * unit, where = dice(MANY / unit) * unit;
	uint64_t n = 1 + dice(least(MANY - (at > where ? at : where), unit * 6));
	struct file_clone_range range = {
		.src_fd = fd[from], .src_offset = at * PAGE, .src_length = n * PAGE, .dest_offset = where * PAGE
	};

	if (from == to && at < where + n && where < at + n) {
		CHECK_ERR(ioctl(fd[to], FICLONERANGE, &range), EINVAL);
		return;
	}
	CHECK(ioctl(fd[to], FICLONERANGE, &range) == 0);
	memmove(&model[to][where], &model[from][at], n * sizeof(model[0][0]));
}

static void random_cut(const int *fd, unsigned f)
{
	uint64_t at = dice(MANY), n = dice(3) == 0 ? MANY - at : least(MANY - at, 1 + dice(300));

	if (at + n == MANY && dice(2) == 0)
		CHECK(ftruncate(fd[f], (off_t)(at * PAGE)) == 0 && ftruncate(fd[f], MANY * PAGE) == 0);
	else
		CHECK(fallocate(fd[f], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(at * PAGE),
				(off_t)(n * PAGE)) == 0);
	memset(&model[f][at], 0, n * sizeof(model[0][0]));
}

static void check_model(const int *fd, volatile uint32_t *const *map, unsigned step)
{
	for (unsigned f = 0; f < 2; f++) {
		for (uint64_t page = dice(step); page < MANY; page += step) {
			uint32_t word;

			CHECK_EQ(pread(fd[f], &word, sizeof(word), (off_t)(page * PAGE)), sizeof(word));
			CHECK_EQ(word, model[f][page]);
			CHECK_EQ(map[f][page * PAGE / 4], model[f][page]);
		}
	}
}

static void random_ranges(void)
{
	int fd[2] = { memfd_create("a", 0), memfd_create("b", 0) };
	volatile uint32_t *map[2];
	uint32_t turn = 0;

	for (unsigned f = 0; f < 2; f++) {
		CHECK(fd[f] >= 0 && ftruncate(fd[f], MANY * PAGE) == 0);
		map[f] = mmap(NULL, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd[f], 0);
		CHECK(map[f] != MAP_FAILED);
		for (uint64_t page = f; page < MANY; page += 3)
			model_write(fd, f, page, ++turn);
	}
	for (unsigned i = 0; i < RANGES; i++) {
		random_clone(fd);
		for (unsigned n = 0; n < 4; n++) {
			unsigned f = n % 2;
			uint64_t page = dice(MANY);

			model_write(fd, f, page, ++turn);
			page = dice(MANY);
			map[f][page * PAGE / 4] = model[f][page] = ++turn;
		}
		if (i % 5 == 4)
			random_cut(fd, (unsigned)dice(2));
		check_model(fd, map, i % 25 == 24 ? 1 : 97);
	}
	for (unsigned f = 0; f < 2; f++) {
		munmap((void *)(uintptr_t)map[f], MANY * PAGE);
		close(fd[f]);
	}
}

static uint64_t memory_free(void)
{
	struct sysinfo info;

	CHECK(sysinfo(&info) == 0);
	return info.freeram * info.mem_unit;
}

/* Clones of clones of clones, each written to: no more memory than the last one needs, and no more time. */
static void generations(void)
{
	int fd = file_of(1);
	uint64_t before = 0;
	char byte;

	for (unsigned i = 0; i < 600; i++) {
		int next = file_of(0);

		CHECK(ioctl(next, FICLONE, fd) == 0);
		CHECK_EQ(pwrite(next, &(char){ (char)i }, 1, i % PAGES * PAGE), 1);
		close(fd);
		fd = next;
		if (i == PAGES)
			before = memory_free();
	}
	CHECK(memory_free() + 64 * PAGE > before);
	for (unsigned i = 0; i < PAGES; i++)
		CHECK(pread(fd, &byte, 1, i * PAGE) == 1 && byte == (char)(PAGES + i));
	close(fd);
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
	random_ranges();
	generations();
	errors();
	puts("ok");
	return 0;
}
