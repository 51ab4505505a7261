/*
 * What a space refuses and what it says: sealed memory, rights to execute, arguments, limits of growth, what fork makes of it; advice,
 * residency, barriers.
 */
#include "tests/unit/unit.h"

#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/slab.h"

#define AT UINT64_C(0x10000000)
#define TO UINT64_C(0x30000000)
#define R  PERM_R
#define RW (PERM_R | PERM_W)
#define RX (PERM_R | PERM_X)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;

static vaddr_t page(uint64_t i)
{
	return VADDR(AT + PAGES(i));
}

static int map(enum space_place place, uint64_t at, uint64_t bytes, uint64_t perm)
{
	vaddr_t va = VADDR(at);

	return space_map(space, place, &va, bytes, perm, mapping_anon(MAPPING_FORK_COPY));
}

static int protect(uint64_t first, uint64_t n, uint64_t perm)
{
	return space_protect(space, page(first), PAGES(n), perm);
}

static int discard(uint64_t first, uint64_t n)
{
	return space_discard(space, page(first), PAGES(n));
}

static int set_fork(uint64_t first, uint64_t n, enum mapping_fork fork)
{
	return space_set_fork(space, page(first), PAGES(n), fork);
}

/* No page can be written and executed, nor become executable that was not; touched or not. */
static void no_gain_of_execution(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 2, RX);
	(void)unit_map(space, AT + PAGES(2), 2, RW);
	(void)unit_load(page(0));
	unit_store(page(2), 1);
	assert_int_equal(protect(0, 4, PERM_RWX), 0);
	assert_int_equal(protect(0, 2, RX), 0);
	assert_int_equal(protect(2, 2, RW), 0);
	atomic_store(&space->exec_rules, SPACE_NO_EXEC_GAIN);
	assert_int_equal(map(PLACE_HINT, 0, PAGES(1), PERM_RWX), -EACCES);
	assert_int_equal(map(PLACE_FIXED, AT + PAGES(8), PAGES(1), RX), 0);
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(protect(i, 1, PERM_RWX), -EACCES);
		assert_int_equal(protect(i, 1, RX), 0);
		assert_int_equal(protect(i, 1, R), 0);
		assert_int_equal(protect(i, 1, RX), -EACCES);
		assert_int_equal(protect(2 + i, 1, RX), -EACCES);
		assert_int_equal(protect(2 + i, 1, PERM_RWX), -EACCES);
		assert_int_equal(protect(2 + i, 1, RW), 0);
	}
	assert_int_equal(unit_load(page(2)), 1);
	unit_end(space);
}

/* ---- Seals. */

/* Pages 0-3 and 8-11 are read-only, 12 has no rights; 2-9 and 12 are sealed; 0-5 have been written. */
static void begin_sealed(void)
{
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 20, RW);
	for (uint64_t i = 0; i < 6; i++)
		unit_store(page(i), i + 1);
	unit_store(page(12), 13);
	assert_int_equal(protect(0, 4, R), 0);
	assert_int_equal(protect(8, 4, R), 0);
	assert_int_equal(protect(12, 1, 0), 0);
	assert_int_equal(space_seal(space, page(2), PAGES(8)), 0);
	assert_int_equal(space_seal(space, page(12), PAGES(1)), 0);
}

static void sealed_stays(void **state)
{
	vaddr_t to = VADDR(TO);

	(void)state;
	begin_sealed();
	assert_int_equal(map(PLACE_FIXED, AT + PAGES(1), PAGES(2), RW), -EPERM);
	assert_int_equal(space_unmap(space, page(9), PAGES(2)), -EPERM);
	assert_int_equal(protect(4, 1, R), -EPERM);
	assert_int_equal(protect(9, 1, RW), -EPERM);
	assert_int_equal(space_move(space, page(8), PAGES(2), PLACE_FIXED, &to, PAGES(2), false), -EPERM);
	assert_int_equal(space_move(space, page(4), PAGES(2), PLACE_FIXED, &to, PAGES(2), false), -EPERM);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_FIXED, &to, PAGES(2), false), 0);
	assert_int_equal(unit_load(VADDR(TO + PAGES(1))), 2);
	assert_int_equal(space_unmap(space, page(13), PAGES(3)), 0);
	assert_int_equal(map(PLACE_FIXED, AT + PAGES(10), PAGES(2), RW), 0);
	assert_int_equal(space_unmap(space, page(10), PAGES(2)), 0);
	assert_int_equal(space_unmap(space, page(10), PAGES(2)), 0); /* nothing is there */
	for (uint64_t i = 2; i < 6; i++)
		assert_int_equal(unit_load(page(i)), i + 1);
	assert_int_equal(unit_load(page(9)), 0);
	assert_int_equal(fake_store(page(9), 1), FAULT_ACCERR);
	unit_audit();
	unit_end(space);
}

