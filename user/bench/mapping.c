/*
 * mprotect and munmap on one hart while harts - 1 other threads of the process spin on the other harts, so that each
 * call has to reach their TLBs. An mprotect operation is a pair, read-only and then writable again, with a store to
 * each page behind it: a kernel that makes pages writable only when they are written pays for that here too. For
 * munmap the mapping and touching is not timed.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/region.h"
#include "user/bench/team.h"

/* munmap calls a round: enough for the clock, and no more than 8 MiB. */
#define UNMAP_CALLS_SMALL 64
#define UNMAP_CALLS_LARGE 4

static struct {
	struct region region;
	uint64_t salt;
	struct region unmaps[UNMAP_CALLS_SMALL];
} mapping;

static size_t bytes_of(const struct bench_args *args)
{
	return args->pages * REGION_PAGE;
}

static unsigned unmap_calls(const struct bench_args *args)
{
	return args->pages == 1 ? UNMAP_CALLS_SMALL : UNMAP_CALLS_LARGE;
}

/* The kernel itself must see that a page is read-only (read() into it says EFAULT), and that it is writable again. */
static enum bench_status check_protection(struct bench_run *run)
{
	char *last = mapping.region.base + mapping.region.bytes - sizeof(uint64_t);
	uint64_t word = *(uint64_t *)last;
	bool refused, taken;
	int fds[2];

	if (pipe(fds) != 0)
		return bench_errno(run, "pipe");
	taken = write(fds[1], &word, sizeof(word)) == (ssize_t)sizeof(word) &&
		mprotect(mapping.region.base, mapping.region.bytes, PROT_READ) == 0;
	refused = read(fds[0], last, sizeof(word)) < 0 && errno == EFAULT;
	taken = taken && mprotect(mapping.region.base, mapping.region.bytes, PROT_READ | PROT_WRITE) == 0 &&
		write(fds[1], &word, sizeof(word)) == (ssize_t)sizeof(word) &&
		read(fds[0], last, sizeof(word)) == (ssize_t)sizeof(word);
	close(fds[0]);
	close(fds[1]);
	if (!refused)
		return bench_fail(run, "a page that mprotect made read-only was written");
	return taken ? BENCH_OK : bench_fail(run, "a page that mprotect made writable again could not be written");
}

static enum bench_status protect_setup(struct bench_run *run)
{
	errno = -region_map(&mapping.region, bytes_of(&run->args));
	if (errno)
		return bench_errno(run, "mmap");
	region_fill(&mapping.region, ++mapping.salt);
	return team_start(run, run->args.harts);
}

static enum bench_status protect_teardown(struct bench_run *run)
{
	team_end();
	errno = -region_unmap(&mapping.region);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

static enum bench_status protect_round(struct bench_run *run, struct bench_sample *sample)
{
	char *base = mapping.region.base;
	size_t bytes = mapping.region.bytes;
	uint64_t marked = ~mapping.salt;
	struct bench_timer timer;
	uint64_t left;
	int bad = 0;

	bench_timer_start(&timer);
	for (left = run->batch; left; left--) {
		bad |= mprotect(base, bytes, PROT_READ);
		bad |= mprotect(base, bytes, PROT_READ | PROT_WRITE);
		region_write(&mapping.region, marked);
	}
	bench_timer_stop(&timer, sample, run->batch);
	if (bad)
		return bench_errno(run, "mprotect");
	if (!region_holds(&mapping.region, mapping.salt, marked))
		return bench_fail(run, "wrong data: memory changed while it was protected");
	return check_protection(run);
}

static enum bench_status unmap_setup(struct bench_run *run)
{
	return team_start(run, run->args.harts);
}

static enum bench_status unmap_teardown(struct bench_run *run)
{
	unsigned i;

	(void)run;
	team_end();
	for (i = 0; i < UNMAP_CALLS_SMALL; i++)
		region_unmap(&mapping.unmaps[i]);
	return BENCH_OK;
}

/* Straight mmap, as a program would: not aligned, so that single pages lie side by side. */
static enum bench_status unmap_prepare(struct bench_run *run, struct region *region)
{
	void *base = mmap(NULL, bytes_of(&run->args), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return bench_errno(run, "mmap");
	region->base = base;
	region->bytes = bytes_of(&run->args);
	region_write(region, ~mapping.salt);
	if (!region_zero(region, ~mapping.salt))
		return bench_fail(run, "wrong data: new memory is not zero");
	return BENCH_OK;
}

static enum bench_status unmap_round(struct bench_run *run, struct bench_sample *sample)
{
	unsigned i, calls = unmap_calls(&run->args);
	enum bench_status status = BENCH_OK;
	struct bench_timer timer;
	int bad = 0;

	mapping.salt++;
	for (i = 0; i < calls && status == BENCH_OK; i++)
		status = unmap_prepare(run, &mapping.unmaps[i]);
	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	for (i = 0; i < calls; i++)
		bad |= munmap(mapping.unmaps[i].base, mapping.unmaps[i].bytes);
	bench_timer_stop(&timer, sample, calls);
	for (i = 0; i < calls; i++)
		mapping.unmaps[i].base = NULL;
	return bad ? bench_errno(run, "munmap") : BENCH_OK;
}

static uint64_t protect_memory(const struct bench_args *args)
{
	return bytes_of(args);
}

static uint64_t unmap_memory(const struct bench_args *args)
{
	return unmap_calls(args) * bytes_of(args);
}

const struct bench_family mprotect_pair = {
	.name = "mprotect",
	.unit = "pair",
	.axes = AXIS_PAGES | AXIS_HARTS,
	.scales = true,
	.memory = protect_memory,
	.setup = protect_setup,
	.round = protect_round,
	.teardown = protect_teardown,
};
const struct bench_family munmap_call = {
	.name = "munmap",
	.unit = "call",
	.axes = AXIS_PAGES | AXIS_HARTS,
	.memory = unmap_memory,
	.setup = unmap_setup,
	.round = unmap_round,
	.teardown = unmap_teardown,
};
