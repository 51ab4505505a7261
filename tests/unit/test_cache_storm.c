/*
 * The page cache, by harts that are threads: all that test_cache.c tries, at once. A hart knows what it wrote last to its own
 * words, and finds that, by whatever way it looks.
 */
#include "tests/unit/store.h"
#include "tests/unit/threads.h"

#define SHARED_AT      UINT64_C(0x10000000)
#define PRIVATE_AT     UINT64_C(0x20000000)
#define OWN_AT	       UINT64_C(0x30000000)
#define AT(base, page) VADDR((base) + PAGES(page))

static struct store store;

/* ---- Harts as threads: words of their own in pages of all. */

#define OBJECT_PAGES 24

static struct object *object;
static vaddr_t own_va[HARTS];

static uint64_t word(unsigned page, unsigned hart)
{
	return PAGES(page) + 64 * (hart + 1);
}

static void mem_set(vaddr_t va, uint64_t value)
{
	must_store(va, value);
}

/* Reads or writes this hart's word of a page through the shared mapping, or by call; true if there was one. */
static void touch(unsigned hart, uint64_t *known, bool backed)
{
	unsigned page = (unsigned)fake_below(OBJECT_PAGES);
	uint64_t offset = word(page, hart), value = fake_random() | 1;
	unsigned how = (unsigned)fake_below(4);
	struct fake_op op = { .access = how == 0 ? ACCESS_WRITE : ACCESS_READ, .value = value };
	enum fault fault = FAULT_OK;

	if (how < 2) {
		fault = backed ? store_user(&store, VADDR(SHARED_AT + offset), &op)
			       : fake_user(VADDR(SHARED_AT + offset), &op);
	} else if (how == 2) {
		mem_set(own_va[hart], value);
		MUST((backed ? store_write(&store, offset, common, own_va[hart])
			     : user_to_object(object, offset, common, own_va[hart], 8, UINT64_MAX / 2)) == 8);
	} else {
		MUST((backed ? store_read(&store, offset, common, own_va[hart])
			     : object_to_user(object, offset, common, own_va[hart], 8)) == 8);
		op.value = must_load(own_va[hart]);
	}
	MUST(fault == FAULT_OK);
	if (how % 2 == 0)
		known[page] = value;
	else if (op.value != known[page])
		fake_fail("hart %u page %u: %llx, wrote %llx (%s)", hart, page, (unsigned long long)op.value,
			  (unsigned long long)known[page], how == 1 ? "mapping" : "read");
}

static void store_body(unsigned hart)
{
	uint64_t known[OBJECT_PAGES] = { 0 };

	for (unsigned step = 0; hart < 2 && step < unit_steps(3000); step++) {
		touch(hart, known, true);
		if (hart == 1 && fake_below(100) == 0) {
			struct space *child;

			MUST(space_fork(common, &child) == 0);
			unit_created(child);
			space_put(child);
		}
	}
	while (hart >= 2 && running > 2) {
		/* Programs get somewhere between two of these. */
		for (unsigned i = 0; i < 100; i++)
			hw_relax();
		if (hart == 2)
			(void)store_write_back(&store, fake_below(OBJECT_PAGES), 1 + (unsigned)fake_below(20));
		else
			(void)object_evict(store.object, fake_below(OBJECT_PAGES), OBJECT_PAGES, 1 + fake_below(6),
					   (unsigned)fake_below(4));
	}
	if (hart < 2) {
		for (unsigned page = 0; page < OBJECT_PAGES; page++) {
			MUST(store_read(&store, word(page, hart), common, own_va[hart]) == 8);
			MUST(must_load(own_va[hart]) == known[page]);
		}
	}
}

static void map_own(void)
{
	for (unsigned i = 0; i < HARTS; i++)
		own_va[i] = unit_map(common, OWN_AT + PAGES(2 * i), 1, RW);
}

static void store_storm(void **state)
{
	(void)state;
	start(&by_ipi);
	space_set_fault_around(8, 1);
	store_start(&store, OBJECT_PAGES);
	(void)unit_map_object(common, SHARED_AT, OBJECT_PAGES, RW, store.object, 0, true);
	map_own();
	run(store_body);
	while (store_write_back(&store, 0, 64) != 0)
		;
	unit_audit();
	object_put(store.object);
	end();
}

/* One hart clones the object again and again, and looks whether a clone stays as it was; others write on. */
static void check_clone(struct object *clone)
{
	static uint64_t before[OBJECT_PAGES][HARTS];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned page = 0; page < OBJECT_PAGES; page++) {
			for (unsigned h = 0; h < HARTS; h++) {
				uint64_t value = 0;

				MUST(object_read(clone, word(page, h), &value, 8) == 8);
				MUST(round == 0 || value == before[page][h]);
				before[page][h] = value;
			}
		}
	}
}

static void clone_body(unsigned hart)
{
	uint64_t known[OBJECT_PAGES] = { 0 };

	for (unsigned step = 0; hart != 0 && step < unit_steps(1500); step++)
		touch(hart, known, false);
	while (hart == 0 && running > 1) {
		struct object *clone, *again;
		uint64_t value = 99;

		MUST(object_create(PAGES(OBJECT_PAGES), NULL, 0, &clone) == 0);
		MUST(object_create(PAGES(OBJECT_PAGES), NULL, 0, &again) == 0);
		if (fake_below(2) == 0)
			MUST(object_clone_range(object, 0, clone, 0, OBJECT_PAGES) == 0);
		else
			MUST(object_clone_range(object, 1, clone, 1, OBJECT_PAGES - 1) == 0);
		MUST(object_clone_range(clone, 0, again, 0, OBJECT_PAGES) == 0);
		MUST(object_write(clone, PAGES(fake_below(OBJECT_PAGES)), &value, 8) == 8);
		if (fake_below(2) == 0)
			check_clone(clone);
		check_clone(again);
		object_put(clone);
		object_put(again);
	}
}