static void sealed_is_not_discarded(void **state)
{
	(void)state;
	begin_sealed();
	assert_int_equal(discard(0, 20), -EPERM);
	assert_int_equal(unit_load(page(0)), 0); /* what lies before is */
	assert_int_equal(unit_load(page(1)), 0);
	assert_int_equal(unit_load(page(2)), 3);
	assert_int_equal(discard(3, 3), -EPERM);
	assert_int_equal(unit_load(page(3)), 4);
	assert_int_equal(unit_load(page(5)), 6);
	assert_int_equal(discard(4, 3), 0); /* writable: nothing is gained by it that a write would not */
	assert_int_equal(unit_load(page(5)), 0);
	assert_int_equal(discard(9, 1), -EPERM); /* nor where nothing has been touched */
	assert_int_equal(discard(12, 1), -EPERM);
	assert_int_equal(discard(10, 2), 0);
	assert_int_equal(space_unmap(space, page(15), PAGES(1)), 0);
	assert_int_equal(discard(13, 5), -ENOMEM); /* a hole; the rest is done */
	/* Whether a child has it is a right, too. */
	assert_int_equal(set_fork(2, 1, MAPPING_FORK_DROP), -EPERM);
	assert_int_equal(set_fork(9, 1, MAPPING_FORK_WIPE), -EPERM);
	assert_int_equal(set_fork(2, 1, MAPPING_FORK_COPY), 0);
	assert_int_equal(set_fork(4, 1, MAPPING_FORK_DROP), 0);
	assert_int_equal(set_fork(10, 1, MAPPING_FORK_DROP), 0);
	unit_audit();
	unit_end(space);
}

static void seals_are_refused(void **state)
{
	struct space_region region;

	(void)state;
	begin_sealed();
	assert_int_equal(space_seal(space, VADDR(AT + 1), PAGES(1)), -EINVAL);
	assert_int_equal(space_seal(space, VADDR(USER_END - PAGES(1)), PAGES(2)), -EINVAL);
	assert_int_equal(space_seal(space, page(18), PAGES(4)), -ENOMEM);
	assert_true(space_next_region(space, page(18), &region));
	assert_false(region.sealed);
	assert_int_equal(space_seal(space, page(2), PAGES(8)), 0); /* again */
	assert_true(space_next_region(space, page(4), &region));
	assert_true(region.sealed);
	unit_audit();
	unit_end(space);
}

static int seal_new(void *ctx)
{
	struct object *object = ctx;
	struct space *other;
	vaddr_t at = VADDR(0);
	int err = space_create(&other);

	if (err != 0)
		return err;
	err = space_map_object(other, PLACE_HINT, &at, PAGES(1024), RW, PERM_RWX, object, 0, false);
	if (err == 0 && space_fault(other, VADDR(at.v + PAGES(300)), ACCESS_WRITE) != FAULT_OK)
		err = -ENOMEM;
	if (err == 0)
		err = space_seal(other, VADDR(at.v + PAGES(200)), PAGES(200));
	if (err == 0) {
		assert_int_equal(space_unmap(other, VADDR(at.v + PAGES(399)), PAGES(1)), -EPERM);
		assert_int_equal(space_protect(other, VADDR(at.v + PAGES(199)), PAGES(1), R), 0);
	}
	space_put(other);
	return err;
}

static void seals_without_memory(void **state)
{
	struct object *object;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(1024), NULL, 0, &object), 0);
	assert_in_range(unit_fail_each(seal_new, object), 4, 30);
	object_put(object);
	unit_end(space);
}

/* ---- What fork makes of it, and what the region is otherwise. */

