/* Copy-on-write: each transition of an entry, and the defects others had (facts.md), each by its own test. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 4, .asid_bits = 16 };

static uint32_t count_at(struct space *space, uint64_t va)
{
	return atomic_load(&frame_of(unit_frame_at(space, va))->count);
}

static void fork_shares_write_copies_last_reuses(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	uint64_t copies, reuses;
	pfn_t old;

	(void)state;
	(void)unit_map(parent, AT, 4, RW);
	unit_store_in(parent, AT, 11);
	old = unit_frame_at(parent, AT);
	child = unit_fork(parent);
	assert_int_equal(unit_frame_at(child, AT).v, old.v);
	assert_int_equal(count_at(parent, AT), 2);
	assert_int_equal(unit_entry(parent, VADDR(AT), NULL).v & (PTE_W | PTE_MAYWRITE), PTE_MAYWRITE);
	assert_int_equal(unit_entry(child, VADDR(AT), NULL).v & (PTE_W | PTE_MAYWRITE), PTE_MAYWRITE);
	copies = mm_counter_sum(MM_COW_COPIES);
	reuses = mm_counter_sum(MM_COW_REUSES);
	unit_store_in(child, AT, 22);
	assert_int_equal(mm_counter_sum(MM_COW_COPIES), copies + 1);
	assert_int_not_equal(unit_frame_at(child, AT).v, old.v);
	assert_int_equal(count_at(parent, AT), 1);
	assert_int_equal(unit_load_in(parent, AT), 11);
	assert_int_equal(unit_load_in(child, AT), 22);
	unit_store_in(parent, AT, 33); /* the last one left: in place */
	assert_int_equal(mm_counter_sum(MM_COW_COPIES), copies + 1);
	assert_int_equal(mm_counter_sum(MM_COW_REUSES), reuses + 1);
	assert_int_equal(unit_frame_at(parent, AT).v, old.v);
	assert_int_equal(unit_load_in(child, AT), 22);
	unit_drop(child);
	unit_end(parent);
}

/* Copied whole, not the word alone. */
static void the_whole_page_is_copied(void **state)
{
	struct space *parent = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(parent, AT, 1, RW);
	for (unsigned at = 0; at < PAGE_SIZE; at += 8)
		unit_store_in(parent, AT + at, at + 1);
	child = unit_fork(parent);
	unit_store_in(child, AT + 2048, 0);
	for (unsigned at = 0; at < PAGE_SIZE; at += 8) {
		assert_int_equal(unit_load_in(child, AT + at), at == 2048 ? 0 : at + 1);
		assert_int_equal(unit_load_in(parent, AT + at), at + 1);
	}
	unit_drop(child);
	unit_end(parent);
}

/* A copy-on-write handler that made any faulting page writable. */
static void read_only_never_becomes_writable(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	(void)unit_map(parent, AT, 2, RW);
	(void)unit_map_object(parent, AT + PAGES(2), 1, PERM_R, object, 0, true);
	(void)unit_map_object(parent, AT + PAGES(3), 1, PERM_R, object, 1, false);
	unit_store_in(parent, AT, 1);
	assert_int_equal(space_protect(parent, VADDR(AT), PAGES(2), PERM_R), 0);
	child = unit_fork(parent);
	for (unsigned i = 0; i < 8; i++) {
		space_switch(i % 2 == 0 ? parent : child);
		unit_expect_fault(VADDR(AT + PAGES(i / 2)), ACCESS_WRITE, FAULT_ACCERR);
		(void)unit_load(VADDR(AT + PAGES(i / 2)));
		unit_expect_fault(VADDR(AT + PAGES(i / 2)), ACCESS_WRITE, FAULT_ACCERR);
		assert_int_equal(user_write(space_current(), VADDR(AT + PAGES(i / 2)), &i, 4), -EFAULT);
	}
	object_put(object);
	unit_drop(child);
	unit_end(parent);
}

