/*
 * Backed objects: what a write needs to have there, what is marked and told, what is evicted; and what comes of a read or write when the
 * page is cut off, punched or evicted while the program's own page is read in.
 */
#include "tests/unit/unit.h"

#include "mm/object_core.h"
#include "mm/slab.h"
#include "tests/unit/store.h"

#define AT	UINT64_C(0x10000000)
#define FILE_AT UINT64_C(0x20000000)
#define BAD_AT	UINT64_C(0x30000000)
#define RW	(PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *object;
static struct store store, other;
static char buffer[PAGES(4)];

static void end(void)
{
	user_set_helper(NULL);
	object_put(object);
	unit_end(space);
}

static void program_has(uint64_t at, const char *text)
{
	assert_int_equal(user_write(space, VADDR(at), text, strlen(text)), 0);
}

static void object_is(uint64_t offset, const char *text, uint64_t n)
{
	assert_int_equal(object_read(object, offset, buffer, n), n);
	assert_memory_equal(buffer, text, n);
}

static int64_t put(uint64_t offset, uint64_t at, uint64_t n)
{
	return user_to_object(object, offset, space, VADDR(at), n, UINT64_MAX / 2);
}

/* ---- Backed ones. */

static void begin_backed(uint64_t pages)
{
	space = unit_begin(&machine);
	store_start(&store, pages);
	object = store.object;
	for (uint64_t i = 0; i < pages; i++)
		memset(store.page[i], 'a' + (int)i, PAGE_SIZE);
	(void)unit_map_object(space, FILE_AT, 8, RW, object, 0, true);
	(void)unit_map(space, AT, 4, RW);
}

