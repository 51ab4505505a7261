/*
 * What the kernel counts by itself: lines "name value" of /proc/corral/counters. Linux has no such file, and then no
 * counter is present. COUNTER_FENCES is the sum of the local and the remote ones.
 */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum counter {
	COUNTER_IPIS,
	COUNTER_REMOTE_FENCES,
	COUNTER_LOCAL_FENCES,
	COUNTER_FENCES,
	COUNTERS,
};

struct counters {
	uint64_t value[COUNTERS];
};

extern const char *const counter_name[COUNTERS];

void counters_read(struct counters *out);
bool counter_present(enum counter counter);
/* Adds now - before to sum. */
void counters_add(struct counters *sum, const struct counters *before, const struct counters *now);

#endif
