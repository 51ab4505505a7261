/*
 * Quick ways are taken where they fit: a slow one does the same, so nothing else misses them. And what need not be done is not. Then
 * fences that one program on one hart does not miss.
 */
#include "tests/unit/unit.h"

#include "mm/leaf.h"
#include "mm/object.h"
#include "mm/object_core.h"
#include "mm/user.h"
#include "mm/walk.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };

static void waits(void)
{
	fail_msg("the end of a space waits for a walk in another");
}

/* Tables that nobody shared go at once: nobody else can be on his way through them. */
static void its_own_tables_are_not_waited_for(void **state)
{
	struct space *space = unit_begin(&machine), *other;

	(void)state;
	fake_hart_enter(1);
	walk_enter();
	fake_hart_enter(0);
	other = unit_space();
	(void)unit_map(other, AT, 2, RW);
	unit_store(VADDR(AT), 1);
	space_switch(space);
	fake_waiting = waits;
	space_put(other);
	fake_waiting = NULL;
	fake_hart_enter(1);
	walk_exit();
	fake_hart_enter(0);
	unit_end(space);
}

/* One lock does it, both ways; the table's end, and beyond it. */
static void within_a_leaf(void **state)
{
	struct space *space = unit_begin(&machine);
	const pte_t fill = pte_reservation(mapping_anon(MAPPING_FORK_COPY), RW);
	const uint64_t end = AT + pt_span(1);
	bool emptied = true;

	(void)state;
	assert_int_equal(leaf_map(space, AT, AT + PAGES(1), fill), -EAGAIN); /* no table yet */
	assert_int_equal(leaf_unmap(space, AT, AT + PAGES(1), &emptied), -EAGAIN);
	unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 1);
	assert_int_equal(leaf_map(space, AT + PAGES(4), AT + PAGES(8), fill), 0);
	assert_int_equal(leaf_map(space, AT + PAGES(7), AT + PAGES(9), fill), -EEXIST);
	assert_int_equal(leaf_map(space, end - PAGES(1), end, fill), 0);
	assert_int_equal(leaf_map(space, end - PAGES(2), end + PAGES(1), fill), -EAGAIN);
	unit_store(VADDR(AT + PAGES(5)), 2);
	unit_store(VADDR(end - 8), 3);
	unit_audit();
	assert_int_equal(leaf_unmap(space, end - PAGES(2), end + PAGES(1), &emptied), -EAGAIN);
	assert_int_equal(leaf_unmap(space, AT + PAGES(3), AT + PAGES(8), &emptied), 0);
	assert_false(emptied);
	unit_expect_fault(VADDR(AT + PAGES(5)), ACCESS_READ, FAULT_MAPERR);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	assert_int_equal(leaf_unmap(space, end - PAGES(1), end, &emptied), 0);
	assert_false(emptied);
	assert_int_equal(leaf_unmap(space, AT, AT + PAGES(1), &emptied), 0);
	assert_true(emptied);
	assert_int_equal(leaf_unmap(space, AT, AT + PAGES(1), &emptied), 0);
	assert_false(emptied); /* said once */
	unit_end(space);
}

/* A word that is there is read while another has the table: no lock is taken. */
static void a_word_without_the_lock(void **state)
{
	struct space *space = unit_begin(&machine);
	uint32_t word = 0;
	pfn_t table;
	void *page;

	(void)state;
	unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT + 8), 0x1234);
	assert_int_equal(user_page_lock(space, VADDR(AT), ACCESS_READ, &table, &page), 0);
	assert_int_equal(user_load_u32(space, VADDR(AT + 8), &word), 0);
	assert_int_equal(word, 0x1234);
	table_unlock(table);
	unit_end(space);
}

static unsigned reached;

static void count(struct object *object, uint64_t index)
{
	(void)object;
	(void)index;
	reached++;
}

