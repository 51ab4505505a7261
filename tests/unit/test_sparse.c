/*
 * Objects where little is there: holes put in place of pages, indexes of different heights, pages that a source has and the index has not;
 * and what comes of each without memory, or when a frame has as many names as can be.
 */
#include "tests/unit/unit.h"

#include "mm/index.h"
#include "mm/object_core.h"
#include "mm/slab.h"
#include "tests/unit/store.h"

#define AT     UINT64_C(0x10000000)
#define DST_AT UINT64_C(0x80000000)
#define RW     (PERM_R | PERM_W)
#define NODE   INDEX_SLOTS /* pages that the lowest nodes of an index have */
#define LARGE  (NODE * NODE)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *src, *dst;

static void begin(uint64_t pages)
{
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(pages), NULL, 0, &src), 0);
	assert_int_equal(object_create(PAGES(pages), NULL, 0, &dst), 0);
	(void)unit_map_object(space, DST_AT, pages, RW, dst, 0, true);
}

static void end(void)
{
	assert_int_equal(space_unmap(space, VADDR(DST_AT), PAGES(bytes_pages(object_bytes(dst)))), 0);
	object_put(src);
	object_put(dst);
	unit_end(space);
}

/* The source's index is the higher one: what lies over all that the other has takes its place, be it a node or a hole. */
static void in_place_of_a_lower_index(void **state)
{
	(void)state;
	begin(4 * NODE);
	unit_set_word(src, NODE, 5);
	unit_store(VADDR(DST_AT + PAGES(3)), 7);
	assert_int_equal(object_clone_range(src, 0, dst, 0, NODE), 0);
	assert_int_equal(object_pages(dst), 0);
	assert_false(object_has(dst, 3));
	assert_int_equal(unit_load(VADDR(DST_AT + PAGES(3))), 0);
	unit_audit();
	unit_store(VADDR(DST_AT + PAGES(3)), 7);
	assert_int_equal(object_clone_range(src, NODE, dst, 0, NODE), 0);
	assert_int_equal(unit_load(VADDR(DST_AT)), 5);
	assert_int_equal(unit_load(VADDR(DST_AT + PAGES(3))), 0);
	unit_audit();
	end();
}

/* Holes where nothing is; from within the source's index, and from behind all that it reaches. */
static void holes_in_place_of_nothing(void **state)
{
	(void)state;
	begin(2 * LARGE);
	unit_set_word(src, NODE, 5);
	assert_int_equal(object_clone_range(src, 0, dst, 0, NODE), 0);
	assert_int_equal(object_clone_range(src, LARGE, dst, LARGE, 2 * NODE), 0);
	assert_int_equal(object_pages(dst), 0);
	unit_set_word(dst, LARGE + 3, 7);
	assert_int_equal(object_clone_range(src, LARGE, dst, LARGE, NODE), 0);
	assert_int_equal(object_pages(dst), 0);
	unit_audit();
	end();
}

/* Nothing at all is cloned as well as something; and what is shared is written to at the first touch, or is one's own again. */
static void shared_and_alone_again(void **state)
{
	pfn_t pfn, same;

	(void)state;
	begin(2 * NODE);
	unit_store(VADDR(DST_AT), 1);
	assert_int_equal(object_clone_range(src, 0, dst, 0, 2 * NODE), 0);
	assert_int_equal(object_pages(dst), 0);
	assert_int_equal(unit_load(VADDR(DST_AT)), 0);
	for (uint64_t i = 0; i < 8; i++)
		unit_set_word(src, i, i + 1);
	assert_int_equal(object_clone_range(src, 0, dst, 1, 8), 0);
	unit_store(VADDR(DST_AT + PAGES(4)), 40);
	assert_int_equal(unit_word(src, 3), 4);
	assert_int_equal(object_frame(src, 5, &pfn), 0);
	frame_put(pfn);
	assert_int_equal(object_punch(dst, 0, PAGES(2 * NODE)), 0);
	assert_int_equal(object_own(src, 5), 0);
	assert_int_equal(object_frame(src, 5, &same), 0);
	assert_int_equal(same.v, pfn.v);
	frame_put(same);
	unit_audit();
	end();
}

struct piece {
	uint64_t from, to, n;
	bool whole; /* before, the other is a clone of all of the source */
};

static int clone_piece(void *ctx)
{
	const struct piece *piece = ctx;
	struct object *to;
	int err = object_create(PAGES(4 * NODE), NULL, 0, &to);
	uint64_t word = 7;

	if (err != 0)
		return err;
	if (piece->whole)
		err = object_clone_range(src, 0, to, 0, 4 * NODE);
	else
		err = object_write(to, PAGES(3), &word, 8) == 8 ? 0 : -ENOMEM;
	if (err == 0) {
		err = object_clone_range(src, piece->from, to, piece->to, piece->n);
		for (uint64_t i = 0; err == 0 && i < piece->n; i++)
			assert_int_equal(object_has(to, piece->to + i), object_has(src, piece->from + i));
		/* As it was before, whatever the page was. */
		if (err != 0 && !piece->whole)
			assert_int_equal(unit_word(to, 3), 7);
	}
	object_put(to);
	return err;
}

