/* Fault-around: what a fault maps beside its page, and what it must not. */
#include "mm/object.h"
#include "tests/unit/store.h"
#include "tests/unit/unit.h"

#define RW	   (PERM_R | PERM_W)
#define AT(page)   VADDR(UINT64_C(0x10000000) + PAGES(page))
#define GROUP	   16U
#define FILE_PAGES 40U

static const struct fake_config calm = { .harts = 2, .asid_bits = 16, .calm = true };

static struct space *begin(unsigned object, unsigned anon)
{
	struct space *space = unit_begin(&calm);

	space_set_fault_around(object, anon);
	return space;
}

/* All of its pages are there; each begins with its number and one. */
static struct object *full_object(void)
{
	struct object *object;

	assert_int_equal(object_create(PAGES(FILE_PAGES), NULL, 0, &object), 0);
	for (uint64_t i = 0; i < FILE_PAGES; i++) {
		uint64_t value = i + 1;

		assert_int_equal(object_write(object, PAGES(i), &value, sizeof(value)), sizeof(value));
	}
	return object;
}

static bool mapped(struct space *space, unsigned page)
{
	return pte_is_page(unit_entry(space, AT(page), NULL));
}

static void expect_mapped(struct space *space, unsigned first, unsigned last, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		assert_int_equal(mapped(space, i), i >= first && i < last);
}

static void a_read_maps_the_group(void **state)
{
	struct space *space = begin(GROUP, 1);
	struct object *object = full_object();
	uint64_t around = mm_counter_sum(MM_AROUND);

	(void)state;
	unit_map_object(space, AT(0).v, FILE_PAGES, RW, object, 0, false);
	assert_int_equal(unit_load(AT(20)), 21);
	expect_mapped(space, GROUP, 2 * GROUP, FILE_PAGES);
	assert_int_equal(mm_counter_sum(MM_AROUND), around + GROUP - 1);
	for (unsigned i = GROUP; i < 2 * GROUP; i++)
		assert_int_equal(unit_entry(space, AT(i), NULL).v & PTE_W, 0);
	unit_store(AT(21), 7); /* copies: the others and the file stay */
	assert_int_equal(unit_load(AT(21)), 7);
	assert_int_equal(unit_load(AT(22)), 23);
	object_put(object);
	unit_end(space);
}

static void not_beyond_the_region(void **state)
{
	struct space *space = begin(GROUP, 1);
	struct object *object = full_object();

	(void)state;
	unit_map_object(space, AT(0).v, FILE_PAGES, RW, object, 0, true);
	assert_int_equal(space_unmap(space, AT(3), PAGES(1)), 0);
	assert_int_equal(space_protect(space, AT(5), PAGES(1), PERM_R), 0);
	assert_int_equal(unit_load(AT(8)), 9);
	for (unsigned i = 0; i < GROUP; i++)
		assert_int_equal(mapped(space, i), i != 3 && i != 5);
	unit_expect_fault(AT(3), ACCESS_READ, FAULT_MAPERR);
	unit_expect_fault(AT(5), ACCESS_WRITE, FAULT_ACCERR);
	assert_int_equal(unit_load(AT(5)), 6);
	object_put(object);
	unit_end(space);
}

/* The object's pages lie across the groups of addresses, and across two nodes of its index. */
static void offsets_that_are_not_aligned(void **state)
{
	struct space *space = begin(FAULT_AROUND_MAX, 1);
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(200), NULL, 0, &object), 0);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(object_write(object, PAGES(i), &i, sizeof(i)), sizeof(i));
	unit_map_object(space, AT(3).v, 190, PERM_R, object, 7, true);
	for (unsigned i = 3; i < 193; i += 5)
		assert_int_equal(unit_load(AT(i)), i + 4);
	for (unsigned i = 3; i < 193; i++)
		assert_int_equal(unit_load(AT(i)), i + 4);
	object_put(object);
	unit_end(space);
}

static void truncation_takes_them(void **state)
{
	struct space *space = begin(GROUP, 1);
	struct object *object = full_object();

	(void)state;
	unit_map_object(space, AT(0).v, FILE_PAGES, RW, object, 0, true);
	assert_int_equal(unit_load(AT(2)), 3);
	expect_mapped(space, 0, GROUP, FILE_PAGES);
	assert_int_equal(object_resize(object, PAGES(9)), 0);
	expect_mapped(space, 0, 9, FILE_PAGES);
	unit_expect_fault(AT(9), ACCESS_READ, FAULT_BUS);
	assert_int_equal(space_discard(space, AT(0), PAGES(FILE_PAGES)), 0);
	assert_int_equal(unit_load(AT(4)), 5); /* and none behind the end come back */
	expect_mapped(space, 0, 9, FILE_PAGES);
	object_put(object);
	unit_end(space);
}

static void only_what_is_there_and_clean(void **state)
{
	static struct store store;
	struct fake_op op = { .access = ACCESS_READ };
	struct space *space = begin(GROUP, 1);

	(void)state;
	store_start(&store, FILE_PAGES);
	for (unsigned i = 0; i < GROUP; i += 2)
		store_read_in(&store, i);
	unit_map_object(space, AT(0).v, FILE_PAGES, RW, store.object, 0, true);
	assert_int_equal(store_user(&store, AT(4), &op), FAULT_OK);
	for (unsigned i = 0; i < GROUP; i++) {
		pte_t pte = unit_entry(space, AT(i), NULL);

		assert_int_equal(pte_is_page(pte), i % 2 == 0);
		assert_int_equal(i % 2 == 0 && (pte.v & (PTE_W | PTE_D | (i == 4 ? 0 : PTE_A))) != 0, false);
	}
	assert_int_equal(object_dirty_pages(store.object), 0);
	op = (struct fake_op){ .access = ACCESS_WRITE, .value = 8 };
	assert_int_equal(store_user(&store, AT(6), &op), FAULT_OK);
	assert_int_equal(object_dirty_pages(store.object), 1);
	assert_int_equal(store_write_back(&store, 0, 10), 1);
	object_put(store.object);
	unit_end(space);
}

static void anonymous_memory(void **state)
{
	struct space *space = begin(1, 4);
	uint64_t before;

	(void)state;
	(void)unit_map(space, AT(0).v, 10, RW);
	assert_int_equal(space_unmap(space, AT(6), PAGES(1)), 0);
	unit_store(AT(8), 1);
	before = frames_free();
	unit_store(AT(5), 2);
	assert_int_equal(frames_free(), before - 3);
	assert_true(mapped(space, 4) && mapped(space, 7) && !mapped(space, 3) && !mapped(space, 6));
	for (unsigned i = 0; i < 10; i++)
		if (i != 6)
			assert_int_equal(unit_load(AT(i)), i == 8 ? 1 : i == 5 ? 2 : 0);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(a_read_maps_the_group),	 UNIT_TEST(not_beyond_the_region),
	UNIT_TEST(offsets_that_are_not_aligned), UNIT_TEST(truncation_takes_them),
	UNIT_TEST(only_what_is_there_and_clean), UNIT_TEST(anonymous_memory),
};

UNIT_MAIN("around", tests)