/* Only a page that was read ahead says that it was reached, and once. */
static void reached_once(void **state)
{
	static int store;
	struct object *plain, *backed;
	pfn_t pfn;

	(void)state;
	(void)unit_begin(&machine);
	object_set_reached(count);
	assert_int_equal(object_create(PAGES(2), NULL, 0, &plain), 0);
	assert_int_equal(object_create_backed(PAGES(3), &store, &backed), 0);
	assert_int_equal(object_frame(plain, 0, &pfn), 0);
	frame_put(pfn);
	assert_int_equal(object_frame(plain, 0, &pfn), 0);
	frame_put(pfn);
	assert_int_equal(object_frame(backed, 1, &pfn), -EAGAIN);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
		assert_int_equal(object_insert(backed, i, pfn, object_removals(backed), i == 1), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(object_frame(backed, i, &pfn), 0);
		frame_put(pfn);
		assert_int_equal(reached, i);
	}
	assert_int_equal(object_frame(backed, 1, &pfn), 0);
	frame_put(pfn);
	assert_int_equal(reached, 1);
	object_put(plain);
	object_put(backed);
	unit_end(space_current());
}

/* A page that is there is copied without a count; one that is not, or behind the end, is not. */
static void copied_as_it_is(void **state)
{
	struct space *space = unit_begin(&machine);
	static _Alignas(PAGE_SIZE) uint64_t page[PAGE_SIZE / 8];
	uint64_t word = 5;
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(2), NULL, 0, &object), 0);
	assert_int_equal(object_write(object, 8, &word, 8), 8);
	assert_true(object_copy_page(object, 0, page));
	assert_int_equal(page[1], 5);
	assert_false(object_copy_page(object, 1, page));
	assert_false(object_copy_page(object, 2, page));
	object_put(object);
	unit_end(space);
}

/* Where ranges lie alike in their indexes, clones share whole nodes. */
static void nodes_are_shared(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *from, *to;

	(void)state;
	assert_int_equal(object_create(PAGES(4 * INDEX_SLOTS), NULL, 0, &from), 0);
	assert_int_equal(object_create(PAGES(4 * INDEX_SLOTS), NULL, 0, &to), 0);
	for (unsigned i = 0; i < 4 * INDEX_SLOTS; i++) {
		uint64_t word = i;

		assert_int_equal(object_write(from, PAGES(i), &word, 8), 8);
		if (i % INDEX_SLOTS == 0)
			assert_int_equal(object_write(to, PAGES(i), &word, 8), 8);
	}
	assert_int_equal(object_clone_range(from, INDEX_SLOTS, to, INDEX_SLOTS, INDEX_SLOTS + 1), 0);
	assert_ptr_equal(index_node_of(&from->index, INDEX_SLOTS), index_node_of(&to->index, INDEX_SLOTS));
	assert_ptr_not_equal(index_node_of(&from->index, 2 * INDEX_SLOTS), index_node_of(&to->index, 2 * INDEX_SLOTS));
	assert_ptr_not_equal(index_node_of(&from->index, 0), index_node_of(&to->index, 0));
	object_put(from);
	object_put(to);
	unit_end(space);
}

/* Bytes that are not there to be written do not make a file longer. */
static void no_longer_for_nothing(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;

	(void)state;
	unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 7);
	assert_int_equal(object_create(10, NULL, 0, &object), 0);
	assert_int_equal(user_to_object(object, 5000, space, VADDR(AT + PAGES(1)), 8, UINT64_MAX / 2), -EFAULT);
	assert_int_equal(object_bytes(object), 10);
	assert_int_equal(user_to_object(object, 5000, space, VADDR(AT), 8, UINT64_MAX / 2), 8);
	assert_int_equal(object_bytes(object), 5008);
	object_put(object);
	unit_end(space);
}

