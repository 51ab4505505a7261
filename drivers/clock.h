/* How fast a device's clock is, as the tree says and the clock controller's registers have it. Reads only. */
#ifndef DRIVERS_CLOCK_H
#define DRIVERS_CLOCK_H

#include "lib/types.h"

/* The node's first clock in Hz; 0: not known. */
uint64_t clock_rate(const void *fdt, int node);

#endif