static void traits_stay(void **state)
{
	struct space_region region;
	vaddr_t at = page(0), drop = page(100);
	struct space *child;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(space_map(space, PLACE_FIXED, &at, PAGES(4), RW, mapping_anon_growing(MAPPING_FORK_COPY)), 0);
	assert_int_equal(space_map(space, PLACE_FIXED, &drop, PAGES(4), RW, mapping_anon_droppable()), 0);
	for (uint64_t i = 0; i < 4; i++) {
		unit_store(page(i), i + 1);
		unit_store(page(100 + i), i + 1);
	}
	assert_int_equal(set_fork(1, 1, MAPPING_FORK_WIPE), 0);
	assert_int_equal(set_fork(2, 2, MAPPING_FORK_DROP), 0);
	assert_int_equal(set_fork(3, 1, MAPPING_FORK_COPY), 0);
	assert_int_equal(set_fork(100, 2, MAPPING_FORK_COPY), 0); /* wiped all the same */
	assert_int_equal(set_fork(102, 1, MAPPING_FORK_DROP), 0);
	for (uint64_t i = 0; i < 3; i++) {
		assert_true(space_next_region(space, page(i), &region));
		assert_true(region.grows && !region.droppable);
		assert_true(space_next_region(space, page(100 + i), &region));
		assert_true(region.droppable && !region.grows);
	}
	child = unit_fork(space);
	assert_int_equal(unit_load_in(child, AT), 1);
	assert_int_equal(unit_load(page(1)), 0);
	unit_expect_fault(page(2), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load(page(3)), 4);
	assert_int_equal(unit_load(page(100)), 0);
	assert_int_equal(unit_load(page(101)), 0);
	unit_expect_fault(page(102), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load(page(103)), 0);
	unit_drop(child);
	assert_int_equal(unit_load_in(space, AT + PAGES(102)), 3);
	/* Refused: a hole, an object's, no range. */
	assert_int_equal(set_fork(3, 2, MAPPING_FORK_WIPE), -ENOMEM);
	assert_int_equal(space_set_fork(space, VADDR(AT + 8), PAGES(1), MAPPING_FORK_WIPE), -EINVAL);
	unit_end(space);
}

/* ---- Growth. */

static void limits_of_growth(void **state)
{
	vaddr_t at = page(1000), last = VADDR(USER_END - PAGES(1)), to = VADDR(0), first = VADDR(0);
	struct object *object;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(space_map(space, PLACE_FIXED, &at, PAGES(2), RW, mapping_anon_growing(MAPPING_FORK_COPY)), 0);
	atomic_store(&space->grow_limit, PAGES(4));
	assert_int_equal(space_grow_down(space, page(1000)), -EFAULT); /* it is there */
	assert_int_equal(space_grow_down(space, page(997)), -ENOMEM);
	assert_int_equal(space_grow_down(space, page(1002)), -EFAULT);
	assert_int_equal(space_grow_down(space, page(500)), -ENOMEM);
	unit_store(page(998), 1);
	unit_expect_fault(page(997), ACCESS_WRITE, FAULT_MAPERR);
	/* Up, at either end of what there is. */
	assert_int_equal(space_extend(space, VADDR(0), PAGES(1)), -EFAULT);
	assert_int_equal(space_extend(space, VADDR(USER_END + PAGES(1)), PAGES(1)), -EFAULT);
	(void)unit_map(space, last.v, 1, RW);
	assert_int_equal(space_extend(space, VADDR(USER_END), PAGES(1)), -ENOMEM);
	assert_int_equal(space_map(space, PLACE_FIXED, &first, PAGES(1), RW, mapping_anon(MAPPING_FORK_COPY)), 0);
	assert_int_equal(space_extend(space, VADDR(PAGES(1)), PAGES(1)), 0);
	unit_store(VADDR(PAGES(1)), 1);
	/* The same object once more. */
	assert_int_equal(object_create(PAGES(8), "0123", 4, &object), 0);
	(void)unit_map_object(space, TO, 4, R, object, 0, true);
	assert_int_equal(space_map_again(space, page(5), PLACE_HINT, &to, PAGES(1)), -EFAULT);
	assert_int_equal(space_map_again(space, page(1000), PLACE_HINT, &to, PAGES(1)), -EINVAL);
	assert_int_equal(space_map_again(space, VADDR(TO + PAGES(2)), PLACE_HINT, &to, PAGES(4)), 0);
	assert_int_equal(object_write(object, PAGES(3), "abcdefgh", 8), 8);
	assert_int_equal(unit_load(VADDR(to.v + PAGES(1))), unit_load(VADDR(TO + PAGES(3))));
	unit_expect_fault(to, ACCESS_WRITE, FAULT_ACCERR);
	object_put(object);
	unit_end(space);
}

/* ---- Arguments. */