static void pieces_without_memory(void **state)
{
	struct piece node = { NODE, 0, NODE, false }, hole = { 0, 0, NODE, false }, shared = { 0, NODE, NODE, true };

	(void)state;
	begin(4 * NODE);
	for (uint64_t i = 0; i < NODE; i += 5)
		unit_set_word(src, NODE + i, 5 + i);
	assert_in_range(unit_fail_each(clone_piece, &node), 3, 20);
	assert_in_range(unit_fail_each(clone_piece, &hole), 3, 20);
	assert_in_range(unit_fail_each(clone_piece, &shared), 2, 20);
	for (uint64_t i = 0; i < NODE; i += 5)
		assert_int_equal(unit_word(src, NODE + i), 5 + i);
	end();
}

/* Only what was counted is given back, not the hole before it. */
static void a_hole_before_a_page_that_many_name(void **state)
{
	pfn_t pfn;

	(void)state;
	begin(2 * NODE);
	unit_set_word(src, 2, 5);
	unit_set_word(src, 4, 6);
	assert_int_equal(object_frame(src, 4, &pfn), 0);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(object_clone_range(src, 0, dst, 1, 8), -ENOMEM);
	assert_int_equal(object_pages(dst), 0);
	/* Nor is it mapped, or read as what it is not. */
	(void)unit_map_object(space, AT, 8, RW, src, 0, true);
	unit_expect_fault(VADDR(AT + PAGES(4)), ACCESS_READ, FAULT_OOM);
	atomic_store(&frame_of(pfn)->count, 2);
	frame_put(pfn);
	assert_int_equal(unit_word(src, 2), 5);
	assert_int_equal(unit_load(VADDR(AT + PAGES(4))), 6);
	unit_audit();
	end();
}

/* A page that is nowhere, in a node that two share: it is not made in both. */
static int frame_in_shared(void *ctx)
{
	struct object *to;
	pfn_t pfn;
	int err = object_create(PAGES(2 * NODE), NULL, 0, &to);

	(void)ctx;
	if (err != 0)
		return err;
	err = object_clone_range(src, 0, to, 0, 2 * NODE);
	if (err == 0)
		err = object_frame(to, 5, &pfn);
	if (err == 0) {
		frame_put(pfn);
		assert_true(object_has(to, 5));
	}
	assert_false(object_has(src, 5));
	object_put(to);
	return err;
}

static void missing_in_a_shared_node(void **state)
{
	(void)state;
	begin(2 * NODE);
	unit_set_word(src, 0, 5);
	assert_in_range(unit_fail_each(frame_in_shared, NULL), 3, 20);
	end();
}

/* ---- Sources. */

static char source[PAGES(70)];

static struct object *with_source(void)
{
	struct object *object;

	for (uint64_t i = 0; i < 70; i++)
		source[PAGES(i)] = (char)(i + 1);
	assert_int_equal(object_create(sizeof(source), source, sizeof(source), &object), 0);
	return object;
}

static char byte_of(struct object *object, uint64_t page)
{
	char byte;

	assert_int_equal(object_read(object, PAGES(page), &byte, 1), 1);
	return byte;
}

