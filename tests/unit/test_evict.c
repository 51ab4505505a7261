/* Which pages of a backed object are given back: what was read once before what is used, by call or through mappings. */
#include "mm/mapping.h"
#include "mm/slab.h"
#include "tests/unit/store.h"
#include "tests/unit/threads.h"

#define SHARED_AT      UINT64_C(0x10000000)
#define OWN_AT	       UINT64_C(0x30000000)
#define AT(base, page) VADDR((base) + PAGES(page))

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };
static const struct fake_config svade = { .harts = 2, .asid_bits = 0, .svade = true };
static struct store store;

static void read_once(struct space *space, uint64_t page)
{
	for (unsigned i = 0; i < 3; i++) /* bytes that follow each other */
		assert_int_equal(store_read(&store, PAGES(page) + 8 * i, space, VADDR(OWN_AT)), 8);
}

static struct space *begin(const struct fake_config *config)
{
	struct space *space = unit_begin(config);

	store_start(&store, STORE_PAGES);
	unit_map_object(space, SHARED_AT, STORE_PAGES, RW, store.object, 0, true);
	unit_map(space, OWN_AT, 1, RW);
	return space;
}

static void finish(struct space *space)
{
	unit_audit();
	object_put(store.object);
	unit_end(space);
}

static void load(uint64_t page)
{
	struct fake_op op = { .access = ACCESS_READ };

	assert_int_equal(store_user(&store, AT(SHARED_AT, page), &op), FAULT_OK);
}

/* A long file that is read once leaves what was read twice, and what is mapped. */
static void reading_once_keeps_nothing(void **state)
{
	struct space *space = begin(&machine);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		load(i);
	for (unsigned i = 8; i < STORE_PAGES; i++)
		read_once(space, i);
	for (unsigned i = 20; i < 30; i++)
		read_once(space, i);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, STORE_PAGES, 0), STORE_PAGES - 8 - 10);
	for (unsigned i = 0; i < STORE_PAGES; i++)
		assert_int_equal(object_has(store.object, i), i < 8 || (i >= 20 && i < 30));
	/* They have had their chance. */
	read_once(space, 25);
	read_once(space, 26);
	read_once(space, 25);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, STORE_PAGES, 0), 8);
	assert_true(object_has(store.object, 25) && object_has(store.object, 26) && object_has(store.object, 7));
	finish(space);
}

/* What was read ahead is not thrown out before anybody has looked at it; but it has one chance only. */
static void read_ahead_is_kept_once(void **state)
{
	struct space *space = begin(&machine);

	(void)state;
	for (unsigned page = 0; page < 4; page += 3) {
		store_read_in(&store, page);
		assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 1, 0), 0);
		assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 1, 0), 1);
	}
	finish(space);
}

static void mapped(const struct fake_config *config)
{
	struct space *space = begin(config);
	struct space *child;

	for (unsigned i = 0; i < 32; i++)
		load(i);
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 32, 0), 0);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 32, EVICT_MAPPED), 0);
	for (unsigned i = 0; i < 8; i++)
		load(i);
	space_switch(child);
	for (unsigned i = 8; i < 12; i++)
		load(i);
	space_switch(space);
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 32, EVICT_MAPPED), 32 - 8 - 4);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(object_has(store.object, i), i < 12);
	unit_audit();
	assert_int_equal(object_evict(store.object, 0, UINT64_MAX, 32, EVICT_MAPPED | EVICT_USED), 12);
	space_put(child);
	finish(space);
}

static void mappings_are_asked(void **state)
{
	(void)state;
	mapped(&machine);
}

static void mappings_are_asked_svade(void **state)
{
	(void)state;
	mapped(&svade);
}

/* Whoever looks a marked page up first says so, once. */
static uint64_t told[4];
static unsigned n_told;

static void tell(struct object *object, uint64_t index)
{
	assert_ptr_equal(object, store.object);
	if (n_told < ARRAY_LEN(told))
		told[n_told] = index;
	n_told++;
}

static void insert_marked(uint64_t index)
{
	pfn_t pfn;

	assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
	assert_int_equal(object_insert(store.object, index, pfn, object_removals(store.object), true), 0);
}

static void marks_are_met_once(void **state)
{
	struct space *space = begin(&machine);

	(void)state;
	n_told = 0;
	object_set_reached(tell);
	insert_marked(5);
	insert_marked(9);
	read_once(space, 5);
	read_once(space, 5);
	load(5);
	assert_true(n_told == 1 && told[0] == 5);
	load(9);
	read_once(space, 9);
	assert_true(n_told == 2 && told[1] == 9);
	object_set_reached(NULL);
	finish(space);
}

/* ---- Walks through all mappings while those come and go. */

#define MANY 12

static struct object *object;

static void walk_body(unsigned hart)
{
	for (unsigned step = 0; hart == 0 && step < unit_steps(12); step++) {
		MUST(object_punch(object, 0, PAGES(4)) == 0);
		MUST(object_resize(object, PAGES(2)) == 0);
		MUST(object_resize(object, PAGES(4)) == 0);
	}
	while (hart != 0 && running == HARTS) {
		vaddr_t at = VADDR(0);
		struct space *child;
		uint64_t value;

		MUST(space_map_object(common, PLACE_HINT, &at, PAGES(4), RW, PERM_RWX, object, 0, true) == 0);
		(void)fake_load(AT(at.v, fake_below(4)), &value);
		if (hart == 1 && fake_below(8) == 0) {
			MUST(space_fork(common, &child) == 0);
			unit_created(child);
			(void)!user_read(child, &value, AT(at.v, fake_below(4)), 8);
			space_put(child);
		}
		MUST(space_unmap(common, at, PAGES(4)) == 0);
	}
}

static void mappings_come_and_go_under_walks(void **state)
{
	(void)state;
	start(&by_ipi);
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	for (unsigned i = 0; i < MANY; i++)
		(void)unit_map_object(common, SHARED_AT + PAGES(i * 8), 4, RW, object, 0, true);
	run(walk_body);
	object_put(object);
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(reading_once_keeps_nothing), UNIT_TEST(read_ahead_is_kept_once),
	UNIT_TEST(mappings_are_asked),	       UNIT_TEST(mappings_are_asked_svade),
	UNIT_TEST(marks_are_met_once),	       UNIT_TEST(mappings_come_and_go_under_walks),
};

UNIT_MAIN_SHARING("evict", tests)