/* A program writes a page that is not there yet, beside some that a clone shares: nodes are copied, and awaited without its table's lock. */
static void new_beside_shared(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *from, *to;
	uint64_t word = 9;

	(void)state;
	unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 7);
	assert_int_equal(object_create(PAGES(2 * INDEX_SLOTS), NULL, 0, &from), 0);
	assert_int_equal(object_create(PAGES(2 * INDEX_SLOTS), NULL, 0, &to), 0);
	assert_int_equal(object_write(from, 0, &word, 8), 8);
	assert_int_equal(object_write(from, PAGES(INDEX_SLOTS), &word, 8), 8);
	assert_int_equal(object_clone_range(from, 0, to, 0, INDEX_SLOTS), 0);
	assert_int_equal(user_to_object(to, PAGES(1), space, VADDR(AT), 8, UINT64_MAX / 2), 8);
	assert_int_equal(object_read(to, PAGES(1), &word, 8), 8);
	assert_int_equal(word, 7);
	assert_int_equal(object_read(from, PAGES(1), &word, 8), 8);
	assert_int_equal(word, 0);
	object_put(from);
	object_put(to);
	unit_end(space);
}

/* A clone fills from the source what it needs, and not a page more. */
static void no_page_too_much(void **state)
{
	struct space *space = unit_begin(&machine);
	static const char source[PAGES(4)] = "x";
	struct object *from, *to;

	(void)state;
	assert_int_equal(object_create(PAGES(4), source, sizeof(source), &from), 0);
	assert_int_equal(object_create(PAGES(4), NULL, 0, &to), 0);
	assert_int_equal(object_clone_range(from, 1, to, 1, 2), 0);
	assert_int_equal(object_pages(from), 2);
	assert_int_equal(object_pages(to), 2);
	object_put(from);
	object_put(to);
	unit_end(space);
}

/* A right that is given is there at once for this hart: it does not fault to find out. One page, and several. */
static void a_grant_needs_no_fault(void **state)
{
	const struct fake_config calm = { .harts = 1, .asid_bits = 16, .calm = true };
	struct space *space = unit_begin(&calm);
	struct fake_op op = { .access = ACCESS_WRITE, .value = 3 };

	(void)state;
	unit_map(space, AT, 4, RW);
	for (unsigned n = 1; n < 4; n += 2) {
		for (unsigned i = 0; i < n; i++)
			unit_store(VADDR(AT + PAGES(i)), 1);
		assert_int_equal(space_protect(space, VADDR(AT), PAGES(n), PERM_R), 0);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(unit_load(VADDR(AT + PAGES(i))), 1);
		assert_int_equal(space_protect(space, VADDR(AT), PAGES(n), RW), 0);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(fake_user(VADDR(AT + PAGES(i)), &op), FAULT_OK);
			assert_int_equal(op.faults, 0);
		}
	}
	unit_end(space);
}

/* A barrier for instructions reaches the fetches of every hart in the space, and one without reaches none. */
static void a_barrier_for_instructions(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	fake_hart_enter(1);
	space_switch(space);
	fake_hart_enter(0);
	fake_counts_reset();
	space_barrier(space, false);
	assert_int_equal(fake_counts(0)->fence_i + fake_counts(1)->fence_i, 0);
	space_barrier(space, true);
	assert_int_equal(fake_counts(0)->fence_i, 1);
	assert_int_equal(fake_counts(1)->fence_i, 1);
	unit_end(space);
}

/* Harts fetch anew where code comes in, also a debugger's, and not for data. */
static void fetches_for_code_alone(void **state)
{
	struct space *space = unit_begin(&machine);
	uint64_t word = 0;

	(void)state;
	unit_map(space, AT, 2, RW);
	unit_map(space, AT + PAGES(4), 2, PERM_R | PERM_X);
	fake_counts_reset();
	unit_store(VADDR(AT), 1);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 0);
	assert_int_equal(force_write(space, VADDR(AT), &word, 8), 8);
	assert_int_equal(fake_counts(0)->fence_i, 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(4))), 0);
	for (unsigned i = 0; i < 2; i++) { /* the second in place */
		fake_counts_reset();
		assert_int_equal(force_write(space, VADDR(AT + PAGES(4)), &word, 8), 8);
		assert_true(fake_counts(0)->fence_i != 0);
	}
	unit_end(space);
}

static unsigned dirtied;

static void count_dirtied(struct object *object)
{
	(void)object;
	dirtied++;
}

