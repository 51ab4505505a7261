/* What the tally says, against all spaces' resident pages and the frames there are. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/pte.h"
#include "mm/space.h"
#include "mm/tally.h"

#define RW  (PERM_R | PERM_W)
#define GIB (UINT64_C(1) << 30)
#define AT  (4 * GIB)
#define OBJ (8 * GIB)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };

static struct mm_tally tally(void)
{
	struct mm_tally now;

	mm_tally(&now);
	return now;
}

static uint64_t resident(struct space *space, bool anonymous)
{
	struct space_region region;
	uint64_t pages = 0;

	for (vaddr_t at = VADDR(0); space_next_region(space, at, &region); at = region.end)
		pages += anonymous ? region.use.anonymous : region.resident - region.use.anonymous;
	return pages;
}

static void every_frame_has_a_kind(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t before = tally().frames[FRAME_ANON], sum = 0, all = 0;
	struct mm_tally now;

	(void)state;
	(void)unit_map(space, AT, 100, RW);
	for (unsigned i = 0; i < 100; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	now = tally();
	assert_int_equal(now.frames[FRAME_ANON], before + 100);
	assert_int_equal(now.frames[FRAME_ZERO], 1);
	assert_int_equal(now.saved_anon + now.saved_object + now.saved_tables, 0);
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		sum += now.frames[kind];
	for (pfn_t pfn = frame_first(); pfn.v != 0; pfn = frame_next(pfn))
		all++;
	assert_int_equal(sum, all);
	unit_end(space);
}

/* Tables shared on both levels, some copied since, pages shared one by one and by tables at once. */
static void sharing_is_exact(void **state)
{
	struct space *space[4];
	struct mm_tally now;
	uint64_t pages = 0;

	(void)state;
	space[0] = unit_begin(&machine);
	(void)unit_map(space[0], AT, 2048, RW);
	for (unsigned i = 0; i < 2048; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	for (unsigned i = 1; i < 4; i++) {
		space[i] = unit_fork(space[i / 2]);
		unit_store_in(space[i], AT + PAGES(512 * i), 100 + i);
	}
	for (unsigned i = 0; i < 4; i++)
		pages += resident(space[i], true);
	now = tally();
	assert_int_equal(pages, 4 * 2048);
	assert_int_equal(now.saved_anon, pages - now.frames[FRAME_ANON]);
	assert_true(now.saved_tables > 0);
	for (unsigned i = 1; i < 4; i++)
		unit_drop(space[i]);
	now = tally();
	assert_int_equal(now.saved_anon + now.saved_tables, 0);
	unit_end(space[0]);
}

static void files_and_sides(void **state)
{
	struct space *space = unit_begin(&machine), *child;
	struct object *object;
	uint64_t sides = tally().frames[FRAME_SIDE];

	(void)state;
	assert_int_equal(object_create(PAGES(16), NULL, 0, &object), 0);
	(void)unit_map_object(space, OBJ, 16, RW, object, 0, true);
	(void)unit_map(space, OBJ + PAGES(16), 16, RW);
	for (unsigned i = 0; i < 32; i++)
		unit_store(VADDR(OBJ + PAGES(i)), i);
	assert_int_equal(tally().frames[FRAME_SIDE], sides + 1);
	assert_int_equal(tally().frames[FRAME_OBJECT], 16);
	assert_int_equal(tally().saved_object, 0);
	child = unit_fork(space);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(unit_load_in(child, OBJ + PAGES(i)), i);
	assert_int_equal(tally().saved_object, resident(child, false));
	unit_drop(child);
	object_put(object);
	unit_end(space);
}

static unsigned waits;

static void count_waits(void)
{
	waits++;
}

/*
 * What was a table when it was looked at may be a program's page by the time its entries are, and these whatever the program likes: nothing
 * that is no table is looked into, reserved frames least of all. And other harts are served before the next table is gone through.
 */
static void tables_that_turn(void **state)
{
	struct space *space = unit_begin(&machine);
	struct mm_tally now;
	pfn_t upper, leaf, page;

	(void)state;
	assert_int_equal(frame_alloc_zeroed(FRAME_TABLE, &upper), 0);
	assert_int_equal(frame_alloc_zeroed(FRAME_TABLE, &leaf), 0);
	assert_int_equal(frame_alloc(FRAME_ANON, &page), 0);
	frame_of(upper)->level = 1;
	frame_of(leaf)->level = 0;
	assert_int_equal(frame_of(frame_first())->kind, FRAME_RESERVED);
	memset(frame_data(frame_first()), 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		pte_store(pt_slot(page, i), pte_leaf(page, PERM_R));
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		pte_store(pt_slot(upper, i), i % 4 == 0	  ? pte_table(page)
					     : i % 4 == 1 ? pte_detached(frame_first())
					     : i % 4 == 2 ? pte_table(PFN(UINT64_C(0xfffffffffff)))
							  : pte_table(leaf));
	atomic_store(&frame_of(upper)->count, 2);
	waits = 0;
	fake_waiting = count_waits;
	now = tally();
	fake_waiting = NULL;
	assert_int_equal(now.saved_anon, 0);
	assert_int_equal(now.saved_tables, 1 + PT_ENTRIES / 4);
	assert_true(waits >= PT_ENTRIES / 4);
	atomic_store(&frame_of(upper)->count, 1);
	frame_put(upper);
	frame_put(leaf);
	frame_put(page);
	unit_end(space);
}

static void counters_of_harts(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t sum = 0;

	(void)state;
	(void)unit_map(space, AT, 8, RW);
	for (unsigned i = 0; i < 8; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	for (unsigned h = 0; h < hw_harts(); h++)
		sum += mm_counter_of(h, MM_ZERO_FILLS);
	assert_int_equal(sum, mm_counter_sum(MM_ZERO_FILLS));
	assert_int_equal(mm_counter_of(hw_hart(), MM_ZERO_FILLS), 8);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(every_frame_has_a_kind), UNIT_TEST(sharing_is_exact),	 UNIT_TEST(files_and_sides),
	UNIT_TEST(tables_that_turn),	   UNIT_TEST(counters_of_harts),
};

UNIT_MAIN_SHARING("tally", tests)
