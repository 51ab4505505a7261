/*
 * fork of a process that has touched MiB of private memory. fork_exit_wait times fork, the child's _exit and the
 * parent's wait together; fork_call only the parent's fork. One child, untimed, checks that memory is what it was and
 * that what it writes stays its own.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/child.h"
#include "user/bench/region.h"

/* The child that checks writes to every so manyth page, so that it needs little memory of its own. */
#define WRITE_STRIDE ((size_t)64)

static struct {
	struct region region;
	uint64_t salt;
} fork_state;

static uint64_t *page(size_t index)
{
	return (uint64_t *)(fork_state.region.base + index * REGION_PAGE);
}

static bool memory_holds(void)
{
	size_t i, pages = fork_state.region.bytes / REGION_PAGE;

	for (i = 0; i < pages; i++) {
		if (page(i)[0] != fork_state.salt + i || page(i)[REGION_WORDS - 1] != ~(fork_state.salt + i))
			return false;
	}
	return true;
}

static _Noreturn void checking_child(void)
{
	size_t i, pages = fork_state.region.bytes / REGION_PAGE;

	if (!memory_holds())
		_exit(1);
	for (i = 0; i < pages; i += WRITE_STRIDE)
		page(i)[0] = 0;
	_exit(0);
}

/* Also the first fork of this memory, so that no timed one is. */
static enum bench_status check(struct bench_run *run)
{
	enum bench_status status;
	pid_t pid = fork();

	if (pid == 0)
		checking_child();
	if (pid < 0)
		return bench_errno(run, "fork");
	status = child_wait(run, pid);
	if (status == BENCH_OK && !memory_holds())
		status = bench_fail(run, "wrong data: the parent sees its child's writes");
	return status;
}

static enum bench_status setup(struct bench_run *run)
{
	size_t i, pages = ((size_t)run->args.mib << 20) / REGION_PAGE;

	fork_state.region.bytes = 0;
	if (pages) {
		errno = -region_map(&fork_state.region, pages * REGION_PAGE);
		if (errno)
			return bench_errno(run, "mmap");
	}
	fork_state.salt += UINT64_C(1) << 32;
	for (i = 0; i < pages; i++) {
		page(i)[0] = fork_state.salt + i;
		page(i)[REGION_WORDS - 1] = ~(fork_state.salt + i);
	}
	return check(run);
}

static enum bench_status teardown(struct bench_run *run)
{
	bool holds = !fork_state.region.base || memory_holds();

	errno = -region_unmap(&fork_state.region);
	if (errno)
		return bench_errno(run, "munmap");
	return holds ? BENCH_OK : bench_fail(run, "wrong data: memory changed while children were made");
}

static enum bench_status cycle_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;
	int status = 0;
	int bad = 0;

	bench_timer_start(&timer);
	for (left = run->batch; left; left--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return bench_errno(run, pid < 0 ? "fork" : "waitpid");
		bad |= status;
	}
	bench_timer_stop(&timer, sample, run->batch);
	return bad ? bench_fail(run, "a child did not end with status 0") : BENCH_OK;
}

/*
 * The child sleeps until the clock has been read: where a scheduler lets it run first on the parent's hart, its exit
 * would be part of the time otherwise.
 */
static _Noreturn void sleeping_child(int fd)
{
	char byte;

	_exit(read(fd, &byte, 1) != 1);
}

static enum bench_status call_round(struct bench_run *run, struct bench_sample *sample)
{
	enum bench_status status = BENCH_OK;
	struct bench_timer timer;
	uint64_t left;
	pid_t pid;
	int fds[2];

	if (pipe(fds) != 0)
		return bench_errno(run, "pipe");
	for (left = run->batch; left && status == BENCH_OK; left--) {
		bench_timer_start(&timer);
		pid = fork();
		if (pid == 0)
			sleeping_child(fds[0]);
		bench_timer_stop(&timer, sample, 1);
		if (pid < 0)
			status = bench_errno(run, "fork");
		else if (write(fds[1], "", 1) != 1)
			status = bench_errno(run, "write");
		else
			status = child_wait(run, pid);
	}
	close(fds[0]);
	close(fds[1]);
	return status;
}

/* The memory, its page tables twice, and what the checking child writes. */
static uint64_t memory(const struct bench_args *args)
{
	uint64_t bytes = (uint64_t)args->mib << 20;

	return bytes + bytes / 256 + bytes / WRITE_STRIDE;
}

const struct bench_family fork_exit_wait = {
	.name = "fork_exit_wait",
	.unit = "call",
	.axes = AXIS_MIB,
	.scales = true,
	.memory = memory,
	.setup = setup,
	.round = cycle_round,
	.teardown = teardown,
};
const struct bench_family fork_call = {
	.name = "fork_call",
	.unit = "call",
	.axes = AXIS_MIB,
	.scales = true,
	.memory = memory,
	.setup = setup,
	.round = call_round,
	.teardown = teardown,
};
