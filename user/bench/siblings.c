/*
 * Processes on different harts that break the same frames at the same time: the parent fills 128 pages, forks one child
 * a hart, and each child writes all of them. They need no shared memory to start together: when all are there the
 * parent names a moment a little ahead, and they spin on the clock until then. A round for which a child was late is
 * made again with a later moment.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/child.h"
#include "user/bench/machine.h"
#include "user/bench/region.h"

#define SIBLING_PAGES	   128
#define SIBLING_BYTES	   (SIBLING_PAGES * REGION_PAGE)
#define SIBLINGS_MAX	   64
#define SIBLING_FIRST_LEAD UINT64_C(200000)    /* ns from naming the moment to the moment */
#define SIBLING_LAST_LEAD  UINT64_C(200000000) /* beyond this a late child is a failure */

/* What a child says: first that it is there, then how it went. Less than PIPE_BUF, so never torn. */
struct report {
	unsigned index;
	int error; /* of pinning */
	bool late;
	bool right; /* it saw the parent's data and its own writes */
	uint64_t end;
};

static struct {
	struct region region;
	uint64_t salt;
	uint64_t lead;
	/* A pair of pipes a child, so that the end of one child is seen. -1: closed. */
	int reports[SIBLINGS_MAX][2]; /* the child to the parent */
	int starts[SIBLINGS_MAX][2];  /* the parent to the child: the moment */
	pid_t pids[SIBLINGS_MAX];     /* 0: none */
	unsigned count;
} siblings;

static _Noreturn void sibling_main(unsigned index)
{
	struct report report = { .index = index, .error = machine_pin(index) };
	uint64_t mark = ~(siblings.salt + index);
	uint64_t start = 0;
	unsigned i;

	/* Without this the other children's pipes stay open when the parent is gone, and nobody ends. */
	for (i = 0; i <= index; i++)
		close(siblings.starts[i][1]);
	report.right = region_holds(&siblings.region, siblings.salt, 0);
	if (write(siblings.reports[index][1], &report, sizeof(report)) != (ssize_t)sizeof(report) ||
	    read(siblings.starts[index][0], &start, sizeof(start)) != (ssize_t)sizeof(start) || !start)
		_exit(0);
	report.late = bench_now() > start;
	while (bench_now() < start)
		;
	region_write(&siblings.region, mark);
	report.end = bench_now();
	report.right = report.right && region_holds(&siblings.region, siblings.salt, mark);
	_exit(write(siblings.reports[index][1], &report, sizeof(report)) != (ssize_t)sizeof(report));
}

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static enum bench_status make_sibling(struct bench_run *run, unsigned i)
{
	siblings.count = i + 1;
	if (pipe(siblings.reports[i]) != 0 || pipe(siblings.starts[i]) != 0)
		return bench_errno(run, "pipe");
	siblings.pids[i] = fork();
	if (siblings.pids[i] == 0)
		sibling_main(i);
	if (siblings.pids[i] < 0) {
		siblings.pids[i] = 0;
		return bench_errno(run, "fork");
	}
	close_once(&siblings.reports[i][1]);
	close_once(&siblings.starts[i][0]);
	return BENCH_OK;
}

/* Also after a failure: a child that waits for its moment sees the end of its pipe and ends. */
static enum bench_status end_siblings(struct bench_run *run)
{
	enum bench_status status = BENCH_OK;
	unsigned i;

	for (i = 0; i < siblings.count; i++) {
		close_once(&siblings.reports[i][0]);
		close_once(&siblings.reports[i][1]);
		close_once(&siblings.starts[i][0]);
		close_once(&siblings.starts[i][1]);
	}
	for (i = 0; i < siblings.count; i++) {
		if (siblings.pids[i] && child_wait(run, siblings.pids[i]) != BENCH_OK)
			status = BENCH_FAILED;
		siblings.pids[i] = 0;
	}
	siblings.count = 0;
	return status;
}

/* One report of each child: the last end, and whether one was late. */
static enum bench_status hear(struct bench_run *run, uint64_t *end, bool *late)
{
	struct report report;
	unsigned i;

	for (i = 0; i < run->args.harts; i++) {
		if (read(siblings.reports[i][0], &report, sizeof(report)) != (ssize_t)sizeof(report))
			return bench_fail(run, "a child ended before it reported");
		errno = -report.error;
		if (errno)
			return bench_errno(run, "sched_setaffinity");
		if (!report.right)
			return bench_fail(run, "wrong data: child %u does not see its parent's data and its own",
					  report.index);
		*late = *late || report.late;
		if (report.end > *end)
			*end = report.end;
	}
	return BENCH_OK;
}

static enum bench_status start_all(struct bench_run *run, uint64_t start)
{
	unsigned i;

	for (i = 0; i < run->args.harts; i++) {
		if (write(siblings.starts[i][1], &start, sizeof(start)) != (ssize_t)sizeof(start))
			return bench_errno(run, "write");
	}
	return BENCH_OK;
}

static enum bench_status try_round(struct bench_run *run, struct bench_sample *sample, bool *late)
{
	enum bench_status status = BENCH_OK;
	struct bench_timer timer;
	uint64_t end = 0;
	unsigned i;

	*late = false;
	for (i = 0; i < run->args.harts && status == BENCH_OK; i++)
		status = make_sibling(run, i);
	if (status == BENCH_OK)
		status = hear(run, &end, late);
	if (status != BENCH_OK)
		return status;
	bench_timer_start(&timer);
	timer.start += siblings.lead;
	status = start_all(run, timer.start);
	if (status == BENCH_OK)
		status = hear(run, &end, late);
	if (status == BENCH_OK && !*late)
		bench_timer_stop_at(&timer, sample, SIBLING_PAGES, end);
	return status;
}

static enum bench_status cow_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status, ended;
	bool late;

	do {
		siblings.salt += SIBLINGS_MAX;
		region_fill(&siblings.region, siblings.salt);
		status = try_round(run, sample, &late);
		ended = end_siblings(run);
		if (status != BENCH_OK || ended != BENCH_OK)
			return status != BENCH_OK ? status : ended;
		if (!region_holds(&siblings.region, siblings.salt, 0))
			return bench_fail(run, "wrong data: the parent sees its children's writes");
		if (late && siblings.lead >= SIBLING_LAST_LEAD)
			return bench_fail(run, "the children could not start together");
		if (late)
			siblings.lead *= 2;
	} while (late);
	return BENCH_OK;
}

static enum bench_status setup(struct bench_run *run)
{
	unsigned room = machine_cpus() < SIBLINGS_MAX ? machine_cpus() : SIBLINGS_MAX;

	siblings.lead = SIBLING_FIRST_LEAD;
	memset(siblings.reports, 0xff, sizeof(siblings.reports));
	memset(siblings.starts, 0xff, sizeof(siblings.starts));
	if (run->args.harts > room) {
		snprintf(run->message, sizeof(run->message), "needs %u harts, there are %u", run->args.harts, room);
		return BENCH_SKIPPED;
	}
	errno = -region_map(&siblings.region, SIBLING_BYTES);
	return errno ? bench_errno(run, "mmap") : BENCH_OK;
}

static enum bench_status teardown(struct bench_run *run)
{
	end_siblings(run);
	errno = -region_unmap(&siblings.region);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

static uint64_t memory(const struct bench_args *args)
{
	return (args->harts + 1) * SIBLING_BYTES;
}

const struct bench_family cow_siblings = {
	.name = "cow_siblings",
	.unit = "page",
	.axes = AXIS_HARTS,
	.together = true,
	.memory = memory,
	.setup = setup,
	.round = cow_round,
	.teardown = teardown,
};
