/* mmap, munmap, mprotect, madvise: arguments, placing, splitting and folding, and what each costs in tables. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

#define RW  (PERM_R | PERM_W)
#define AT  UINT64_C(0x10000000)
#define GIB (UINT64_C(1) << 30)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };

static uint64_t frames_used(void)
{
	slab_drain();
	return unit_free_before - frames_free();
}

static void an_empty_space_comes_and_goes(void **state)
{
	struct space *space = unit_begin(&machine);
	struct space_region region;

	(void)state;
	assert_false(space_next_region(space, VADDR(0), &region));
	unit_expect_fault(VADDR(0), ACCESS_READ, FAULT_MAPERR);
	unit_expect_fault(VADDR(AT), ACCESS_WRITE, FAULT_MAPERR);
	space_get(space);
	space_put(space);
	unit_end(space);
}

static void bad_arguments(void **state)
{
	struct space *space = unit_begin(&machine);
	struct mapping *anon = mapping_anon(MAPPING_FORK_COPY);
	static const struct {
		uint64_t at, bytes;
	} bad[] = {
		{ AT + 1, PAGE_SIZE },
		{ AT, 100 },
		{ AT, 0 },
		{ USER_END, PAGE_SIZE },
		{ AT, USER_END },
		{ USER_END - PAGE_SIZE, 2 * PAGE_SIZE },
		{ UINT64_MAX & ~PAGE_MASK, PAGE_SIZE },
		{ AT, UINT64_MAX & ~PAGE_MASK },
		{ AT, UINT64_C(0) - AT + PAGE_SIZE },
	};
	uint64_t used = frames_used();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		vaddr_t at = VADDR(bad[i].at);

		assert_int_equal(space_map(space, PLACE_FIXED, &at, bad[i].bytes, RW, anon), -EINVAL);
		assert_int_equal(space_map(space, PLACE_NO_REPLACE, &at, bad[i].bytes, RW, anon), -EINVAL);
		assert_int_equal(space_unmap(space, at, bad[i].bytes), -EINVAL);
		assert_int_equal(space_protect(space, at, bad[i].bytes, PERM_R), -EINVAL);
		assert_int_equal(space_discard(space, at, bad[i].bytes), -EINVAL);
		assert_int_equal(space_set_fork(space, at, bad[i].bytes, MAPPING_FORK_DROP), -EINVAL);
	}
	assert_int_equal(frames_used(), used);
	unit_end(space);
}

static void too_large_to_place(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t at = VADDR(0);

	(void)state;
	assert_int_equal(space_map(space, PLACE_HINT, &at, USER_END, RW, mapping_anon(MAPPING_FORK_COPY)), -ENOMEM);
	at = VADDR(0);
	assert_int_equal(
		space_map(space, PLACE_HINT, &at, UINT64_MAX & ~PAGE_MASK, RW, mapping_anon(MAPPING_FORK_COPY)),
		-ENOMEM);
	unit_end(space);
}

/* Up to the last byte of user space, and the first. */
static void the_ends_of_user_space(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, USER_END - PAGES(2), 2, RW);
	unit_store(VADDR(USER_END - 8), 5);
	unit_expect_fault(VADDR(USER_END), ACCESS_READ, FAULT_MAPERR);
	unit_expect_fault(VADDR(USER_END + PAGE_SIZE), ACCESS_READ, FAULT_MAPERR);
	unit_expect_fault(VADDR(UINT64_MAX - 7), ACCESS_WRITE, FAULT_MAPERR);
	unit_expect_fault(VADDR(UINT64_C(0xffffffc080200000)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(space_unmap(space, VADDR(0), USER_END), 0);
	unit_expect_fault(VADDR(USER_END - 8), ACCESS_READ, FAULT_MAPERR);
	unit_end(space);
}

/* 1 GiB of nothing costs one entry; the first touch splits it down one path and no more. */
static void a_large_reservation_is_one_entry(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t used;
	unsigned level;

	(void)state;
	used = frames_used();
	(void)unit_map(space, 4 * GIB, GIB >> PAGE_SHIFT, RW);
	assert_int_equal(frames_used(), used);
	assert_true(pte_is_reservation(unit_entry(space, VADDR(4 * GIB + 12345 * PAGE_SIZE), &level)));
	assert_int_equal(level, 2);
	unit_store(VADDR(4 * GIB + PAGES(12345)), 1);
	assert_int_equal(frames_used(), used + 3); /* two tables and the page */
	assert_true(pte_is_reservation(unit_entry(space, VADDR(4 * GIB), &level)));
	assert_int_equal(level, 1);
	unit_end(space);
}

/* Unmapping the middle splits; mapping it over again as a whole needs no table below. */
static void splitting(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t used = frames_used();
	struct space_region region;

	(void)state;
	(void)unit_map(space, 4 * GIB, 2 * GIB >> PAGE_SHIFT, RW);
	assert_int_equal(space_unmap(space, VADDR(5 * GIB - PAGES(3)), PAGES(6)), 0);
	unit_audit();
	assert_true(space_next_region(space, VADDR(0), &region));
	assert_int_equal(region.start.v, 4 * GIB);
	assert_int_equal(region.end.v, 5 * GIB - PAGES(3));
	assert_true(space_next_region(space, region.end, &region));
	assert_int_equal(region.start.v, 5 * GIB + PAGES(3));
	assert_int_equal(region.end.v, 6 * GIB);
	assert_false(space_next_region(space, region.end, &region));
	assert_int_equal(frames_used(), used + 4);
	(void)unit_map(space, 4 * GIB, 2 * GIB >> PAGE_SHIFT, RW);
	assert_int_equal(frames_used(), used);
	assert_true(space_next_region(space, VADDR(0), &region));
	assert_int_equal(region.end.v - region.start.v, 2 * GIB);
	unit_end(space);
}

/* Discarding whole tables of one mapping folds them into one reservation above. */
static void discard_folds(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t used;
	unsigned level;

	(void)state;
	(void)unit_map(space, GIB, 1024, RW);
	used = frames_used();
	for (unsigned i = 0; i < 1024; i++)
		unit_store(VADDR(GIB + PAGES(i)), i + 1);
	assert_int_equal(frames_used(), used + 1024 + 2);
	assert_int_equal(space_discard(space, VADDR(GIB), PAGES(1024)), 0);
	assert_int_equal(frames_used(), used);
	assert_true(pte_is_reservation(unit_entry(space, VADDR(GIB), &level)));
	assert_int_equal(level, 1);
	for (unsigned i = 0; i < 1024; i += 100)
		assert_int_equal(unit_load(VADDR(GIB + PAGES(i))), 0);
	unit_end(space);
}

static void protect_keeps_content(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, 8, RW);
	for (unsigned i = 0; i < 8; i += 2)
		unit_store(VADDR(AT + PAGES(i)), i + 1);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(8), 0), 0);
	for (unsigned i = 0; i < 8; i++) {
		unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_READ, FAULT_ACCERR);
		unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_WRITE, FAULT_ACCERR);
		unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_EXEC, FAULT_ACCERR);
	}
	unit_audit();
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(8), PERM_R), 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(unit_load(VADDR(AT + PAGES(i))), i % 2 == 0 ? i + 1 : 0);
		unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_WRITE, FAULT_ACCERR);
	}
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(8), PERM_W), 0); /* taken as R|W */
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(unit_load(VADDR(AT + PAGES(i))), i % 2 == 0 ? i + 1 : 0);
		unit_store(VADDR(AT + PAGES(i)), 100 + i);
	}
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(8), PERM_R | PERM_X), 0);
	for (unsigned i = 0; i < 8; i++) {
		struct fake_op op = { .access = ACCESS_EXEC };

		unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_WRITE, FAULT_ACCERR);
		assert_int_equal(fake_user(VADDR(AT + PAGES(i)), &op), FAULT_OK);
		assert_int_equal(op.value, 100 + i);
	}
	unit_end(space);
}