static void arguments(void **state)
{
	struct object *object;
	vaddr_t at = VADDR(0), first;
	uint8_t there[600];

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(600), NULL, 0, &object), 0);
	assert_int_equal(map(PLACE_HINT, 0, 0, RW), -EINVAL);
	assert_int_equal(map(PLACE_HINT, 0, 100, RW), -EINVAL);
	assert_int_equal(map(PLACE_HINT, 0, USER_END, RW), -ENOMEM);
	assert_int_equal(space_map_object(space, PLACE_HINT, &at, USER_END, RW, RW, object, 0, true), -ENOMEM);
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(1), PERM_RWX, RW, object, 0, true), -EACCES);
	/* A hint that is free, one that is not, one that is none. */
	first = page(0);
	assert_int_equal(space_map_object(space, PLACE_HINT, &first, PAGES(600), RW, RW, object, 0, true), 0);
	assert_int_equal(first.v, AT);
	at = first;
	assert_int_equal(space_map_object(space, PLACE_HINT, &at, PAGES(1), RW, RW, object, 0, true), 0);
	assert_true(at.v < AT || at.v >= AT + PAGES(600));
	at = VADDR(USER_END);
	assert_int_equal(space_map_object(space, PLACE_HINT, &at, PAGES(1), RW, RW, object, 0, true), 0);
	assert_true(at.v < USER_END);
	assert_int_equal(space_map_object(space, PLACE_NO_REPLACE, &first, PAGES(1), RW, RW, object, 0, true), -EEXIST);
	/* Moves. */
	at = VADDR(0);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_HINT, &at, PAGES(1), false), -EINVAL);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_HINT, &at, PAGES(2) + 8, false), -EINVAL);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_HINT, &at, USER_END, false), -ENOMEM);
	assert_int_equal(space_move(space, page(700), PAGES(2), PLACE_HINT, &at, PAGES(2), false), -EFAULT);
	at = page(599);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_FIXED, &at, PAGES(2), false), -EEXIST);
	assert_int_equal(space_move(space, page(0), PAGES(2), PLACE_HINT, &at, PAGES(2), false), 0);
	assert_int_equal(at.v < AT || at.v >= AT + PAGES(600), true);
	/* What is in memory: pages that have been touched, and those of the object's that have been by whatever way. */
	unit_store(page(5), 1);
	assert_int_equal(object_write(object, PAGES(7), "x", 1), 1);
	unit_store(page(598), 1);
	assert_int_equal(space_unmap(space, page(599), PAGES(1)), 0);
	assert_int_equal(space_resident(space, page(2), 597, there), 0);
	for (uint64_t i = 2; i < 599; i++)
		assert_int_equal(there[i - 2], i == 5 || i == 7 || i == 598);
	assert_int_equal(space_resident(space, page(2), 598, there), -ENOMEM);
	assert_int_equal(space_resident(space, VADDR(USER_END), 0, there), -ENOMEM);
	assert_int_equal(space_resident(space, VADDR(USER_END - PAGES(1)), 2, there), -ENOMEM);
	object_put(object);
	unit_end(space);
}

/* ---- What is where. */

static void objects_and_advice(void **state)
{
	struct object *object, *found;
	uint64_t index;

	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map_object(space, AT, 4, R, object, 2, true);
	(void)unit_map(space, AT + PAGES(4), 1, RW);
	assert_int_equal(space_object_at(space, page(1), &found, &index), 0);
	assert_ptr_equal(found, object);
	assert_int_equal(index, 3);
	object_put(found);
	assert_int_equal(space_object_at(space, page(4), &found, &index), -EFAULT);
	assert_int_equal(space_object_at(space, page(5), &found, &index), -EFAULT);
	assert_int_equal(space_object_at(space, VADDR(USER_END), &found, &index), -EFAULT);
	assert_int_equal(space_advice(space, page(1)), 0);
	space_advise(space, page(1), 3);
	assert_int_equal(space_advice(space, page(3)), 3); /* one for all of it */
	space_advise(space, page(4), 2);
	space_advise(space, page(5), 2);
	space_advise(space, VADDR(USER_END), 2);
	assert_int_equal(space_advice(space, page(4)), 0);
	assert_int_equal(space_advice(space, page(5)), 0);
	assert_int_equal(space_advice(space, VADDR(USER_END)), 0);
	object_put(object);
	unit_end(space);
}

/* All harts that are in it are asked, and fetch anew if that is wanted. */
static void barriers(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	fake_hart_enter(1);
	space_switch(space);
	fake_hart_enter(0);
	fake_counts_reset();
	space_barrier(space, false);
	assert_int_equal(fake_counts(1)->ipis, 1);
	assert_int_equal(fake_counts(1)->fence_i, 0);
	space_barrier(space, true);
	assert_int_equal(fake_counts(1)->ipis, 2);
	assert_int_equal(fake_counts(1)->fence_i, 1);
	fake_hart_enter(1);
	space_switch(NULL);
	fake_hart_enter(0);
	fake_counts_reset();
	space_barrier(space, true);
	assert_int_equal(fake_counts(1)->ipis + fake_counts(1)->fence_i, 0);
	unit_end(space);
}

