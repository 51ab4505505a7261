/* Setting up trap.h's time. */
#ifndef FIRMWARE_TIME_H
#define FIRMWARE_TIME_H

#include "lib/types.h"

/* hz: ticks of the `time` CSR a second, not 0; sstc: whether harts have stimecmp. */
void time_init(uint64_t hz, bool sstc);

#endif
