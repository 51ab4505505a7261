/*
 * Spaces under rare circumstances: reservations and tables that are whole entries of upper tables; what is given back out of turn; what
 * is refused on the way that most do not take; and each without memory, or with as many names as can be.
 */
#include "tests/unit/unit.h"

#include "mm/cleared.h"
#include "mm/index.h"
#include "mm/object_core.h"
#include "mm/place.h"
#include "mm/runs.h"
#include "mm/slab.h"
#include "tests/unit/store.h"

#define AT  UINT64_C(0x10000000)
#define TO  UINT64_C(0x20000000)
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define R   PERM_R
#define RW  (PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;

static int protect(uint64_t first, uint64_t n, uint64_t perm)
{
	return space_protect(space, VADDR(AT + PAGES(first)), PAGES(n), perm);
}

static uint64_t place(uint64_t bytes)
{
	vaddr_t at = VADDR(0);

	assert_int_equal(space_map(space, PLACE_HINT, &at, bytes, RW, mapping_anon(MAPPING_FORK_COPY)), 0);
	return at.v;
}

/* ---- Large entries. */

/* What was never touched is a reservation in an upper table: a debugger, a look at it, and a futex word find that. */
static void untouched(void **state)
{
	uint64_t word = 1;
	uint8_t there[600];
	uint32_t value;

	(void)state;
	space = unit_begin(&machine);
	(void)unit_map(space, GIB, 2 * GIB / PAGE_SIZE, RW);
	assert_int_equal(user_load_u32(space, VADDR(GIB), &value), -EAGAIN);
	memset(there, 0xff, sizeof(there));
	assert_int_equal(space_resident(space, VADDR(GIB + 4 * MIB), 600, there), 0);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(there[i], 0);
	assert_int_equal(force_read(space, &word, VADDR(GIB + 6 * MIB), 8), 8);
	assert_int_equal(word, 0);
	word = 5;
	assert_int_equal(force_write(space, VADDR(GIB + 8 * MIB), &word, 8), 8);
	assert_int_equal(unit_load(VADDR(GIB + 8 * MIB)), 5);
	assert_int_equal(user_load_u32(space, VADDR(GIB + 8 * MIB), &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(space_resident(space, VADDR(GIB + 6 * MIB - PAGES(4)), 8, there), 0); /* into a table */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(there[i], i == 4);
	/* And all of it is discarded, tables and what they have. */
	assert_int_equal(space_discard(space, VADDR(GIB), 2 * GIB), 0);
	assert_int_equal(unit_load(VADDR(GIB + 8 * MIB)), 0);
	unit_end(space);
}

/* A debugger comes by tables that fork left to several. */
static void a_debugger_and_shared_tables(void **state)
{
	struct space *child;
	uint64_t word = 0;

	(void)state;
	space_set_fork_policy(FORK_ALL_TABLES);
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 40, RW);
	for (uint64_t i = 0; i < 40; i++)
		unit_store(VADDR(AT + PAGES(i)), i + 1);
	child = unit_fork(space);
	assert_int_equal(force_read(child, &word, VADDR(AT + PAGES(3)), 8), 8);
	assert_int_equal(word, 4);
	assert_int_equal(force_write(space, VADDR(AT + PAGES(5)), &word, 8), 8);
	assert_int_equal(unit_load_in(child, AT + PAGES(5)), 6);
	assert_int_equal(unit_load_in(space, AT + PAGES(5)), 4);
	unit_drop(child);
	unit_end(space);
}

/*
 * All of a GiB is unmapped, whose tables fork had left to several: the last to name the upper one takes it down, with what is below it,
 * private, or shared still.
 */
static void upper_tables_go(void **state)
{
	struct space *child;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		space_set_fork_policy(FORK_ALL_TABLES);
		space = unit_begin(&machine);
		space_set_fork_policy(FORK_ALL_TABLES);
		(void)unit_map(space, GIB, GIB / PAGE_SIZE, RW);
		for (uint64_t i = 0; i < 4; i++)
			unit_store(VADDR(GIB + i * 2 * MIB), i + 1);
		child = unit_fork(space);
		if (way == 1)
			unit_store(VADDR(GIB), 7); /* one leaf is the parent's, three are shared still */
		if (way == 2)
			unit_drop(child);
		space_switch(space);
		assert_int_equal(space_unmap(space, VADDR(GIB), GIB), 0);
		unit_expect_fault(VADDR(GIB), ACCESS_READ, FAULT_MAPERR);
		unit_audit();
		for (uint64_t i = 0; way != 2 && i < 4; i++)
			assert_int_equal(unit_load_in(child, GIB + i * 2 * MIB), i + 1);
		if (way != 2)
			unit_drop(child);
		unit_end(space);
	}
}

