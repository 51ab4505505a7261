/* Page tables as they are (mm/runs.h): each state of an entry, where runs end, and what fork's sharing makes of them. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/runs.h"
#include "mm/tally.h"

#define AT	UINT64_C(0x10000000)
#define FILE_AT UINT64_C(0x20000000)
#define HUGE_AT UINT64_C(0x80000000)
#define RW	(PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };

static struct space_run run_at(struct space *space, uint64_t from)
{
	struct space_run run;

	assert_true(space_next_run(space, VADDR(from), &run));
	assert_true(run.start.v >= ALIGN_DOWN(from, PAGE_SIZE) && run.start.v < run.end.v);
	return run;
}

/* From `from` on there is a run of so many pages in this state, of which `there` are. */
static void expect(struct space *space, uint64_t from, uint64_t pages, enum run_state state, uint64_t there)
{
	struct space_run run = run_at(space, from);

	assert_int_equal(run.start.v, from);
	assert_int_equal(run.end.v, from + PAGES(pages));
	assert_int_equal(run.state, state);
	assert_int_equal(run.pages, there);
}

static void each_state(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;
	struct space_run run;

	(void)state;
	assert_false(space_next_run(space, VADDR(0), &run));
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map(space, AT, 16, RW);
	for (uint64_t i = 0; i < 8; i++)
		unit_store(VADDR(AT + PAGES(i)), 1);
	(void)unit_load(VADDR(AT + PAGES(8)));
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(2)), PAGES(2), 0), 0);
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(4)), PAGES(3), PERM_R), 0);
	expect(space, AT, 2, RUN_WRITABLE, 2);
	expect(space, AT + PAGES(2), 2, RUN_PARKED, 2);
	expect(space, AT + PAGES(4), 3, RUN_READONLY, 3);
	expect(space, AT + PAGES(7), 1, RUN_WRITABLE, 1);
	expect(space, AT + PAGES(8), 1, RUN_COW, 1);
	run = run_at(space, AT + PAGES(8));
	assert_int_equal(run.kind, FRAME_ZERO);
	assert_int_equal(run.most, 0);
	assert_int_equal(run.shared_pages, 0);
	expect(space, AT + PAGES(9), 7, RUN_RESERVED, 0);
	run = run_at(space, AT + PAGES(3) + 17); /* from its middle on */
	assert_int_equal(run.end.v, AT + PAGES(4));
	assert_int_equal(run.kind, FRAME_ANON);
	assert_int_equal(run.most, 1);
	assert_int_equal(run.places, 1);
	assert_int_equal(run.perm, 0);
	assert_int_equal(run.level, 0);
	assert_false(run.detached || run.shared);
	assert_false(space_next_run(space, VADDR(AT + PAGES(16)), &run));
	/* An object's: the frame has one count more, which is nobody's place. */
	(void)unit_map_object(space, FILE_AT, 8, RW, object, 0, true);
	unit_store(VADDR(FILE_AT + PAGES(1)), 1);
	expect(space, FILE_AT, 1, RUN_RESERVED, 0);
	run = run_at(space, FILE_AT + PAGES(1));
	assert_int_equal(run.kind, FRAME_OBJECT);
	assert_true(run.shared);
	assert_int_equal(run.most, 1);
	assert_int_equal(run.shared_pages, 0);
	expect(space, FILE_AT + PAGES(2), 6, RUN_RESERVED, 0);
	assert_int_equal(run_at(space, FILE_AT + PAGES(2)).kind, FRAME_OBJECT);
	(void)unit_map_object(space, FILE_AT + PAGES(32), 8, RW, object, 0, false);
	assert_int_equal(unit_load(VADDR(FILE_AT + PAGES(33))), 1);
	run = run_at(space, FILE_AT + PAGES(33));
	assert_false(run.shared);
	assert_int_equal(run.most, 2);
	assert_int_equal(run.shared_pages, 1);
	object_put(object);
	unit_end(space);
}

/* Reservations that are entries of upper tables are runs of their own; the end of user space is one's end. */
static void levels(void **state)
{
	struct space *space = unit_begin(&machine);
	struct space_run run;

	(void)state;
	(void)unit_map(space, HUGE_AT, (UINT64_C(2) << 30) >> PAGE_SHIFT, RW);
	run = run_at(space, 0);
	assert_int_equal(run.start.v, HUGE_AT);
	assert_int_equal(run.level, 2);
	assert_int_equal(run.end.v, HUGE_AT + (UINT64_C(2) << 30));
	unit_store(VADDR(HUGE_AT), 1);
	expect(space, HUGE_AT, 1, RUN_WRITABLE, 1);
	expect(space, HUGE_AT + PAGES(1), 511, RUN_RESERVED, 0);
	run = run_at(space, HUGE_AT + PAGES(512));
	assert_int_equal(run.level, 1);
	assert_int_equal(run.end.v, HUGE_AT + (UINT64_C(1) << 30));
	(void)unit_map(space, USER_END - PAGES(2), 2, RW);
	unit_store(VADDR(USER_END - PAGES(1)), 1);
	expect(space, USER_END - PAGES(2), 1, RUN_RESERVED, 0);
	expect(space, USER_END - PAGES(1), 1, RUN_WRITABLE, 1);
	unit_end(space);
}

/* What fork shares is in as many places as spaces have it, by tables or by pages. */
static void after_fork(void **state)
{
	struct space *space = unit_begin(&machine), *child;
	struct mm_tally tally;
	struct space_run run;

	(void)state;
	(void)unit_map(space, AT, 40, RW);
	for (uint64_t i = 0; i < 40; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	space_set_fork_policy(FORK_ALL_TABLES);
	child = unit_fork(space);
	mm_tally(&tally); /* a table of each level, and what is below */
	assert_int_equal(tally.saved_tables, 2);
	assert_int_equal(tally.saved_anon, 40);
	assert_int_equal(tally.saved_object, 0);
	run = run_at(child, AT);
	assert_true(run.detached);
	assert_int_equal(run.places, 2);
	assert_int_equal(run.most, 2);
	assert_int_equal(run.pages, 40);
	assert_int_equal(run.shared_pages, 40);
	assert_true(run.state == RUN_WRITABLE); /* by whoever takes the table over */
	unit_store_in(child, AT + PAGES(3), 100);
	run = run_at(child, AT);
	assert_false(run.detached);
	assert_int_equal(run.places, 1);
	assert_int_equal(run.most, 2);
	assert_int_equal(run.end.v, AT + PAGES(3));
	assert_int_equal(run.state, RUN_COW);
	expect(child, AT + PAGES(3), 1, RUN_WRITABLE, 1);
	assert_int_equal(run_at(child, AT + PAGES(3)).shared_pages, 0);
	expect(child, AT + PAGES(4), 36, RUN_COW, 36);
	unit_drop(child);
	/* And when there is one again. */
	run = run_at(space, AT);
	assert_int_equal(run.shared_pages, 0);
	assert_int_equal(run.most, 1);
	assert_int_equal(unit_load_in(space, AT + PAGES(3)), 3);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(each_state),
	UNIT_TEST(levels),
	UNIT_TEST(after_fork),
};

UNIT_MAIN("runs", tests)
