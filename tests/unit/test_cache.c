/*
 * The page cache, by one hart: truncation and holes under mappings, dirty pages, eviction, clones. By many: test_cache_storm.c.
 */
#include "tests/unit/store.h"
#include "tests/unit/threads.h"

#include "mm/mapping.h"
#include "mm/slab.h"

#define SHARED_AT      UINT64_C(0x10000000)
#define PRIVATE_AT     UINT64_C(0x20000000)
#define OWN_AT	       UINT64_C(0x30000000)
#define AT(base, page) VADDR((base) + PAGES(page))

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };
static struct store store;

/* ---- One hart. */

static void cutting_off(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(8) + 100, NULL, 0, &object), 0);
	unit_map_object(space, SHARED_AT, 9, RW, object, 0, true);
	unit_map_object(space, PRIVATE_AT, 9, RW, object, 0, false);
	for (unsigned i = 0; i < 9; i++) {
		unit_store(AT(SHARED_AT, i), i + 1);
		assert_int_equal(unit_load(AT(PRIVATE_AT, i)), i + 1);
		if (i % 2 == 0)
			unit_store(AT(PRIVATE_AT, i), 100 + i);
	}
	assert_int_equal(object_resize(object, PAGES(4) + 8), 0);
	assert_int_equal(object_pages(object), 5);
	for (unsigned i = 5; i < 9; i++) {
		unit_expect_fault(AT(SHARED_AT, i), ACCESS_READ, FAULT_BUS);
		unit_expect_fault(AT(PRIVATE_AT, i), ACCESS_WRITE, FAULT_BUS);
	}
	assert_int_equal(unit_load(AT(SHARED_AT, 4)), 5);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 4)), 104);
	unit_audit();
	assert_int_equal(object_resize(object, PAGES(9)), 0);
	for (unsigned i = 5; i < 9; i++) {
		assert_int_equal(unit_load(AT(SHARED_AT, i)), 0);
		assert_int_equal(unit_load(AT(PRIVATE_AT, i)), 0);
	}
	assert_int_equal(object_resize(object, 0), 0);
	assert_int_equal(object_pages(object), 0);
	unit_expect_fault(AT(SHARED_AT, 0), ACCESS_READ, FAULT_BUS);
	object_put(object);
	unit_end(space);
}

/* Behind the end, within the last page: what a mapping wrote there is not in the file when that gets longer. */
static void the_tail_is_zeros(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object, *clone;

	(void)state;
	assert_int_equal(object_create(100, NULL, 0, &object), 0);
	unit_map_object(space, SHARED_AT, 1, RW, object, 0, true);
	unit_store(VADDR(SHARED_AT + 8), 7);
	unit_store(VADDR(SHARED_AT + 104), 7);
	assert_int_equal(object_resize(object, 200), 0);
	assert_int_equal(unit_load(VADDR(SHARED_AT + 104)), 0);
	unit_store(VADDR(SHARED_AT + 1000), 7);
	assert_int_equal(object_create(200, NULL, 0, &clone), 0);
	assert_int_equal(object_clone_range(object, 0, clone, 0, 1), 0);
	assert_int_equal(object_resize(object, PAGE_SIZE), 0);
	assert_int_equal(unit_load(VADDR(SHARED_AT + 1000)), 0);
	assert_int_equal(unit_load(VADDR(SHARED_AT + 8)), 7);
	object_put(object);
	object_put(clone);
	unit_end(space);
}

static void punching(void **state)
{
	static uint64_t source[PAGES(8) / 8];
	struct space *space = unit_begin(&machine);
	struct object *object;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(source); i++)
		source[i] = i + 1;
	assert_int_equal(object_create(PAGES(12), source, PAGES(8), &object), 0);
	unit_map_object(space, SHARED_AT, 12, RW, object, 0, true);
	unit_map_object(space, PRIVATE_AT, 12, RW, object, 0, false);
	unit_store(AT(SHARED_AT, 10), 5);
	unit_store(AT(PRIVATE_AT, 2), 6);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 3)), PAGES(3) / 8 + 1);
	assert_int_equal(object_punch(object, PAGES(1) + 8, PAGES(10)), 0);
	assert_int_equal(unit_load(AT(SHARED_AT, 1)), PAGES(1) / 8 + 1);
	assert_int_equal(unit_load(VADDR(SHARED_AT + PAGES(1) + 8)), 0);
	for (unsigned i = 2; i < 11; i++)
		assert_int_equal(unit_load(AT(SHARED_AT, i)), 0);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 2)), 6); /* its copy */
	assert_int_equal(unit_load(AT(PRIVATE_AT, 3)), 0);
	assert_int_equal(object_next(object, 0, true), 1);
	object_put(object);
	unit_end(space);
}

