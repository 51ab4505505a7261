/*
 * What is counted beside time: by the kernel (/proc/corral/counters, of all harts), by the harts and the firmware
 * (/proc/corral/events, of the hart that reads), and cycles and instructions of the hart that reads, by its own registers. Linux has
 * no such files and does not let programs at these registers: then they are not present. COUNTER_FENCES is the sum of the local and
 * the remote ones.
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
	/* of one hart, the main thread's */
	COUNTER_DTLB_READ_MISSES,
	COUNTER_DTLB_WRITE_MISSES,
	COUNTER_ITLB_MISSES,
	COUNTER_L1D_READ_MISSES,
	COUNTER_LL_READ_MISSES,
	COUNTER_FW_IPIS_SENT,
	COUNTER_FW_IPIS_RECEIVED,
	COUNTER_FW_FENCES_I_SENT,
	COUNTER_FW_FENCES_I_RECEIVED,
	COUNTER_FW_FENCES_SENT,
	COUNTER_FW_FENCES_RECEIVED,
	COUNTER_FW_FENCES_ASID_SENT,
	COUNTER_FW_FENCES_ASID_RECEIVED,
	COUNTER_CYCLES,
	COUNTER_INSTRUCTIONS,
	COUNTERS,
};

struct counters {
	uint64_t value[COUNTERS];
};

extern const char *const counter_name[COUNTERS];

/* Before and after what is measured: cycles and instructions are read last and first. */
void counters_begin(struct counters *out);
void counters_end(struct counters *out);
bool counter_present(enum counter counter);
/* Whether it counts one hart's work, and not all harts'. */
bool counter_of_one_hart(enum counter counter);
/* Adds now - before to sum. */
void counters_add(struct counters *sum, const struct counters *before, const struct counters *now);

#endif