static void backed(void **state)
{
	(void)state;
	begin_backed(3);
	program_has(AT, "01234567");
	/* Parts of pages that are missing have to be read in; whole ones, and those behind the end, not. */
	assert_int_equal(put(10, AT, 8), -EAGAIN);
	assert_int_equal(put(0, AT, 8), -EAGAIN);
	assert_int_equal(put(PAGES(2) + 8, AT, PAGE_SIZE - 8), -EAGAIN);
	assert_int_equal(put(PAGES(1), AT, PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(put(PAGES(3), AT, 8), 8);
	assert_int_equal(object_bytes(object), PAGES(3) + 8);
	assert_int_equal(object_dirty_pages(object), 2);
	object_is(PAGES(1), "01234567", 8);
	object_is(PAGES(3), "01234567", 8);
	/* The kernel's way: as far as it goes. */
	assert_int_equal(object_read(object, 0, buffer, 16), -EAGAIN);
	assert_int_equal(object_write(object, 0, buffer, 16), -EAGAIN);
	assert_int_equal(object_read(object, PAGES(1) + 8, buffer, PAGE_SIZE), PAGE_SIZE - 8);
	assert_int_equal(object_write(object, PAGES(1) + 8, buffer, PAGE_SIZE), PAGE_SIZE - 8);
	/* All of it that there is, at the end, counts as a whole page. */
	assert_int_equal(object_resize(object, PAGES(2) + 5), 0);
	assert_int_equal(put(PAGES(2), AT, 5), 5);
	object_is(PAGES(2), "01234", 5);
	unit_audit();
	end();
}

/* Shrinking a backed one leaves zeros behind its end, and that page dirty. */
static void backed_ones_shrink(void **state)
{
	uint64_t word;

	(void)state;
	begin_backed(3);
	store_read_in(&store, 1);
	assert_int_equal(object_dirty_pages(object), 0);
	assert_int_equal(object_resize(object, PAGES(1) + 4), 0);
	assert_int_equal(object_dirty_pages(object), 1);
	assert_int_equal(object_resize(object, PAGES(2)), 0);
	object_is(PAGES(1), "bbbb\0\0\0\0", 8);
	assert_int_equal(object_punch(object, 0, 20), 0); /* not there: it stays so */
	assert_false(object_has(object, 0));
	assert_int_equal(object_punch(object, PAGES(1) + 2, 1), 0);
	word = unit_load(VADDR(FILE_AT + PAGES(1)));
	assert_memory_equal(&word, "bb\0b\0\0\0\0", 8);
	unit_audit();
	end();
}

static uint64_t reads, resized_to;
static bool evicts;

/* Something else happens to the object while the program's page is read in. */
static int meanwhile(struct space *in, vaddr_t va, enum access access, enum fault fault)
{
	(void)access;
	assert_int_equal(fault, FAULT_READ);
	reads++;
	if (evicts)
		(void)object_evict(object, 0, UINT64_MAX, UINT64_MAX, EVICT_MAPPED | EVICT_USED);
	else if (resized_to != UINT64_MAX)
		assert_int_equal(object_resize(object, resized_to), 0);
	store_settle(&other, in, va);
	return 0;
}

/* A second store's object, at BAD_AT, nothing of which is there yet. */
static void begin_meanwhile(void)
{
	store_start(&other, 8);
	(void)unit_map_object(space, BAD_AT, 8, RW, other.object, 0, true);
	user_set_helper(meanwhile);
	reads = 0;
	resized_to = UINT64_MAX;
	evicts = false;
}

static void end_meanwhile(void)
{
	assert_true(reads != 0);
	object_put(other.object);
	end();
}

static void backed_meanwhile(void **state)
{
	(void)state;
	begin_backed(3);
	begin_meanwhile();
	/* Cut off while it was looked for: the end. */
	store_read_in(&store, 2);
	resized_to = PAGES(1);
	assert_int_equal(object_to_user(object, PAGES(2), space, VADDR(BAD_AT), 8), 0);
	/* Evicted while it was to be written: read it in. */
	resized_to = UINT64_MAX;
	store_read_in(&store, 0);
	evicts = true;
	assert_int_equal(put(8, BAD_AT + PAGES(1), 8), -EAGAIN);
	assert_false(object_has(object, 0));
	/* Not enough of it any more to be a whole page. */
	unit_audit();
	end_meanwhile();
}

static void unbacked_meanwhile(void **state)
{
	(void)state;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(2), NULL, 0, &object), 0);
	(void)unit_map(space, AT, 4, RW);
	begin_meanwhile();
	memset(other.page[0], 'x', PAGE_SIZE);
	memset(other.page[1], 'y', PAGE_SIZE);
	program_has(AT, "01234567");
	assert_int_equal(put(PAGES(1) + 8, AT, 8), 8);
	/* The page is cut off, and what is written makes the object as long as it says. */
	resized_to = PAGES(1);
	assert_int_equal(put(PAGES(1) + 100, BAD_AT, 4), 4);
	assert_int_equal(object_bytes(object), PAGES(1) + 104);
	object_is(PAGES(1) + 8, "\0\0\0\0\0\0\0\0", 8);
	object_is(PAGES(1) + 98, "\0\0xxxx", 6);
	/* The same for a write behind the end: it was let go of to look at the program's page. */
	resized_to = 0;
	assert_int_equal(put(PAGES(2) + 8, BAD_AT + PAGES(1), 8), 8);
	assert_int_equal(object_bytes(object), PAGES(2) + 16);
	assert_int_equal(object_pages(object), 1);
	object_is(PAGES(2) + 8, "yyyyyyyy", 8);
	unit_audit();
	end_meanwhile();
}

static int helper_says;

static int refuse(struct space *in, vaddr_t va, enum access access, enum fault fault)
{
	(void)in;
	(void)va;
	(void)access;
	reads++;
	return fault == FAULT_OOM || fault == FAULT_READ ? helper_says : -EFAULT;
}