static void reading_in_and_out(void **state)
{
	struct space *space = unit_begin(&machine);
	struct fake_op op = { .access = ACCESS_READ };
	uint64_t value = 0;

	(void)state;
	for (unsigned i = 0; i < STORE_PAGES; i++)
		store.page[i][0] = (unsigned char)(i + 1);
	store_start(&store, 16);
	unit_map_object(space, SHARED_AT, 17, RW, store.object, 0, true);
	unit_map(space, OWN_AT, 1, RW);
	unit_store(VADDR(OWN_AT), 0x77);
	unit_expect_fault(AT(SHARED_AT, 3), ACCESS_READ, FAULT_READ);
	assert_int_equal(object_read(store.object, PAGES(3), &value, 8), -EAGAIN);
	assert_int_equal(store_user(&store, AT(SHARED_AT, 3), &op), FAULT_OK);
	assert_int_equal(op.value, 4);
	assert_int_equal(object_dirty_pages(store.object), 0);
	op = (struct fake_op){ .access = ACCESS_WRITE, .value = 0x55 };
	assert_int_equal(store_user(&store, AT(SHARED_AT, 3), &op), FAULT_OK);
	assert_int_equal(object_dirty_pages(store.object), 1);
	unit_audit();
	assert_int_equal(object_evict(store.object, 0, 16, 16, EVICT_MAPPED | EVICT_USED), 0);
	assert_int_equal(store_write(&store, PAGES(5) + 8, space, VADDR(OWN_AT)), 8);
	assert_int_equal(objects_dirty(), 2);
	/* Longer by a write; what is overwritten as a whole, or behind the end, needs no reading. */
	assert_int_equal(user_to_object(store.object, PAGES(16), space, VADDR(OWN_AT), 8, UINT64_MAX / 2), 8);
	assert_int_equal(object_bytes(store.object), PAGES(16) + 8);
	while (store_write_back(&store, 0, 2) != 0)
		unit_audit();
	assert_int_equal(objects_dirty(), 0);
	assert_int_equal(store.page[3][0], 0x55);
	assert_int_equal(store.page[5][8], 0x77);
	assert_int_equal(store.page[5][0], 6);
	assert_int_equal(store.page[16][0], 0x77);
	unit_audit();
	assert_int_equal(unit_load(AT(SHARED_AT, 3)), 0x55);
	/* Mapped: 3, whose entry goes only when it is asked for. */
	assert_int_equal(object_evict(store.object, 0, 20, 20, EVICT_USED), 2);
	assert_int_equal(object_evict(store.object, 0, 20, 20, EVICT_MAPPED | EVICT_USED), 1);
	assert_int_equal(object_pages(store.object), 0);
	unit_expect_fault(AT(SHARED_AT, 3), ACCESS_READ, FAULT_READ);
	object_put(store.object);
	unit_end(space);
}

/* A page that was read before something was cut off is not taken. */
static void stale_reads(void **state)
{
	uint64_t seen;
	pfn_t pfn;

	(void)state;
	fake_start(&machine);
	store_start(&store, 4);
	seen = object_removals(store.object);
	assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
	assert_int_equal(object_resize(store.object, PAGES(1)), 0);
	assert_int_equal(object_resize(store.object, PAGES(4)), 0);
	assert_int_equal(object_insert(store.object, 2, pfn, seen, false), -EAGAIN);
	assert_int_equal(object_insert(store.object, 4, pfn, object_removals(store.object), false), -EFAULT);
	assert_int_equal(object_insert(store.object, 2, pfn, object_removals(store.object), false), 0);
	assert_int_equal(object_pages(store.object), 1);
	object_put(store.object);
	unit_audit();
}

