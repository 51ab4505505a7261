/*
 * Two things from beginning to end, on one hart. fork_write: fork, and then the parent's first store to each of 4096 pages while
 * the child sleeps and holds them: whatever a kernel puts off at the fork is in it. map_touch_unmap: one new page, a store
 * to it, and its end.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/child.h"
#include "user/bench/region.h"

#define CYCLE_PAGES 4096
#define CYCLE_BYTES (CYCLE_PAGES * REGION_PAGE)

static struct {
	struct region region;
	uint64_t salt;
} cycle;

static enum bench_status setup(struct bench_run *run)
{
	errno = -region_map(&cycle.region, CYCLE_BYTES);
	return errno ? bench_errno(run, "mmap") : BENCH_OK;
}

static enum bench_status teardown(struct bench_run *run)
{
	errno = -region_unmap(&cycle.region);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

/* Sleeps until the parent has written all, so that nothing of the child's is in the time. */
static _Noreturn void holding_child(const int *fds)
{
	char byte;

	close(fds[1]);
	if (read(fds[0], &byte, 1) != 0)
		_exit(1);
	_exit(region_holds(&cycle.region, cycle.salt, 0) ? 0 : 1);
}

static enum bench_status fork_round(struct bench_run *run, struct bench_sample *sample)
{
	uint64_t marked = ~++cycle.salt;
	enum bench_status status;
	struct bench_timer timer;
	int fds[2];
	pid_t pid;

	region_fill(&cycle.region, cycle.salt);
	if (pipe(fds) != 0)
		return bench_errno(run, "pipe");
	bench_timer_start(&timer);
	pid = fork();
	if (pid == 0)
		holding_child(fds);
	if (pid > 0)
		region_write(&cycle.region, marked);
	bench_timer_stop(&timer, sample, CYCLE_PAGES);
	close(fds[0]);
	close(fds[1]);
	if (pid < 0)
		return bench_errno(run, "fork");
	status = child_wait(run, pid);
	if (status == BENCH_OK && !region_holds(&cycle.region, cycle.salt, marked))
		return bench_fail(run, "wrong data: a page differs after its copy-on-write was broken");
	return status;
}

static enum bench_status page_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left, seen = 0;
	int bad = 0;

	bench_timer_start(&timer);
	for (left = run->batch; left && !bad; left--) {
		volatile uint64_t *word =
			mmap(NULL, REGION_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		bad = word == MAP_FAILED;
		if (bad)
			break;
		word[0] = ~left;
		seen |= word[1];
		bad = munmap((void *)word, REGION_PAGE);
	}
	bench_timer_stop(&timer, sample, run->batch);
	if (bad)
		return bench_errno(run, "mmap or munmap");
	return seen ? bench_fail(run, "wrong data: new memory is not zero") : BENCH_OK;
}

static uint64_t memory(const struct bench_args *args)
{
	(void)args;
	return 2 * CYCLE_BYTES;
}

const struct bench_family fork_write = {
	.name = "fork_write",
	.unit = "page",
	.memory = memory,
	.setup = setup,
	.round = fork_round,
	.teardown = teardown,
};
const struct bench_family map_touch_unmap = {
	.name = "map_touch_unmap",
	.unit = "call",
	.scales = true,
	.round = page_round,
};
