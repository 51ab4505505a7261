/* The machine as the kernel describes it to a program. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

/* Learns which CPUs this process may use. 0 or a negative errno. */
int machine_init(void);
/* How many CPUs this process may use, at least 1. */
unsigned machine_cpus(void);
/* Puts the calling thread on the index-th of them. 0 or a negative errno. */
int machine_pin(unsigned index);
/* Bytes of memory, and those that are free for programs now; 0 where the kernel does not say. */
uint64_t machine_memory_total(void);
uint64_t machine_memory_free(void);

/* The i-th cache of the first CPU, as the kernel knows it from the device tree. False: there are no more, or it does not say. */
struct machine_cache {
	char type[16]; /* Data, Instruction, Unified */
	unsigned level, sets, ways, line, harts;
	unsigned long long bytes;
};
int machine_cache(unsigned i, struct machine_cache *cache);

#endif
