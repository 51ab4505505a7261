/*
 * Random operations on several spaces and their forks, on all harts, against the flat model, through TLBs that forgive
 * nothing; on every kind of machine. The audit runs along. Prints the seed; UNIT_SEED repeats a run.
 */
#include "tests/unit/model_ops.h"

#define STEPS 40000

static void run(const struct fake_config *config)
{
	unsigned steps = unit_steps(STEPS);

	fake_start(config);
	space_set_fault_around(config->harts == 1 ? 1 : 8, config->harts == 1 ? 2 : 1);
	(void)unit_seed();
	model_start();
	for (unsigned step = 0; step < steps; step++) {
		model_step();
		if (step % 100 == 99)
			unit_audit();
		if (step % 500 == 499)
			for (unsigned i = 0; i < MODEL_SPACES; i++)
				if (model.space[i].space != NULL)
					model_compare(&model.space[i]);
	}
	for (unsigned i = 0; i < MM_COUNTERS; i++)
		printf("%s %llu\n", mm_counter_name[i], (unsigned long long)mm_counter_sum((enum mm_counter)i));
	model_end();
}

static void one_hart(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 1, .asid_bits = 16 });
}

static void four_harts_by_ipi(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 4, .asid_bits = 16 });
}

static void four_harts_by_rfence(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 4, .asid_bits = 9, .rfence = true });
}

static void without_asids(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 4, .asid_bits = 0 });
}

static void with_too_few_asids(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 4, .asid_bits = 1 });
}

/* Three ASIDs for four spaces that come and go: each is used again and again. */
static void with_asids_reused(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 8, .asid_bits = 2 });
}

static void harts_that_trap_on_a_and_d(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 2, .asid_bits = 0, .svade = true });
}

/* Nothing is evicted and nothing fetched early: what is stale stays for long. */
static void large_calm_tlb(void **state)
{
	(void)state;
	run(&(struct fake_config){ .harts = 4, .asid_bits = 16, .calm = true });
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(one_hart),
	UNIT_TEST(four_harts_by_ipi),
	UNIT_TEST(four_harts_by_rfence),
	UNIT_TEST(without_asids),
	UNIT_TEST(with_too_few_asids),
	UNIT_TEST(with_asids_reused),
	UNIT_TEST(harts_that_trap_on_a_and_d),
	UNIT_TEST(large_calm_tlb),
};

UNIT_MAIN_SHARING("model", tests)