/* Protected, forked, and allowed again: both still have their own. */
static void protect_does_not_undo_copy_on_write(void **state)
{
	struct space *parent = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(parent, AT, 1, RW);
	unit_store_in(parent, AT, 5);
	child = unit_fork(parent);
	for (unsigned i = 0; i < 2; i++) {
		struct space *space = i == 0 ? parent : child;

		assert_int_equal(space_protect(space, VADDR(AT), PAGE_SIZE, i == 0 ? PERM_R : 0), 0);
		assert_int_equal(space_protect(space, VADDR(AT), PAGE_SIZE, RW), 0);
	}
	unit_store_in(parent, AT, 6);
	assert_int_equal(unit_load_in(child, AT), 5);
	unit_store_in(child, AT, 7);
	assert_int_equal(unit_load_in(parent, AT), 6);
	unit_drop(child);
	unit_end(parent);
}

/* Copy-on-write lost on the second fork of a chain. */
static void chains(void **state)
{
	struct space *space[40];

	(void)state;
	space[0] = unit_begin(&machine);
	(void)unit_map(space[0], AT, 3, RW);
	unit_store_in(space[0], AT, 1000);
	unit_store_in(space[0], AT + PAGES(1), 7);
	for (unsigned i = 1; i < 40; i++) {
		space[i] = unit_fork(space[i - 1]);
		if (i % 3 == 0)
			unit_store_in(space[i], AT, 1000 + i);
		if (i % 5 == 0)
			unit_store_in(space[i - 1], AT + PAGES(2), i);
	}
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(unit_load_in(space[i], AT), 1000 + i / 3 * 3);
		assert_int_equal(unit_load_in(space[i], AT + PAGES(1)), 7);
		assert_int_equal(unit_load_in(space[i], AT + PAGES(2)), (i + 1) % 5 == 0 && i != 39 ? i + 1 : 0);
	}
	for (unsigned i = 0; i < 40; i += 2)
		unit_drop(space[i]);
	for (unsigned i = 1; i < 40; i += 2) {
		assert_int_equal(unit_load_in(space[i], AT), 1000 + i / 3 * 3);
		if (i != 1)
			unit_drop(space[i]);
	}
	unit_end(space[1]);
}

/* An 8-bit count that wrapped at 255 sharers. */
static void three_hundred_sharers(void **state)
{
	struct space *child[300], *parent = unit_begin(&machine);
	pfn_t frame;

	(void)state;
	(void)unit_map(parent, AT, 1, RW);
	unit_store_in(parent, AT, 1);
	frame = unit_frame_at(parent, AT);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(space_fork(parent, &child[i]), 0);
	assert_int_equal(count_at(parent, AT), 301);
	unit_audit();
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(unit_load_in(child[i], AT), 1);
		unit_store_in(child[i], AT, i + 2);
		assert_int_equal(atomic_load(&frame_of(frame)->count), 300 - i);
	}
	assert_int_equal(unit_load_in(parent, AT), 1);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(unit_load_in(child[i], AT), i + 2);
		unit_drop(child[i]);
	}
	unit_end(parent);
}

static void the_zero_frame_is_copied(void **state)
{
	struct space *parent = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(parent, AT, 2, RW);
	assert_int_equal(unit_load_in(parent, AT), 0);
	child = unit_fork(parent);
	assert_int_equal(unit_load_in(child, AT), 0);
	unit_store_in(child, AT, 4);
	unit_store_in(parent, AT + 8, 5);
	assert_int_equal(unit_load_in(parent, AT), 0);
	assert_int_equal(unit_load_in(child, AT + 8), 0);
	assert_int_equal(*(uint64_t *)frame_data(frame_zero()), 0);
	assert_int_equal(*((uint64_t *)frame_data(frame_zero()) + 1), 0);
	unit_drop(child);
	unit_end(parent);
}

static void shared_is_never_copied(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	struct object *object;
	uint64_t value;

	(void)state;
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	(void)unit_map_object(parent, AT, 4, RW, object, 0, true);
	unit_store_in(parent, AT, 1);
	child = unit_fork(parent);
	assert_int_equal(unit_entry(parent, VADDR(AT), NULL).v & PTE_W, PTE_W); /* nothing is taken from the parent */
	assert_true(pte_is_reservation(unit_entry(child, VADDR(AT), NULL)));
	unit_store_in(child, AT, 2);
	unit_store_in(child, AT + PAGES(1), 3);
	assert_int_equal(unit_load_in(parent, AT), 2);
	assert_int_equal(unit_load_in(parent, AT + PAGES(1)), 3);
	unit_store_in(parent, AT + PAGES(2), 4);
	assert_int_equal(unit_load_in(child, AT + PAGES(2)), 4);
	assert_int_equal(unit_frame_at(child, AT).v, unit_frame_at(parent, AT).v);
	assert_int_equal(object_read(object, 0, &value, 8), 8);
	assert_int_equal(value, 2);
	object_put(object);
	unit_drop(child);
	unit_end(parent);
}

