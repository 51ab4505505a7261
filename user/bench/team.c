/*
 * Threads that start together. The leader (the calling thread) publishes a job by counting `generation` up; each
 * member runs it, notes when it ended, and counts `ended` up. Every 64 K turns a spinning thread yields once, so that a
 * machine with fewer harts than members makes progress; with a hart each that is too rare to be measured.
 */
#include "user/bench/team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/bench/machine.h"

#define SPINS_BEFORE_YIELD (1u << 16)
#define CACHE_LINE	   64

struct member {
	pthread_t thread;
	unsigned index;
	uint64_t end; /* when its last job ended; the member's until it has counted `ended` up */
} __attribute__((aligned(CACHE_LINE)));

static struct {
	_Alignas(CACHE_LINE) atomic_uint generation;
	_Alignas(CACHE_LINE) atomic_uint ended; /* of this generation; on start, the members that are there */
	atomic_int error;			/* of a member that could not get its hart */
	team_job *job;				/* NULL: end. Written before generation counts up. */
	struct member *members;			/* [0] is the leader's and has no thread */
	unsigned count;
} team;

/* Acquire: pairs with the release of whoever counts the variable up, so that what was written before is seen. */
static void spin_while(atomic_uint *variable, unsigned value)
{
	unsigned spins = 0;

	while (atomic_load_explicit(variable, memory_order_acquire) == value) {
		if (++spins % SPINS_BEFORE_YIELD == 0)
			sched_yield();
	}
}

static void wait_ended(unsigned count)
{
	unsigned spins = 0;

	/* Acquire: pairs with the release in member_main; their end times and data are read next. */
	while (atomic_load_explicit(&team.ended, memory_order_acquire) != count) {
		if (++spins % SPINS_BEFORE_YIELD == 0)
			sched_yield();
	}
}

static void *member_main(void *argument)
{
	struct member *self = argument;
	unsigned generation = 0;
	int error = machine_pin(self->index);

	/* Relaxed: the release below publishes it. */
	if (error)
		atomic_store_explicit(&team.error, error, memory_order_relaxed);
	for (;;) {
		/* Release: pairs with the acquire in wait_ended. */
		atomic_fetch_add_explicit(&team.ended, 1, memory_order_release);
		spin_while(&team.generation, generation++);
		if (!team.job)
			return NULL;
		team.job(self->index);
		self->end = bench_now();
	}
}

static void publish(team_job *job)
{
	team.job = job;
	/* Relaxed: nobody looks at it before the next line. */
	atomic_store_explicit(&team.ended, 0, memory_order_relaxed);
	/* Release: pairs with the acquire in spin_while; job and the data that the job works on are seen. */
	atomic_fetch_add_explicit(&team.generation, 1, memory_order_release);
}

enum bench_status team_start(struct bench_run *run, unsigned members)
{
	int error = 0;

	if (members > machine_cpus()) {
		snprintf(run->message, sizeof(run->message), "needs %u harts, there are %u", members, machine_cpus());
		return BENCH_SKIPPED;
	}
	team.members = aligned_alloc(CACHE_LINE, members * sizeof(*team.members));
	if (!team.members)
		return bench_errno(run, "aligned_alloc");
	memset(team.members, 0, members * sizeof(*team.members));
	/* Relaxed, all three: no other thread exists. */
	atomic_store_explicit(&team.generation, 0, memory_order_relaxed);
	atomic_store_explicit(&team.ended, 0, memory_order_relaxed);
	atomic_store_explicit(&team.error, 0, memory_order_relaxed);
	for (team.count = 1; team.count < members && !error; team.count += !error) {
		team.members[team.count].index = team.count;
		error = pthread_create(&team.members[team.count].thread, NULL, member_main, &team.members[team.count]);
	}
	wait_ended(team.count - 1);
	errno = error;
	if (error)
		return bench_errno(run, "pthread_create");
	/* Relaxed: wait_ended has acquired it. */
	errno = -atomic_load_explicit(&team.error, memory_order_relaxed);
	return errno ? bench_errno(run, "sched_setaffinity") : BENCH_OK;
}

void team_run(team_job *job, struct bench_sample *sample, uint64_t operations)
{
	struct bench_timer timer;
	uint64_t end;
	unsigned i;

	bench_timer_start(&timer);
	publish(job);
	job(0);
	end = bench_now();
	wait_ended(team.count - 1);
	for (i = 1; i < team.count; i++) {
		if (team.members[i].end > end)
			end = team.members[i].end;
	}
	bench_timer_stop_at(&timer, sample, operations, end);
}

void team_end(void)
{
	unsigned i;

	if (!team.members)
		return;
	publish(NULL);
	for (i = 1; i < team.count; i++)
		pthread_join(team.members[i].thread, NULL);
	free(team.members);
	team.members = NULL;
}