static void fetch(vaddr_t va, uint64_t expect)
{
	struct fake_op op = { .access = ACCESS_EXEC };

	assert_int_equal(fake_user(va, &op), FAULT_OK);
	assert_int_equal(op.value, expect);
}

/* Small mappings are next to the stack, until there are many: the rest are in another entry of the root, so that fork need not count them. */
static void many_small_mappings_go_elsewhere(void **state)
{
	enum { MAPS = 40 };
	struct space *space = unit_begin(&machine);
	uint64_t stack = (space->mmap_top.v - 1) / pt_span(PT_ROOT);
	vaddr_t at[MAPS];
	unsigned near = 0;

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < MAPS; i++) {
			at[i] = unit_map(space, 0, 512, RW);
			near += at[i].v / pt_span(PT_ROOT) == stack;
			for (unsigned j = 0; j < i; j++)
				assert_true(at[i].v + PAGES(512) <= at[j].v || at[j].v + PAGES(512) <= at[i].v);
		}
		assert_int_equal(near, round == 0 ? 13 : 14);
		assert_true(at[MAPS - 1].v / pt_span(PT_ROOT) != stack);
		/* And there again, where those there have gone. */
		for (unsigned i = MAPS; i-- > 0;)
			assert_int_equal(space_unmap(space, at[i], PAGES(512)), 0);
		near = 0;
	}
	unit_end(space);
}