static void private_copies_of_an_object(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	struct object *object;
	uint64_t value = 10;

	(void)state;
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	assert_int_equal(object_write(object, 0, &value, 8), 8);
	(void)unit_map_object(parent, AT, 4, RW, object, 0, false);
	assert_int_equal(unit_load_in(parent, AT), 10);
	value = 11; /* not written yet: still the object's page */
	assert_int_equal(object_write(object, 0, &value, 8), 8);
	assert_int_equal(unit_load_in(parent, AT), 11);
	child = unit_fork(parent);
	unit_store_in(child, AT, 12);
	assert_int_equal(unit_load_in(parent, AT), 11);
	unit_store_in(parent, AT, 13);
	value = 14;
	assert_int_equal(object_write(object, 0, &value, 8), 8);
	assert_int_equal(unit_load_in(parent, AT), 13);
	assert_int_equal(unit_load_in(child, AT), 12);
	assert_int_equal(space_discard(parent, VADDR(AT), PAGE_SIZE), 0);
	assert_int_equal(unit_load_in(parent, AT), 14);
	object_put(object);
	unit_drop(child);
	unit_end(parent);
}

/* CVE-2020-29374: no reader may see, through what it got before, what is written after the fork. */
static void no_reference_lets_the_other_read_on(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	uint64_t value = 0;

	(void)state;
	(void)unit_map(parent, AT, 1, RW);
	unit_store_in(parent, AT, 1);
	child = unit_fork(parent);
	fake_hart_enter(1);
	assert_int_equal(unit_load_in(child, AT), 1); /* hart 1 holds the translation */
	fake_hart_enter(0);
	assert_int_equal(user_read(child, &value, VADDR(AT), 8), 0);
	unit_store_in(parent, AT, 2);
	fake_hart_enter(1);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	space_switch(NULL);
	fake_hart_enter(0);
	assert_int_equal(user_read(child, &value, VADDR(AT), 8), 0);
	assert_int_equal(value, 1);
	unit_drop(child);
	unit_end(parent);
}

/* The kernel's writes break copy-on-write as the program's do. */
static void kernel_writes_copy(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	uint64_t value = 9;

	(void)state;
	(void)unit_map(parent, AT, 2, RW);
	unit_store_in(parent, AT, 1);
	child = unit_fork(parent);
	assert_int_equal(user_write(child, VADDR(AT), &value, 8), 0);
	assert_int_equal(user_clear(child, VADDR(AT + PAGES(1)), PAGE_SIZE), 0);
	assert_int_equal(unit_load_in(parent, AT), 1);
	assert_int_equal(unit_load_in(child, AT), 9);
	assert_int_equal(user_write(parent, VADDR(AT), &value, 8), 0);
	assert_int_equal(unit_load_in(parent, AT), 9);
	unit_drop(child);
	unit_end(parent);
}

