/*
 * Backed objects whose index has several levels, against arrays: pages that are inserted, written, written back, evicted, punched and cut
 * off at random, close to where nodes begin and end; marks of dirty pages are found through all levels.
 */
#include "tests/unit/unit.h"

#include "mm/index.h"
#include "mm/object.h"
#include "mm/slab.h"

#define COUNT 9000
#define NODE  INDEX_SLOTS
#define LARGE (NODE * NODE)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct object *object;
static bool there[COUNT], dirty[COUNT];
static uint64_t size = COUNT; /* pages */

/* Around the begin and end of nodes of each level. */
static uint64_t some_page(void)
{
	static const uint64_t edges[] = { 4,	 NODE,	       2 * NODE,  5 * NODE, LARGE - NODE,
					  LARGE, LARGE + NODE, 2 * LARGE, COUNT - 4 };

	return edges[fake_below(ARRAY_LEN(edges))] + fake_below(8) - 4;
}

static void insert(uint64_t i)
{
	int err;
	pfn_t pfn;

	assert_int_equal(frame_alloc(FRAME_KERNEL, &pfn), 0);
	err = object_insert(object, i, pfn, object_removals(object), fake_below(2) == 0);
	assert_int_equal(err, i >= size ? -EFAULT : there[i] ? -EEXIST : 0);
	if (err != 0)
		frame_put(pfn);
	else
		there[i] = true;
}

static void write_part(uint64_t i)
{
	int64_t n = object_write(object, PAGES(i) + 8, "01234567", 8);

	assert_int_equal(n, i >= size ? 0 : there[i] ? 8 : -EAGAIN);
	if (n == 8)
		dirty[i] = true;
}

static void write_page(uint64_t i)
{
	static const char page[PAGE_SIZE];
	int64_t n = object_write(object, PAGES(i), page, PAGE_SIZE);

	assert_int_equal(n, i >= size ? 0 : PAGE_SIZE);
	if (i < size)
		there[i] = dirty[i] = true;
}

/* The first dirty ones, in order; where that fails they are dirty again, if they are there. */
static void write_back(uint64_t first, uint64_t last)
{
	unsigned max = 1 + (unsigned)fake_below(OBJECT_BATCH), n;
	bool failed = fake_below(3) == 0, punched = fake_below(4) == 0;
	uint64_t index[OBJECT_BATCH], at = first;
	pfn_t frames[OBJECT_BATCH];

	n = object_clean_begin(object, first, last, max, frames, index);
	for (unsigned i = 0; i < n; i++, at++) {
		while (at < last && !dirty[at])
			at++;
		assert_int_equal(index[i], at);
		dirty[at] = false;
	}
	for (; n < max && at < last; at++)
		assert_false(dirty[at]);
	if (n != 0 && punched) {
		assert_int_equal(object_punch(object, PAGES(index[0]), PAGE_SIZE), 0);
		there[index[0]] = false;
	}
	object_clean_end(object, frames, index, n, failed);
	for (unsigned i = 0; i < n; i++)
		dirty[index[i]] = failed && there[index[i]];
}

static void evict(uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t i = first; i < last; i++) {
		n += there[i] && !dirty[i];
		there[i] = there[i] && dirty[i];
	}
	assert_int_equal(object_evict(object, first, last, UINT64_MAX, EVICT_USED), n);
}

static void gone(uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i < last; i++)
		there[i] = dirty[i] = false;
}

static void resize(uint64_t pages)
{
	assert_int_equal(object_resize(object, PAGES(pages)), 0);
	gone(pages, COUNT);
	size = pages;
}

static void compare(void)
{
	uint64_t pages = 0, marks = 0, at = some_page(), next;

	for (uint64_t i = 0; i < COUNT; i++) {
		pages += there[i];
		marks += dirty[i];
	}
	assert_int_equal(object_pages(object), pages);
	assert_int_equal(object_dirty_pages(object), marks);
	assert_int_equal(objects_dirty(), marks);
	assert_int_equal(object_has(object, at), there[at]);
	for (next = at; next < COUNT && !there[next]; next++)
		;
	assert_int_equal(object_next(object, at, true), next == COUNT ? UINT64_MAX : next);
}

