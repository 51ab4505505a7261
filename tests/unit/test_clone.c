/* Clones of objects: by whole, by parts of the index, by pages, from a source; what is refused; and each without memory. */
#include "tests/unit/unit.h"

#include "mm/index.h"
#include "mm/object_core.h"
#include "mm/slab.h"

#define SRC_AT UINT64_C(0x10000000)
#define DST_AT UINT64_C(0x40000000)
#define RW     (PERM_R | PERM_W)
#define NODE   INDEX_SLOTS /* pages that the lowest nodes of an index have */
#define LARGE  (NODE * NODE)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *src, *dst;
static uint64_t pages; /* of each */

static vaddr_t src_page(uint64_t page)
{
	return VADDR(SRC_AT + PAGES(page));
}

static vaddr_t dst_page(uint64_t page)
{
	return VADDR(DST_AT + PAGES(page));
}

/* Both mapped, shared. */
static void begin(uint64_t count)
{
	space = unit_begin(&machine);
	pages = count;
	assert_int_equal(object_create(PAGES(pages), NULL, 0, &src), 0);
	assert_int_equal(object_create(PAGES(pages), NULL, 0, &dst), 0);
	(void)unit_map_object(space, SRC_AT, pages, RW, src, 0, true);
	(void)unit_map_object(space, DST_AT, pages, RW, dst, 0, true);
}

static void end(void)
{
	assert_int_equal(space_unmap(space, VADDR(SRC_AT), PAGES(pages)), 0);
	assert_int_equal(space_unmap(space, VADDR(DST_AT), PAGES(pages)), 0);
	object_put(src);
	object_put(dst);
	unit_end(space);
}

/* Where both ranges lie alike, nodes are shared, not pages; holes make holes, and each side's writes are its own. */
static void parts_of_the_index(void **state)
{
	uint64_t free;

	(void)state;
	begin(4 * NODE);
	for (uint64_t i = 0; i < 3 * NODE; i += 3)
		unit_store(src_page(i), i + 1);
	for (uint64_t i = 0; i < 4 * NODE; i += 2)
		unit_store(dst_page(i), 7);
	free = frames_free();
	assert_int_equal(object_clone_range(src, 0, dst, NODE, 2 * NODE), 0);
	unit_audit();
	assert_true(frames_free() >= free); /* what dst had there went */
	assert_int_equal(object_pages(dst), NODE + (2 * NODE + 2) / 3);
	for (uint64_t i = 0; i < 2 * NODE; i++)
		assert_int_equal(unit_load(dst_page(NODE + i)), i % 3 == 0 ? i + 1 : 0);
	for (uint64_t i = 0; i < NODE; i += 2)
		assert_int_equal(unit_load(dst_page(i)), 7);
	unit_store(src_page(3), 100);
	unit_store(dst_page(NODE + 6), 200);
	unit_store(dst_page(NODE + 7), 300); /* in a hole */
	assert_int_equal(unit_load(dst_page(NODE + 3)), 4);
	assert_int_equal(unit_load(src_page(6)), 7);
	assert_int_equal(unit_load(src_page(7)), 0);
	unit_audit();
	/* A part that is a hole, in place of pages; and one behind all that the source's index reaches. */
	assert_int_equal(object_clone_range(src, 3 * NODE, dst, NODE, NODE), 0);
	for (uint64_t i = 0; i < NODE; i++)
		assert_int_equal(object_has(dst, NODE + i), false);
	assert_int_equal(unit_load(dst_page(NODE + 6)), 0);
	assert_int_equal(unit_load(dst_page(2 * NODE)), NODE % 3 == 0 ? NODE + 1 : 0);
	unit_audit();
	end();
}

/* Within one object. */
static void onto_itself(void **state)
{
	(void)state;
	begin(4 * NODE);
	for (uint64_t i = 0; i < NODE; i++)
		unit_store(src_page(i), i + 1);
	assert_int_equal(object_clone_range(src, 0, src, NODE - 1, NODE), -EINVAL);
	assert_int_equal(object_clone_range(src, NODE, src, 1, NODE), -EINVAL);
	assert_int_equal(object_clone_range(src, 0, src, 3 * NODE, NODE), 0);
	assert_int_equal(object_clone_range(src, 3 * NODE, src, 2 * NODE, NODE), 0); /* from the higher to the lower */
	assert_int_equal(object_clone_range(src, 0, src, NODE + 1, NODE - 1), 0);
	for (uint64_t i = 0; i < NODE; i++) {
		assert_int_equal(unit_load(src_page(2 * NODE + i)), i + 1);
		assert_int_equal(unit_load(src_page(NODE + 1 + i)), i == NODE - 1 ? 1 : i + 1);
	}
	unit_store(src_page(2 * NODE + 5), 50);
	assert_int_equal(unit_load(src_page(5)), 6);
	assert_int_equal(unit_load(src_page(NODE + 6)), 6);
	unit_audit();
	end();
}

