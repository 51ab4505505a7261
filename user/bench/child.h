/*
 * A child process made by fork that holds its parent's frames: it says that it is there, sleeps until it is let go,
 * then checks that it still sees what the parent had at the fork, and ends.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

#include "user/bench/bench.h"
#include "user/bench/region.h"

struct child {
	pid_t pid; /* 0: none */
	int release;
};

/* regions hold the pattern of salt. When it returns BENCH_OK the child is asleep. */
enum bench_status child_hold(struct bench_run *run, struct child *child, const struct region *regions, unsigned count,
			     uint64_t salt);
/* Lets the child check and end, and says what it found. Nothing to do where there is none. */
enum bench_status child_release(struct bench_run *run, struct child *child);
/* Waits for a child of ours; its exit status must be 0. */
enum bench_status child_wait(struct bench_run *run, pid_t pid);

#endif