/* A table that both will use at once is copied, however full it is; the next one, which they may never touch, is shared. */
static void hot_tables_are_copied(void **state)
{
	const vaddr_t hot[SPACE_HOT] = { VADDR(USER_END), VADDR(USER_END), VADDR(AT + PAGES(7)), VADDR(USER_END),
					 VADDR(USER_END) };
	struct space *child;
	unsigned level;

	(void)state;
	space_set_fork_policy(FORK_TABLES);
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 1024, RW);
	for (uint64_t i = 0; i < 1024; i += 4)
		unit_store(page(i), i);
	assert_int_equal(space_fork_near(space, hot, &child), 0);
	unit_audit();
	(void)unit_entry(child, page(0), &level);
	assert_int_equal(level, 0);
	assert_true(pte_is_detached(unit_entry(child, page(512), &level)));
	assert_int_equal(level, 1);
	unit_store_in(child, AT, 100);
	assert_int_equal(unit_load_in(child, AT + PAGES(512)), 512);
	assert_int_equal(unit_load_in(space, AT), 0);
	unit_drop(child);
	/* Eager: what is an entry of an upper table stays one. */
	space_set_fork_policy(FORK_EAGER);
	(void)unit_map(space, UINT64_C(1) << 32, (UINT64_C(1) << 30) >> PAGE_SHIFT, RW);
	child = unit_fork(space);
	assert_true(pte_is_reservation(unit_entry(child, VADDR(UINT64_C(1) << 32), &level)));
	assert_int_equal(level, PT_ROOT);
	assert_int_equal(unit_load_in(child, AT + PAGES(8)), 8);
	unit_drop(child);
	unit_end(space);
}

static void start(void *config)
{
	fake_start(config);
}

/* The machine starts without memory for its ASIDs, if for nothing else, and goes on without them. */
static void no_memory_for_asids(void **state)
{
	struct fake_config config = machine;
	const char *text = "";

	(void)state;
	for (uint64_t n = 1; text != NULL; n++) {
		assert_in_range(n, 1, 100);
		fake_fail_at(n, false);
		text = fake_panic_of(start, &config);
		assert_true(fake_fail_hit());
		fake_fail_at(0, false);
	}
	space = unit_space();
	assert_int_equal(space->asid, 0);
	(void)unit_map(space, AT, 2, RW);
	unit_store(page(1), 7);
	assert_int_equal(unit_load_in(space, AT + PAGES(1)), 7);
	unit_audit();
	unit_drop(space);
}

/* The knobs: harts that are asked whether they are in it or not, and how many pages each time. */
static void told_to_ask(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	(void)unit_map(space, AT, 8, RW);
	for (uint64_t i = 0; i < 8; i++)
		unit_store(page(i), i);
	fake_counts_reset();
	assert_int_equal(protect(0, 8, R), 0);
	assert_int_equal(fake_counts(1)->ipis, 0);
	space_set_shootdown(2, 3);
	assert_int_equal(protect(0, 8, RW), 0);
	assert_int_equal(fake_counts(1)->ipis, 0); /* it only gets more */
	unit_store(page(0), 1);
	assert_int_equal(protect(0, 8, R), 0);
	assert_int_equal(fake_counts(1)->ipis, 3);
	space_set_shootdown(2, UINT64_MAX);
	assert_int_equal(protect(0, 8, 0), 0);
	assert_int_equal(fake_counts(1)->ipis, 4);
	space_set_shootdown(0, UINT64_MAX);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(no_gain_of_execution),
	UNIT_TEST(sealed_stays),
	UNIT_TEST(sealed_is_not_discarded),
	UNIT_TEST(seals_are_refused),
	UNIT_TEST(seals_without_memory),
	UNIT_TEST(traits_stay),
	UNIT_TEST(limits_of_growth),
	UNIT_TEST(arguments),
	UNIT_TEST(objects_and_advice),
	UNIT_TEST(barriers),
	UNIT_TEST(told_to_ask),
	UNIT_TEST(no_memory_for_asids),
	UNIT_TEST(hot_tables_are_copied),
};

UNIT_MAIN_SHARING("rules", tests)
