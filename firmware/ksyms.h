/* The kernel's own symbols, for backtraces. scripts/mksyms.py makes the table from the first link for the second. */
#ifndef FIRMWARE_KSYMS_H
#define FIRMWARE_KSYMS_H

#include "lib/types.h"

struct ksym {
	uint64_t addr;
	const char *name;
};

/* Functions, sorted by address. An address belongs to the last entry that is not above it. */
extern const struct ksym ksyms[];
extern const unsigned ksyms_count;

#endif