/* Large ones are elsewhere anyway; small ones stay next to the stack. 32 MiB are large. */
static void large_mappings_leave_small_ones_where_they_are(void **state)
{
	enum { LARGE = 8192 };
	struct space *space = unit_begin(&machine);
	uint64_t stack = (space->mmap_top.v - 1) / pt_span(PT_ROOT);
	vaddr_t first, second, large;

	(void)state;
	first = unit_map(space, 0, 1, RW);
	large = unit_map(space, 0, LARGE, RW);
	second = unit_map(space, 0, 1, RW);
	assert_int_equal(first.v / pt_span(PT_ROOT), stack);
	assert_int_not_equal(large.v / pt_span(PT_ROOT), stack);
	assert_int_equal(second.v, first.v - PAGE_SIZE);
	unit_end(space);
}

/* A page with both rights is written and executed by all harts as it is; a right that is taken is taken from all. */
static void write_and_execute(void **state)
{
	struct space *space = unit_begin(&machine);
	struct fake_op op = { .access = ACCESS_EXEC };
	unsigned level;

	(void)state;
	(void)unit_map(space, AT, 2, PERM_RWX);
	fake_hart_enter(1);
	space_switch(space);
	unit_store(VADDR(AT), 1);
	fetch(VADDR(AT), 1);
	unit_store(VADDR(AT), 2); /* what executes may write its own page: it must not fault for ever */
	fetch(VADDR(AT), 2);
	assert_int_equal(unit_entry(space, VADDR(AT), &level).v & (PTE_V | PTE_RWX), PTE_V | PTE_RWX);
	fetch(VADDR(AT + PAGES(1)), 0);
	unit_store(VADDR(AT + PAGES(1)), 3);
	fetch(VADDR(AT + PAGES(1)), 3);
	fake_hart_enter(0);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(1), RW), 0);
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(1)), PAGES(1), PERM_R | PERM_X), 0);
	fake_hart_enter(1);
	assert_int_equal(fake_user(VADDR(AT), &op), FAULT_ACCERR);
	assert_int_equal(fake_store(VADDR(AT + PAGES(1)), 9), FAULT_ACCERR);
	fetch(VADDR(AT + PAGES(1)), 3);
	space_switch(NULL);
	fake_hart_enter(0);
	unit_end(space);
}

/* Pieces that come and go, each where no other was, do not leave a table each behind. */
static void empty_tables_go(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t before = frames_free();

	(void)state;
	(void)unit_map(space, AT - PAGES(1), 1, RW);
	unit_store(VADDR(AT - PAGES(1)), 7);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t at = AT + i * pt_span(1) - PAGES(i % 3);

		(void)unit_map(space, at + PAGES(2), 3, RW);
		unit_store(VADDR(at + PAGES(2)), i);
		unit_store(VADDR(at + PAGES(4)), i);
		assert_int_equal(space_unmap(space, VADDR(at + PAGES(2)), PAGES(3)), 0);
		assert_true(before - frames_free() < 160);
	}
	assert_int_equal(unit_load(VADDR(AT - PAGES(1))), 7);
	unit_end(space);
}

