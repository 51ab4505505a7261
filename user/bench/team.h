/*
 * A team: the calling thread and others of the same process, each on a hart of its own. Between jobs the others spin
 * in user mode, so they are what a shootdown has to reach. One team at a time.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include "user/bench/bench.h"

/* A job is called with 0 in the calling thread, and with 1, 2, ... in the others. */
typedef void team_job(unsigned member);

/* Returns when all of them spin. The calling thread counts, and is on the first hart already. */
enum bench_status team_start(struct bench_run *run, unsigned members);
/* Runs job in all members; timed from the moment the first may begin to the moment the last has ended. */
void team_run(team_job *job, struct bench_sample *sample, uint64_t operations);
void team_end(void);

#endif
