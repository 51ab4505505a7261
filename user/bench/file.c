/*
 * Files that are mapped and read, on one hart but for the last, 512 pages a round of one memfd: the first store through a shared mapping to a page
 * that the file has (file_shared_fault), through a private one (file_private_cow), and pread of 64 KiB pieces (file_read_cached). And
 * copy-on-write of a file, where FICLONE can: the clone of M MiB (clone_object), and the first store to each page of a clone
 * (clone_object_break). And two harts that take turns through two mappings of one page (shared_pingpong).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/region.h"
#include "user/bench/team.h"

#define FILE_PAGES 512
#define FILE_BYTES (FILE_PAGES * REGION_PAGE)
#define READ_BYTES ((size_t)64 << 10)

static struct {
	struct region file; /* the whole file, shared */
	struct region other;
	int fd, clone;
	uint64_t salt;
	char buffer[READ_BYTES];
} file = { .fd = -1, .clone = -1 };

static enum bench_status map(struct bench_run *run, struct region *region, int fd, size_t bytes, int flags)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at == MAP_FAILED)
		return bench_errno(run, "mmap");
	region->base = at;
	region->bytes = bytes;
	return BENCH_OK;
}

static enum bench_status setup_bytes(struct bench_run *run, size_t bytes)
{
	enum bench_status status;

	file.fd = memfd_create("bench", 0);
	if (file.fd < 0 || ftruncate(file.fd, (off_t)bytes) != 0)
		return bench_errno(run, "memfd_create");
	if (bytes == 0)
		return BENCH_OK;
	status = map(run, &file.file, file.fd, bytes, MAP_SHARED);
	if (status == BENCH_OK)
		region_fill(&file.file, ++file.salt);
	return status;
}

static enum bench_status setup(struct bench_run *run)
{
	return setup_bytes(run, FILE_BYTES);
}

static enum bench_status teardown(struct bench_run *run)
{
	int bad = region_unmap(&file.other) | region_unmap(&file.file);

	if (file.fd >= 0)
		close(file.fd);
	if (file.clone >= 0)
		close(file.clone);
	file.fd = -1;
	file.clone = -1;
	errno = bad ? EINVAL : 0;
	return bad ? bench_errno(run, "munmap") : BENCH_OK;
}

/* The first store to each page of a mapping of fd. */
static enum bench_status store_round(struct bench_run *run, struct bench_sample *sample, int fd, int flags)
{
	uint64_t marked = ~file.salt;
	enum bench_status status = map(run, &file.other, fd, FILE_BYTES, flags);
	struct bench_timer timer;

	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	region_write(&file.other, marked);
	bench_timer_stop(&timer, sample, FILE_PAGES);
	if (!region_holds(&file.other, file.salt, marked))
		return bench_fail(run, "wrong data: a mapping differs from its file");
	errno = -region_unmap(&file.other);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

static enum bench_status shared_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = store_round(run, sample, file.fd, MAP_SHARED);

	if (status == BENCH_OK && !region_holds(&file.file, file.salt, ~file.salt))
		return bench_fail(run, "wrong data: two mappings of a file differ");
	return status;
}

static enum bench_status private_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = store_round(run, sample, file.fd, MAP_PRIVATE);

	if (status == BENCH_OK && !region_holds(&file.file, file.salt, 0))
		return bench_fail(run, "wrong data: a private store reached the file");
	return status;
}

static enum bench_status read_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	int64_t got = 0;
	size_t at;

	bench_timer_start(&timer);
	for (at = 0; at < FILE_BYTES; at += READ_BYTES)
		got += pread(file.fd, file.buffer, READ_BYTES, (off_t)at);
	bench_timer_stop(&timer, sample, FILE_PAGES);
	return got == (int64_t)FILE_BYTES ? BENCH_OK : bench_fail(run, "pread came short");
}

static enum bench_status clone_errno(struct bench_run *run)
{
	bool unsupported = errno == EOPNOTSUPP || errno == ENOTTY;
	enum bench_status status = bench_errno(run, unsupported ? "not supported: FICLONE" : "FICLONE");