/* Neighbours that differ in one thing are runs of their own; a table behind reservations ends theirs. */
static void runs_end(void **state)
{
	struct space_run run;
	struct object *object;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(4096), NULL, 0, &object), 0);
	(void)unit_map(space, GIB, 6 * MIB / PAGE_SIZE, RW);
	unit_store(VADDR(GIB + 4 * MIB + PAGES(3)), 1);
	assert_true(space_next_run(space, VADDR(GIB), &run));
	assert_int_equal(run.end.v, GIB + 4 * MIB);
	assert_int_equal(run.level, 1);
	assert_true(space_next_run(space, run.end, &run));
	assert_int_equal(run.end.v, GIB + 4 * MIB + PAGES(3));
	assert_int_equal(run.level, 0);
	/* Permissions; what they would be; whether others see it. */
	(void)unit_map(space, AT, 2, R);
	(void)unit_map(space, AT + PAGES(2), 2, RW);
	(void)unit_map_object(space, AT + PAGES(4), 2, RW, object, 0, false);
	(void)unit_map_object(space, AT + PAGES(6), 2, RW, object, 8, true);
	for (uint64_t at = AT; at != AT + PAGES(8); at += PAGES(2)) {
		assert_true(space_next_run(space, VADDR(at), &run));
		assert_int_equal(run.start.v, at);
		assert_int_equal(run.end.v, at + PAGES(2));
	}
	object_put(object);
	unit_end(space);
}

/* Unmapping little by little leaves tables: the more a space has, the longer until they are looked for. */
static void many_tables(void **state)
{
	uint64_t freed;

	(void)state;
	space = unit_begin(&machine);
	(void)unit_map(space, 8 * GIB, 2 * MIB / PAGE_SIZE, RW); /* not a table */
	for (uint64_t i = 0; i < 400; i++) {
		(void)unit_map(space, GIB + i * 2 * MIB, 1, RW);
		unit_store(VADDR(GIB + i * 2 * MIB), i);
	}
	for (uint64_t i = 0; i < 30; i++)
		assert_int_equal(space_unmap(space, VADDR(GIB + i * 2 * MIB), PAGES(1)), 0);
	freed = mm_counter_sum(MM_TABLES_FREED);
	assert_true(freed >= 18);
	/* An eighth of 380 now. */
	for (uint64_t i = 30; i < 60; i++)
		assert_int_equal(space_unmap(space, VADDR(GIB + i * 2 * MIB), PAGES(1)), 0);
	assert_int_equal(mm_counter_sum(MM_TABLES_FREED), freed);
	for (uint64_t i = 60; i < 90; i++)
		assert_int_equal(space_unmap(space, VADDR(GIB + i * 2 * MIB), PAGES(1)), 0);
	assert_true(mm_counter_sum(MM_TABLES_FREED) > freed + 30);
	unit_end(space);
}

/* ---- Places. */

