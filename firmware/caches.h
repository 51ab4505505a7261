/* The harts' caches, as the device tree has them. It reads the tree anew each time; nothing is kept. */
#ifndef FIRMWARE_CACHES_H
#define FIRMWARE_CACHES_H

#include "lib/types.h"

struct cache_level {
	unsigned level;
	const char *type;    /* Data, Instruction or Unified, as Linux calls them */
	uint64_t bytes;	     /* not 0 */
	uint32_t sets, line; /* 0: the tree does not say */
	uint32_t ways;	     /* as the three above have it; 0: they do not fit together */
	unsigned harts;	     /* usable ones that share it */
};

/* Calls visit for each cache of the first usable hart, from the nearest on, and for those that no hart names. A tree that names none has none to tell of. */
void caches_each(const void *fdt, void (*visit)(void *ctx, const struct cache_level *cache), void *ctx);

#endif