static void step(void)
{
	uint64_t i = some_page(), j = some_page(), first = MIN(i, j), last = MAX(i, j) + 1;

	switch (fake_below(16)) {
	case 0:
		write_back(first, last);
		break;
	case 1:
		evict(first, last);
		break;
	case 2:
		first = MIN(first, size);
		last = MIN(last, size);
		assert_int_equal(object_punch(object, PAGES(first), PAGES(last - first)), 0);
		gone(first, last);
		break;
	case 3:
		if (fake_below(4) == 0)
			resize(i);
		break;
	case 4:
		resize(MAX(size, i));
		break;
	case 5:
	case 6:
		write_page(i);
		break;
	case 7:
	case 8:
	case 9:
		write_part(i);
		break;
	default:
		insert(i);
		break;
	}
}

static void at_random(void **state)
{
	(void)state;
	fake_start(&machine);
	(void)unit_seed();
	slab_drain();
	unit_free_before = frames_free();
	assert_int_equal(object_create_backed(PAGES(COUNT), &size, &object), 0);
	for (unsigned n = 0; n < unit_steps(6000); n++) {
		step();
		compare();
		if (n % 500 == 0)
			unit_audit();
	}
	object_put(object);
	slab_drain();
	assert_int_equal(frames_free(), unit_free_before);
	unit_audit();
}

/* Eviction goes on where it ended, from node to node, and round; not into nodes behind the range. */
static void evicted_in_turn(void **state)
{
	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create_backed(PAGES(COUNT), &size, &object), 0);
	for (uint64_t node = 0; node < 4; node++)
		insert(node * NODE + 7);
	insert(LARGE + 1);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, 2, EVICT_USED), 2);
	assert_false(object_has(object, 7) || object_has(object, NODE + 7));
	there[7] = there[NODE + 7] = false;
	insert(7);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, 2, EVICT_USED), 2); /* not that */
	assert_true(object_has(object, 7) && object_has(object, LARGE + 1));
	assert_int_equal(object_evict(object, 0, 3 * NODE, UINT64_MAX, EVICT_USED), 1);
	assert_true(object_has(object, LARGE + 1));
	assert_int_equal(object_evict(object, 0, LARGE, UINT64_MAX, EVICT_USED), 0);
	there[7] = false;
	insert(7);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, UINT64_MAX, EVICT_USED),
			 2); /* the one behind, and round */
	assert_int_equal(object_pages(object), 0);
	object_put(object);
	unit_audit();
}

/* A dirty page that is there when the index gets taller is found through the new levels. */
static void marks_of_one_that_grows(void **state)
{
	uint64_t index[OBJECT_BATCH];
	pfn_t frames[OBJECT_BATCH];

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create_backed(PAGES(COUNT), &size, &object), 0);
	write_page(3);
	write_page(NODE + 3);
	write_page(LARGE + 3);
	insert(2 * LARGE + 3);
	assert_int_equal(object_clean_begin(object, 4, COUNT, OBJECT_BATCH, frames, index), 2);
	assert_int_equal(index[0], NODE + 3);
	assert_int_equal(index[1], LARGE + 3);
	object_clean_end(object, frames, index, 2, false);
	assert_int_equal(object_clean_begin(object, 0, COUNT, OBJECT_BATCH, frames, index), 1);
	assert_int_equal(index[0], 3);
	object_clean_end(object, frames, index, 1, false);
	assert_int_equal(object_clean_begin(object, 0, COUNT, OBJECT_BATCH, frames, index), 0);
	object_put(object);
	unit_audit();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(at_random),
	UNIT_TEST(evicted_in_turn),
	UNIT_TEST(marks_of_one_that_grows),
};

UNIT_MAIN("tall", tests)
