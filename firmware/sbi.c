/*
 * SBI calls. What the firmware has is probed once; where a 0.2 extension is missing, the legacy call of old firmware
 * is used.
 */
#include "firmware/sbi.h"

enum {
	EXT_LEGACY_TIMER = 0x00,
	EXT_LEGACY_PUTCHAR = 0x01,
	EXT_LEGACY_SHUTDOWN = 0x08,
	EXT_BASE = 0x10,
	EXT_TIME = 0x54494d45,
	EXT_IPI = 0x735049,
	EXT_RFENCE = 0x52464e43,
	EXT_HSM = 0x48534d,
	EXT_SRST = 0x53525354,
	EXT_DBCN = 0x4442434e,
	EXT_PMU = 0x504d55,
};

enum { BASE_SPEC, BASE_ID, BASE_VERSION, BASE_PROBE, BASE_MVENDORID, BASE_MARCHID, BASE_MIMPID };

enum { PMU_COUNTERS, PMU_COUNTER, PMU_MATCH, PMU_START, PMU_READ = 5 };

#define PMU_CLEAR      (UINT64_C(1) << 1)
#define PMU_AUTO_START (UINT64_C(1) << 2)

static struct {
	struct sbi_ids ids;
	bool time, hsm, srst, dbcn;
	uint64_t counters; /* of the PMU, as a set; 0: it has none */
} sbi;

struct sbi_result {
	int64_t error;
	uint64_t value;
};

static struct sbi_result sbi_call(uint64_t ext, uint64_t fid, uint64_t arg0, uint64_t arg1, uint64_t arg2,
				  uint64_t arg3, uint64_t arg4)
{
	register uint64_t a0 __asm__("a0") = arg0;
	register uint64_t a1 __asm__("a1") = arg1;
	register uint64_t a2 __asm__("a2") = arg2;
	register uint64_t a3 __asm__("a3") = arg3;
	register uint64_t a4 __asm__("a4") = arg4;
	register uint64_t a6 __asm__("a6") = fid;
	register uint64_t a7 __asm__("a7") = ext;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
	return (struct sbi_result){ (int64_t)a0, a1 };
}

static uint64_t base_get(uint64_t fid, uint64_t arg)
{
	struct sbi_result result = sbi_call(EXT_BASE, fid, arg, 0, 0, 0, 0);

	return result.error == SBI_SUCCESS ? result.value : 0;
}

static uint64_t counters_find(void)
{
	struct sbi_result result = { SBI_ERR_NOT_SUPPORTED, 0 };

	if (base_get(BASE_PROBE, EXT_PMU) != 0)
		result = sbi_call(EXT_PMU, PMU_COUNTERS, 0, 0, 0, 0, 0);
	if (result.error != SBI_SUCCESS || result.value == 0)
		return 0;
	return result.value >= 64 ? UINT64_MAX : (UINT64_C(1) << result.value) - 1;
}

void sbi_init(void)
{
	sbi.ids = (struct sbi_ids){
		.spec_version = base_get(BASE_SPEC, 0),
		.implementation = base_get(BASE_ID, 0),
		.implementation_version = base_get(BASE_VERSION, 0),
		.mvendorid = base_get(BASE_MVENDORID, 0),
		.marchid = base_get(BASE_MARCHID, 0),
		.mimpid = base_get(BASE_MIMPID, 0),
	};
	sbi.time = base_get(BASE_PROBE, EXT_TIME) != 0;
	sbi.hsm = base_get(BASE_PROBE, EXT_HSM) != 0;
	sbi.srst = base_get(BASE_PROBE, EXT_SRST) != 0;
	sbi.dbcn = base_get(BASE_PROBE, EXT_DBCN) != 0;
	sbi.counters = counters_find();
}

const struct sbi_ids *sbi_ids(void)
{
	return &sbi.ids;
}