/* A large range finds what was given back out of turn, where there is nothing left below. */
static void out_of_turn(void **state)
{
	uint64_t first, second, small;

	(void)state;
	space = unit_begin(&machine);
	first = place(100 * GIB);
	second = place(100 * GIB);
	assert_true(second < first);
	assert_int_equal(space_unmap(space, VADDR(second), 100 * GIB), 0);
	assert_int_equal(place(100 * GIB), second); /* in turn */
	assert_int_equal(space_unmap(space, VADDR(first), 100 * GIB), 0);
	first = place(100 * GIB);
	assert_true(first > second);
	assert_int_equal(space_unmap(space, VADDR(first), 100 * GIB), 0);
	assert_int_equal(space_unmap(space, VADDR(second), 100 * GIB), 0);
	/* Large ones down to 16 MiB, so that a small one finds none below them. */
	first = place(ALIGN_DOWN(space->mmap_top.v, GIB) - 16 * MIB);
	assert_int_equal(first, 16 * MIB);
	second = place(24 * MIB); /* by the stack, as far as is placed there */
	small = place(20 * MIB);
	assert_true(small > first && small < second);
	small = place(20 * MIB);
	assert_true(small > first && small < second);
	unit_audit();
	unit_end(space);
}

/* Small ones go elsewhere when there are many by the stack, and come back only when the last one there goes. */
static void come_and_go(void **state)
{
	uint64_t at[6];

	(void)state;
	space = unit_begin(&machine);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		at[i] = place(6 * MIB);
	assert_true(at[5] < ALIGN_DOWN(space->mmap_top.v, GIB) && at[3] > ALIGN_DOWN(space->mmap_top.v, GIB));
	assert_int_equal(space_unmap(space, VADDR(at[0]), 6 * MIB), 0);
	assert_true(place(6 * MIB) < at[5]);
	assert_int_equal(space_unmap(space, VADDR(at[4]), 6 * MIB), 0);
	assert_true(place(6 * MIB) > ALIGN_DOWN(space->mmap_top.v, GIB));
	unit_end(space);
}

/* ---- Moves. */

static int move(void *ctx)
{
	uint64_t pages = *(const uint64_t *)ctx;
	struct space *other;
	vaddr_t at = VADDR(AT), to = VADDR(TO);
	int err = space_create(&other);

	if (err != 0)
		return err;
	err = space_map(other, PLACE_FIXED, &at, PAGES(pages), RW, mapping_anon(MAPPING_FORK_COPY));
	for (uint64_t i = 0; err == 0 && i < pages; i += 100) {
		err = user_write(other, VADDR(AT + PAGES(i)), &i, 8);
		if (err == 0)
			err = user_write(other, VADDR(AT + PAGES(i + 1)), &i, 8);
	}
	if (err == 0)
		err = space_move(other, VADDR(AT), PAGES(pages), PLACE_FIXED, &to, PAGES(pages), false);
	/* And a part of what was never touched. */
	at = VADDR(GIB);
	to = VADDR(2 * GIB);
	if (err == 0)
		err = space_map(other, PLACE_FIXED, &at, 4 * MIB, RW, mapping_anon(MAPPING_FORK_COPY));
	if (err == 0)
		err = space_move(other, VADDR(GIB + PAGES(700)), PAGES(100), PLACE_FIXED, &to, PAGES(100), false);
	unit_drop(other);
	return err;
}

static void moves_without_memory(void **state)
{
	uint64_t pages = 1024, few = 300;

	(void)state;
	space = unit_begin(&machine);
	assert_in_range(unit_fail_each(move, &pages), 4, 60);
	assert_in_range(unit_fail_each(move, &few), 4, 60);
	unit_end(space);
}

