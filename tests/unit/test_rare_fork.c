/*
 * Forks of what is watched, or sealed, or named as often as can be, or of threads; each without memory: the parent has what it had, and the audit is clean.
 */
#include "tests/unit/unit.h"

#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/walk.h"

#define AT  UINT64_C(0x10000000)
#define TO  UINT64_C(0x20000000)
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define RW  (PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;

static pfn_t table_at(uint64_t va, unsigned level)
{
	pfn_t table = space->root;

	for (unsigned at = PT_ROOT; at > level; at--)
		table = pte_pfn(pte_load(pt_slot(table, pt_index(VADDR(va), at))));
	return table;
}

static int fork_once(void *ctx)
{
	struct space *child;
	int before = unit_watched, err = space_fork(space, &child);

	if (err == 0) {
		assert_int_equal(unit_watched, 2 * before);
		assert_int_equal(unit_load_in(child, AT), 1);
		assert_int_equal(unit_load_in(child, TO), 3);
		space_switch(space);
		unit_drop(child);
	}
	assert_int_equal(unit_watched, before);
	assert_int_equal(unit_load_in(space, *(uint64_t *)ctx), 2);
	return err;
}

/* What is watched has descriptors of its own in a child; here are three, private and shared, touched or not. And tables to be copied. */
static void watched_without_memory(void **state)
{
	struct mapping like = { .max_perm = PERM_RWX, .watch = &unit_watch };
	vaddr_t at = VADDR(TO), next = VADDR(TO + PAGES(4)), large = VADDR(GIB);
	uint64_t there = AT + PAGES(1);
	struct object *object;
	struct space *child;

	(void)state;
	unit_watched = 0;
	space_set_fork_policy(FORK_ALL_TABLES);
	space = unit_begin(&machine);
	assert_int_equal(object_create(GIB, NULL, 0, &object), 0);
	like.object = object;
	(void)unit_map(space, AT, 8, RW);
	unit_store(VADDR(AT), 1);
	unit_store(VADDR(there), 2);
	(void)unit_map(space, 8 * GIB, 4,
		       RW); /* not touched again: it stays shared until a fork makes it the space's own */
	unit_store(VADDR(8 * GIB), 5);
	child = unit_fork(space);
	space_switch(space);
	assert_int_equal(space_map_like(space, PLACE_FIXED, &at, PAGES(4), RW, &like, 0), 0);
	like.shared = true;
	assert_int_equal(space_map_like(space, PLACE_FIXED, &next, PAGES(4), RW, &like, PAGES(8)), 0);
	assert_int_equal(space_map_like(space, PLACE_FIXED, &large, 4 * MIB, RW, &like, 0), 0);
	unit_store(VADDR(TO), 3);
	unit_store(VADDR(TO + PAGES(5)), 4);
	assert_int_equal(unit_watched, 3);
	assert_in_range(unit_fail_each(fork_once, &there), 4, 40);
	assert_in_range(unit_fail_each(fork_once, &there), 4, 40); /* and when all tables are its own */
	object_put(object);
	unit_drop(child);
	unit_end(space);
	assert_int_equal(unit_watched, 0);
}

/* A page that fork only counts; the notes of a table that mixes mappings; and a page of a table that is copied afterwards. */
static void as_many_as_can_be(void **state)
{
	struct space *first, *second;
	struct frame *frame;
	uint32_t count;

	(void)state;
	space_set_fork_policy(FORK_COW);
	space = unit_begin(&machine);
	space_set_fork_policy(FORK_COW);
	(void)unit_map(space, AT, 40, RW);
	for (uint64_t i = 0; i < 40; i++)
		unit_store(VADDR(AT + PAGES(i)), i + 1);
	first = unit_fork(space); /* from here on nobody writes to them */
	frame = frame_of(unit_frame_at(space, AT + PAGES(13)));
	count = atomic_exchange(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(space_fork(space, &second), -ENOMEM);
	assert_int_equal(atomic_exchange(&frame->count, count), FRAME_COUNT_MAX);
	unit_audit();
	unit_drop(first);
	for (uint64_t i = 0; i < 40; i++)
		unit_store_in(space, AT + PAGES(i), i + 1);
	space_set_fork_policy(FORK_ALL_TABLES);
	second = unit_fork(space);
	frame = frame_of(pte_pfn(pte_load(pt_slot(table_at(AT, 0), pt_index(VADDR(AT + PAGES(13)), 0)))));
	count = atomic_exchange(&frame->count, FRAME_COUNT_MAX);
	space_switch(second);
	assert_int_equal(fake_store(VADDR(AT + PAGES(3)), 9), FAULT_OOM);
	atomic_store(&frame->count, count);
	unit_audit();
	unit_store(VADDR(AT + PAGES(3)), 9);
	assert_int_equal(unit_load_in(space, AT + PAGES(3)), 4);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(unit_load_in(second, AT + PAGES(i)), i == 3 ? 9 : i + 1);
	unit_drop(second);
	/* What a child gets empty is noted by page. */
	space_switch(space);
	assert_int_equal(space_set_fork(space, VADDR(AT + PAGES(20)), PAGES(3), MAPPING_FORK_WIPE), 0);
	frame = frame_of(table_at(AT, 0));
	assert_non_null(frame->table.side);
	frame = frame_of(paddr_pfn(hw_paddr(frame->table.side)));
	count = atomic_exchange(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(space_fork(space, &second), -ENOMEM);
	atomic_store(&frame->count, count);
	unit_audit();
	unit_end(space);
}

static int unmap_one(void *ctx)
{
	int err;

	(void)ctx;
	err = space_unmap(space, VADDR(AT + PAGES(5)), PAGES(1));
	if (err != 0)
		assert_int_equal(unit_load_in(space, AT + PAGES(5)), 6);
	return err;
}

static int move_there(uint64_t to)
{
	vaddr_t at = VADDR(to);

	return space_move(space, VADDR(AT), PAGES(8), PLACE_NO_REPLACE, &at, PAGES(8), false);
}

/* Nor is anything moved before they are: neither the tables of the source, nor those of the place it goes to. */
static void moves_without_memory(void **state)
{
	struct space *child;

	(void)state;
	space_set_fork_policy(FORK_ALL_TABLES);
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 8, RW);
	(void)unit_map(space, AT + 4 * MIB, 1, RW);
	unit_store(VADDR(AT + PAGES(5)), 6);
	child = unit_fork(space);
	space_switch(space);
	for (uint64_t n = 1; n < 8; n++) {
		fake_fail_at(n, false);
		if (move_there(AT + 4 * MIB + PAGES(8)) == 0)
			break;
		fake_fail_at(0, false);
		unit_audit();
	}
	fake_fail_at(0, false);
	assert_int_equal(unit_load(VADDR(AT + 4 * MIB + PAGES(13))), 6);
	unit_expect_fault(VADDR(AT + PAGES(5)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load_in(child, AT + PAGES(5)), 6);
	unit_drop(child);
	unit_end(space);
}

/* Whether something is sealed can be said only when the tables are the space's own. */
static void seals_without_memory(void **state)
{
	struct space *child;

	(void)state;
	space_set_fork_policy(FORK_ALL_TABLES);
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 8, RW);
	for (uint64_t i = 0; i < 8; i++)
		unit_store(VADDR(AT + PAGES(i)), i + 1);
	assert_int_equal(space_seal(space, VADDR(AT), PAGES(2)), 0);
	child = unit_fork(space);
	space_switch(space);
	fake_fail_at(1, false);
	assert_int_equal(unmap_one(NULL), -ENOMEM);
	fake_fail_at(0, false);
	unit_drop(child);
	child = unit_fork(space);
	space_switch(space);
	assert_int_equal(unmap_one(NULL), 0);
	assert_int_equal(unit_load_in(child, AT + PAGES(5)), 6);
	unit_drop(child);
	unit_end(space);
}

/* A hart that had a table in its view has not now, as fork took it out; it goes all the same. */
static void views_of_others(void **state)
{
	struct space *child;

	(void)state;
	space_set_fork_policy(FORK_ALL_TABLES);
	space = unit_begin(&machine);
	space_threads(space);
	space_threads(space); /* a second thread makes a third */
	(void)unit_map(space, GIB, 2 * MIB / PAGE_SIZE, RW);
	unit_store(VADDR(GIB), 1);
	fake_hart_enter(1);
	space_switch(space);
	assert_int_equal(unit_load(VADDR(GIB)), 1);
	child = unit_fork(space);
	unit_drop(child);
	space_switch(space);
	assert_int_equal(unit_load(VADDR(GIB)), 1); /* taken over, by this hart */
	assert_int_equal(space_unmap(space, VADDR(GIB), 2 * MIB), 0);
	unit_expect_fault(VADDR(GIB), ACCESS_READ, FAULT_MAPERR);
	fake_hart_enter(0);
	space_switch(space);
	unit_expect_fault(VADDR(GIB), ACCESS_READ, FAULT_MAPERR);
	unit_end(space);
}

/* What a child is not to get, as an entry above the leaves that nobody has touched; whichever way tables are copied. */
static void dropped_by_whole_tables(void **state)
{
	static const enum fork_policy policies[] = { FORK_TABLES, FORK_ALL_TABLES, FORK_EAGER };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(policies); i++) {
		struct space *child;

		space_set_fork_policy(policies[i]);
		space = unit_begin(&machine);
		(void)unit_map(space, GIB, 4 * MIB / PAGE_SIZE, RW);
		(void)unit_map(space, GIB + 8 * MIB, 1, RW);
		unit_store(VADDR(GIB + 8 * MIB), 1);
		assert_int_equal(space_set_fork(space, VADDR(GIB), 4 * MIB, MAPPING_FORK_DROP), 0);
		child = unit_fork(space);
		unit_audit();
		space_switch(child);
		unit_expect_fault(VADDR(GIB), ACCESS_READ, FAULT_MAPERR);
		unit_expect_fault(VADDR(GIB + 2 * MIB), ACCESS_READ, FAULT_MAPERR);
		assert_int_equal(unit_load_in(child, GIB + 8 * MIB), 1);
		space_switch(space);
		assert_int_equal(unit_load(VADDR(GIB + 2 * MIB)), 0);
		unit_drop(child);
		unit_end(space);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(watched_without_memory), UNIT_TEST(as_many_as_can_be), UNIT_TEST(seals_without_memory),
	UNIT_TEST(moves_without_memory),   UNIT_TEST(views_of_others),	 UNIT_TEST(dropped_by_whole_tables),
};

UNIT_MAIN("rare_fork", tests)
