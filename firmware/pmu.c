/* Event counters. Contract: pmu.h. A hart writes its own row, once, and reads it: no locks. */
#include "firmware/pmu.h"

#include "firmware/hart.h"
#include "firmware/harts.h"
#include "firmware/sbi.h"
#include "lib/hw.h"

/* SBI 1.0, section 11: the event's type from bit 16 on; a cache's number, operation and result. */
#define CACHE(which, operation) (UINT64_C(1) << 16 | (which) << 3 | (operation) << 1 | 1)
#define FIRMWARE(number)	(UINT64_C(15) << 16 | (number))
#define L1D			UINT64_C(0)
#define LAST_LEVEL		UINT64_C(2)
#define DTLB			UINT64_C(3)
#define ITLB			UINT64_C(4)
#define READ			UINT64_C(0)
#define WRITE			UINT64_C(1)

#define CSR_FIRST 0xc00U /* cycle, time, instret, hpmcounter3 to 31 */
#define CSRS	  32U

const char *const pmu_event_name[PMU_EVENTS] = {
	"dtlb_read_misses",	   "dtlb_write_misses", "itlb_misses",	      "l1d_read_misses",
	"ll_read_misses",	   "fw_ipis_sent",	"fw_ipis_received",   "fw_fences_i_sent",
	"fw_fences_i_received",	   "fw_fences_sent",	"fw_fences_received", "fw_fences_asid_sent",
	"fw_fences_asid_received",
};

static const uint64_t codes[PMU_EVENTS] = {
	CACHE(DTLB, READ), CACHE(DTLB, WRITE), CACHE(ITLB, READ), CACHE(L1D, READ), CACHE(LAST_LEVEL, READ),
	FIRMWARE(6),	   FIRMWARE(7),	       FIRMWARE(8),	  FIRMWARE(9),	    FIRMWARE(10),
	FIRMWARE(11),	   FIRMWARE(12),       FIRMWARE(13),
};

enum kind { ABSENT, BY_CSR, BY_FIRMWARE };

static struct {
	uint8_t kind;
	uint8_t number; /* BY_CSR: behind CSR_FIRST; BY_FIRMWARE: the SBI's */
} counters[HW_MAX_HARTS][PMU_EVENTS];

static void start(unsigned hart, enum pmu_event event)
{
	struct sbi_counter counter;
	int64_t index = sbi_pmu_start(codes[event]);

	if (index < 0 || index > UINT8_MAX || sbi_pmu_counter((uint64_t)index, &counter) != SBI_SUCCESS)
		return;
	if (counter.firmware) {
		counters[hart][event].kind = BY_FIRMWARE;
		counters[hart][event].number = (uint8_t)index;
	} else if (counter.csr - CSR_FIRST < CSRS && trap_probe_hpm(counter.csr - CSR_FIRST) != 0) {
		counters[hart][event].kind = BY_CSR;
		counters[hart][event].number = (uint8_t)(counter.csr - CSR_FIRST);
	}
}

void pmu_start_hart(void)
{
	for (unsigned event = 0; event < PMU_EVENTS; event++)
		start(hw_hart(), (enum pmu_event)event);
}

bool pmu_read(enum pmu_event event, uint64_t *value)
{
	unsigned hart = hw_hart();

	*value = 0;
	if (counters[hart][event].kind == BY_CSR)
		*value = hpm_read(counters[hart][event].number);
	else if (counters[hart][event].kind == BY_FIRMWARE)
		return sbi_pmu_read(counters[hart][event].number, value) == SBI_SUCCESS;
	return counters[hart][event].kind != ABSENT;
}
