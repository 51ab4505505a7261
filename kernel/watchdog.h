/* Waits that last: reported, and, in debug kernels, the machine's end after some. What is watched: lib/watch.h. */
#ifndef KERNEL_WATCHDOG_H
#define KERNEL_WATCHDOG_H

#include "lib/types.h"

/* The boot argument: seconds that a wait may last, or NULL. Before there are other harts. */
void watchdog_init(const char *seconds);
/* For tests: another bound, 0: none, and after how many reports of one wait the machine ends, 0: never. */
void watchdog_set(uint64_t bound_ns, unsigned reports);
/* Of each hart, on the log: where it is, and what it waits for. Any context. */
void watchdog_describe(void);
/* How many reports were made, and are written. */
uint64_t watchdog_reports(void);

#endif