static void maximal_permissions(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;
	vaddr_t at = VADDR(AT);

	(void)state;
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(4), RW, PERM_R, object, 0, true), -EACCES);
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(4), PERM_R, PERM_R, object, 0, true), 0);
	object_put(object);
	(void)unit_load(VADDR(AT));
	assert_int_equal(space_protect(space, at, PAGES(4), RW), -EACCES);
	assert_int_equal(space_protect(space, at, PAGES(4), PERM_R | PERM_X), -EACCES);
	unit_expect_fault(VADDR(AT), ACCESS_WRITE, FAULT_ACCERR);
	assert_int_equal(space_protect(space, at, PAGES(4), 0), 0);
	assert_int_equal(space_protect(space, at, PAGES(4), PERM_R), 0);
	assert_int_equal(unit_load(VADDR(AT)), 0);
	unit_end(space);
}

/* As on Linux: what lies before the hole is changed; discarding skips it. */
static void holes(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, 10, RW);
	for (unsigned i = 0; i < 10; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	assert_int_equal(space_unmap(space, VADDR(AT + PAGES(5)), PAGE_SIZE), 0);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(10), PERM_R), -ENOMEM);
	unit_expect_fault(VADDR(AT + PAGES(4)), ACCESS_WRITE, FAULT_ACCERR);
	unit_store(VADDR(AT + PAGES(6)), 6);
	assert_int_equal(space_discard(space, VADDR(AT), PAGES(10)), -ENOMEM);
	assert_int_equal(unit_load(VADDR(AT + PAGES(4))), 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(9))), 0);
	assert_int_equal(space_unmap(space, VADDR(AT), PAGES(10)), 0); /* holes are fine */
	assert_int_equal(space_unmap(space, VADDR(AT), PAGES(10)), 0);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(10), PERM_R), -ENOMEM);
	assert_int_equal(space_discard(space, VADDR(AT), PAGES(10)), -ENOMEM);
	unit_end(space);
}

static void placing(void **state)
{
	struct space *space = unit_begin(&machine);
	struct mapping *anon = mapping_anon(MAPPING_FORK_COPY);
	vaddr_t a = VADDR(0), b = VADDR(0), c;

	(void)state;
	assert_int_equal(space_map(space, PLACE_HINT, &a, PAGES(3), RW, anon), 0);
	assert_int_equal(space_map(space, PLACE_HINT, &b, PAGES(5), RW, anon), 0);
	assert_true(a.v != 0 && b.v != 0 && (a.v & PAGE_MASK) == 0 && (b.v & PAGE_MASK) == 0);
	assert_true(a.v + PAGES(3) <= b.v || b.v + PAGES(5) <= a.v);
	c = VADDR(a.v + PAGE_SIZE);
	assert_int_equal(space_map(space, PLACE_NO_REPLACE, &c, PAGE_SIZE, RW, anon), -EEXIST);
	assert_int_equal(space_map(space, PLACE_HINT, &c, PAGE_SIZE, RW, anon), 0);
	assert_true(c.v < a.v || c.v >= a.v + PAGES(3));
	c = VADDR(AT);
	assert_int_equal(space_map(space, PLACE_HINT, &c, PAGE_SIZE, RW, anon), 0);
	assert_int_equal(c.v, AT);
	unit_store(a, 77);
	assert_int_equal(space_map(space, PLACE_FIXED, &a, PAGE_SIZE, PERM_R, anon), 0);
	assert_int_equal(unit_load(a), 0); /* replaced */
	unit_end(space);
}