	return unsupported ? BENCH_SKIPPED : status;
}

/* A new file that is a clone; its making is not timed. */
static enum bench_status clone_new(struct bench_run *run, struct bench_timer *timer, struct bench_sample *sample)
{
	int failed;

	if (file.clone >= 0)
		close(file.clone);
	file.clone = memfd_create("clone", 0);
	if (file.clone < 0)
		return bench_errno(run, "memfd_create");
	if (timer)
		bench_timer_start(timer);
	failed = ioctl(file.clone, FICLONE, file.fd);
	if (timer && !failed)
		bench_timer_stop(timer, sample, 1);
	return failed ? clone_errno(run) : BENCH_OK;
}

static enum bench_status clone_setup(struct bench_run *run)
{
	return setup_bytes(run, (size_t)run->args.mib << 20);
}

static enum bench_status clone_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;

	return clone_new(run, &timer, sample);
}

static enum bench_status break_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = clone_new(run, NULL, NULL);

	if (status == BENCH_OK)
		status = store_round(run, sample, file.clone, MAP_SHARED);
	if (status == BENCH_OK && !region_holds(&file.file, file.salt, 0))
		return bench_fail(run, "wrong data: a store to a clone reached the file");
	return status;
}

/* ---- Two harts, each with a mapping of its own of one page, that take turns. */

#define TURNS 20000

static void take_turns(unsigned member)
{
	_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(member == 0 ? file.file.base : file.other.base);
	uint64_t turn;

	for (turn = member; turn < 2 * TURNS; turn += 2) {
		/* Acquire and release: a turn begins after the one before. */
		while (atomic_load_explicit(word, memory_order_acquire) != turn)
			;
		atomic_store_explicit(word, turn + 1, memory_order_release);
	}
}

static enum bench_status pingpong_setup(struct bench_run *run)
{
	enum bench_status status = setup_bytes(run, REGION_PAGE);

	if (status == BENCH_OK)
		status = map(run, &file.other, file.fd, REGION_PAGE, MAP_SHARED);
	return status == BENCH_OK ? team_start(run, 2) : status;
}

static enum bench_status pingpong_round(struct bench_run *run, struct bench_sample *sample)
{
	*(uint64_t *)(void *)file.file.base = 0;
	team_run(take_turns, sample, TURNS);
	if (*(uint64_t *)(void *)file.other.base != 2 * TURNS)
		return bench_fail(run, "wrong data: two mappings of a page differ");
	return BENCH_OK;
}

static enum bench_status pingpong_teardown(struct bench_run *run)
{
	team_end();
	return teardown(run);
}

const struct bench_family shared_pingpong = {
	.name = "shared_pingpong/harts:2",
	.unit = "turn",
	.together = true,
	.setup = pingpong_setup,
	.round = pingpong_round,
	.teardown = pingpong_teardown,
};

static uint64_t memory(const struct bench_args *args)
{
	(void)args;
	return 2 * FILE_BYTES;
}

static uint64_t clone_memory(const struct bench_args *args)
{
	return (uint64_t)args->mib << 20;
}

const struct bench_family file_shared_fault = {
	.name = "file_shared_fault",
	.unit = "page",
	.memory = memory,
	.setup = setup,
	.round = shared_round,
	.teardown = teardown,
};
const struct bench_family file_private_cow = {
	.name = "file_private_cow",
	.unit = "page",
	.memory = memory,
	.setup = setup,
	.round = private_round,
	.teardown = teardown,
};
const struct bench_family file_read_cached = {
	.name = "file_read_cached",
	.unit = "page",
	.memory = memory,
	.setup = setup,
	.round = read_round,
	.teardown = teardown,
};
const struct bench_family clone_object = {
	.name = "clone_object",
	.unit = "call",
	.axes = AXIS_MIB,
	.memory = clone_memory,
	.setup = clone_setup,
	.round = clone_round,
	.teardown = teardown,
};
const struct bench_family clone_object_break = {
	.name = "clone_object_break",
	.unit = "page",
	.memory = memory,
	.setup = setup,
	.round = break_round,
	.teardown = teardown,
};
