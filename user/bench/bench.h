/*
 * What a benchmark is. A family (one name, several parameters) prepares something, is asked for rounds, and cleans up.
 * A round does the untimed work around one or more timed parts, and adds each timed part to the sample it is given.
 * Nothing is subtracted from a time, and data is checked outside the timed parts: a wrong byte is BENCH_FAILED.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "user/bench/counters.h"

enum bench_status {
	BENCH_OK,
	BENCH_SKIPPED, /* the machine cannot: too little memory, too few harts, a call it does not have */
	BENCH_FAILED,  /* wrong data, or something that must work did not */
};

struct bench_args {
	unsigned mib;	/* memory the process has touched, MiB */
	unsigned pages; /* pages a call covers */
	unsigned harts; /* harts that take part, at least 1 */
};

/* The sum of the timed parts of one repetition. */
struct bench_sample {
	uint64_t ns;
	uint64_t operations;
	struct counters counted;
};

/* One benchmark while it runs. message says why a status is not BENCH_OK. */
struct bench_run {
	struct bench_args args;
	uint64_t batch; /* operations a round does, where the family scales */
	char message[192];
};

enum bench_axis {
	AXIS_MIB = 1,
	AXIS_PAGES = 2,
	AXIS_HARTS = 4,
};

struct bench_family {
	const char *name;
	const char *unit; /* what one operation is: "call", "pair", "page" */
	unsigned axes;	  /* which parameters are in the name, of enum bench_axis */
	bool scales;	  /* a round does as many operations as batch says */
	bool together;	  /* all harts do the operations: a sample's are one hart's, its counters everybody's */
	uint64_t (*memory)(const struct bench_args *args); /* bytes it needs at most; NULL: next to none */
	enum bench_status (*setup)(struct bench_run *run);
	enum bench_status (*round)(struct bench_run *run, struct bench_sample *sample);
	enum bench_status (*teardown)(struct bench_run *run); /* also after a failed setup or round */
};

/* The families, in the order in which they run; NULL ends the list. */
extern const struct bench_family *const bench_families[];

extern const struct bench_family null_syscall, floor_all, floor_trap, floor_copy, floor_clear;
extern const struct bench_family fork_exit_wait, fork_exec_wait, fork_call, fork_write;
extern const struct bench_family cow_copy, cow_reuse, zero_fill, zero_read;
extern const struct bench_family mprotect_pair, munmap_call, map_touch_unmap;
extern const struct bench_family file_shared_fault, file_private_cow, file_read_cached, clone_object,
	clone_object_break;
extern const struct bench_family shared_pingpong, msync_call;
extern const struct bench_family fault_disjoint, cow_disjoint, cow_siblings;

/* Both note why in run->message. bench_errno says "what: error"; ENOMEM and EAGAIN are a reason to skip. */
enum bench_status bench_fail(struct bench_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum bench_status bench_errno(struct bench_run *run, const char *what);

static inline uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Around a timed part. The counters are read outside of the clock's two readings. */
struct bench_timer {
	struct counters counters;
	uint64_t start;
};

void bench_timer_start(struct bench_timer *timer);
void bench_timer_stop(const struct bench_timer *timer, struct bench_sample *sample, uint64_t operations);
/* As stop, where somebody else noted the time at which the timed part ended. */
void bench_timer_stop_at(const struct bench_timer *timer, struct bench_sample *sample, uint64_t operations,
			 uint64_t end);

#endif