/* Only a page that a store has to write back is told of. */
static void dirtied_for_stores_alone(void **state)
{
	struct space *space = unit_begin(&machine);
	static int store;
	struct object *plain, *backed;
	uint64_t word = 1;

	(void)state;
	object_set_dirtied(count_dirtied);
	assert_int_equal(object_create(PAGES(2), NULL, 0, &plain), 0);
	assert_int_equal(object_create_backed(0, &store, &backed), 0);
	assert_int_equal(object_write(plain, 0, &word, 8), 8);
	assert_int_equal(dirtied, 0);
	unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 7);
	assert_int_equal(user_to_object(backed, 0, space, VADDR(AT), 8, UINT64_MAX / 2), 8);
	assert_int_equal(dirtied, 1);
	object_put(plain);
	object_put(backed);
	unit_end(space);
}

/* All of an index goes at once where all of its pages are cut out, the first of them too. */
static void whole_index_cut_out(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(INDEX_SLOTS), NULL, 0, &object), 0);
	unit_map_object(space, AT, INDEX_SLOTS, RW, object, 0, true);
	unit_store(VADDR(AT), 5);
	unit_store(VADDR(AT + PAGES(3)), 5);
	assert_int_equal(object_punch(object, 0, PAGES(INDEX_SLOTS)), 0);
	assert_int_equal(unit_load(VADDR(AT)), 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(3))), 0);
	unit_store(VADDR(AT), 6);
	assert_int_equal(object_resize(object, 0), 0);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_BUS);
	object_put(object);
	unit_end(space);
}

static struct object *cut;

static void cut_meanwhile(void)
{
	fake_allocating = NULL;
	assert_int_equal(object_punch(cut, 0, PAGES(1)), 0);
}

/* Pages are cut out while one is being filled: what was filled is of before, so it is given back, and another filled. */
static void cut_while_filling(void **state)
{
	struct space *space = unit_begin(&machine);
	pfn_t pfn;

	(void)state;
	assert_int_equal(object_create(PAGES(2), NULL, 0, &cut), 0);
	fake_allocating = cut_meanwhile;
	assert_int_equal(object_frame(cut, 1, &pfn), 0);
	assert_null(fake_allocating);
	frame_put(pfn);
	object_put(cut);
	unit_end(space);
}

/* What a debugger wrote every hart sees, also one that walked ahead just when it was asked to forget the old page. */
static void forced_for_all_harts(void **state)
{
	struct space *space = unit_begin(&machine), *child;
	struct fake_op op = { .access = ACCESS_READ };

	(void)state;
	(void)unit_seed();
	unit_map(space, AT, 1, RW);
	fake_hart_enter(1);
	space_switch(space);
	for (uint64_t i = 0; i < 400; i++) {
		const uint64_t word = i + 1000;

		fake_hart_enter(1);
		unit_store(VADDR(AT), i);
		assert_int_equal(space_fork(space, &child), 0);
		for (unsigned n = 0; n < 8; n++)
			assert_int_equal(unit_load(VADDR(AT)), i);
		fake_hart_enter(0);
		assert_int_equal(force_write(space, VADDR(AT), &word, 8), 8);
		fake_hart_enter(1);
		assert_int_equal(fake_user(VADDR(AT), &op), FAULT_OK);
		assert_int_equal(op.value, word);
		space_put(child);
	}
	fake_hart_enter(0);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(its_own_tables_are_not_waited_for),
	UNIT_TEST(within_a_leaf),
	UNIT_TEST(a_word_without_the_lock),
	UNIT_TEST(reached_once),
	UNIT_TEST(copied_as_it_is),
	UNIT_TEST(nodes_are_shared),
	UNIT_TEST(no_longer_for_nothing),
	UNIT_TEST(no_page_too_much),
	UNIT_TEST(new_beside_shared),
	UNIT_TEST(a_grant_needs_no_fault),
	UNIT_TEST(a_barrier_for_instructions),
	UNIT_TEST(forced_for_all_harts),
	UNIT_TEST(cut_while_filling),
	UNIT_TEST(whole_index_cut_out),
	UNIT_TEST(fetches_for_code_alone),
	UNIT_TEST(dirtied_for_stores_alone),
};

UNIT_MAIN("quick", tests)
