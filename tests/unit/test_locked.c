/* What is told of mlock: ranges against an array with what is said of each page, and notes for which there is no memory. */
#include "tests/unit/unit.h"

#define AT    UINT64_C(0x10000000)
#define TO    UINT64_C(0x30000000)
#define RW    (PERM_R | PERM_W)
#define COUNT 48

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };
static enum space_lock said[COUNT];

static vaddr_t page_at(uint64_t page)
{
	return VADDR(AT + PAGES(page));
}

static enum space_lock lock_at(struct space *space, uint64_t va)
{
	struct space_region region;

	assert_true(space_next_region(space, VADDR(va), &region));
	assert_true(region.start.v <= va);
	return region.lock;
}

/* Regions, which end where a lock does, and the sum. */
static void compare(struct space *space)
{
	struct space_region region;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < COUNT; i++)
		bytes += said[i] != SPACE_UNLOCKED ? PAGE_SIZE : 0;
	assert_int_equal(space_locked_bytes(space), bytes);
	for (uint64_t at = AT; at < AT + PAGES(COUNT); at = region.end.v) {
		assert_true(space_next_region(space, VADDR(at), &region));
		assert_int_equal(region.start.v, at);
		for (uint64_t i = (at - AT) >> PAGE_SHIFT; i < (region.end.v - AT) >> PAGE_SHIFT; i++)
			assert_int_equal(said[i], region.lock);
		if (region.end.v < AT + PAGES(COUNT))
			assert_int_not_equal(said[(region.end.v - AT) >> PAGE_SHIFT], region.lock);
	}
}

static void random_ranges(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_seed();
	(void)unit_map(space, AT, COUNT, RW);
	for (unsigned step = 0; step < unit_steps(3000); step++) {
		uint64_t first = fake_below(COUNT), most = fake_below(3) == 0 ? COUNT : 9;
		uint64_t n = 1 + fake_below(MIN(COUNT - first, most));
		enum space_lock lock = (enum space_lock)fake_below(3);

		if (fake_below(5) == 0) {
			(void)unit_map(space, AT + PAGES(first), n, RW); /* in place of what is there */
			lock = SPACE_UNLOCKED;
		} else {
			assert_int_equal(space_set_lock(space, page_at(first), PAGES(n), lock), 0);
		}
		for (uint64_t i = first; i < first + n; i++)
			said[i] = lock;
		compare(space);
	}
	unit_end(space);
}

static void set(struct space *space, uint64_t first, uint64_t n, enum space_lock lock)
{
	assert_int_equal(space_set_lock(space, page_at(first), PAGES(n), lock), 0);
}

static void joined_and_cut(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, COUNT, RW);
	assert_int_equal(space_set_lock(space, page_at(0), 0, SPACE_LOCKED), 0);
	set(space, 0, 5, SPACE_UNLOCKED);
	assert_int_equal(space_locked_bytes(space), 0);
	set(space, 10, 5, SPACE_LOCKED);
	set(space, 20, 5, SPACE_LOCKED);
	set(space, 15, 5, SPACE_LOCKED_ON_FAULT); /* between them, of another kind */
	assert_int_equal(lock_at(space, AT + PAGES(14)), SPACE_LOCKED);
	assert_int_equal(lock_at(space, AT + PAGES(15)), SPACE_LOCKED_ON_FAULT);
	set(space, 15, 5, SPACE_LOCKED); /* one range now */
	assert_int_equal(space_locked_bytes(space), PAGES(15));
	set(space, 12, 1, SPACE_UNLOCKED);
	assert_int_equal(lock_at(space, AT + PAGES(11)), SPACE_LOCKED);
	assert_int_equal(lock_at(space, AT + PAGES(12)), SPACE_UNLOCKED);
	assert_int_equal(lock_at(space, AT + PAGES(13)), SPACE_LOCKED);
	assert_int_equal(space_unmap(space, page_at(13), PAGES(4)), 0);
	assert_int_equal(space_locked_bytes(space), PAGES(10));
	unit_end(space); /* with locks */
}

