/*
 * Harts that fault at the same time in one address space, each in 128 pages of its own that share no leaf table with
 * another's: what is measured is whether the kernel lets them. For cow_disjoint a child made beforehand holds the
 * frames.
 */
#include <errno.h>
#include <stdlib.h>

#include "user/bench/bench.h"
#include "user/bench/child.h"
#include "user/bench/region.h"
#include "user/bench/team.h"

#define SMP_PAGES 128
#define SMP_BYTES (SMP_PAGES * REGION_PAGE)

static struct {
	struct region *regions; /* one a hart */
	unsigned count;
	struct child child;
	uint64_t salt;
} smp;

static uint64_t mark_of(unsigned member)
{
	return ~(smp.salt + member);
}

static void write_own(unsigned member)
{
	region_write(&smp.regions[member], mark_of(member));
}

static enum bench_status map_all(struct bench_run *run)
{
	unsigned i;

	for (i = 0; i < smp.count; i++) {
		errno = -region_map(&smp.regions[i], SMP_BYTES);
		if (errno)
			return bench_errno(run, "mmap");
	}
	return BENCH_OK;
}

static enum bench_status unmap_all(struct bench_run *run)
{
	enum bench_status status = BENCH_OK;
	unsigned i;

	for (i = 0; i < smp.count; i++) {
		errno = -region_unmap(&smp.regions[i]);
		if (errno)
			status = bench_errno(run, "munmap");
	}
	return status;
}

static enum bench_status fault_setup(struct bench_run *run)
{
	smp.count = 0;
	smp.regions = calloc(run->args.harts, sizeof(*smp.regions));
	if (!smp.regions)
		return bench_errno(run, "calloc");
	smp.count = run->args.harts;
	return team_start(run, smp.count);
}

static enum bench_status cow_setup(struct bench_run *run)
{
	enum bench_status status = fault_setup(run);

	return status == BENCH_OK ? map_all(run) : status;
}

static enum bench_status teardown(struct bench_run *run)
{
	enum bench_status status;

	team_end();
	status = child_release(run, &smp.child);
	if (status == BENCH_OK)
		status = unmap_all(run);
	free(smp.regions);
	smp.regions = NULL;
	return status;
}

static enum bench_status fault_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = map_all(run);
	unsigned i;

	if (status != BENCH_OK)
		return status;
	team_run(write_own, sample, SMP_PAGES);
	for (i = 0; i < smp.count; i++) {
		if (!region_zero(&smp.regions[i], mark_of(i)))
			return bench_fail(run, "wrong data: new memory of hart %u is not zero", i);
	}
	smp.salt += smp.count;
	return unmap_all(run);
}

static enum bench_status cow_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status;
	unsigned i;

	smp.salt += smp.count;
	for (i = 0; i < smp.count; i++)
		region_fill(&smp.regions[i], smp.salt + i);
	status = child_hold(run, &smp.child, smp.regions, smp.count, smp.salt);
	if (status != BENCH_OK)
		return status;
	team_run(write_own, sample, SMP_PAGES);
	for (i = 0; i < smp.count; i++) {
		if (!region_holds(&smp.regions[i], smp.salt + i, mark_of(i)))
			return bench_fail(run, "wrong data: a page of hart %u differs after copy-on-write", i);
	}
	return child_release(run, &smp.child);
}

static uint64_t fault_memory(const struct bench_args *args)
{
	return args->harts * SMP_BYTES;
}

static uint64_t cow_memory(const struct bench_args *args)
{
	return 2 * args->harts * SMP_BYTES;
}

const struct bench_family fault_disjoint = {
	.name = "fault_disjoint",
	.unit = "page",
	.axes = AXIS_HARTS,
	.together = true,
	.memory = fault_memory,
	.setup = fault_setup,
	.round = fault_round,
	.teardown = teardown,
};
const struct bench_family cow_disjoint = {
	.name = "cow_disjoint",
	.unit = "page",
	.axes = AXIS_HARTS,
	.together = true,
	.memory = cow_memory,
	.setup = cow_setup,
	.round = cow_round,
	.teardown = teardown,
};
