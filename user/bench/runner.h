/* Runs one benchmark: finds out how much a repetition needs, repeats, and keeps what each repetition measured. */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include "user/bench/bench.h"
#include "user/bench/options.h"
#include "user/bench/statistics.h"

#define BENCH_NAME 64

struct repetition {
	uint64_t operations;
	double ns;		  /* an operation */
	double counted[COUNTERS]; /* an operation; those that are present */
};

struct result {
	char name[BENCH_NAME];
	const struct bench_family *family;
	struct bench_args args;
	unsigned family_index, instance_index;
	enum bench_status status;
	char message[192];
	unsigned
		repetitions; /* as many as were asked for or max_ns gave time for; 0 where the status is not BENCH_OK */
	struct repetition *repetition;
	struct statistics ns;
	struct statistics counted[COUNTERS];
};

/* name, family and args are set; the rest is filled in. memory: bytes that may be used, 0: unknown. */
void runner_run(const struct options *options, uint64_t memory, struct result *result);

#endif
