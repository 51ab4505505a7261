/* Page tables that fork shares: each transition, what must not copy, what must not fail, and the races of fork.c and share.c by force. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/share.h"
#include "mm/slab.h"
#include "mm/walk.h"

#define RW  (PERM_R | PERM_W)
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define AT  (4 * GIB)

static const struct fake_config machine = { .harts = 4, .asid_bits = 16 };

/* A parent with a page, which holds its number, at the begin of each of so many MiB. */
static struct space *parent_of(unsigned mib)
{
	struct space *parent;

	space_set_fork_policy(FORK_ALL_TABLES);
	parent = unit_begin(&machine);
	(void)unit_map(parent, AT, mib * MIB / PAGE_SIZE, RW);
	for (unsigned i = 0; i < mib; i++)
		unit_store(VADDR(AT + i * MIB), i);
	return parent;
}

static _Atomic uint64_t *root_slot(struct space *space)
{
	return pt_slot(space->root, pt_index(VADDR(AT), PT_ROOT));
}

static pte_t root_entry(struct space *space)
{
	return pte_load(root_slot(space));
}

/* The leaf table of AT, whether it is the space's own or not. */
static pfn_t leaf_of(struct space *space)
{
	pfn_t upper = pte_pfn(root_entry(space));

	return pte_pfn(pte_load(pt_slot(upper, pt_index(VADDR(AT), 1))));
}

static void detached_copied_taken_over(void **state)
{
	struct space *parent = parent_of(4), *child;
	uint64_t copied = mm_counter_sum(MM_TABLES_COPIED), taken = mm_counter_sum(MM_TABLES_TAKEN);
	pfn_t upper = pte_pfn(root_entry(parent)), leaf = leaf_of(parent);

	(void)state;
	child = unit_fork(parent);
	assert_true(pte_is_detached(root_entry(parent)));
	assert_int_equal(root_entry(parent).v, root_entry(child).v);
	/* The child's first touch: its own upper table, and leaf. */
	assert_int_equal(unit_load_in(child, AT + MIB), 1);
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied + 2);
	assert_true(pte_is_table(root_entry(child)));
	assert_true(pte_is_detached(root_entry(parent)));
	unit_audit();
	unit_store_in(child, AT + MIB, 100);
	/* The parent is left alone with both. */
	assert_int_equal(unit_load_in(parent, AT + MIB), 1);
	assert_int_equal(mm_counter_sum(MM_TABLES_TAKEN), taken + 2);
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied + 2);
	assert_int_equal(pte_pfn(root_entry(parent)).v, upper.v);
	assert_int_equal(leaf_of(parent).v, leaf.v);
	unit_audit();
	/* The other leaf table: the parent copies, the child takes over. */
	unit_store_in(parent, AT + 2 * MIB, 200);
	assert_int_equal(unit_load_in(child, AT + 2 * MIB), 2);
	assert_int_equal(unit_load_in(child, AT + MIB), 100);
	unit_drop(child);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(unit_load_in(parent, AT + i * MIB), i == 2 ? 200 : i);
	unit_end(parent);
}

/* A child that touches nothing gives all back; pages that were written before are written again without a fault. */
static void taken_over_as_it_was(void **state)
{
	struct space *parent = parent_of(4), *child;
	struct fake_op op = { .access = ACCESS_WRITE, .value = 7 };
	uint64_t reuses;

	(void)state;
	child = unit_fork(parent);
	unit_drop(child);
	reuses = mm_counter_sum(MM_COW_REUSES);
	space_switch(parent);
	assert_int_equal(fake_user(VADDR(AT), &op), FAULT_OK);
	assert_int_equal(mm_counter_sum(MM_COW_REUSES), reuses);
	unit_end(parent);
}

/* Looking at a space changes nothing. */
static void looking_copies_nothing(void **state)
{
	struct space *parent = parent_of(4), *child;
	uint64_t copied = mm_counter_sum(MM_TABLES_COPIED), taken = mm_counter_sum(MM_TABLES_TAKEN);
	struct space_region region;
	struct user_key key;
	uint8_t resident[257];

	(void)state;
	child = unit_fork(parent);
	assert_true(space_next_region(child, VADDR(0), &region));
	assert_int_equal(region.start.v, AT);
	assert_int_equal(region.end.v, AT + 4 * MIB);
	assert_int_equal(region.resident, 4);
	assert_int_equal(region.use.shared_dirty, 4);
	assert_int_equal(region.use.proportion, 4 * (PAGE_SIZE << SPACE_PROPORTION_SHIFT) / 2);
	assert_int_equal(space_resident(child, VADDR(AT), 257, resident), 0);
	assert_int_equal(resident[0] + resident[1] + resident[256], 2);
	assert_int_equal(user_futex_key(child, VADDR(AT), &key), 0);
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied);
	assert_int_equal(mm_counter_sum(MM_TABLES_TAKEN), taken);
	unit_drop(child);
	unit_end(parent);
}