const char *sbi_error_name(int64_t error)
{
	static const char *const names[] = {
		"success",	   "failed",	       "not supported",	    "invalid parameter",
		"denied",	   "invalid address",  "already available", "already started",
		"already stopped", "no shared memory",
	};

	return error <= 0 && error > -(int64_t)ARRAY_LEN(names) ? names[-error] : "unknown error";
}

void sbi_putchar(char c)
{
	if (sbi.dbcn)
		sbi_call(EXT_DBCN, 2, (uint8_t)c, 0, 0, 0, 0);
	else
		sbi_call(EXT_LEGACY_PUTCHAR, 0, (uint8_t)c, 0, 0, 0, 0);
}

void sbi_set_timer(uint64_t ticks)
{
	sbi_call(sbi.time ? EXT_TIME : EXT_LEGACY_TIMER, 0, ticks, 0, 0, 0, 0);
}

int64_t sbi_send_ipi(uint64_t mask, uint64_t base)
{
	return sbi_call(EXT_IPI, 0, mask, base, 0, 0, 0).error;
}

int64_t sbi_remote_fence_i(uint64_t mask, uint64_t base)
{
	return sbi_call(EXT_RFENCE, 0, mask, base, 0, 0, 0).error;
}

int64_t sbi_remote_sfence(uint64_t mask, uint64_t base, uint64_t start, uint64_t bytes)
{
	return sbi_call(EXT_RFENCE, 1, mask, base, start, bytes, 0).error;
}

int64_t sbi_remote_sfence_asid(uint64_t mask, uint64_t base, uint64_t start, uint64_t bytes, uint64_t asid)
{
	return sbi_call(EXT_RFENCE, 2, mask, base, start, bytes, asid).error;
}

int64_t sbi_hart_start(uint64_t id, uint64_t pa, uint64_t argument)
{
	if (!sbi.hsm)
		return SBI_ERR_NOT_SUPPORTED;
	return sbi_call(EXT_HSM, 0, id, pa, argument, 0, 0).error;
}

int64_t sbi_hart_status(uint64_t id)
{
	struct sbi_result result = { SBI_ERR_NOT_SUPPORTED, 0 };

	if (sbi.hsm)
		result = sbi_call(EXT_HSM, 2, id, 0, 0, 0, 0);
	return result.error != SBI_SUCCESS ? result.error : (int64_t)result.value;
}

int64_t sbi_pmu_start(uint64_t event)
{
	struct sbi_result result;

	if (sbi.counters == 0)
		return SBI_ERR_NOT_SUPPORTED;
	result = sbi_call(EXT_PMU, PMU_MATCH, 0, sbi.counters, PMU_CLEAR | PMU_AUTO_START, event, 0);
	if (result.error != SBI_SUCCESS)
		return result.error;
	/* OpenSBI 1.1 to 1.6 do not start harts' own counters by the flag; an error says that it did. */
	(void)sbi_call(EXT_PMU, PMU_START, result.value, 1, 0, 0, 0);
	return (int64_t)result.value;
}

int64_t sbi_pmu_counter(uint64_t number, struct sbi_counter *out)
{
	struct sbi_result result = sbi_call(EXT_PMU, PMU_COUNTER, number, 0, 0, 0, 0);

	out->firmware = result.value >> 63 != 0;
	out->csr = (unsigned)result.value & 0xfff;
	return result.error;
}

int64_t sbi_pmu_read(uint64_t number, uint64_t *value)
{
	struct sbi_result result = sbi_call(EXT_PMU, PMU_READ, number, 0, 0, 0, 0);

	*value = result.value;
	return result.error;
}

int64_t sbi_reset(enum sbi_reset how)
{
	return sbi.srst ? sbi_call(EXT_SRST, 0, how == SBI_SHUTDOWN ? 0 : 1, 0, 0, 0, 0).error : SBI_ERR_NOT_SUPPORTED;
}

void sbi_legacy_shutdown(void)
{
	sbi_call(EXT_LEGACY_SHUTDOWN, 0, 0, 0, 0, 0, 0);
}
