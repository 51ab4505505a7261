/*
 * A debugger's access and what else comes by another way than the program's own: through detached tables, into code, into what clones
 * share; fixed and derived descriptors, which the walks through all mappings must find or may leave out.
 */
#include "tests/unit/unit.h"

#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/slab.h"

#define AT UINT64_C(0x10000000)
#define RW (PERM_R | PERM_W)
#define RX (PERM_R | PERM_X)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *object;
static char buffer[64];

static void begin(void)
{
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(600), "source", 6, &object), 0);
}

static void end(void)
{
	object_put(object);
	unit_end(space);
}

static void reads(uint64_t at, const char *text)
{
	assert_int_equal(force_read(space, buffer, VADDR(at), strlen(text)), strlen(text));
	assert_memory_equal(buffer, text, strlen(text));
}

/* Harts fetch anew what a debugger wrote, whether it made a copy or not. */
static void into_code(void **state)
{
	uint64_t syncs;

	(void)state;
	begin();
	(void)unit_map_object(space, AT, 4, RX, object, 0, false);
	for (unsigned i = 0; i < 2; i++) {
		syncs = fake_counts(0)->fence_i;
		assert_int_equal(force_write(space, VADDR(AT), i == 0 ? "ebreak" : "c.nop", 5), 5);
		assert_true(fake_counts(0)->fence_i > syncs);
		reads(AT, i == 0 ? "ebreae" : "c.nope");
	}
	/* Not for data. */
	(void)unit_map_object(space, AT + PAGES(8), 4, PERM_R, object, 0, false);
	syncs = fake_counts(0)->fence_i;
	assert_int_equal(force_write(space, VADDR(AT + PAGES(8)), "abc", 3), 3);
	assert_int_equal(fake_counts(0)->fence_i, syncs);
	reads(AT + PAGES(8), "abcrce");
	assert_int_equal(object_read(object, 0, buffer, 6), 6);
	assert_memory_equal(buffer, "source", 6);
	/* First touches of code that is only looked at. */
	assert_int_equal(force_read(space, buffer, VADDR(AT + PAGES(2)), 1), 1);
	assert_int_equal(unit_entry(space, VADDR(AT + PAGES(2)), NULL).v & (PTE_V | PTE_X), PTE_V | PTE_X);
	unit_audit();
	end();
}

/* What clones share gets its copy as by the program's own write; without memory nothing is written. */
static void into_what_clones_share(void **state)
{
	struct object *clone;

	(void)state;
	begin();
	(void)unit_map_object(space, AT, 4, RW, object, 0, true);
	assert_int_equal(object_create(PAGES(600), NULL, 0, &clone), 0);
	assert_int_equal(force_write(space, VADDR(AT), "S", 1), 1);
	assert_int_equal(object_clone_range(object, 0, clone, 0, 600), 0);
	fake_fail_at(1, true);
	assert_int_equal(force_write(space, VADDR(AT), "Tt", 2), 0);
	fake_fail_at(0, false);
	assert_int_equal(force_write(space, VADDR(AT), "Tt", 2), 2);
	assert_int_equal(force_write(space, VADDR(AT), "U", 1), 1);
	assert_int_equal(object_read(object, 0, buffer, 6), 6);
	assert_memory_equal(buffer, "Uturce", 6);
	assert_int_equal(object_read(clone, 0, buffer, 6), 6);
	assert_memory_equal(buffer, "Source", 6);
	unit_audit();
	object_put(clone);
	end();
}

/* In a child, whose tables are another's too; and where nothing is, on each level. */
static void into_a_child(void **state)
{
	struct space *child, *parent;

	(void)state;
	begin();
	(void)unit_map(space, AT, 600, RW);
	unit_store(VADDR(AT), 0x6261);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(1), PERM_R), 0);
	child = unit_fork(space);
	parent = space;
	space = child;
	reads(AT, "ab");
	assert_int_equal(force_write(space, VADDR(AT), "xy", 2), 2); /* of a page that is the parent's, too */
	assert_int_equal(force_write(space, VADDR(AT + PAGES(550)), "z", 1), 1);
	reads(AT, "xy");
	assert_int_equal(force_read(space, buffer, VADDR(AT + PAGES(600)), 1), 0);
	assert_int_equal(force_read(space, buffer, VADDR(AT + (UINT64_C(1) << 28)), 1), 0);
	assert_int_equal(force_read(space, buffer, VADDR(AT + (UINT64_C(1) << 33)), 1), 0);
	space = parent;
	reads(AT, "ab");
	unit_audit();
	unit_drop(child);
	end();
}

/* ---- Descriptors. */

/* Pages of an object that never changes are in no list, wherever they are mapped. */
static void fixed_ones(void **state)
{
	struct space *child;
	vaddr_t to = VADDR(AT + PAGES(5000));

	(void)state;
	begin();
	object_set_fixed(object);
	(void)unit_map_object(space, AT, 600, RX, object, 0, false);
	assert_int_equal(unit_load(VADDR(AT)) & 0xffff, 0x6f73);
	assert_true(list_empty(&object->mappings));
	assert_int_equal(atomic_load(&space->attachments), 0);
	child = unit_fork(space);
	assert_int_equal(unit_load_in(child, AT) & 0xffff, 0x6f73);
	assert_int_equal(space_move(child, VADDR(AT), PAGES(600), PLACE_FIXED, &to, PAGES(600), false), 0);
	assert_int_equal(unit_load(to) & 0xffff, 0x6f73);
	unit_drop(child);
	assert_int_equal(unit_load_in(space, AT) & 0xffff, 0x6f73);
	end();
}