/* Tables that lie within what is unmapped are let go of; the others keep them. No memory is needed for that. */
static void unmapping_drops(void **state)
{
	struct space *parent = parent_of(8), *child, *other;
	uint64_t copied = mm_counter_sum(MM_TABLES_COPIED);

	(void)state;
	child = unit_fork(parent);
	other = unit_fork(child);
	fake_fail_at(1, true);
	assert_int_equal(space_unmap(child, VADDR(AT & ~(GIB - 1)), GIB), 0);
	fake_fail_at(0, false);
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied);
	unit_audit();
	/* A part of them: the upper table becomes the space's own, and the leaf table of the edge. */
	assert_int_equal(space_unmap(other, VADDR(AT + 2 * MIB), 3 * MIB), 0);
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied + 2);
	unit_audit();
	assert_int_equal(unit_load_in(other, AT + 5 * MIB), 5);
	assert_int_equal(unit_load_in(other, AT), 0);
	unit_expect_fault(VADDR(AT + 2 * MIB), ACCESS_READ, FAULT_MAPERR);
	unit_drop(child);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(unit_load_in(parent, AT + i * MIB), i);
	unit_drop(other);
	/* The last one. */
	assert_int_equal(space_unmap(parent, VADDR(AT), 8 * MIB), 0);
	unit_end(parent);
}

/* Every call that finds no memory for tables of its own changes nothing; and a fault can be tried again. */
static void without_memory(void **state)
{
	struct space *parent = parent_of(6), *child;

	(void)state;
	for (unsigned call = 0; call < 4; call++) {
		for (unsigned n = 1;; n++) {
			uint64_t used;
			int err;

			child = unit_fork(parent);
			slab_drain();
			used = frames_free();
			fake_fail_at(n, false);
			err = call == 0	  ? space_unmap(child, VADDR(AT + MIB), 4 * MIB)
			      : call == 1 ? space_protect(child, VADDR(AT), 6 * MIB, PERM_R)
			      : call == 2 ? space_discard(child, VADDR(AT), MIB)
			      : space_fault(child, VADDR(AT), ACCESS_WRITE) == FAULT_OK ? 0
											: -ENOMEM;
			bool hit = fake_fail_hit();

			fake_fail_at(0, false);
			unit_audit();
			if (hit)
				assert_true(err == -ENOMEM || err == -EAGAIN);
			else
				assert_int_equal(err, 0);
			for (unsigned i = 0; hit && i < 6; i++)
				assert_int_equal(unit_load_in(child, AT + i * MIB), i);
			unit_drop(child);
			slab_drain();
			assert_true(!hit || frames_free() >= used);
			for (unsigned i = 0; i < 6; i++)
				assert_int_equal(unit_load_in(parent, AT + i * MIB), i);
			if (!hit)
				break;
		}
	}
	unit_end(parent);
}

/* Truncation finds the pages in tables that nobody has made his own. */
static void truncation_reaches_shared_tables(void **state)
{
	struct space *parent = parent_of(2), *child;
	struct object *object;
	uint64_t copied;

	(void)state;
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map_object(parent, AT + 8 * MIB, 8, RW, object, 0, false);
	(void)unit_map_object(parent, AT + 12 * MIB, 8, RW, object, 0, true);
	for (unsigned i = 0; i < 8; i++) {
		unit_store_in(parent, AT + 8 * MIB + PAGES(i), i);
		unit_store_in(parent, AT + 12 * MIB + PAGES(i), i + 50);
	}
	child = unit_fork(parent);
	assert_int_equal(unit_load_in(child, AT), 0); /* a copy of the upper table, and the leaves shared */
	copied = mm_counter_sum(MM_TABLES_COPIED);
	fake_fail_at(1, true);
	assert_int_equal(object_resize(object, PAGES(3)), 0);
	fake_fail_at(0, false);
	unit_audit();
	assert_int_equal(mm_counter_sum(MM_TABLES_COPIED), copied);
	for (unsigned i = 0; i < 8; i++) {
		struct space *who = i % 2 == 0 ? parent : child;

		space_switch(who);
		if (i < 3) {
			assert_int_equal(unit_load_in(who, AT + 8 * MIB + PAGES(i)), i);
			assert_int_equal(unit_load_in(who, AT + 12 * MIB + PAGES(i)), i + 50);
		} else {
			unit_expect_fault(VADDR(AT + 8 * MIB + PAGES(i)), ACCESS_READ, FAULT_BUS);
			unit_expect_fault(VADDR(AT + 12 * MIB + PAGES(i)), ACCESS_READ, FAULT_BUS);
		}
	}
	unit_drop(child);
	object_put(object);
	unit_end(parent);
}