/* Fills the whole of user space, then makes one gap: it is found. */
static void the_last_gap_is_found(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t at = VADDR(0);

	(void)state;
	(void)unit_map(space, 0, 1, RW);
	assert_int_equal(space_unmap(space, VADDR(0), USER_END), 0);
	(void)unit_map(space, PAGE_SIZE, (USER_END >> PAGE_SHIFT) - 1, RW);
	assert_int_equal(space_map(space, PLACE_HINT, &at, PAGE_SIZE, RW, mapping_anon(MAPPING_FORK_COPY)), -ENOMEM);
	assert_int_equal(space_unmap(space, VADDR(20 * GIB + PAGES(77)), PAGES(3)), 0);
	assert_int_equal(space_map(space, PLACE_HINT, &at, PAGES(4), RW, mapping_anon(MAPPING_FORK_COPY)), -ENOMEM);
	at = VADDR(0);
	assert_int_equal(space_map(space, PLACE_HINT, &at, PAGES(3), RW, mapping_anon(MAPPING_FORK_COPY)), 0);
	assert_int_equal(at.v, 20 * GIB + PAGES(77));
	unit_end(space);
}

/* Several mappings in one leaf table, and the way back from each page to its own. */
static void one_table_of_many_mappings(void **state)
{
	struct space *space = unit_begin(&machine);
	struct space_region region;
	struct object *object[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(object_create(PAGES(100), NULL, 0, &object[i]), 0);
		for (uint64_t page = 0; page < 100; page++) {
			uint64_t value = 1000 * i + page;

			assert_int_equal(object_write(object[i], PAGES(page), &value, 8), 8);
		}
	}
	for (unsigned i = 0; i < 30; i++)
		(void)unit_map_object(space, AT + PAGES(3 * i), 2, RW, object[i % 3], i, i % 2 == 0);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(unit_load(VADDR(AT + PAGES(3 * i + 1))), 1000 * (i % 3) + i + 1);
		unit_store(VADDR(AT + PAGES(3 * i)), 5000 + i);
	}
	unit_audit();
	region.end = VADDR(0);
	for (unsigned i = 0; i < 30; i++) {
		assert_true(space_next_region(space, region.end, &region));
		assert_int_equal(region.start.v, AT + PAGES(3 * i));
		assert_int_equal(region.end.v, AT + PAGES(3 * i + 2));
		assert_ptr_equal(region.mapping->object, object[i % 3]);
		assert_int_equal(mapping_index(region.mapping, region.start), i);
		assert_int_equal(region.resident, 2);
	}
	assert_int_equal(space_discard(space, VADDR(AT), PAGES(90)), -ENOMEM);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(unit_load(VADDR(AT + PAGES(3 * i))), i % 2 == 0 ? 5000 + i : 1000 * (i % 3) + i);
	for (unsigned i = 0; i < 3; i++)
		object_put(object[i]);
	unit_end(space);
}

/* Adjacent pieces of one object are one region, and fold; a gap in the offsets keeps them apart. */
static void adjacent_pieces_are_one(void **state)
{
	struct space *space = unit_begin(&machine);
	struct space_region region;
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(100), NULL, 0, &object), 0);
	(void)unit_map_object(space, AT, 10, PERM_R, object, 0, false);
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(3)), PAGES(3), RW), 0);
	assert_true(space_next_region(space, VADDR(0), &region));
	assert_int_equal(region.end.v, AT + PAGES(3));
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(10), PERM_R), 0);
	assert_true(space_next_region(space, VADDR(0), &region));
	assert_int_equal(region.start.v, AT);
	assert_int_equal(region.end.v, AT + PAGES(10));
	assert_int_equal(region.perm, PERM_R);
	assert_int_equal(region.resident, 0);
	object_put(object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(an_empty_space_comes_and_goes),
	UNIT_TEST(bad_arguments),
	UNIT_TEST(too_large_to_place),
	UNIT_TEST(the_ends_of_user_space),
	UNIT_TEST(a_large_reservation_is_one_entry),
	UNIT_TEST(splitting),
	UNIT_TEST(discard_folds),
	UNIT_TEST(protect_keeps_content),
	UNIT_TEST(many_small_mappings_go_elsewhere),
	UNIT_TEST(large_mappings_leave_small_ones_where_they_are),
	UNIT_TEST(write_and_execute),
	UNIT_TEST(empty_tables_go),
	UNIT_TEST(maximal_permissions),
	UNIT_TEST(holes),
	UNIT_TEST(placing),
	UNIT_TEST(the_last_gap_is_found),
	UNIT_TEST(one_table_of_many_mappings),
	UNIT_TEST(adjacent_pieces_are_one),
};

UNIT_MAIN("space", tests)