/* What space_fault cannot do alone, the helper does, or says. */
static void helped(void **state)
{
	uint64_t word = 7;

	(void)state;
	begin_backed(3);
	assert_int_equal(user_read(space, &word, VADDR(FILE_AT), 8), -EAGAIN);
	fake_fail_at(1, false);
	assert_int_equal(user_write(space, VADDR(AT), &word, 8), -ENOMEM);
	user_set_helper(refuse);
	helper_says = -4;
	reads = 0;
	assert_int_equal(user_read(space, &word, VADDR(FILE_AT), 8), -4);
	fake_fail_at(1, false);
	assert_int_equal(user_write(space, VADDR(AT), &word, 8), -4);
	helper_says = 0;
	fake_fail_at(1, false);
	assert_int_equal(user_write(space, VADDR(AT), &word, 8), 0);
	assert_int_equal(unit_load(VADDR(AT)), 7);
	assert_int_equal(reads, 3);
	assert_int_equal(user_read(space, &word, VADDR(BAD_AT), 8), -EFAULT);
	assert_int_equal(reads, 3);
	end();
}

/* ---- Dirty pages. */

static unsigned told;

static void tell(struct object *of)
{
	assert_ptr_equal(of, object);
	told++;
}

static void marks(void **state)
{
	uint64_t index[OBJECT_BATCH];
	pfn_t frames[OBJECT_BATCH], pfn;

	(void)state;
	begin_backed(8);
	object_set_dirtied(tell);
	for (uint64_t i = 0; i < 8; i++)
		store_read_in(&store, i);
	unit_store(VADDR(FILE_AT + PAGES(2)), 1);
	unit_store(VADDR(FILE_AT + PAGES(2) + 8), 1);
	assert_int_equal(told, 1);
	program_has(AT, "01234567");
	assert_int_equal(put(PAGES(5), AT, 8), 8);
	assert_int_equal(told, 2);
	assert_int_equal(objects_dirty(), 2);
	/* Another frame than the one that is there is not marked; nor may what is not there be written. */
	assert_int_equal(object_frame(object, 3, &pfn), 0);
	assert_int_equal(object_mark_dirty(object, 4, pfn), -EAGAIN);
	assert_int_equal(object_mark_dirty(object, 900, pfn), -EAGAIN);
	frame_put(pfn);
	assert_false(object_may_be_written(object, 900));
	assert_false(object_may_be_written(object, 3));
	assert_true(object_may_be_written(object, 5));
	/* Written back in vain: marked again, and told, but for what was cut off meanwhile. */
	assert_int_equal(object_clean_begin(object, 0, 8, OBJECT_BATCH, frames, index), 2);
	assert_int_equal(objects_dirty(), 0);
	assert_int_equal(object_resize(object, PAGES(3) + 8), 0);
	object_clean_end(object, frames, index, 2, true);
	assert_int_equal(told, 4); /* and by the end's own page */
	assert_int_equal(object_dirty_pages(object), 2);
	/* Before the last page is written, what a mapping has written behind the end goes. */
	unit_store(VADDR(FILE_AT + PAGES(3)), UINT64_MAX);
	unit_store(VADDR(FILE_AT + PAGES(3) + 8), UINT64_MAX);
	assert_int_equal(object_frame(object, 3, &pfn), 0);
	object_clear_tail(object, 2, pfn);
	assert_int_equal(((uint64_t *)frame_data(pfn))[1], UINT64_MAX);
	object_clear_tail(object, 3, pfn);
	assert_int_equal(((uint64_t *)frame_data(pfn))[0], UINT64_MAX);
	assert_int_equal(((uint64_t *)frame_data(pfn))[1], 0);
	assert_int_equal(object_resize(object, PAGES(3)), 0);
	((uint64_t *)frame_data(pfn))[0] = 5;
	object_clear_tail(object, 3, pfn);
	assert_int_equal(((uint64_t *)frame_data(pfn))[0], 5);
	frame_put(pfn);
	unit_audit();
	object_set_dirtied(NULL);
	end();
}