static void clone_storm(void **state)
{
	(void)state;
	start(&by_ipi);
	space_set_fault_around(8, 1);
	assert_int_equal(object_create(PAGES(OBJECT_PAGES), NULL, 0, &object), 0);
	(void)unit_map_object(common, SHARED_AT, OBJECT_PAGES, RW, object, 0, true);
	(void)unit_map_object(common, PRIVATE_AT, OBJECT_PAGES, PERM_R, object, 0, false);
	map_own();
	run(clone_body);
	object_put(object);
	end();
}

/* ---- One hart cuts the upper half off, or punches it, again and again; what others have in the lower one stays. */

#define HALF (OBJECT_PAGES / 2)

static void cut_once(void)
{
	vaddr_t shared = VADDR(SHARED_AT + word(HALF + (unsigned)fake_below(HALF), 0));
	vaddr_t private = VADDR(shared.v - SHARED_AT + PRIVATE_AT);
	uint64_t value;

	must_store(shared, 1);
	must_store(private, 2);
	if (fake_below(2) == 0) {
		MUST(object_punch(object, PAGES(HALF), PAGES(HALF)) == 0);
		MUST(must_load(shared) == 0 && must_load(private) == 2);
	}
	MUST(object_resize(object, PAGES(HALF)) == 0);
	MUST(fake_load(shared, &value) == FAULT_BUS && fake_load(private, &value) == FAULT_BUS);
	MUST(user_read(common, &value, shared, 8) == -EFAULT);
	MUST(object_resize(object, PAGES(OBJECT_PAGES)) == 0);
	MUST(must_load(shared) == 0 && must_load(private) == 0);
}

static void fork_and_look(void)
{
	struct space *child;
	uint64_t value;

	MUST(space_fork(common, &child) == 0);
	unit_created(child);
	for (unsigned i = 0; i < 4; i++)
		(void)!user_read(child, &value, AT(SHARED_AT, fake_below(OBJECT_PAGES)), 8);
	space_put(child);
}

/* Maps, looks, moves, unmaps: descriptors come and go under the walks. */
static void map_and_move(void)
{
	vaddr_t at = VADDR(0), to = VADDR(0);
	uint64_t value;

	MUST(space_map_object(common, PLACE_HINT, &at, PAGES(OBJECT_PAGES), RW, PERM_RWX, object, 0,
			      fake_below(2) == 0) == 0);
	for (unsigned i = 0; i < 4; i++)
		(void)fake_load(AT(at.v, fake_below(OBJECT_PAGES)), &value);
	MUST(space_move(common, at, PAGES(OBJECT_PAGES), PLACE_HINT, &to, PAGES(OBJECT_PAGES), false) == 0);
	(void)fake_load(AT(to.v, fake_below(OBJECT_PAGES)), &value);
	MUST(space_unmap(common, to, PAGES(OBJECT_PAGES)) == 0);
}

static void cut_body(unsigned hart)
{
	uint64_t known[HALF] = { 0 };

	for (unsigned step = 0; hart == 0 && step < unit_steps(80); step++)
		cut_once();
	while (hart != 0 && running == HARTS) {
		unsigned page = (unsigned)fake_below(OBJECT_PAGES);
		struct fake_op op = { .access = fake_below(2) == 0 ? ACCESS_READ : ACCESS_WRITE,
				      .value = fake_random() };
		enum fault fault = fake_user(VADDR(SHARED_AT + word(page, hart)), &op);

		MUST(fault == FAULT_OK || (page >= HALF && fault == FAULT_BUS));
		if (page < HALF && op.access == ACCESS_WRITE)
			known[page] = op.value;
		else if (page < HALF)
			MUST(op.value == known[page]);
		if (fake_below(30) == 0)
			MUST(object_to_user(object, PAGES(fake_below(OBJECT_PAGES)), common, own_va[hart], 8) >= 0);
		if (hart == 1 && fake_below(60) == 0)
			fork_and_look();
		if (hart == 2 && fake_below(30) == 0)
			map_and_move();
	}
}

static void cut_storm_on(const struct fake_config *config)
{
	start(config);
	space_set_fault_around(8, 1);
	assert_int_equal(object_create(PAGES(OBJECT_PAGES), NULL, 0, &object), 0);
	(void)unit_map_object(common, SHARED_AT, OBJECT_PAGES, RW, object, 0, true);
	(void)unit_map_object(common, PRIVATE_AT, OBJECT_PAGES, RW, object, 0, false);
	map_own();
	run(cut_body);
	object_put(object);
	end();
}

static void cut_storm_by_ipi(void **state)
{
	(void)state;
	cut_storm_on(&by_ipi);
}

static void cut_storm_without_asids(void **state)
{
	(void)state;
	cut_storm_on(&no_asid);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(store_storm),
	UNIT_TEST(clone_storm),
	UNIT_TEST(cut_storm_by_ipi),
	UNIT_TEST(cut_storm_without_asids),
};

UNIT_MAIN_SHARING("cache_storm", tests)