/* Sealed pages have a descriptor derived from the first: what is cut off goes from them, too. */
static void derived_ones(void **state)
{
	(void)state;
	begin();
	(void)unit_map_object(space, AT, 600, RW, object, 0, true);
	for (uint64_t i = 0; i < 4; i++)
		unit_store(VADDR(AT + PAGES(i)), i + 1);
	assert_int_equal(space_seal(space, VADDR(AT + PAGES(1)), PAGES(2)), 0);
	assert_int_equal(space_seal(space, VADDR(AT + PAGES(2)), PAGES(2)), 0);
	unit_audit();
	assert_int_equal(object_punch(object, PAGES(1), PAGES(2)), 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(2))), 0);
	assert_int_equal(unit_load(VADDR(AT + PAGES(3))), 4);
	assert_int_equal(object_resize(object, PAGES(2)), 0);
	unit_expect_fault(VADDR(AT + PAGES(3)), ACCESS_READ, FAULT_BUS);
	unit_audit();
	end();
}

/* An object of which only a part can be anywhere in user space: at its lower end the object's begin lies outside, at the upper one its end. */
static void at_the_ends(void **state)
{
	uint64_t high = USER_END - PAGES(4);

	(void)state;
	begin();
	(void)unit_map_object(space, PAGES(16), 4, RW, object, 100, true);
	(void)unit_map_object(space, high, 4, RW, object, 100, true);
	unit_store(VADDR(PAGES(17)), 7);
	assert_int_equal(unit_load(VADDR(high + PAGES(1))), 7);
	assert_int_equal(object_punch(object, 0, PAGES(600)), 0);
	assert_int_equal(unit_load(VADDR(PAGES(17))), 0);
	assert_int_equal(unit_load(VADDR(high + PAGES(1))), 0);
	unit_store(VADDR(high + PAGES(1)), 8);
	assert_int_equal(unit_load(VADDR(PAGES(17))), 8);
	/* Pages that no part of user space has. */
	assert_int_equal(object_write(object, 0, "x", 1), 1);
	assert_int_equal(object_punch(object, 0, PAGES(3)), 0);
	assert_int_equal(object_punch(object, PAGES(300), PAGES(3)), 0);
	assert_int_equal(unit_load(VADDR(PAGES(17))), 8);
	assert_int_equal(object_resize(object, 0), 0);
	unit_expect_fault(VADDR(PAGES(17)), ACCESS_READ, FAULT_BUS);
	unit_expect_fault(VADDR(high), ACCESS_READ, FAULT_BUS);
	end();
}

/* Only writers are asked to stop: what is read-only by right is passed by, and loses its pages all the same. */
static void readers_are_passed_by(void **state)
{
	struct object *clone;
	vaddr_t at = VADDR(AT);

	(void)state;
	begin();
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(4), PERM_R, PERM_R, object, 0, true), 0);
	(void)unit_map_object(space, AT + PAGES(8), 4, RW, object, 0, true);
	(void)unit_map_object(space, AT + PAGES(16), 4, RW, object, 0, false);
	unit_store(VADDR(AT + PAGES(8)), 1);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	assert_int_equal(unit_load(VADDR(AT + PAGES(16))), 1);
	assert_int_equal(object_create(PAGES(600), NULL, 0, &clone), 0);
	assert_int_equal(object_clone_range(object, 0, clone, 0, 600), 0);
	assert_int_equal(unit_entry(space, VADDR(AT + PAGES(8)), NULL).v & PTE_W, 0);
	unit_store(VADDR(AT + PAGES(8)), 2);
	assert_int_equal(unit_load(VADDR(AT)), 2);
	assert_int_equal(unit_load(VADDR(AT + PAGES(16))), 2);
	unit_audit();
	object_put(clone);
	end();
}

/* Counts of none change nothing; immortal ones are nobody's. */
static void counts_of_none(void **state)
{
	struct mapping *m, *sealed;

	(void)state;
	begin();
	assert_int_equal(mapping_create(object, 0, PERM_R, true, &m), 0);
	mapping_count_get(m, 0);
	assert_false(mapping_drop(m, 0));
	assert_false(mapping_drop(mapping_anon(MAPPING_FORK_COPY), 1));
	assert_int_equal(atomic_load(&m->slots), 1);
	/* Derived from what is derived: the first one is found by both. */
	assert_int_equal(mapping_seal(m, &sealed), 0);
	assert_ptr_equal(sealed->origin, m);
	struct mapping *again;
	assert_int_equal(mapping_derive(sealed, &again), 0);
	assert_ptr_equal(again->origin, m);
	mapping_put(m, 1);
	mapping_put(sealed, 1);
	mapping_put(again, 1);
	unit_audit();
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(into_code),
	UNIT_TEST(into_what_clones_share),
	UNIT_TEST(into_a_child),
	UNIT_TEST(fixed_ones),
	UNIT_TEST(derived_ones),
	UNIT_TEST(at_the_ends),
	UNIT_TEST(readers_are_passed_by),
	UNIT_TEST(counts_of_none),
};

UNIT_MAIN_SHARING("forced", tests)
