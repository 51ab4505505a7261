/*
 * One fault a page, on one hart, 512 pages a round: the first write to private memory (zero_fill), the first read
 * (zero_read), the first write after a fork while the child holds the frames (cow_copy) and after it has gone
 * (cow_reuse).
 */
#include <errno.h>

#include "user/bench/bench.h"
#include "user/bench/child.h"
#include "user/bench/region.h"

#define FAULT_PAGES 512
#define FAULT_BYTES (FAULT_PAGES * REGION_PAGE)

static struct {
	struct region region;
	struct child child;
	uint64_t salt;
} faults;

static enum bench_status map(struct bench_run *run)
{
	errno = -region_map(&faults.region, FAULT_BYTES);
	return errno ? bench_errno(run, "mmap") : BENCH_OK;
}

static enum bench_status unmap(struct bench_run *run)
{
	errno = -region_unmap(&faults.region);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

static enum bench_status teardown(struct bench_run *run)
{
	enum bench_status status = child_release(run, &faults.child);
	enum bench_status unmapped = unmap(run);

	return status == BENCH_OK ? unmapped : status;
}

static enum bench_status fill_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = map(run);
	struct bench_timer timer;

	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	region_write(&faults.region, ~faults.salt);
	bench_timer_stop(&timer, sample, FAULT_PAGES);
	if (!region_zero(&faults.region, ~faults.salt++))
		return bench_fail(run, "wrong data: new memory is not zero");
	return unmap(run);
}

static enum bench_status read_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = map(run);
	struct bench_timer timer;
	uint64_t seen;

	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	seen = region_read(&faults.region);
	bench_timer_stop(&timer, sample, FAULT_PAGES);
	if (seen || !region_zero(&faults.region, 0))
		return bench_fail(run, "wrong data: new memory is not zero");
	return unmap(run);
}

static enum bench_status cow_round(struct bench_run *run, struct bench_sample *sample, bool held)
{
	uint64_t marked = ~++faults.salt;
	enum bench_status status;
	struct bench_timer timer;

	region_fill(&faults.region, faults.salt);
	status = child_hold(run, &faults.child, &faults.region, 1, faults.salt);
	if (status == BENCH_OK && !held)
		status = child_release(run, &faults.child);
	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	region_write(&faults.region, marked);
	bench_timer_stop(&timer, sample, FAULT_PAGES);
	if (!region_holds(&faults.region, faults.salt, marked))
		return bench_fail(run, "wrong data: a page differs after its copy-on-write was broken");
	return child_release(run, &faults.child);
}

static enum bench_status copy_round(struct bench_run *run, struct bench_sample *sample)
{
	return cow_round(run, sample, true);
}

static enum bench_status reuse_round(struct bench_run *run, struct bench_sample *sample)
{
	return cow_round(run, sample, false);
}

static uint64_t memory_once(const struct bench_args *args)
{
	(void)args;
	return FAULT_BYTES;
}

static uint64_t memory_twice(const struct bench_args *args)
{
	return 2 * memory_once(args);
}

const struct bench_family zero_fill = {
	.name = "zero_fill",
	.unit = "page",
	.memory = memory_once,
	.round = fill_round,
	.teardown = teardown,
};
const struct bench_family zero_read = {
	.name = "zero_read",
	.unit = "page",
	.memory = memory_once,
	.round = read_round,
	.teardown = teardown,
};
const struct bench_family cow_copy = {
	.name = "cow_copy",
	.unit = "page",
	.memory = memory_twice,
	.setup = map,
	.round = copy_round,
	.teardown = teardown,
};
const struct bench_family cow_reuse = {
	.name = "cow_reuse",
	.unit = "page",
	.memory = memory_once,
	.setup = map,
	.round = reuse_round,
	.teardown = teardown,
};
