/* Event counters (firmware/pmu.c) on firmware that has none, some, or says nonsense of them. */
#include "tests/unit/unit.h"

#include "firmware/harts.h"
#include "firmware/pmu.h"
#include "firmware/sbi.h"

enum how { NOTHING, SOME, TRAPS, NONSENSE };

static enum how how;
static uint64_t asked;

int64_t sbi_pmu_start(uint64_t event)
{
	bool firmware = event >> 16 == 15;

	asked++;
	if (how == NOTHING)
		return SBI_ERR_NOT_SUPPORTED;
	if (how == NONSENSE)
		return INT64_MAX;
	return firmware ? 40 + (int64_t)(event & 15) : event == 0x10021 ? 5 : SBI_ERR_NOT_SUPPORTED;
}

int64_t sbi_pmu_counter(uint64_t number, struct sbi_counter *out)
{
	*out = (struct sbi_counter){ .firmware = number >= 40, .csr = 0xc00 + (unsigned)number };
	return SBI_SUCCESS;
}

int64_t sbi_pmu_read(uint64_t number, uint64_t *value)
{
	*value = 1000 + number;
	return number == 47 ? SBI_ERR_FAILED : SBI_SUCCESS;
}

uint64_t hpm_read(uint64_t number)
{
	return 2000 + number;
}

uint64_t trap_probe_hpm(uint64_t number)
{
	assert_int_equal(number, 5);
	return how != TRAPS;
}

static unsigned started(enum how as)
{
	const struct fake_config config = { .coremap_only = true };
	unsigned found = 0;
	uint64_t value;

	fake_start(&config);
	fake_hart_enter(0);
	how = as;
	pmu_start_hart();
	assert_int_equal(asked, PMU_EVENTS);
	for (unsigned event = 0; event < PMU_EVENTS; event++)
		found += pmu_read((enum pmu_event)event, &value);
	return found;
}

static void none(void **state)
{
	(void)state;
	assert_int_equal(started(NOTHING), 0);
}

static void some(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(started(SOME), 8); /* one of the hart's, and all but one of the firmware's */
	assert_true(pmu_read(PMU_ITLB_MISSES, &value));
	assert_int_equal(value, 2005);
	assert_true(pmu_read(PMU_FENCES_SENT, &value));
	assert_int_equal(value, 1050);
	assert_false(pmu_read(PMU_IPIS_RECEIVED, &value));
	assert_false(pmu_read(PMU_DTLB_READ_MISSES, &value));
}

static void csr_that_traps(void **state)
{
	(void)state;
	assert_int_equal(started(TRAPS), 7);
}

static void nonsense(void **state)
{
	(void)state;
	assert_int_equal(started(NONSENSE), 0);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(none), UNIT_TEST(some), UNIT_TEST(csr_that_traps),
					   UNIT_TEST(nonsense) };

UNIT_MAIN("pmu", tests)