static void backed_ones_are_refused(void **state)
{
	struct object *backed;

	(void)state;
	begin(8);
	assert_int_equal(object_create_backed(PAGES(8), &pages, &backed), 0);
	assert_int_equal(object_clone_range(backed, 0, dst, 0, 8), -EOPNOTSUPP);
	assert_int_equal(object_clone_range(src, 0, backed, 0, 8), -EOPNOTSUPP);
	assert_int_equal(object_own(backed, 0), 0);
	object_put(backed);
	end();
}

/* Pages that the source of an object would fill are filled before they are shared; and noted as holes where a hole is put. */
static void with_a_source(void **state)
{
	static char bytes[PAGES(6) + 100];
	struct object *from, *to;

	(void)state;
	for (uint64_t i = 0; i < sizeof(bytes); i += 8)
		memcpy(bytes + i, &i, MIN(sizeof(i), sizeof(bytes) - i));
	begin(NODE);
	assert_int_equal(object_create(PAGES(NODE), bytes, sizeof(bytes), &from), 0);
	assert_int_equal(object_create(PAGES(NODE), bytes, sizeof(bytes), &to), 0);
	unit_set_word(from, 2, 22);
	assert_int_equal(object_clone_range(from, 0, dst, 4, 8), 0);
	assert_int_equal(unit_load(dst_page(6)), 22);
	assert_int_equal(unit_load(dst_page(7)), PAGES(3));
	assert_int_equal(unit_load(dst_page(11)), 0);
	assert_int_equal(object_pages(dst), 7 + 1); /* and the one that was read by the program */
	/* Holes onto pages that are a source's. */
	assert_int_equal(object_clone_range(src, 0, to, 1, 3), 0);
	assert_int_equal(object_next(to, 0, true), UINT64_MAX);
	assert_int_equal(unit_word(to, 1), 0);
	assert_int_equal(unit_word(to, 3), 0);
	assert_int_equal(unit_word(to, 4), PAGES(4));
	/* Aligned, but not by nodes, as dst's source has to be noted page by page. */
	assert_int_equal(object_clone_range(src, 0, from, 0, NODE - 1), 0);
	assert_int_equal(unit_word(from, 0), 0);
	assert_int_equal(unit_word(from, 5), 0);
	unit_audit();
	/* All of it: the source is filled in first, and dst's is gone. */
	assert_int_equal(object_clone_range(to, 0, from, 0, NODE), 0);
	assert_int_equal(unit_word(from, 5), PAGES(5));
	assert_int_equal(unit_word(from, 1), 0);
	/* A source that was cut off with its object fills nothing. */
	assert_int_equal(object_resize(to, PAGES(2)), 0);
	assert_int_equal(object_clone_range(to, 0, src, 0, 5), 0);
	assert_int_equal(unit_word(src, 0), 0);
	assert_int_equal(unit_word(src, 4), 0);
	unit_audit();
	object_put(from);
	object_put(to);
	end();
}

/* Tall indices: whole nodes of the second level. */
static void tall(void **state)
{
	(void)state;
	begin(2 * LARGE);
	for (uint64_t i = 0; i < LARGE; i += NODE - 1)
		unit_set_word(src, i, i + 1);
	unit_set_word(src, LARGE + 5, 5);
	unit_set_word(dst, 2 * LARGE - 1, 9);
	assert_int_equal(object_clone_range(src, 0, dst, LARGE, LARGE), 0);
	assert_int_equal(object_pages(dst), object_pages(src) - 1);
	for (uint64_t i = 0; i < LARGE; i += NODE - 1)
		assert_int_equal(unit_word(dst, LARGE + i), i + 1);
	assert_int_equal(unit_word(dst, 2 * LARGE - 1), LARGE);
	unit_set_word(dst, LARGE, 17);
	assert_int_equal(unit_word(src, 0), 1);
	unit_audit();
	/* An empty one, taller than what it is put into. */
	assert_int_equal(object_resize(src, 0), 0);
	assert_int_equal(object_resize(src, PAGES(2 * LARGE)), 0);
	unit_set_word(src, 0, 3);
	assert_int_equal(object_clone_range(src, 0, dst, 0, LARGE), 0);
	assert_int_equal(unit_word(dst, 0), 3);
	assert_int_equal(unit_word(dst, LARGE), 17);
	unit_audit();
	end();
}