/* What cannot be accessed goes along, and can be when it is allowed. */
static void what_cannot_be_accessed_moves(void **state)
{
	vaddr_t to = VADDR(TO);

	(void)state;
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 4, RW);
	unit_store(VADDR(AT + PAGES(1)), 7);
	assert_int_equal(protect(0, 4, 0), 0);
	assert_int_equal(space_move(space, VADDR(AT + 1), PAGES(4), PLACE_FIXED, &to, PAGES(4), false), -EINVAL);
	assert_int_equal(space_move(space, VADDR(AT), PAGES(4), PLACE_FIXED, &to, PAGES(4), false), 0);
	unit_expect_fault(VADDR(TO + PAGES(1)), ACCESS_READ, FAULT_ACCERR);
	assert_int_equal(space_protect(space, to, PAGES(4), R), 0);
	assert_int_equal(unit_load(VADDR(TO + PAGES(1))), 7);
	unit_end(space);
}

/* ---- Permissions. */

/* By one page and by several. */
static void refused(void **state)
{
	struct object *object;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map(space, AT, 8, R);
	for (uint64_t i = 0; i < 8; i++)
		(void)unit_load(VADDR(AT + PAGES(i)));
	atomic_store(&space->exec_rules, SPACE_NO_EXEC_GAIN);
	assert_int_equal(protect(0, 1, R | PERM_X), -EACCES);
	assert_int_equal(protect(0, 2, R | PERM_X), -EACCES);
	assert_int_equal(space_seal(space, VADDR(AT), PAGES(2)), 0);
	assert_int_equal(protect(0, 1, RW), -EPERM);
	assert_int_equal(protect(0, 2, RW), -EPERM);
	assert_int_equal(protect(1, 3, RW), -EPERM);
	assert_int_equal(protect(2, 3, RW), 0);
	/* What is sealed of a file can be read anew from there. */
	(void)unit_map_object(space, TO, 4, R, object, 0, false);
	(void)unit_load(VADDR(TO));
	assert_int_equal(space_seal(space, VADDR(TO), PAGES(4)), 0);
	assert_int_equal(space_discard(space, VADDR(TO), PAGES(4)), 0);
	assert_int_equal(space_discard(space, VADDR(AT), PAGES(2)), -EPERM);
	object_put(object);
	unit_end(space);
}

/* A page of a store's gets no right to write by mprotect: the store is to know of the first write. Others do. */
static void who_is_asked(void **state)
{
	static struct store store;
	struct fake_op op = { .access = ACCESS_READ };
	struct object *object;
	uint64_t word;

	(void)state;
	space = unit_begin(&machine);
	store_start(&store, 4);
	(void)unit_map_object(space, AT, 4, RW, store.object, 0, true);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(store_user(&store, VADDR(AT + PAGES(i)), &op), FAULT_OK);
	for (uint64_t n = 1; n <= 2; n++) {
		assert_int_equal(protect(0, n, R), 0);
		assert_int_equal(protect(0, n, RW), 0);
		assert_int_equal(unit_entry(space, VADDR(AT), NULL).v & PTE_W, 0);
	}
	assert_int_equal(object_dirty_pages(store.object), 0);
	unit_store(VADDR(AT), 1);
	assert_int_equal(object_dirty_pages(store.object), 1);
	unit_audit();
	object_put(store.object);
	/* What a debugger has looked at first, the program writes. */
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	(void)unit_map_object(space, TO, 4, RW, object, 0, true);
	assert_int_equal(force_read(space, &word, VADDR(TO), 8), 8);
	unit_store(VADDR(TO), 8);
	assert_int_equal(object_read(object, 0, &word, 8), 8);
	assert_int_equal(word, 8);
	object_put(object);
	unit_end(space);
}

