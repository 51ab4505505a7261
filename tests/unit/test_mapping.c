/* Mapping descriptors: immortal ones, counted ones, and the object they hold. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

static const struct fake_config machine = { .harts = 1 };

static void immortal_ones_stay(void **state)
{
	(void)state;
	fake_start(&machine);
	for (unsigned i = 0; i < MAPPING_FORKS; i++) {
		struct mapping *m = mapping_anon((enum mapping_fork)i);

		mapping_put(m, 1000);
		mapping_get(m, 5);
		mapping_put(m, 7);
		assert_null(m->object);
		assert_int_equal(m->fork, i);
		assert_int_equal(m->max_perm, PERM_RWX);
		assert_false(m->shared);
		assert_ptr_equal(mapping_anon((enum mapping_fork)i), m);
		assert_int_equal((uintptr_t)m % 64, 0);
	}
}

static void last_put_frees(void **state)
{
	struct mapping *m, *other;
	struct object *object;
	uint64_t before;
	pfn_t pfn;

	(void)state;
	fake_start(&machine);
	slab_drain();
	before = frames_free();
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	assert_int_equal(mapping_create(object, 0x10000, PERM_R | PERM_W, true, &m), 0);
	assert_int_equal(mapping_create(object, UINT64_C(0) - 0x3000, PERM_R, false, &other), 0);
	assert_int_equal(mapping_index(m, VADDR(0x12fff)), 2);
	assert_int_equal(mapping_index(other, VADDR(0x1000)), 4);
	assert_int_equal(object_frame(object, 3, &pfn), 0);
	frame_put(pfn);
	object_put(object); /* the descriptors hold it */
	assert_int_equal(object_bytes(m->object), PAGES(4));
	mapping_get(m, 100000);
	mapping_put(m, 60000);
	mapping_put(m, 40000);
	assert_true(m->shared);
	mapping_put(m, 1);
	mapping_put(other, 1);
	slab_drain();
	assert_int_equal(frames_free(), before);
}

static void do_put(void *arg)
{
	mapping_put(arg, 3);
}

static void underflow_stops(void **state)
{
	struct object *object;
	struct mapping *m;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	assert_int_equal(mapping_create(object, 0, PERM_R, true, &m), 0);
	mapping_get(m, 1);
	assert_non_null(fake_panic_of(do_put, m));
}

/* One descriptor for each space that has some of it, however much; moved it is still one. */
static void watched_by_space(void **state)
{
	struct mapping like = { .max_perm = PERM_RWX, .shared = true, .watch = &unit_watch };
	struct space *parent, *child;
	vaddr_t at = VADDR(0), to = VADDR(0);
	struct object *object;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(PAGES(2000), NULL, 0, &object), 0);
	like.object = object;
	assert_int_equal(space_create(&parent), 0);
	assert_int_equal(space_map_like(parent, PLACE_HINT, &at, PAGES(2000), PERM_R | PERM_W, &like, 0), 0);
	object_put(object);
	assert_int_equal(unit_watched, 1);
	assert_int_equal(space_fault(parent, VADDR(at.v + PAGES(700)), ACCESS_WRITE), FAULT_OK);
	assert_int_equal(space_fork(parent, &child), 0);
	unit_created(child);
	assert_int_equal(unit_watched, 2);
	unit_audit();
	assert_int_equal(space_unmap(parent, at, PAGES(1000)), 0);
	assert_int_equal(unit_watched, 2);
	assert_int_equal(space_move(child, at, PAGES(2000), PLACE_HINT, &to, PAGES(2000), false), 0);
	assert_int_equal(unit_watched, 2);
	assert_int_equal(space_unmap(parent, at, PAGES(2000)), 0);
	assert_int_equal(unit_watched, 1);
	fake_fail_at(8, false);
	(void)!space_fork(child, &parent);
	unit_audit();
	space_put(child);
}

/* Sealed in parts, touched and not, of objects and not: counts stay right, and nothing takes it away. */
static void sealed(void **state)
{
	struct space *space, *child;
	vaddr_t at[3] = { { 0 } };
	struct object *object;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(PAGES(2000), NULL, 0, &object), 0);
	assert_int_equal(space_create(&space), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(space_map_object(space, PLACE_HINT, &at[i], PAGES(2000), PERM_R | PERM_W, PERM_RWX,
						  object, 0, i != 0),
				 0);
	assert_int_equal(
		space_map(space, PLACE_HINT, &at[2], PAGES(2000), PERM_R | PERM_W, mapping_anon(MAPPING_FORK_COPY)), 0);
	object_put(object);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(space_fault(space, VADDR(at[i].v + PAGES(700)), ACCESS_WRITE), FAULT_OK);
		assert_int_equal(space_fault(space, VADDR(at[i].v + PAGES(900)), ACCESS_READ), FAULT_OK);
		assert_int_equal(space_seal(space, VADDR(at[i].v + PAGES(600)), PAGES(200)), 0);
		unit_audit();
		assert_int_equal(space_seal(space, VADDR(at[i].v + PAGES(500)), PAGES(1000)), 0);
		unit_audit();
		assert_int_equal(space_unmap(space, at[i], PAGES(2000)), -EPERM);
		assert_int_equal(space_protect(space, VADDR(at[i].v + PAGES(700)), PAGES(1), PERM_R), -EPERM);
		assert_int_equal(space_fault(space, VADDR(at[i].v + PAGES(1100)), ACCESS_WRITE), FAULT_OK);
	}
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	unit_audit();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(space_unmap(child, VADDR(at[i].v + PAGES(1499)), PAGES(9)), -EPERM);
		assert_int_equal(space_unmap(child, VADDR(at[i].v + PAGES(1500)), PAGES(500)), 0);
	}
	space_put(child);
	unit_audit();
	for (unsigned n = 1; n < 6; n++) {
		fake_fail_at(n, false);
		(void)!space_seal(space, at[n % 3], PAGES(2000));
		unit_audit();
	}
	space_put(space);
}

static void no_memory(void **state)
{
	struct object *object;
	struct mapping *m;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), 0);
	fake_fail_at(1, false);
	assert_int_equal(mapping_create(object, 0, PERM_R, true, &m), -ENOMEM);
	fake_fail_at(1, false);
	object_put(object);
	assert_int_equal(object_create(PAGES(4), NULL, 0, &object), -ENOMEM);
	unit_audit();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(immortal_ones_stay), UNIT_TEST(last_put_frees), UNIT_TEST(underflow_stops),
	UNIT_TEST(watched_by_space),   UNIT_TEST(sealed),	  UNIT_TEST(no_memory),
};

UNIT_MAIN_SHARING("mapping", tests)