/* ---- Without memory. */

/* What a clone is made of: which pages, where to. */
struct piece {
	uint64_t from, to, n;
};

static int clone_piece(void *ctx)
{
	const struct piece *piece = ctx;
	int err = object_clone_range(src, piece->from, dst, piece->to, piece->n);

	if (err != 0)
		return err;
	for (uint64_t i = 0; i < piece->n; i++)
		if (object_has(src, piece->from + i)) /* what the source has, each reads the same */
			assert_int_equal(unit_word(dst, piece->to + i), unit_word(src, piece->from + i));
	return 0;
}

/* Each write to what they share fails first: the other one has what it had, and after it, too. */
static int write_shared(void *ctx)
{
	uint64_t page = *(const uint64_t *)ctx, before = unit_word(src, page), word = before + 1;
	int64_t n = object_write(dst, PAGES(page), &word, 8);

	assert_int_equal(unit_word(src, page), before);
	if (n == 8)
		assert_int_equal(unit_word(dst, page), word);
	return n == 8 ? 0 : (int)n;
}

static int punch_shared(void *ctx)
{
	const struct piece *piece = ctx;
	int err = object_punch(dst, PAGES(piece->to) + 8, PAGES(piece->n) - 16);

	assert_int_equal(unit_word(src, piece->from), piece->from + 1);
	return err;
}

static int cut_shared(void *ctx)
{
	uint64_t bytes = PAGES(*(const uint64_t *)ctx) + 100;
	int err = object_resize(dst, bytes);

	assert_int_equal(object_bytes(dst), err == 0 ? bytes : PAGES(pages));
	return err;
}

static void without_memory(void **state)
{
	struct piece by_pages = { 5, 9, NODE }, by_nodes = { 0, NODE, 2 * NODE }, deep = { 0, 0, 3 * NODE };
	uint64_t page = NODE + 4, end_page = NODE + 7;

	(void)state;
	begin(4 * NODE);
	for (uint64_t i = 0; i < 3 * NODE; i++)
		unit_set_word(src, i, i + 1);
	assert_in_range(unit_fail_each(clone_piece, &by_pages), 1, 20);
	assert_in_range(unit_fail_each(write_shared, &page), 1, 20);
	assert_in_range(unit_fail_each(clone_piece, &by_nodes), 0, 20);
	assert_in_range(unit_fail_each(write_shared, &page), 1, 20);
	assert_int_equal(object_clone_range(src, 0, dst, NODE, 2 * NODE), 0);
	assert_in_range(unit_fail_each(clone_piece, &by_pages), 1, 20); /* nodes have to be copied */
	assert_int_equal(object_clone_range(src, 0, dst, 0, 4 * NODE), 0);
	assert_in_range(unit_fail_each(clone_piece, &by_pages), 1, 20);
	assert_int_equal(object_clone_range(src, 0, dst, 0, 4 * NODE), 0);
	assert_in_range(unit_fail_each(punch_shared, &by_pages), 1, 20);
	assert_int_equal(object_clone_range(src, 0, dst, 0, 4 * NODE), 0);
	assert_in_range(unit_fail_each(cut_shared, &end_page), 1, 20);
	assert_int_equal(object_resize(dst, PAGES(4 * NODE)), 0);
	assert_in_range(unit_fail_each(clone_piece, &deep), 0, 20);
	unit_audit();
	end();
}

static int clone_source(void *ctx)
{
	static const char bytes[PAGES(5)] = "source";
	struct object *from;
	char seen[8];
	int err;

	if (object_create(sizeof(bytes), bytes, sizeof(bytes), &from) != 0)
		return -ENOMEM;
	err = object_clone_range(from, 0, dst, *(uint64_t *)ctx, 5);
	if (err == 0) {
		assert_int_equal(object_read(dst, PAGES(*(uint64_t *)ctx), seen, 7), 7);
		assert_string_equal(seen, "source");
	}
	object_put(from);
	return err;
}

static void sources_without_memory(void **state)
{
	uint64_t apart = 1, whole = 0;

	(void)state;
	begin(5);
	pages = 5;
	assert_in_range(unit_fail_each(clone_source, &whole), 5, 20);
	end();
	begin(NODE);
	assert_in_range(unit_fail_each(clone_source, &apart), 5, 20);
	end();
}