static void fork_policies(void **state)
{
	struct space *parent = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(parent, AT, 6, RW);
	for (unsigned i = 0; i < 6; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	assert_int_equal(space_set_fork(parent, VADDR(AT), PAGES(2), MAPPING_FORK_DROP), 0);
	assert_int_equal(space_set_fork(parent, VADDR(AT + PAGES(2)), PAGES(2), MAPPING_FORK_WIPE), 0);
	unit_audit();
	child = unit_fork(parent);
	space_switch(child);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
	unit_expect_fault(VADDR(AT + PAGES(1)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load_in(child, AT + PAGES(2)), 0);
	assert_int_equal(unit_load_in(child, AT + PAGES(3)), 0);
	assert_int_equal(unit_load_in(child, AT + PAGES(4)), 5);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(unit_load_in(parent, AT + PAGES(i)), i + 1);
	assert_int_equal(space_set_fork(parent, VADDR(AT), PAGES(6), MAPPING_FORK_COPY), 0);
	unit_drop(child);
	child = unit_fork(parent);
	assert_int_equal(unit_load_in(child, AT), 1);
	unit_drop(child);
	unit_end(parent);
}

static void fork_of_pages_without_access(void **state)
{
	struct space *parent = unit_begin(&machine), *child;

	(void)state;
	(void)unit_map(parent, AT, 2, RW);
	unit_store_in(parent, AT, 8);
	assert_int_equal(space_protect(parent, VADDR(AT), PAGES(2), 0), 0);
	child = unit_fork(parent);
	space_switch(child);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_ACCERR);
	assert_int_equal(space_protect(child, VADDR(AT), PAGES(2), RW), 0);
	unit_store_in(child, AT + 8, 1);
	assert_int_equal(unit_load_in(child, AT), 8);
	assert_int_equal(space_protect(parent, VADDR(AT), PAGES(2), RW), 0);
	assert_int_equal(unit_load_in(parent, AT + 8), 0);
	unit_store_in(parent, AT, 9);
	assert_int_equal(unit_load_in(child, AT), 8);
	unit_drop(child);
	unit_end(parent);
}

/* A fork that fails half-way leaves the parent as it was. */
static void a_failed_fork_costs_nothing(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	uint64_t used;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		(void)unit_map(parent, AT + i * (UINT64_C(1) << 30), 2, RW);
	for (unsigned i = 0; i < 6; i++)
		unit_store_in(parent, AT + i * (UINT64_C(1) << 30), i + 1);
	slab_drain();
	used = frames_free();
	for (unsigned n = 1;; n++) {
		int error;

		coremap_drain(); /* tables that were put by cannot fail */
		fake_fail_at(n, false);
		error = space_fork(parent, &child);
		if (!fake_fail_hit()) {
			assert_int_equal(error, 0);
			assert_true(n > 12);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		unit_audit();
		slab_drain();
		assert_int_equal(frames_free(), used);
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(unit_load_in(parent, AT + i * (UINT64_C(1) << 30)), i + n);
			unit_store_in(parent, AT + i * (UINT64_C(1) << 30), i + n + 1);
		}
	}
	fake_fail_at(0, false);
	unit_drop(child);
	unit_end(parent);
}

/* A page that is shared as often as a count can say is not shared once more: fork fails, and nothing is lost. */
static void a_full_count_refuses(void **state)
{
	struct space *parent = unit_begin(&machine), *child;
	_Atomic uint32_t *count;
	uint32_t before;

	(void)state;
	(void)unit_map(parent, AT, 3, RW);
	for (unsigned i = 0; i < 3; i++)
		unit_store_in(parent, AT + PAGES(i), i + 1);
	count = &frame_of(unit_frame_at(parent, AT + PAGES(1)))->count;
	before = atomic_exchange(count, FRAME_COUNT_MAX);
	assert_int_equal(space_fork(parent, &child), -ENOMEM);
	assert_int_equal(atomic_load(count), FRAME_COUNT_MAX);
	atomic_store(count, before);
	unit_audit();
	child = unit_fork(parent);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(unit_load_in(child, AT + PAGES(i)), i + 1);
	unit_drop(child);
	unit_end(parent);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(fork_shares_write_copies_last_reuses),
	UNIT_TEST(the_whole_page_is_copied),
	UNIT_TEST(read_only_never_becomes_writable),
	UNIT_TEST(protect_does_not_undo_copy_on_write),
	UNIT_TEST(chains),
	UNIT_TEST(three_hundred_sharers),
	UNIT_TEST(the_zero_frame_is_copied),
	UNIT_TEST(shared_is_never_copied),
	UNIT_TEST(private_copies_of_an_object),
	UNIT_TEST(no_reference_lets_the_other_read_on),
	UNIT_TEST(kernel_writes_copy),
	UNIT_TEST(fork_policies),
	UNIT_TEST(fork_of_pages_without_access),
	UNIT_TEST(a_failed_fork_costs_nothing),
	UNIT_TEST(a_full_count_refuses),
};

UNIT_MAIN("cow", tests)
