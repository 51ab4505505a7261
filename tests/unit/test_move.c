/*
 * space_move: pages go along with their content, whatever the two places' alignment; the source is gone, or kept untouched;
 * no hart reaches a page through its old address; without memory nothing has happened; and regions that grow.
 */
#include "mm/object.h"
#include "mm/slab.h"
#include "tests/unit/unit.h"

#define AT UINT64_C(0x10000000)
#define TO UINT64_C(0x20000000)
#define RW (PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };

static void fill(uint64_t at, uint64_t pages, uint64_t every)
{
	for (uint64_t i = 0; i < pages; i += every)
		unit_store(VADDR(at + PAGES(i)), i + 1);
}

static void verify(uint64_t at, uint64_t pages, uint64_t every)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(unit_load(VADDR(at + PAGES(i))), i % every == 0 ? i + 1 : 0);
}

static int move(struct space *space, uint64_t from, uint64_t pages, uint64_t to, uint64_t new_pages, bool keep)
{
	vaddr_t at = VADDR(to);

	return space_move(space, VADDR(from), PAGES(pages), PLACE_NO_REPLACE, &at, PAGES(new_pages), keep);
}

static void pages_go_along(void **state)
{
	static const uint64_t shifts[] = { 0, 1, 511, 512, 700 };
	struct space *space = unit_begin(&machine);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(shifts); i++) {
		uint64_t to = TO + PAGES(shifts[i]);

		(void)unit_map(space, AT, 1300, RW);
		fill(AT, 1300, 3);
		assert_int_equal(move(space, AT, 1300, to, 1400, false), 0);
		unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
		unit_expect_fault(VADDR(AT + PAGES(1299)), ACCESS_READ, FAULT_MAPERR);
		verify(to, 1300, 3);
		assert_int_equal(unit_load(VADDR(to + PAGES(1399))), 0);
		unit_expect_fault(VADDR(to + PAGES(1400)), ACCESS_READ, FAULT_MAPERR);
		unit_audit();
		assert_int_equal(space_unmap(space, VADDR(to), PAGES(1400)), 0);
	}
	unit_end(space);
}

/* What was to be moved, and was not, is not looked upon as free: the next mapping is below it, not in its hole. */
static void nothing_is_given_back(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t at = unit_map(space, 0, 3, RW);

	(void)state;
	assert_int_equal(space_unmap(space, VADDR(at.v + PAGES(1)), PAGES(1)), 0);
	assert_int_equal(move(space, at.v, 3, TO, 3, false), -EFAULT);
	assert_int_equal(unit_map(space, 0, 1, RW).v, at.v - PAGE_SIZE);
	unit_end(space);
}

/* A part of a big reservation, untouched but for a few pages, and back by hint. */
static void reservations_split(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t to = VADDR(0);

	(void)state;
	(void)unit_map(space, UINT64_C(1) << 30, 1 << 18, RW);
	unit_store(VADDR((UINT64_C(1) << 30) + PAGES(1000)), 5);
	assert_int_equal(space_move(space, VADDR((UINT64_C(1) << 30) + PAGES(700)), PAGES(100000), PLACE_HINT, &to,
				    PAGES(100000), false),
			 0);
	assert_int_equal(unit_load(VADDR(to.v + PAGES(300))), 5);
	unit_expect_fault(VADDR((UINT64_C(1) << 30) + PAGES(1000)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load(VADDR((UINT64_C(1) << 30) + PAGES(699))), 0);
	unit_end(space);
}

static void source_is_kept(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, 600, RW);
	fill(AT, 600, 1);
	assert_int_equal(move(space, AT, 600, TO, 600, true), 0);
	verify(TO, 600, 1);
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(unit_load(VADDR(AT + PAGES(i))), 0);
	unit_end(space);
}

static void refused(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, 8, RW);
	fill(AT, 8, 1);
	assert_int_equal(move(space, AT, 9, TO, 9, false), -EFAULT);
	assert_int_equal(move(space, AT, 4, AT + PAGES(3), 4, false), -EINVAL);
	assert_int_equal(move(space, AT, 4, AT + PAGES(4), 4, false), -EEXIST);
	assert_int_equal(move(space, AT, 4, TO, 3, false), -EINVAL);
	assert_int_equal(move(space, AT, 4, USER_END, 4, false), -EINVAL);
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(2)), PAGES(1), PERM_R), 0);
	assert_int_equal(move(space, AT, 4, TO, 4, false), -EFAULT);
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(2)), PAGES(1), RW), 0);
	assert_int_equal(space_set_fork(space, VADDR(AT + PAGES(1)), PAGES(1), MAPPING_FORK_DROP), 0);
	assert_int_equal(move(space, AT, 4, TO, 4, false), -EFAULT);
	verify(AT, 8, 1);
	unit_end(space);
}