/* A frame that as many entries name as can be is not shared once more: -ENOMEM, and nothing has changed. */
static void as_many_as_can_be(void **state)
{
	struct frame *frame;
	pfn_t pfn;

	(void)state;
	begin(2 * NODE);
	for (uint64_t i = 0; i < 8; i++)
		unit_set_word(src, i, i + 1);
	assert_int_equal(object_frame(src, 4, &pfn), 0);
	frame = frame_of(pfn);
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(object_clone_range(src, 0, dst, 1, 8), -ENOMEM);
	assert_int_equal(object_pages(dst), 0);
	atomic_store(&frame->count, 2);
	/* Nor is the node that names it copied. */
	assert_int_equal(object_clone_range(src, 0, dst, 0, 2 * NODE), 0);
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(object_own(dst, 0), -ENOMEM);
	atomic_store(&frame->count, 2);
	assert_int_equal(object_punch(dst, 0, PAGES(2 * NODE)), 0);
	assert_int_equal(object_clone_range(src, 0, dst, 1, 8), 0); /* the page alone is shared */
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(object_own(dst, 5), -ENOMEM);
	atomic_store(&frame->count, 3);
	assert_int_equal(object_own(dst, 5), 0);
	assert_int_equal(object_clone_range(src, 0, dst, 0, 2 * NODE), 0);
	frame_put(pfn);
	unit_audit();
	assert_int_equal(unit_word(dst, 4), 5);
	end();
}

/* Parts of an index that are not there: the clone has holes; nodes that as many name as can be are not shared once more. */
static void sparse(void **state)
{
	struct index_node *below;

	(void)state;
	begin(2 * LARGE);
	unit_set_word(src, LARGE + 3 * NODE, 1);
	unit_set_word(dst, 5, 5);
	unit_set_word(dst, LARGE + 5, 6);
	/* Where the source has no node on the way, by pages and by nodes, and where its tree does not reach. */
	assert_int_equal(object_clone_range(src, 0, dst, 1, NODE - 2), 0);
	assert_false(object_has(dst, 5));
	assert_int_equal(object_clone_range(src, NODE, dst, LARGE, NODE), 0);
	assert_false(object_has(dst, LARGE + 5));
	unit_set_word(dst, 2, 2);
	assert_int_equal(object_resize(src, PAGES(LARGE)), 0);
	assert_int_equal(object_resize(src, PAGES(2 * LARGE)), 0);
	unit_set_word(src, 3, 3);
	assert_int_equal(object_clone_range(src, LARGE, dst, 0, NODE), 0);
	assert_int_equal(object_pages(dst), 0);
	/* A hole that a source's object has noted is a hole of the clone. */
	unit_audit();
	for (uint64_t i = 0; i < NODE; i++)
		unit_set_word(src, i, i + 1);
	unit_set_word(src, LARGE, 9);
	below = (struct index_node *)atomic_load(
		&((struct index_node *)atomic_load(&((struct index_node *)atomic_load(&src->index.root))->slot[0]))
			 ->slot[0]);
	assert_int_equal(below->shift, 0);
	atomic_store(&below->references, UINT32_MAX / 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(object_clone_range(src, 0, dst, 0, NODE), -ENOMEM);
		assert_int_equal(atomic_load(&below->references), UINT32_MAX / 2);
	}
	assert_int_equal(object_pages(dst), 0);
	atomic_store(&below->references, 1);
	assert_int_equal(object_clone_range(src, 0, dst, 0, NODE), 0);
	assert_int_equal(unit_word(dst, NODE - 1), NODE);
	unit_audit();
	end();
}

/* Holes of one that has a source, shared with a clone by whole and by part. */
static void holes_of_a_source(void **state)
{
	static char bytes[PAGES(8)];
	struct object *from;

	(void)state;
	memset(bytes, 's', sizeof(bytes));
	begin(8);
	assert_int_equal(object_create(sizeof(bytes), bytes, sizeof(bytes), &from), 0);
	assert_int_equal(object_punch(from, PAGES(2), PAGES(3)), 0);
	assert_int_equal(object_clone_range(from, 0, dst, 0, 8), 0);
	assert_int_equal(object_clone_range(from, 1, src, 0, 7), 0);
	unit_set_word(dst, 7, 7); /* a node of its own from now on */
	unit_set_word(dst, 3, 3);
	assert_int_equal(unit_word(dst, 2), 0);
	assert_int_equal(unit_word(src, 1), 0);
	assert_int_equal(unit_word(from, 3), 0);
	assert_int_equal(unit_word(src, 4) & 0xff, 's');
	unit_audit();
	object_put(from);
	end();
}