/* Pages far apart that came and went leave no nodes of the index behind. */
static void nodes_go_with_pages(void **state)
{
	struct object *object, *backed;
	uint64_t free = 0, value = 1;
	pfn_t pfn;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(PAGES(UINT64_C(1) << 50), NULL, 0, &object), 0);
	assert_int_equal(object_create_backed(PAGES(UINT64_C(1) << 30), &store, &backed), 0);
	for (uint64_t i = 0; i < 400; i++) {
		uint64_t at = i * 67 << (i % 30);

		assert_int_equal(object_write(object, PAGES(at), &value, 8), 8);
		assert_int_equal(object_punch(object, PAGES(at), PAGE_SIZE), 0);
		assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
		assert_int_equal(object_insert(backed, i * 6700, pfn, object_removals(backed), false), 0);
		assert_int_equal(object_evict(backed, 0, UINT64_MAX, 1, EVICT_USED), 1);
		slab_drain();
		free = i == 50 ? frames_free() : free;
	}
	assert_true(frames_free() + 4 >= free);
	object_put(object);
	object_put(backed);
	unit_audit();
}

static void cloning(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *a, *b, *c;
	uint64_t free, value;

	(void)state;
	assert_int_equal(object_create(PAGES(200), NULL, 0, &a), 0);
	assert_int_equal(object_create(PAGES(200), NULL, 0, &b), 0);
	assert_int_equal(object_create(PAGES(200), NULL, 0, &c), 0);
	unit_map_object(space, SHARED_AT, 200, RW, a, 0, true);
	unit_map_object(space, PRIVATE_AT, 200, RW, b, 0, true);
	for (unsigned i = 0; i < 200; i++) {
		unit_store(AT(SHARED_AT, i), i + 1);
		unit_store(AT(PRIVATE_AT, i), 7);
	}
	assert_int_equal(object_clone_range(a, 0, b, 0, 200), 0);
	assert_int_equal(object_clone_range(b, 0, c, 0, 200), 0);
	unit_audit();
	free = frames_free();
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(unit_load(AT(PRIVATE_AT, i)), i + 1);
	assert_true(frames_free() + 4 >= free);
	unit_store(AT(SHARED_AT, 9), 1000);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 9)), 10);
	unit_store(AT(PRIVATE_AT, 70), 2000);
	assert_int_equal(unit_load(AT(SHARED_AT, 70)), 71);
	unit_audit();
	value = 3000;
	assert_int_equal(object_write(c, PAGES(150), &value, 8), 8);
	assert_int_equal(unit_load(AT(SHARED_AT, 150)), 151);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 150)), 151);
	assert_int_equal(object_clone_range(a, 9, b, 20, 100), 0);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 20)), 1000);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 81)), 71);
	unit_store(AT(PRIVATE_AT, 20), 5);
	assert_int_equal(unit_load(AT(SHARED_AT, 9)), 1000);
	unit_audit();
	assert_int_equal(object_punch(a, 0, PAGES(200)), 0);
	assert_int_equal(object_read(c, PAGES(30), &value, 8), 8);
	assert_int_equal(value, 31);
	object_put(a);
	object_put(c);
	assert_int_equal(unit_load(AT(PRIVATE_AT, 30)), 20);
	unit_audit();
	object_put(b);
	unit_end(space);
}

/* Each allocation of a clone's first write fails in turn: nothing is lost, and then it works. */
static void clones_without_memory(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *a, *b;
	enum fault fault = FAULT_OOM;
	uint64_t value;

	(void)state;
	assert_int_equal(object_create(PAGES(5000), NULL, 0, &a), 0);
	assert_int_equal(object_create(PAGES(5000), NULL, 0, &b), 0);
	unit_map_object(space, SHARED_AT, 5000, RW, a, 0, true);
	unit_store(AT(SHARED_AT, 4500), 1);
	assert_int_equal(object_clone_range(a, 0, b, 0, 5000), 0);
	for (unsigned n = 1; fault != FAULT_OK; n++) {
		struct fake_op op = { .access = ACCESS_WRITE, .value = 2 };

		assert_in_range(n, 1, 20);
		fake_fail_at(n, false);
		fault = fake_user(AT(SHARED_AT, 4500), &op);
		assert_true(fault == FAULT_OK || (fault == FAULT_OOM && fake_fail_hit()));
		fake_fail_at(0, false);
		unit_audit();
	}
	assert_int_equal(object_read(b, PAGES(4500), &value, 8), 8);
	assert_int_equal(value, 1);
	assert_int_equal(unit_load(AT(SHARED_AT, 4500)), 2);
	object_put(a);
	object_put(b);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(cutting_off), UNIT_TEST(the_tail_is_zeros),	  UNIT_TEST(punching),
	UNIT_TEST(stale_reads), UNIT_TEST(reading_in_and_out),	  UNIT_TEST(nodes_go_with_pages),
	UNIT_TEST(cloning),	UNIT_TEST(clones_without_memory),
};

UNIT_MAIN_SHARING("cache", tests)
