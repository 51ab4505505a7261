/* What drivers need of the device tree beyond firmware/tree.h. */
#ifndef DRIVERS_DT_H
#define DRIVERS_DT_H

#include "lib/types.h"

/* The node's first interrupt, on a controller whose specifiers are one cell (the PLIC). -ENOENT: it has none. */
int dt_interrupt(const void *fdt, int node, unsigned *source) MUST_CHECK;
/*
 * Maps the node's first register block; at, width: a register of it that may be read at any time, in bytes. NULL: it has none, it cannot be
 * mapped, or nothing answers there.
 */
volatile void *dt_map(const void *fdt, int node, uint64_t at, unsigned width) MUST_CHECK;
/* The node that /chosen/stdout-path names, or a negative number. */
int dt_stdout(const void *fdt);

#endif
