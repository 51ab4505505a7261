/* What /proc/corral/memory and /proc/corral/harts say, read at one moment, and what came between two of them. */
#ifndef CORRAL_TOP_SAMPLE_H
#define CORRAL_TOP_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_HARTS 64

/* In frames. */
enum memory {
	MEMORY_FREE,
	MEMORY_ANONYMOUS,
	MEMORY_FILES,
	MEMORY_TABLES,
	MEMORY_SIDES,
	MEMORY_KERNEL,
	MEMORY_RESERVED,
	MEMORY_ZERO,
	MEMORY_SAVED_ANONYMOUS,
	MEMORY_SAVED_FILES,
	MEMORY_SAVED_TABLES,
	MEMORIES
};
#define MEMORY_KINDS MEMORY_SAVED_ANONYMOUS /* the first ones, which make up all of RAM */
extern const char *const memory_name[MEMORIES];

/* Of a hart. FAULTS is the sum of all ways in which a fault ends. */
enum count {
	COUNT_FAULTS,
	COUNT_ZEROS,
	COUNT_COPIES,
	COUNT_REUSES,
	COUNT_SHOOTDOWNS,
	COUNT_SERVED,
	COUNT_SENT,
	COUNT_RECEIVED,
	COUNT_FENCES,
	COUNTS
};
extern const char *const count_name[COUNTS];

struct hart_counts {
	unsigned hart;
	uint64_t count[COUNTS];
};

struct sample {
	double seconds; /* CLOCK_MONOTONIC */
	uint64_t memory[MEMORIES];
	unsigned harts;
	struct hart_counts hart[MAX_HARTS];
};

/* False, with a message on standard error, where this is not Corral. */
bool sample_read(struct sample *out);

/* Events a second of each hart, and in the last row of all: sample.harts + 1 rows. */
void sample_rates(const struct sample *before, const struct sample *now, double rates[][COUNTS]);

#endif
