/* Pages that fork copies at once, as both will write to them. */
#include "tests/unit/unit.h"

#include "mm/object.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 4, .asid_bits = 16 };

/* The child has pages of its own where both will write at once, and the parent writes to its own as before: neither faults. */
static void written_pages_are_copied_at_once(void **state)
{
	const vaddr_t hot[SPACE_HOT] = { VADDR(AT + 8), VADDR(AT + PAGES(2)), VADDR(AT + PAGES(1)), VADDR(0),
					 VADDR(0) };
	struct space *parent = unit_begin(&machine), *child;
	uint64_t copies, reuses;
	pfn_t old;

	(void)state;
	(void)unit_map(parent, AT, 4, RW);
	for (unsigned i = 0; i < 3; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	old = unit_frame_at(parent, AT);
	copies = mm_counter_sum(MM_COW_COPIES);
	reuses = mm_counter_sum(MM_COW_REUSES);
	assert_int_equal(space_fork_near(parent, hot, &child), 0);
	unit_audit();
	for (unsigned i = 0; i < 3; i++) {
		bool shared = unit_frame_at(parent, AT + PAGES(i)).v == unit_frame_at(child, AT + PAGES(i)).v;

		assert_int_equal(shared, i == 1);
		assert_int_equal(unit_load_in(child, AT + PAGES(i)), i + 1);
	}
	assert_int_equal(unit_frame_at(parent, AT).v, old.v);
	unit_store_in(parent, AT, 11);
	unit_store_in(child, AT, 12);
	unit_store_in(parent, AT + PAGES(2), 13);
	unit_store_in(child, AT + PAGES(2), 14);
	assert_int_equal(mm_counter_sum(MM_COW_COPIES), copies + 2);
	assert_int_equal(mm_counter_sum(MM_COW_REUSES), reuses);
	assert_int_equal(unit_load_in(parent, AT), 11);
	assert_int_equal(unit_load_in(child, AT), 12);
	unit_drop(child);
	unit_end(parent);
}

/* Of a page that a third one names, too, the parent's stays read-only; of none, read-only, or shared ones there is no copy. */
static void written_pages_that_are_not_alike(void **state)
{
	vaddr_t hot[SPACE_HOT] = { VADDR(AT), VADDR(USER_END), VADDR(0), VADDR(0), VADDR(0) };
	struct space *parent = unit_begin(&machine), *sibling, *child;
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(1), NULL, 0, &object), 0);
	(void)unit_map(parent, AT, 4, RW);
	(void)unit_map_object(parent, AT + PAGES(4), 1, RW, object, 0, true);
	for (unsigned i = 0; i < 5; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	assert_int_equal(space_protect(parent, VADDR(AT + PAGES(1)), PAGES(1), PERM_R), 0);
	sibling = unit_fork(parent);
	for (unsigned i = 0; i < 6; i++) {
		hot[0] = VADDR(AT + PAGES(i));
		assert_int_equal(space_fork_near(parent, hot, &child), 0);
		unit_audit();
		if (i == 0)
			assert_int_not_equal(unit_frame_at(child, AT).v, unit_frame_at(parent, AT).v);
		if (i == 1)
			assert_int_equal(unit_frame_at(child, hot[0].v).v, unit_frame_at(parent, hot[0].v).v);
		assert_int_equal(unit_entry(parent, hot[0], NULL).v & PTE_W, i == 4 ? PTE_W : 0);
		unit_drop(child);
	}
	unit_store_in(parent, AT, 20);
	assert_int_equal(unit_load_in(sibling, AT), 1);
	object_put(object);
	unit_drop(sibling);
	unit_end(parent);
}

static unsigned waits;

static void count_waits(void)
{
	waits++;
}

/* All pages that may be written are copied at once: both spaces write to them without a fault. What may only be read is shared. */
static void eager_fork_copies_all(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	unsigned pages = 700;
	uint64_t copies;

	(void)state;
	space_set_fork_policy(FORK_EAGER);
	(void)unit_map(parent, AT, pages + 1, RW);
	for (unsigned i = 0; i <= pages; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	assert_int_equal(space_protect(parent, VADDR(AT + PAGES(pages)), PAGES(1), PERM_R), 0);
	copies = mm_counter_sum(MM_COW_COPIES);
	fake_waiting = count_waits; /* it serves other harts each 64 KiB */
	assert_int_equal(space_fork(parent, &child), 0);
	fake_waiting = NULL;
	assert_true(waits >= pages / 16);
	unit_audit();
	assert_int_equal(mm_counter_sum(MM_COW_COPIES), copies + pages);
	for (unsigned i = 0; i < pages; i++) {
		assert_int_not_equal(unit_frame_at(parent, AT + PAGES(i)).v, unit_frame_at(child, AT + PAGES(i)).v);
		unit_store_in(parent, AT + PAGES(i), 1000);
		assert_int_equal(unit_load_in(child, AT + PAGES(i)), i + 1);
	}
	assert_int_equal(unit_frame_at(parent, AT + PAGES(pages)).v, unit_frame_at(child, AT + PAGES(pages)).v);
	assert_int_equal(mm_counter_sum(MM_COW_COPIES), copies + pages);
	unit_drop(child);
	unit_end(parent);
}

static unsigned allocations;

static void count_allocations(void)
{
	allocations++;
}

/* Where memory ends in the middle, it does not ask for each of the rest: those are shared, until they are written. */
static void eager_fork_short_of_memory(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	int error = -ENOMEM;

	(void)state;
	space_set_fork_policy(FORK_EAGER);
	(void)unit_map(parent, AT, 700, RW);
	for (unsigned i = 0; i < 700; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	for (unsigned n = 1; error != 0; n++) {
		allocations = 0;
		fake_allocating = count_allocations;
		fake_fail_at(n, true);
		error = space_fork(parent, &child);
		fake_fail_at(0, false);
		fake_allocating = NULL;
		assert_true(n < 100 && (error == 0 || error == -ENOMEM));
		assert_int_equal(allocations, n);
		unit_audit();
	}
	for (unsigned i = 0; i < 700; i++) {
		unit_store_in(parent, AT + PAGES(i), 1000);
		assert_int_equal(unit_load_in(child, AT + PAGES(i)), i + 1);
	}
	unit_drop(child);
	unit_end(parent);
}

/* A page that is named as often as it can be is not given to a child: fork fails, and no descriptor has a count too much. */
static void full_count(void **state)
{
	struct space *space = unit_begin(&machine), *child;
	struct object *object;
	uint32_t count;
	pfn_t pfn;

	(void)state;
	assert_int_equal(object_create(PAGES(2), "x", 1, &object), 0);
	unit_map(space, AT, 1, RW);
	unit_map_object(space, AT + PAGES(1), 2, RW, object, 0, false);
	unit_store(VADDR(AT), 1);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 'x');
	pfn = unit_frame_at(space, AT + PAGES(1));
	count = atomic_load(&frame_of(pfn)->count);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(space_fork(space, &child), -ENOMEM);
	atomic_store(&frame_of(pfn)->count, count);
	unit_audit();
	unit_store(VADDR(AT), 2);
	object_put(object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(written_pages_are_copied_at_once),
	UNIT_TEST(written_pages_that_are_not_alike),
	UNIT_TEST(eager_fork_copies_all),
	UNIT_TEST(eager_fork_short_of_memory),
	UNIT_TEST(full_count),
};

UNIT_MAIN("fork_hot", tests)
