/*
 * Kernel stacks. In debug builds a page that is not mapped lies below each (docs/reliability.md, "Stacks"): an overrun ends in a line that says so.
 * A stack is named by its top, the address behind it. In other builds there is nothing to take, and threads' stacks are frames like any.
 */
#ifndef FIRMWARE_STACKS_H
#define FIRMWARE_STACKS_H

#include "lib/types.h"

#define KERNEL_STACK_BYTES UINT64_C(16384)

/* Before kmap_init: a stack that is never given back. Ends in boot_fail without memory. */
uint64_t stack_early(uint64_t bytes);

#ifdef CORRAL_DEBUG
/* For canaries, from the device tree's rng-seed and the time. By boot_main, which does not return. */
void stack_canary_init(const void *fdt);
/* In kmap_init: makes the stacks that stack_take gives, and takes from the map what is below all that there are. */
void stacks_guard(void (*unmap)(uint64_t va));
/* One of KERNEL_STACK_BYTES; 0: none are left. Any context, no locks. */
uint64_t stack_take(void);
/* False: it is none of those. */
bool stack_give(uint64_t top);
/* For tests: how many can be taken. */
unsigned stacks_left(void);
#else
static inline void stack_canary_init(const void *fdt)
{
	(void)fdt;
}

static inline uint64_t stack_take(void)
{
	return 0;
}

static inline bool stack_give(uint64_t top)
{
	(void)top;
	return false;
}
#endif

#endif
