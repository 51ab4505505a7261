/*
 * msync(MS_SYNC) of P pages of a file that were just stored to, once each: write-protecting them, giving them to the device, and
 * its cache to the medium. The file is what the environment's BENCH_DISK names, which is written over: a RAM disk (scripts/bench makes
 * one). Each round is several calls; afterwards what the file has is read past the mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/region.h"

#define CALLS 16

static struct {
	struct region region;
	int fd;
	uint64_t salt;
} disk = { .fd = -1 };

static enum bench_status setup(struct bench_run *run)
{
	const char *path = getenv("BENCH_DISK");
	size_t bytes = run->args.pages * REGION_PAGE;
	void *at;

	if (path == NULL) {
		(void)bench_fail(run, "BENCH_DISK names no disk to write to");
		return BENCH_SKIPPED;
	}
	disk.fd = open(path, O_RDWR);
	if (disk.fd < 0)
		return bench_errno(run, path);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, disk.fd, 0);
	if (at == MAP_FAILED)
		return bench_errno(run, "mmap");
	disk.region.base = at;
	disk.region.bytes = bytes;
	region_fill(&disk.region, ++disk.salt);
	return msync(at, bytes, MS_SYNC) == 0 ? BENCH_OK : bench_errno(run, "msync");
}

static enum bench_status msync_round(struct bench_run *run, struct bench_sample *sample)
{
	uint64_t marked = ~disk.salt, word = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		struct bench_timer timer;
		int failed;

		region_write(&disk.region, marked + i);
		bench_timer_start(&timer);
		failed = msync(disk.region.base, disk.region.bytes, MS_SYNC);
		bench_timer_stop(&timer, sample, 1);
		if (failed)
			return bench_errno(run, "msync");
	}
	if (!region_holds(&disk.region, disk.salt, marked + CALLS - 1))
		return bench_fail(run, "wrong data: the mapping lost a store");
	if (pread(disk.fd, &word, sizeof(word), (off_t)(disk.region.bytes - REGION_PAGE)) != (ssize_t)sizeof(word) ||
	    word != marked + CALLS - 1)
		return bench_fail(run, "wrong data: the file differs from its mapping");
	return BENCH_OK;
}

static enum bench_status teardown(struct bench_run *run)
{
	int bad = region_unmap(&disk.region);

	if (disk.fd >= 0)
		close(disk.fd);
	disk.fd = -1;
	errno = bad ? EINVAL : 0;
	return bad ? bench_errno(run, "munmap") : BENCH_OK;
}

static uint64_t memory(const struct bench_args *args)
{
	return args->pages * REGION_PAGE;
}

const struct bench_family msync_call = {
	.name = "msync",
	.unit = "call",
	.axes = AXIS_PAGES,
	.memory = memory,
	.setup = setup,
	.round = msync_round,
	.teardown = teardown,
};