/* A frame that as many name as can be is not counted once more for a program, but is written back like any other, and so is what is behind it. */
static void as_many_as_can_be(void **state)
{
	uint64_t index[OBJECT_BATCH];
	pfn_t frames[OBJECT_BATCH], pfn;

	(void)state;
	begin_backed(4);
	program_has(AT, "01234567");
	for (uint64_t i = 0; i < 4; i++) {
		store_read_in(&store, i);
		assert_int_equal(put(PAGES(i), AT, 8), 8);
	}
	assert_int_equal(object_frame(object, 2, &pfn), 0);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(object_clean_begin(object, 0, 8, OBJECT_BATCH, frames, index), 4);
	assert_int_equal(put(PAGES(2), AT, 8), -ENOMEM);
	object_clean_end(object, frames, index, 4, false);
	assert_int_equal(object_dirty_pages(object), 0);
	assert_int_equal(atomic_load(&frame_of(pfn)->count), FRAME_COUNT_MAX);
	assert_int_equal(put(PAGES(2), AT, 8), -ENOMEM);
	atomic_store(&frame_of(pfn)->count, 2);
	frame_put(pfn);
	assert_int_equal(object_frame(object, 2, &pfn), 0);
	frame_put(pfn);
	unit_audit();
	end();
}

/* ---- Eviction: within limits, node by node, from where it ended. */

static void evicting(void **state)
{
	pfn_t pfn;

	(void)state;
	begin_backed(STORE_PAGES);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, 1, EVICT_USED), 0); /* nothing is there */
	for (uint64_t i = 0; i < 20; i++)
		store_read_in(&store, i);
	assert_int_equal(object_evict(object, 4, 8, 100, EVICT_USED), 4);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(object_has(object, i), i < 4 || i >= 8);
	assert_int_equal(object_evict(object, 64, 128, 100, EVICT_USED), 0);
	/* One that somebody has in hand stays; the others' node, too. */
	assert_int_equal(object_frame(object, 9, &pfn), 0);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, 100, EVICT_USED), 15);
	assert_int_equal(object_pages(object), 1);
	frame_put(pfn);
	assert_int_equal(object_evict(object, 0, UINT64_MAX, 100, EVICT_USED), 1);
	assert_int_equal(object_pages(object), 0);
	unit_audit();
	end();
}

static unsigned reached;

static void reach(struct object *of, uint64_t index)
{
	assert_ptr_equal(of, object);
	assert_int_equal(index, 5);
	reached++;
}

/* A page that was read ahead tells once when it is used, by whatever way; without a handler nobody is told. */
static void read_ahead(void **state)
{
	static uint64_t page[PAGE_SIZE / 8] __attribute__((aligned(4096)));
	pfn_t pfn;

	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		begin_backed(8);
		reached = 0;
		object_set_reached(way == 3 ? NULL : reach);
		assert_int_equal(frame_alloc(FRAME_KERNEL, &pfn), 0);
		memset(frame_data(pfn), 'q', PAGE_SIZE);
		assert_int_equal(object_insert(object, 5, pfn, object_removals(object), true), 0);
		if (way == 0)
			assert_int_equal(object_to_user(object, PAGES(5), space, VADDR(AT), 8), 8);
		else if (way == 1)
			assert_int_equal(unit_load(VADDR(FILE_AT + PAGES(5))), UINT64_C(0x7171717171717171));
		else if (way == 2)
			assert_true(object_copy_page(object, 5, page));
		assert_int_equal(object_frame(object, 5, &pfn), 0);
		frame_put(pfn);
		assert_int_equal(reached, way == 3 ? 0 : 1);
		object_set_reached(NULL);
		end();
	}
}

/* A private copy of a page that is there is made from it, and from no other. */
static void copied(void **state)
{
	static uint64_t page[PAGE_SIZE / 8] __attribute__((aligned(4096)));

	(void)state;
	begin_backed(3);
	assert_false(object_copy_page(object, 1, page));
	assert_false(object_copy_page(object, 3, page));
	store_read_in(&store, 1);
	assert_true(object_copy_page(object, 1, page));
	assert_memory_equal(page, store.page[1], PAGE_SIZE);
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(backed),
	UNIT_TEST(backed_ones_shrink),
	UNIT_TEST(backed_meanwhile),
	UNIT_TEST(unbacked_meanwhile),
	UNIT_TEST(helped),
	UNIT_TEST(marks),
	UNIT_TEST(as_many_as_can_be),
	UNIT_TEST(evicting),
	UNIT_TEST(read_ahead),
	UNIT_TEST(copied),
};

UNIT_MAIN("backed", tests)