/* What fork does differently with a range is done in full, also when the tables were shared before. */
static void policies_are_copied(void **state)
{
	struct space *parent = parent_of(4), *child, *grandchild;

	(void)state;
	child = unit_fork(parent);
	assert_int_equal(space_set_fork(child, VADDR(AT), MIB, MAPPING_FORK_WIPE), 0);
	assert_int_equal(space_set_fork(child, VADDR(AT + MIB), MIB, MAPPING_FORK_DROP), 0);
	grandchild = unit_fork(child);
	assert_int_equal(unit_load_in(child, AT + MIB), 1);
	assert_int_equal(unit_load_in(grandchild, AT), 0);
	unit_expect_fault(VADDR(AT + MIB), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load_in(grandchild, AT + 3 * MIB), 3);
	unit_drop(grandchild);
	unit_drop(child);
	unit_end(parent);
}

/* 100 children that touch nothing cost what a space costs, whatever the parent has. */
static void children_cost_little(void **state)
{
	struct space *parent = parent_of(16), *child[100];
	uint64_t before;

	(void)state;
	slab_drain();
	before = frames_free();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(space_fork(parent, &child[i]), 0);
	slab_drain();
	assert_true(before - frames_free() <= UINT64_C(100) * 2);
	unit_audit();
	for (unsigned i = 0; i < 100; i++)
		unit_drop(child[i]);
	unit_end(parent);
}

/* Each child forks and the parent exits: nothing becomes deeper, nothing stays behind. */
static void chain(void **state)
{
	struct space *space = parent_of(4), *next;
	uint64_t before = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(space_fork(space, &next), 0);
		unit_drop(space);
		space = next;
		space_switch(space);
		if (i % 3 == 0)
			unit_store(VADDR(AT + i % 4 * MIB), i % 4);
		if (i == 100)
			before = frames_free();
	}
	assert_true(frames_free() + 16 > before && before + 16 > frames_free());
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(unit_load(VADDR(AT + i * MIB)), i);
	unit_end(space);
}

/* ---- Races. Somebody has the lock of a leaf table, which it is this thread's turn to wait for. */

static struct {
	struct space *parent, *child;
	pfn_t leaf;
	bool hit;
} race;

static void begin_race(void (*meanwhile)(void))
{
	race.hit = false;
	/* Some other hart has it: no rank is taken here. */
	atomic_store(&frame_of(race.leaf)->table.lock.held, 1);
	fake_waiting = meanwhile;
}

static void end_race(void)
{
	assert_true(race.hit);
	fake_waiting = NULL;
}

static void let_go(void)
{
	race.hit = true;
	fake_waiting = NULL;
	atomic_store(&frame_of(race.leaf)->table.lock.held, 0);
}

static void fork_and_let_go(void)
{
	fake_waiting = NULL;
	fake_hart_enter(1);
	assert_int_equal(space_fork(race.parent, &race.child), 0);
	fake_hart_enter(0);
	let_go();
}

/* A fault has walked to its leaf table, and waits for it, while fork detaches the table above: it walks again. */
static void fork_between_walk_and_lock(void **state)
{
	(void)state;
	race.parent = parent_of(4);
	race.leaf = leaf_of(race.parent);
	unit_store(VADDR(AT), 1);
	fake_tlb_flush(0);
	assert_int_equal(space_protect(race.parent, VADDR(AT), MIB, PERM_R), 0);
	assert_int_equal(space_protect(race.parent, VADDR(AT), MIB, RW), 0);
	begin_race(fork_and_let_go);
	assert_int_equal(user_write(race.parent, VADDR(AT), &(uint64_t){ 2 }, 8), 0);
	end_race();
	assert_int_equal(unit_load_in(race.child, AT), 1);
	assert_int_equal(unit_load_in(race.parent, AT), 2);
	unit_drop(race.child);
	unit_end(race.parent);
}