/* A page of an object that a program has locked itself out from goes with the others; so it does where nothing has been touched. */
static void out_of_reach(void **state)
{
	static struct store store;
	struct fake_op op = { .access = ACCESS_READ };

	(void)state;
	space = unit_begin(&machine);
	store_start(&store, 8);
	(void)unit_map_object(space, AT, 8, RW, store.object, 0, true);
	(void)unit_map_object(space, GIB, 2 * MIB / PAGE_SIZE, RW, store.object, 0, true); /* not a table there */
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(store_user(&store, VADDR(AT + PAGES(i)), &op), FAULT_OK);
	assert_int_equal(protect(1, 1, 0), 0);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 8, EVICT_MAPPED), 1); /* not used: out of reach */
	assert_int_equal(protect(1, 1, RW), 0);
	assert_false(pte_is_page(unit_entry(space, VADDR(AT + PAGES(1)), NULL)));
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 8, EVICT_MAPPED | EVICT_USED), 3);
	unit_audit();
	object_put(store.object);
	unit_end(space);
}

/* ---- Around a fault. */

/* One that starts read-ahead is left out, and one that as many name as can be. */
static void left_out(void **state)
{
	static struct store store;
	struct fake_op op = { .access = ACCESS_READ };
	uint64_t seen;
	pfn_t pfn;

	(void)state;
	space = unit_begin(&machine);
	space_set_fault_around(16, 1);
	store_start(&store, 8);
	(void)unit_map_object(space, AT, 8, RW, store.object, 0, true);
	for (uint64_t i = 0; i < 8; i++) {
		if (i == 3)
			continue;
		store_read_in(&store, i);
	}
	seen = object_removals(store.object);
	assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
	assert_int_equal(object_insert(store.object, 3, pfn, seen, true), 0);
	assert_int_equal(object_frame(store.object, 5, &pfn), 0);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(store_user(&store, VADDR(AT), &op), FAULT_OK);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(pte_is_page(unit_entry(space, VADDR(AT + PAGES(i)), NULL)), i != 3 && i != 5);
	atomic_store(&frame_of(pfn)->count, 2);
	frame_put(pfn);
	object_put(store.object);
	unit_end(space);
}

/* The page itself was cleared ahead; those around it are not. */
static void around_a_cleared_one(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	space_set_fault_around(1, 16);
	cleared_enable(true);
	assert_true(cleared_prepare());
	(void)unit_map(space, AT, 512, RW);
	unit_store(VADDR(AT + PAGES(500)), 7); /* a table comes first */
	unit_store(VADDR(AT + PAGES(3)), 7);
	assert_int_equal(mm_counter_sum(MM_CLEARED_USES), 1);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(pte_is_page(unit_entry(space, VADDR(AT + PAGES(i)), NULL)), i < 16);
	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(unit_load(VADDR(AT + PAGES(i))), i == 3 ? 7 : 0);
	unit_end(space);
}

static int look_into_mixed(void *ctx)
{
	uint64_t word;

	(void)ctx;
	/* The second mapping of the table needs a note for each entry. */
	if (force_read(space, &word, VADDR(AT + PAGES(1)), 8) != 8)
		return -ENOMEM;
	assert_int_equal(space_discard(space, VADDR(AT + PAGES(1)), PAGES(1)), 0);
	return 0;
}

static void a_debugger_without_memory(void **state)
{
	struct object *object;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map(space, AT, 1, RW);
	(void)unit_map_object(space, AT + PAGES(1), 1, RW, object, 0, false);
	unit_store(VADDR(AT), 1);
	assert_in_range(unit_fail_each(look_into_mixed, NULL), 1, 3);
	object_put(object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(untouched),
	UNIT_TEST(a_debugger_and_shared_tables),
	UNIT_TEST(upper_tables_go),
	UNIT_TEST(runs_end),
	UNIT_TEST(many_tables),
	UNIT_TEST(out_of_turn),
	UNIT_TEST(come_and_go),
	UNIT_TEST(moves_without_memory),
	UNIT_TEST(what_cannot_be_accessed_moves),
	UNIT_TEST(refused),
	UNIT_TEST(who_is_asked),
	UNIT_TEST(out_of_reach),
	UNIT_TEST(left_out),
	UNIT_TEST(around_a_cleared_one),
	UNIT_TEST(a_debugger_without_memory),
};

UNIT_MAIN("rare", tests)
