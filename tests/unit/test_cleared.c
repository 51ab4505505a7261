/* Frames that are cleared ahead: taken by a first write, counted as free, and given back when there are no others. */
#include "mm/cleared.h"
#include "mm/hart.h"
#include "tests/unit/unit.h"

#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true, .bytes = UINT64_C(64) << 20 };

static unsigned prepare(void)
{
	unsigned n = 0;

	while (cleared_prepare())
		n++;
	return n;
}

static void a_first_write_takes_one(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t before = frames_free();

	(void)state;
	assert_false(cleared_prepare()); /* not enabled */
	cleared_enable(true);
	assert_int_equal(prepare(), CLEARED_MAX);
	assert_int_equal(frames_free(), before);
	(void)unit_map(space, AT, 100, PERM_R | PERM_W);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(unit_load(VADDR(AT + PAGES(i) + 8)), 0);
		unit_store(VADDR(AT + PAGES(i)), i);
		for (unsigned at = 8; at < PAGE_SIZE; at += 8)
			assert_int_equal(unit_load(VADDR(AT + PAGES(i) + at)), 0);
	}
	assert_int_equal(mm_counter_sum(MM_CLEARED_USES), 0); /* each was read first: copies of the zero frame */
	(void)unit_map(space, AT + PAGES(1000), 100, PERM_R | PERM_W);
	for (unsigned i = 0; i < 100; i++) {
		unit_store(VADDR(AT + PAGES(1000 + i)), i);
		for (unsigned at = 8; at < PAGE_SIZE; at += 8)
			assert_int_equal(unit_load(VADDR(AT + PAGES(1000 + i) + at)), 0);
	}
	assert_int_equal(mm_counter_sum(MM_CLEARED_USES), CLEARED_MAX);
	assert_int_equal(prepare(), CLEARED_MAX);
	unit_audit();
	unit_end(space);
}

static void they_go_before_an_allocation_fails(void **state)
{
	struct space *space = unit_begin(&machine);
	pfn_t first = PFN(0), pfn;
	unsigned n = 0;

	(void)state;
	cleared_enable(true);
	assert_int_equal(prepare(), CLEARED_MAX);
	while (frame_alloc(FRAME_KERNEL, &pfn) == 0) {
		*(uint64_t *)frame_data(pfn) = first.v;
		first = pfn;
		n++;
	}
	assert_int_equal(cleared_frames(), 0);
	assert_int_equal(frames_free(), 0);
	assert_false(cleared_prepare());
	while (first.v != 0) {
		pfn = first;
		first = PFN(*(uint64_t *)frame_data(pfn));
		frame_put(pfn);
	}
	assert_true(n > CLEARED_MAX);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(a_first_write_takes_one),
	UNIT_TEST(they_go_before_an_allocation_fails),
};

UNIT_MAIN("cleared", tests)