/* ---- A write makes one of the two longer while it is cloned by whole: between the look at the sizes and the walk. */

static struct object *longer;

static void write_meanwhile(void)
{
	fake_waiting = NULL;
	atomic_store(&longer->walk_lock.held, 0);
	assert_int_equal(object_extend(longer, PAGES(9)), 0);
	unit_set_word(longer, 8, 9);
}

static void clone_while_it_is_written(bool source)
{
	begin(4);
	unit_set_word(src, 1, 1);
	unit_set_word(dst, 1, 2);
	unit_set_word(dst, 2, 3);
	longer = source ? src : dst;
	atomic_store(&longer->walk_lock.held, 1); /* some other hart's walk */
	fake_waiting = write_meanwhile;
	assert_int_equal(object_clone_range(src, 0, dst, 0, 4), 0);
	assert_null(fake_waiting);
	unit_audit();
	assert_int_equal(unit_word(dst, 1), 1);
	assert_false(object_has(dst, 2));
	assert_int_equal(object_bytes(longer), PAGES(9));
	assert_int_equal(unit_word(longer, 8), 9);
}

static void a_write_makes_the_source_longer(void **state)
{
	(void)state;
	clone_while_it_is_written(true);
	/* What is behind the clone's end is nothing of the source's. */
	assert_int_equal(object_pages(dst), 1);
	assert_int_equal(object_resize(dst, PAGES(9)), 0);
	assert_int_equal(unit_word(dst, 8), 0);
	end();
}

static void a_write_makes_the_clone_longer(void **state)
{
	(void)state;
	clone_while_it_is_written(false);
	assert_int_equal(object_pages(dst), 2);
	end();
}

/* Within the page of which only a part is cloned: by whole, from other pages, and by nodes. */
static void write_behind_the_part(void)
{
	fake_waiting = NULL;
	atomic_store(&dst->walk_lock.held, 0);
	assert_int_equal(object_extend(dst, object_bytes(dst) + 8), 0);
	assert_int_equal(object_write(dst, object_bytes(dst) - 8, "kept kept", 8), 8);
}

static void part_while_it_is_written(uint64_t from, uint64_t count)
{
	uint64_t bytes = PAGES(count) - 96;
	char got[9] = "";

	begin(from + count);
	unit_set_word(src, from, 1);
	unit_set_word(src, from + count - 1, 2);
	assert_int_equal(object_resize(src, PAGES(from) + bytes), 0);
	assert_int_equal(object_resize(dst, bytes), 0);
	unit_set_word(dst, 0, 3);
	unit_set_word(dst, count - 1, 4);
	atomic_store(&dst->walk_lock.held, 1); /* some other hart's walk */
	fake_waiting = write_behind_the_part;
	assert_int_equal(object_clone_within(src, from, dst, 0, count, bytes), -EAGAIN);
	assert_null(fake_waiting);
	unit_audit();
	assert_int_equal(unit_word(dst, 0), 3);
	assert_int_equal(unit_word(dst, count - 1), 4);
	assert_int_equal(object_read(dst, bytes, got, 8), 8);
	assert_string_equal(got, "kept kep");
	/* Nobody has written meanwhile. */
	assert_int_equal(object_resize(dst, bytes), 0);
	assert_int_equal(object_clone_within(src, from, dst, 0, count, bytes), 0);
	assert_int_equal(unit_word(dst, 0), 1);
	assert_int_equal(unit_word(dst, count - 1), 2);
	unit_audit();
	end();
}

static void a_write_behind_the_part_is_kept(void **state)
{
	(void)state;
	part_while_it_is_written(0, 4);
	part_while_it_is_written(1, 4);
	part_while_it_is_written(NODE, 2 * NODE);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(parts_of_the_index),
	UNIT_TEST(onto_itself),
	UNIT_TEST(backed_ones_are_refused),
	UNIT_TEST(with_a_source),
	UNIT_TEST(tall),
	UNIT_TEST(sparse),
	UNIT_TEST(holes_of_a_source),
	UNIT_TEST(without_memory),
	UNIT_TEST(sources_without_memory),
	UNIT_TEST(as_many_as_can_be),
	UNIT_TEST(a_write_makes_the_source_longer),
	UNIT_TEST(a_write_makes_the_clone_longer),
	UNIT_TEST(a_write_behind_the_part_is_kept),
};

UNIT_MAIN("clone", tests)