/* Hart 1 has written through the old address; once the call is over it cannot, and finds the page at the new one. */
static void others_lose_the_old_address(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, 4, RW);
	fake_hart_enter(1);
	space_switch(space);
	fill(AT, 4, 1);
	fake_hart_enter(0);
	assert_int_equal(move(space, AT, 4, TO, 4, false), 0);
	fake_hart_enter(1);
	unit_expect_fault(VADDR(AT), ACCESS_WRITE, FAULT_MAPERR);
	verify(TO, 4, 1);
	fake_hart_enter(0);
	unit_end(space);
}

static void objects_stay_in_step(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(16), NULL, 0, &object), 0);
	(void)unit_map_object(space, AT, 8, RW, object, 4, true);
	fill(AT, 4, 1);
	assert_int_equal(move(space, AT + PAGES(1), 7, TO, 9, false), 0);
	unit_store(VADDR(TO + PAGES(5)), 77); /* untouched before: the object's page 4 + 1 + 5 */
	assert_int_equal(unit_load(VADDR(TO)), 2);
	(void)unit_map_object(space, AT + PAGES(100), 16, RW, object, 0, true);
	assert_int_equal(unit_load(VADDR(AT + PAGES(110))), 77);
	assert_int_equal(unit_load(VADDR(AT + PAGES(105))), 2);
	object_put(object);
	unit_end(space);
}

static void forked_pages_stay_apart(void **state)
{
	struct space *space = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(space, AT, 20, RW);
	fill(AT, 20, 1);
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	assert_int_equal(move(space, AT, 20, TO, 20, false), 0);
	verify(TO, 20, 1);
	for (uint64_t i = 0; i < 20; i++)
		unit_store(VADDR(TO + PAGES(i)), 1000);
	space_switch(child);
	verify(AT, 20, 1);
	space_switch(space);
	unit_drop(child);
	unit_end(space);
}

/* Every allocation fails in turn: the source is as it was, the destination free. */
static void without_memory(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (uint64_t n = 1;; n++) {
		struct space *space = unit_begin(&machine);
		int err;

		(void)unit_map(space, AT + PAGES(100), 900, RW);
		fill(AT + PAGES(100), 900, 2);
		fake_fail_at(n, false);
		err = move(space, AT + PAGES(100), 900, TO + PAGES(55), 900, false);
		fake_fail_at(0, false);
		unit_audit();
		verify(err == 0 ? TO + PAGES(55) : AT + PAGES(100), 900, 2);
		unit_expect_fault(VADDR(err == 0 ? AT + PAGES(100) : TO + PAGES(55)), ACCESS_READ, FAULT_MAPERR);
		unit_end(space);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOMEM);
		failures++;
	}
	assert_true(failures >= 2);
}

static void regions_grow(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t at = VADDR(AT + PAGES(1000));

	(void)state;
	assert_int_equal(space_map(space, PLACE_NO_REPLACE, &at, PAGES(2), RW, mapping_anon_growing(MAPPING_FORK_COPY)),
			 0);
	unit_store(VADDR(AT + PAGES(999)), 1);
	unit_store(VADDR(AT + PAGES(700)), 2);
	assert_int_equal(unit_load(VADDR(AT + PAGES(850))), 0);
	(void)unit_map(space, AT + PAGES(300), 1, RW);
	unit_expect_fault(VADDR(AT + PAGES(556)), ACCESS_WRITE, FAULT_MAPERR); /* 255 pages above what is there */
	unit_store(VADDR(AT + PAGES(557)), 3);
	assert_int_equal(space_extend(space, VADDR(AT + PAGES(1002)), PAGES(3)), 0);
	unit_store(VADDR(AT + PAGES(1004)), 4);
	unit_expect_fault(VADDR(AT + PAGES(1005)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(space_extend(space, VADDR(AT + PAGES(301)), PAGES(300)), -ENOMEM);
	assert_int_equal(space_extend(space, VADDR(AT + PAGES(2000)), PAGES(1)), -EFAULT);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(pages_go_along),
	UNIT_TEST(nothing_is_given_back),
	UNIT_TEST(reservations_split),
	UNIT_TEST(source_is_kept),
	UNIT_TEST(refused),
	UNIT_TEST(others_lose_the_old_address),
	UNIT_TEST(objects_stay_in_step),
	UNIT_TEST(forked_pages_stay_apart),
	UNIT_TEST(without_memory),
	UNIT_TEST(regions_grow),
};

UNIT_MAIN_SHARING("move", tests)
