/* The trace's rings (mm/trace.h): what is kept, what has been written over, and what a shootdown leaves on both sides. */
#include "tests/unit/unit.h"

#include "mm/hart.h"
#include "mm/trace.h"

#define AT	UINT64_C(0x10000000)
#define RECORDS 4

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };

static void a_ring_keeps_the_newest(void **state)
{
	struct trace_record record = { .event = TRACE_FORK };

	(void)state;
	(void)unit_begin(&machine);
	assert_int_equal(trace_written(0), 0);
	assert_false(trace_get(0, 0, &record));
	assert_int_equal(trace_start(TRACE_FORKS, RECORDS), 0);
	assert_true(trace_wants(TRACE_FORKS));
	assert_false(trace_wants(TRACE_TLB | TRACE_FAULTS));
	assert_int_equal(trace_records(), RECORDS);
	for (uint64_t n = 0; n < RECORDS + 2; n++) {
		record.begin = 10 * n;
		record.argument[0] = 100 + n;
		fake_ticks = 10 * n + 5;
		trace_put(&record);
		assert_int_equal(trace_written(0), n + 1);
	}
	/* Of the oldest that is left the hart may be about to write over: it does not count. */
	for (uint64_t n = 0; n < RECORDS + 4; n++) {
		bool there = trace_get(0, n, &record);

		assert_int_equal(there, n > 2 && n < RECORDS + 2);
		if (there) {
			assert_int_equal(record.argument[0], 100 + n);
			assert_int_equal(record.begin, 10 * n);
			assert_int_equal(record.end, 10 * n + 5);
		}
	}
	assert_int_equal(trace_written(1), 0);
}

static void without_memory(void **state)
{
	(void)state;
	(void)unit_begin(&machine);
	for (unsigned n = 1; n <= 3; n++) {
		fake_fail_at(n, false);
		assert_int_equal(trace_start(TRACE_TLB, RECORDS), -ENOMEM);
		assert_true(fake_fail_hit());
		assert_false(trace_wants(TRACE_TLB));
	}
	fake_fail_at(0, false);
}

static void a_shootdown_from_both_sides(void **state)
{
	struct space *space = unit_begin(&machine);
	struct trace_record asked, answered;

	(void)state;
	assert_int_equal(trace_start(TRACE_TLB, RECORDS), 0);
	(void)unit_map(space, AT, 3, PERM_R | PERM_W);
	fake_hart_enter(1);
	space_switch(space);
	unit_store(VADDR(AT + PAGES(1)), 1);
	fake_hart_enter(0);
	assert_int_equal(space_unmap(space, VADDR(AT + PAGES(1)), PAGES(2)), 0);
	assert_int_equal(trace_written(0), 1);
	assert_int_equal(trace_written(1), 1);
	assert_true(trace_get(0, 0, &asked));
	assert_true(trace_get(1, 0, &answered));
	assert_int_equal(asked.event, TRACE_SHOOTDOWN);
	assert_int_equal(asked.argument[2], 2);
	assert_int_equal(answered.event, TRACE_ANSWER);
	assert_int_equal(answered.argument[2], 0);
	assert_int_equal(asked.argument[3], answered.argument[3]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(asked.argument[i], answered.argument[i]);
	assert_true(asked.argument[1] == 0 || asked.argument[0] == AT + PAGES(1));
	fake_hart_enter(1);
	unit_expect_fault(VADDR(AT + PAGES(1)), ACCESS_READ, FAULT_MAPERR);
	fake_hart_enter(0);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(a_ring_keeps_the_newest),
	UNIT_TEST(without_memory),
	UNIT_TEST(a_shootdown_from_both_sides),
};

UNIT_MAIN("trace", tests)