/* A lock for which there is no memory is not set; a range that cannot be split is forgotten as a whole. */
static void without_memory(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, COUNT, RW);
	fake_fail_at(1, false);
	assert_int_equal(space_set_lock(space, page_at(3), PAGES(9), SPACE_LOCKED), -ENOMEM);
	assert_int_equal(space_locked_bytes(space), 0);
	set(space, 0, 3, SPACE_LOCKED_ON_FAULT);
	set(space, 3, 9, SPACE_LOCKED);
	fake_fail_at(1, false);
	assert_int_equal(space_set_lock(space, page_at(5), PAGES(2), SPACE_UNLOCKED), -ENOMEM);
	assert_int_equal(space_locked_bytes(space), PAGES(3));
	assert_int_equal(lock_at(space, AT + PAGES(3)), SPACE_UNLOCKED);
	set(space, 3, 9, SPACE_LOCKED);
	fake_fail_at(2, false); /* the range itself is there, the rest of the one around it not */
	assert_int_equal(space_set_lock(space, page_at(5), PAGES(2), SPACE_LOCKED_ON_FAULT), -ENOMEM);
	assert_int_equal(space_locked_bytes(space), PAGES(5));
	assert_int_equal(lock_at(space, AT + PAGES(5)), SPACE_LOCKED_ON_FAULT);
	fake_fail_at(0, false);
	unit_end(space);
}

static int move_locked(void *ctx)
{
	struct space *space = ctx;
	vaddr_t to = VADDR(TO);
	int err = space_set_lock(space, page_at(8), PAGES(8), SPACE_LOCKED_ON_FAULT);

	if (err != 0)
		return err;
	err = space_move(space, page_at(8), PAGES(8), PLACE_FIXED, &to, PAGES(12), false);
	if (err != 0)
		return err;
	/* Told of it or not: the pages stay. */
	assert_true(space_locked_bytes(space) == (lock_at(space, TO) == SPACE_UNLOCKED ? 0 : PAGES(12)));
	assert_int_equal(unit_load(VADDR(TO + PAGES(3))), 33);
	to = page_at(8);
	while (space_unmap(space, VADDR(TO + PAGES(8)), PAGES(4)) != 0 ||
	       space_move(space, VADDR(TO), PAGES(8), PLACE_FIXED, &to, PAGES(8), false) != 0)
		assert_true(fake_fail_hit());
	return 0;
}

static void locks_go_along(void **state)
{
	struct space *space = unit_begin(&machine);
	vaddr_t to = VADDR(TO);

	(void)state;
	(void)unit_map(space, AT, COUNT, RW);
	unit_store(page_at(11), 33);
	set(space, 8, 8, SPACE_LOCKED_ON_FAULT);
	assert_int_equal(space_move(space, page_at(8), PAGES(8), PLACE_FIXED, &to, PAGES(12), false), 0);
	assert_int_equal(space_locked_bytes(space), PAGES(12));
	assert_int_equal(lock_at(space, TO + PAGES(11)), SPACE_LOCKED_ON_FAULT);
	assert_int_equal(space_extend(space, VADDR(TO + PAGES(12)), PAGES(2)), 0);
	assert_int_equal(lock_at(space, TO + PAGES(13)), SPACE_LOCKED_ON_FAULT);
	assert_int_equal(space_locked_bytes(space), PAGES(14));
	fake_fail_at(1, false);
	assert_int_equal(space_extend(space, VADDR(TO + PAGES(14)), PAGES(2)), 0);
	assert_true(fake_fail_hit());
	assert_int_equal(lock_at(space, TO + PAGES(14)), SPACE_UNLOCKED);
	assert_int_equal(space_locked_bytes(space), PAGES(14));
	assert_int_equal(space_unmap(space, VADDR(TO), PAGES(20)), 0);
	assert_int_equal(space_locked_bytes(space), 0);
	/* What lies beside a locked range and is not locked itself brings no lock along. */
	set(space, 0, 2, SPACE_LOCKED);
	assert_int_equal(space_move(space, page_at(2), PAGES(2), PLACE_FIXED, &to, PAGES(2), false), 0);
	assert_int_equal(space_locked_bytes(space), PAGES(2));
	assert_int_equal(lock_at(space, TO), SPACE_UNLOCKED);
	unit_end(space);
}

static void moved_without_memory(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_map(space, AT, COUNT, RW);
	unit_store(page_at(11), 33);
	assert_in_range(unit_fail_each(move_locked, space), 1, 20);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(random_ranges),  UNIT_TEST(joined_and_cut),	    UNIT_TEST(without_memory),
	UNIT_TEST(locks_go_along), UNIT_TEST(moved_without_memory),
};

UNIT_MAIN_SHARING("locked", tests)