/* The same, of a range operation: the child keeps what is unmapped in the parent after the fork. */
static void fork_before_a_range_is_locked(void **state)
{
	(void)state;
	race.parent = parent_of(4);
	race.leaf = leaf_of(race.parent);
	begin_race(fork_and_let_go);
	assert_int_equal(space_unmap(race.parent, VADDR(AT), PAGE_SIZE), 0);
	end_race();
	assert_int_equal(unit_load_in(race.child, AT), 0);
	space_switch(race.parent);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
	unit_drop(race.child);
	unit_end(race.parent);
}

static void still_detached(void)
{
	assert_true(pte_is_detached(root_entry(race.parent)));
	let_go();
}

/* An upper table is not taken over while somebody who came before the fork is at work below it. */
static void taking_over_waits(void **state)
{
	(void)state;
	race.parent = parent_of(4);
	race.leaf = leaf_of(race.parent);
	unit_drop(unit_fork(race.parent));
	space_switch(race.parent);
	begin_race(still_detached);
	assert_int_equal(space_fault(race.parent, VADDR(AT + 2 * MIB), ACCESS_READ), FAULT_OK);
	end_race();
	assert_true(pte_is_table(root_entry(race.parent)));
	unit_end(race.parent);
}

static void still_counted(void)
{
	pfn_t page = pte_pfn(pte_load(pt_slot(race.leaf, pt_index(VADDR(AT), 0))));

	assert_int_equal(atomic_load(&frame_of(page)->count), 1);
	let_go();
}

/* Nor taken down. */
static void taking_down_waits(void **state)
{
	(void)state;
	race.parent = parent_of(4);
	race.leaf = leaf_of(race.parent);
	race.child = unit_fork(race.parent);
	assert_int_equal(space_unmap(race.parent, VADDR(AT & ~(GIB - 1)), GIB), 0);
	space_switch(NULL);
	begin_race(still_counted);
	unit_drop(race.child);
	end_race();
	unit_end(race.parent);
}

static struct frame *leaf_frame(struct space *space, uint64_t va)
{
	unsigned level;
	pfn_t leaf = walk_lock(space, VADDR(va), &level);

	assert_int_equal(level, 0);
	table_unlock(leaf);
	return frame_of(leaf);
}

/* A table that mixes descriptors is copied without its side page, until one of the two needs another. */
static void side_pages_are_shared(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	vaddr_t at = VADDR(AT);

	(void)state;
	space_set_fork_policy(FORK_TABLES);
	for (unsigned i = 0; i < 4; i++) {
		at = VADDR(AT + i * PAGE_SIZE);
		assert_int_equal(space_map(parent, PLACE_FIXED, &at, PAGE_SIZE, RW,
					   i % 2 == 0 ? mapping_anon(MAPPING_FORK_COPY)
						      : mapping_anon_growing(MAPPING_FORK_COPY)),
				 0);
		if (i != 3)
			unit_store_in(parent, at.v, i);
	}
	child = unit_fork(parent);
	assert_non_null(leaf_frame(child, AT)->table.side);
	assert_ptr_equal(leaf_frame(child, AT)->table.side, leaf_frame(parent, AT)->table.side);
	unit_store_in(child, AT, 10);
	assert_ptr_equal(leaf_frame(child, AT)->table.side, leaf_frame(parent, AT)->table.side);
	unit_store_in(child, AT + 3 * PAGE_SIZE, 13);
	assert_ptr_not_equal(leaf_frame(child, AT)->table.side, leaf_frame(parent, AT)->table.side);
	unit_audit();
	assert_int_equal(unit_load_in(parent, AT + 3 * PAGE_SIZE), 0);
	assert_int_equal(unit_load_in(child, AT + 3 * PAGE_SIZE), 13);
	unit_audit();
	unit_drop(child);
	unit_end(parent);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(side_pages_are_shared),
	UNIT_TEST(detached_copied_taken_over),
	UNIT_TEST(taken_over_as_it_was),
	UNIT_TEST(looking_copies_nothing),
	UNIT_TEST(unmapping_drops),
	UNIT_TEST(without_memory),
	UNIT_TEST(truncation_reaches_shared_tables),
	UNIT_TEST(policies_are_copied),
	UNIT_TEST(children_cost_little),
	UNIT_TEST(chain),
	UNIT_TEST(fork_between_walk_and_lock),
	UNIT_TEST(fork_before_a_range_is_locked),
	UNIT_TEST(taking_over_waits),
	UNIT_TEST(taking_down_waits),
};

UNIT_MAIN("share", tests)
