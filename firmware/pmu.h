/*
 * Events that the harts and the firmware count, by the SBI's PMU extension: each hart for itself, from pmu_start_hart on. Which of
 * them there are is the machine's and the firmware's business; none without the extension.
 *
 * cycle and instret are not among them: programs read those themselves (scounteren).
 */
#ifndef FIRMWARE_PMU_H
#define FIRMWARE_PMU_H

#include "lib/types.h"

enum pmu_event {
	/* the hart's */
	PMU_DTLB_READ_MISSES,
	PMU_DTLB_WRITE_MISSES,
	PMU_ITLB_MISSES,
	PMU_L1D_READ_MISSES,
	PMU_LL_READ_MISSES,
	/* the firmware's: what this hart asked for, and what was asked of it */
	PMU_IPIS_SENT,
	PMU_IPIS_RECEIVED,
	PMU_FENCES_I_SENT,
	PMU_FENCES_I_RECEIVED,
	PMU_FENCES_SENT,
	PMU_FENCES_RECEIVED,
	PMU_FENCES_ASID_SENT,
	PMU_FENCES_ASID_RECEIVED,
	PMU_EVENTS
};

extern const char *const pmu_event_name[PMU_EVENTS];

/* Once on each hart, before it runs anything else. */
void pmu_start_hart(void);
/* What the calling hart has counted. False: it does not count this. */
bool pmu_read(enum pmu_event event, uint64_t *value);

#endif
