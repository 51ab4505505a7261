/*
 * A repetition is the same work each time: `rounds` rounds of `batch` operations, found by doubling until the timed
 * parts last min_ns. The clock's ticks may be 100 ns long, so min_ns is what makes them small against a repetition.
 */
#include "user/bench/runner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The program itself, its threads' stacks, and what the kernel keeps of a child. */
#define MEMORY_BESIDES (UINT64_C(4) << 20)
/* Where the kernel does not say how much memory it has, benchmarks that need more are skipped. */
#define MEMORY_UNKNOWN (UINT64_C(24) << 20)

enum bench_status bench_fail(struct bench_run *run, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(run->message, sizeof(run->message), format, list);
	va_end(list);
	return BENCH_FAILED;
}

enum bench_status bench_errno(struct bench_run *run, const char *what)
{
	int error = errno;

	snprintf(run->message, sizeof(run->message), "%s: %s", what, strerror(error));
	return error == ENOMEM || error == EAGAIN ? BENCH_SKIPPED : BENCH_FAILED;
}

void bench_timer_start(struct bench_timer *timer)
{
	counters_begin(&timer->counters);
	timer->start = bench_now();
}

void bench_timer_stop_at(const struct bench_timer *timer, struct bench_sample *sample, uint64_t operations,
			 uint64_t end)
{
	struct counters now;

	counters_end(&now);
	counters_add(&sample->counted, &timer->counters, &now);
	sample->ns += end - timer->start;
	sample->operations += operations;
}

void bench_timer_stop(const struct bench_timer *timer, struct bench_sample *sample, uint64_t operations)
{
	bench_timer_stop_at(timer, sample, operations, bench_now());
}

static enum bench_status sample_take(const struct bench_family *family, struct bench_run *run, uint64_t rounds,
				     struct bench_sample *sample)
{
	enum bench_status status = BENCH_OK;

	memset(sample, 0, sizeof(*sample));
	while (rounds-- && status == BENCH_OK)
		status = family->round(run, sample);
	return status;
}

/* Also warms everything up, so that its last sample is only of use where there is time for no other. */
static enum bench_status calibrate(const struct bench_family *family, struct bench_run *run, uint64_t min_ns,
				   uint64_t *rounds, struct bench_sample *sample)
{
	enum bench_status status;

	run->batch = 1;
	*rounds = 1;
	for (;;) {
		status = sample_take(family, run, *rounds, sample);
		if (status != BENCH_OK || sample->ns >= min_ns)
			return status;
		if (family->scales)
			run->batch *= 2;
		else
			*rounds *= 2;
	}
}

static void keep(struct result *result, const struct bench_sample *sample)
{
	struct repetition *repetition = &result->repetition[result->repetitions++];
	double operations = (double)sample->operations;
	double all = result->family->together ? operations * result->args.harts : operations;
	unsigned i;

	repetition->operations = sample->operations;
	repetition->ns = (double)sample->ns / operations;
	for (i = 0; i < COUNTERS; i++)
		repetition->counted[i] = (double)sample->counted.value[i] / (counter_of_one_hart(i) ? operations : all);
}

static enum bench_status repeat(const struct options *options, struct bench_run *run, struct result *result)
{
	uint64_t deadline = bench_now() + options->max_ns;
	struct bench_sample sample;
	enum bench_status status;
	uint64_t rounds;

	status = calibrate(result->family, run, options->min_ns, &rounds, &sample);
	if (status == BENCH_OK && bench_now() >= deadline)
		keep(result, &sample);
	while (status == BENCH_OK && result->repetitions < options->repetitions && bench_now() < deadline) {
		status = sample_take(result->family, run, rounds, &sample);
		if (status == BENCH_OK)
			keep(result, &sample);
	}
	return status;
}

static bool fits(uint64_t memory, const struct bench_family *family, struct bench_run *run)
{
	uint64_t room = memory ? memory : MEMORY_UNKNOWN;
	uint64_t need = MEMORY_BESIDES;

	if (!family->memory)
		return true;
	need += family->memory(&run->args);
	if (need <= room)
		return true;
	snprintf(run->message, sizeof(run->message), "needs %llu MiB, %s %llu MiB", (unsigned long long)(need >> 20),
		 memory ? "free are" : "the kernel does not say what is free, so the limit is",
		 (unsigned long long)(room >> 20));
	return false;
}

static enum bench_status run_family(const struct options *options, struct bench_run *run, struct result *result)
{
	const struct bench_family *family = result->family;
	enum bench_status status = family->setup ? family->setup(run) : BENCH_OK;
	struct bench_run after = *run;
	enum bench_status ended;

	if (status == BENCH_OK)
		status = repeat(options, run, result);
	ended = family->teardown ? family->teardown(&after) : BENCH_OK;
	/* What went wrong first is what is said. */
	if (status != BENCH_OK || ended == BENCH_OK)
		return status;
	memcpy(run->message, after.message, sizeof(run->message));
	return ended;
}

static void summarise(struct result *result)
{
	unsigned count = result->repetitions;
	double *values = malloc(count * sizeof(*values));
	unsigned i, j;

	if (!values) {
		result->status = BENCH_FAILED;
		result->repetitions = 0;
		snprintf(result->message, sizeof(result->message), "no memory for the results");
		return;
	}
	for (i = 0; i < count; i++)
		values[i] = result->repetition[i].ns;
	result->ns = statistics_of(values, count);
	for (j = 0; j < COUNTERS; j++) {
		for (i = 0; i < count; i++)
			values[i] = result->repetition[i].counted[j];
		result->counted[j] = statistics_of(values, count);
	}
	free(values);
}

void runner_run(const struct options *options, uint64_t memory, struct result *result)
{
	struct bench_run run = { .args = result->args };

	result->repetition = calloc(options->repetitions, sizeof(*result->repetition));
	if (!result->repetition)
		result->status = bench_errno(&run, "calloc");
	else if (!fits(memory, result->family, &run))
		result->status = BENCH_SKIPPED;
	else
		result->status = run_family(options, &run, result);
	memcpy(result->message, run.message, sizeof(result->message));
	if (result->status == BENCH_OK)
		summarise(result);
	else
		result->repetitions = 0;
}