/* A hole that hides what the source has: a clone has it too, also in nodes of its own; and cutting off takes it out. */
static void holes_over_a_source(void **state)
{
	struct object *object, *clone;

	(void)state;
	space = unit_begin(&machine);
	object = with_source();
	assert_int_equal(object_create(PAGES(70), NULL, 0, &clone), 0);
	assert_int_equal(object_punch(object, PAGES(5), PAGES(2)), 0);
	assert_int_equal(object_clone_range(object, 0, clone, 0, 70), 0);
	unit_set_word(clone, 4, 1000);
	assert_int_equal(byte_of(clone, 5), 0);
	assert_int_equal(byte_of(clone, 7), 8);
	assert_int_equal(byte_of(object, 4), 5);
	assert_int_equal(byte_of(object, 6), 0);
	unit_audit();
	object_put(clone);
	object_put(object);
	object = with_source();
	assert_int_equal(object_punch(object, PAGES(5), PAGES(1)), 0);
	assert_int_equal(byte_of(object, 2), 3);
	assert_int_equal(object_resize(object, PAGES(3)), 0);
	assert_int_equal(object_resize(object, PAGES(8)), 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(byte_of(object, i), i < 3 ? i + 1 : 0);
	unit_audit();
	object_put(object);
	unit_end(space);
}

static int punch_and_read(void *ctx)
{
	struct object *object;
	char byte = 0;
	int64_t n = 0;
	int err = object_create(sizeof(source), source, sizeof(source), &object);

	(void)ctx;
	if (err != 0)
		return err;
	err = object_punch(object, PAGES(60), PAGES(9));
	if (err == 0) {
		n = object_read(object, PAGES(59), &byte, 1);
		assert_int_equal(byte, n == 1 ? 60 : 0);
	}
	if (err == 0 && n != 1)
		err = (int)n;
	for (uint64_t i = 60; err == 0 && i < 69; i++) {
		n = object_read(object, PAGES(i), &byte, 1);
		err = n == 1 ? 0 : (int)n;
		assert_int_equal(n == 1 ? byte : 0, 0);
	}
	object_put(object);
	return err;
}

static void sources_without_memory(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	object_put(with_source());
	assert_in_range(unit_fail_each(punch_and_read, NULL), 4, 30);
	unit_end(space);
}

/* A clone is cut off between two pages: the way there has to be its own, and nothing else. */
static int cut_between(void *ctx)
{
	struct object *to;
	int err = object_create(PAGES(4 * NODE), NULL, 0, &to);

	(void)ctx;
	if (err != 0)
		return err;
	err = object_clone_range(src, 0, to, 0, 4 * NODE);
	if (err == 0) {
		err = object_resize(to, PAGES(NODE + 7));
		assert_int_equal(object_bytes(to), err == 0 ? PAGES(NODE + 7) : PAGES(4 * NODE));
		assert_int_equal(object_pages(to), err == 0 ? NODE + 7 : 2 * NODE);
	}
	assert_int_equal(object_pages(src), 2 * NODE);
	object_put(to);
	return err;
}

static void cut_without_memory(void **state)
{
	(void)state;
	begin(4 * NODE);
	for (uint64_t i = 0; i < 2 * NODE; i++)
		unit_set_word(src, i, i);
	assert_in_range(unit_fail_each(cut_between, NULL), 3, 20);
	end();
}

/* ---- While a page is made somebody else does something. */

static struct object *victim;

static void cut(void)
{
	fake_allocating = NULL;
	assert_int_equal(object_resize(victim, PAGES(1)), 0);
}

/* Read where it ends meanwhile: nothing is there. */
static void cut_off_while_it_is_read(void **state)
{
	char byte;

	(void)state;
	space = unit_begin(&machine);
	victim = with_source();
	fake_allocating = cut;
	assert_int_equal(object_read(victim, PAGES(9), &byte, 1), 0);
	assert_null(fake_allocating);
	assert_int_equal(object_bytes(victim), PAGES(1));
	unit_audit();
	object_put(victim);
	unit_end(space);
}

/* A program writes what it has not, where no page is: the page that was made for it goes. */
static void a_new_page_of_nothing(void **state)
{
	(void)state;
	begin(8);
	assert_int_equal(user_to_object(dst, PAGES(2), space, VADDR(AT), 8, UINT64_MAX / 2), -EFAULT);
	assert_int_equal(object_pages(dst), 0);
	unit_audit();
	end();
}

/* ---- Backed ones. */

static int create_backed(void *ctx)
{
	struct object *object;
	int err = object_create_backed(PAGES(4), ctx, &object);

	if (err == 0)
		object_put(object);
	return err;
}

/* What becomes longer before it is written has to be read in first, but for the very end. */
static void behind_the_end_of_a_store(void **state)
{
	static struct store store;
	int what = 0;

	(void)state;
	space = unit_begin(&machine);
	assert_in_range(unit_fail_each(create_backed, &what), 1, 2);
	store_start(&store, 4);
	(void)unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 9);
	assert_int_equal(user_to_object(store.object, PAGES(1) + 8, space, VADDR(AT), 8, UINT64_MAX / 2), -EAGAIN);
	assert_int_equal(user_to_object(store.object, PAGES(4), space, VADDR(AT), 8, UINT64_MAX / 2), 8);
	assert_int_equal(object_bytes(store.object), PAGES(4) + 8);
	assert_int_equal(unit_word(store.object, 4), 9);
	assert_int_equal(object_dirty_pages(store.object), 1);
	assert_int_equal(user_to_object(store.object, PAGES(6) + 8, space, VADDR(AT), 8, UINT64_MAX / 2), -EAGAIN);
	unit_audit();
	object_put(store.object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(shared_and_alone_again),
	UNIT_TEST(in_place_of_a_lower_index),
	UNIT_TEST(holes_in_place_of_nothing),
	UNIT_TEST(pieces_without_memory),
	UNIT_TEST(a_hole_before_a_page_that_many_name),
	UNIT_TEST(missing_in_a_shared_node),
	UNIT_TEST(holes_over_a_source),
	UNIT_TEST(sources_without_memory),
	UNIT_TEST(cut_without_memory),
	UNIT_TEST(cut_off_while_it_is_read),
	UNIT_TEST(a_new_page_of_nothing),
	UNIT_TEST(behind_the_end_of_a_store),
};

UNIT_MAIN("sparse", tests)
