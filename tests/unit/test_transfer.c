/*
 * read and write of objects, holes, sizes: what comes of bytes, sizes and errors at the edges of pages, of objects and of memory, and while
 * somebody makes the object shorter.
 */
#include "tests/unit/unit.h"

#include "mm/object_core.h"
#include "mm/slab.h"

#define AT	UINT64_C(0x10000000)
#define FILE_AT UINT64_C(0x20000000)
#define BAD_AT	UINT64_C(0x30000000)
#define RW	(PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *object;

static char buffer[PAGES(4)];

/* An object of so many bytes, mapped shared, and four pages of the program's own. */
static void begin(uint64_t bytes, const void *source, uint64_t source_bytes)
{
	space = unit_begin(&machine);
	assert_int_equal(object_create(bytes, source, source_bytes, &object), 0);
	(void)unit_map_object(space, FILE_AT, 8, RW, object, 0, true);
	(void)unit_map(space, AT, 4, RW);
}

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

/* A program may read a file into, and write it from, its own mapping of it. */
static void onto_itself(void **state)
{
	(void)state;
	begin(PAGES(2), "0123456789abcdef", 16);
	assert_int_equal(object_to_user(object, 0, space, VADDR(FILE_AT + 4), 12), 12);
	object_is(0, "01230123456789ab", 16);
	assert_int_equal(object_to_user(object, 4, space, VADDR(FILE_AT), 12), 12);
	object_is(0, "0123456789ab89ab", 16);
	assert_int_equal(put(8, FILE_AT, 8), 8);
	object_is(0, "0123456701234567", 16);
	end();
}

static void sizes_and_errors(void **state)
{
	(void)state;
	begin(100, NULL, 0);
	program_has(AT, "abcdefgh");
	/* Nothing is read into what is not there, whether the page is a hole or not; nor is it made longer for what is not there. */
	assert_int_equal(object_to_user(object, 0, space, VADDR(BAD_AT), 8), -EFAULT);
	assert_int_equal(put(50, AT, 8), 8);
	assert_int_equal(object_to_user(object, 0, space, VADDR(BAD_AT), 8), -EFAULT);
	assert_int_equal(put(50, BAD_AT, 8), -EFAULT);
	assert_int_equal(put(PAGES(3), BAD_AT, 8), -EFAULT);
	assert_int_equal(put(PAGES(1), BAD_AT, 8), -EFAULT);
	assert_int_equal(object_bytes(object), 100);
	object_is(50, "abcdefgh", 8);
	/* Up to a limit. */
	assert_int_equal(user_to_object(object, 200, space, VADDR(AT), 8, 200), 0);
	assert_int_equal(user_to_object(object, 200, space, VADDR(AT), 8, 203), 3);
	assert_int_equal(object_bytes(object), 203);
	object_is(100, "\0\0\0", 3);
	object_is(198, "\0\0abc", 5);
	/* What a mapping wrote behind the end is not there when the end moves. */
	unit_store(VADDR(FILE_AT + 208), UINT64_MAX);
	assert_int_equal(put(PAGES(1) + 8, AT, 8), 8);
	assert_int_equal(object_bytes(object), PAGES(1) + 16);
	object_is(208, "\0\0\0\0\0\0\0\0", 8);
	/* A page at most. */
	assert_int_equal(put(PAGES(1) - 3, AT, 8), 3);
	assert_int_equal(put(0, AT + PAGES(1) - 5, 8), 5);
	assert_int_equal(object_to_user(object, PAGES(1) - 3, space, VADDR(AT), 8), 3);
	assert_int_equal(object_to_user(object, PAGES(1) + 12, space, VADDR(AT), 8), 4);
	assert_int_equal(object_to_user(object, PAGES(1) + 16, space, VADDR(AT), 8), 0);
	unit_audit();
	end();
}

/* ---- While somebody makes it shorter. */

static unsigned waits;

static void shrunk(void)
{
	waits++;
	atomic_store(&object->shrinking, false);
	fake_waiting = NULL;
}

static void shrinking(void)
{
	atomic_store(&object->shrinking, true);
	fake_waiting = shrunk;
}

static void while_it_gets_shorter(void **state)
{
	(void)state;
	begin(PAGES(1) + 8, NULL, 0);
	program_has(AT, "01234567");
	assert_int_equal(put(PAGES(1), AT, 4), 4);
	waits = 0;
	shrinking();
	assert_int_equal(put(PAGES(1) + 4, AT, 4), 4); /* no longer: at once */
	assert_int_equal(waits, 0);
	assert_int_equal(put(PAGES(1) + 4, AT, 8), 8); /* a page that is there */
	assert_int_equal(waits, 1);
	assert_int_equal(object_extend(object, PAGES(2)), 0);
	shrinking();
	assert_int_equal(put(PAGES(2), AT, 8), 8); /* a new page, at the end */
	assert_int_equal(waits, 2);
	shrinking();
	assert_int_equal(put(PAGES(3) + 80, AT, 8), 8); /* a new page behind it */
	assert_int_equal(waits, 3);
	shrinking();
	assert_int_equal(object_extend(object, PAGES(4)), 0);
	assert_int_equal(waits, 4);
	assert_int_equal(object_bytes(object), PAGES(4));
	object_is(PAGES(1), "012301234567", 12);
	object_is(PAGES(2), "01234567", 8);
	object_is(PAGES(3) + 80, "01234567", 8);
	end();
}

/* While the next frame is allocated it becomes empty, or as long as that. */
static uint64_t cut_to;

static void cut_meanwhile(void)
{
	fake_allocating = NULL;
	assert_int_equal(object_resize(object, cut_to), 0);
}

static void cut(uint64_t bytes)
{
	cut_to = bytes;
	fake_allocating = cut_meanwhile;
}

/* What was cut off while a page was made for a write is not in it, nor between the new end and the bytes. */
static void cut_off_while_a_page_is_made(void **state)
{
	static char source[PAGES(2)];

	(void)state;
	memset(source, 's', sizeof(source));
	begin(PAGES(2), source, sizeof(source));
	program_has(AT, "01234567");
	cut(0);
	assert_int_equal(put(8, AT, 8), 8);
	assert_null(fake_allocating);
	assert_int_equal(object_bytes(object), 16);
	object_is(0, "\0\0\0\0\0\0\0\00001234567", 16);
	assert_int_equal(object_resize(object, PAGES(3)), 0);
	object_is(16, "\0\0\0\0\0\0\0\0", 8);
	unit_audit();
	end();
}

/* Nor is what a mapping wrote behind the end that it got meanwhile. */
static void written_behind_the_end_meanwhile(void)
{
	cut_meanwhile();
	unit_store(VADDR(FILE_AT + 128), UINT64_MAX);
}

static void cut_off_before_the_end_is_reached(void **state)
{
	(void)state;
	begin(PAGES(3), NULL, 0);
	program_has(AT, "01234567");
	assert_int_equal(put(0, AT, 8), 8);
	cut(100);
	fake_allocating = written_behind_the_end_meanwhile;
	assert_int_equal(put(PAGES(2), AT, 8), 8);
	assert_int_equal(object_bytes(object), PAGES(2) + 8);
	object_is(128, "\0\0\0\0\0\0\0\0", 8);
	object_is(PAGES(2), "01234567", 8);
	unit_audit();
	end();
}

/* Who reads meanwhile finds the bytes, or the end, and no zeros that nobody wrote. */
static int cut_by_helper(struct space *of, vaddr_t va, enum access access, enum fault fault)
{
	assert_ptr_equal(of, space);
	assert_int_equal(va.v, AT + PAGES(1));
	assert_int_equal(access, ACCESS_WRITE);
	assert_int_equal(fault, FAULT_OOM);
	return object_resize(object, cut_to);
}

static void cut_off_while_it_is_read(void **state)
{
	(void)state;
	for (cut_to = 0; cut_to <= PAGES(1); cut_to += PAGES(1)) {
		begin(PAGES(1) + 8, NULL, 0);
		program_has(AT, "01234567");
		assert_int_equal(put(PAGES(1), AT, 8), 8);
		user_set_helper(cut_by_helper);
		fake_fail_at(1, false);
		assert_int_equal(object_to_user(object, PAGES(1), space, VADDR(AT + PAGES(1)), 8), 0);
		assert_true(fake_fail_hit());
		end();
	}
}

/* A page that as many name as can be is cleared in part like any other. */
static void cut_off_within_what_all_name(void **state)
{
	pfn_t pfn;

	(void)state;
	begin(PAGES(1), NULL, 0);
	program_has(AT, "01234567");
	assert_int_equal(put(0, AT, 8), 8);
	assert_int_equal(object_frame(object, 0, &pfn), 0);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(object_punch(object, 1, 2), 0);
	object_is(0,
		  "0\0\0"
		  "34567",
		  8);
	assert_int_equal(object_resize(object, 4), 0);
	atomic_store(&frame_of(pfn)->count, 2);
	assert_memory_equal(frame_data(pfn),
			    "0\0\0"
			    "3\0\0\0\0",
			    8);
	frame_put(pfn);
	unit_audit();
	end();
}

/* ---- Without memory. */

static struct object *twin;

static int extend_twin(void *ctx)
{
	uint64_t bytes = object_bytes(twin);
	int64_t moved = user_to_object(twin, *(const uint64_t *)ctx, space, VADDR(AT), 8, UINT64_MAX / 2);

	if (moved != 8) {
		assert_int_equal(object_bytes(twin), bytes);
		return (int)moved;
	}
	assert_int_equal(object_bytes(twin), *(const uint64_t *)ctx + 8);
	assert_int_equal(object_read(twin, *(const uint64_t *)ctx, buffer, 8), 8);
	assert_memory_equal(buffer, "01234567", 8);
	return 0;
}

static int extend_by_size(void *ctx)
{
	return object_extend(twin, *(const uint64_t *)ctx);
}

/* The last page, which ends within, is shared with a clone: it must be the object's own before what is behind the end is cleared. */
static void longer_without_memory(void **state)
{
	static const uint64_t across = PAGES(1) + 96, within = PAGES(1) + 200, behind = PAGES(3) + 8, size = PAGES(7);

	(void)state;
	begin(PAGES(1) + 100, NULL, 0);
	program_has(AT, "01234567");
	assert_int_equal(put(PAGES(1) + 92, AT, 8), 8);
	assert_int_equal(object_create(PAGES(1) + 100, NULL, 0, &twin), 0);
	assert_int_equal(object_clone_range(object, 0, twin, 0, 2), 0);
	assert_in_range(unit_fail_each(extend_twin, (void *)(uintptr_t)&across), 1, 20);
	assert_int_equal(object_resize(twin, PAGES(1) + 100), 0);
	assert_int_equal(object_clone_range(object, 0, twin, 0, 2), 0);
	assert_in_range(unit_fail_each(extend_twin, (void *)(uintptr_t)&within), 1, 20);
	assert_int_equal(object_resize(twin, PAGES(1) + 100), 0);
	assert_int_equal(object_clone_range(object, 0, twin, 0, 2), 0);
	assert_in_range(unit_fail_each(extend_twin, (void *)(uintptr_t)&behind), 1, 20);
	assert_int_equal(object_resize(twin, PAGES(1) + 100), 0);
	assert_int_equal(object_clone_range(object, 0, twin, 0, 2), 0);
	assert_in_range(unit_fail_each(extend_by_size, (void *)(uintptr_t)&size), 1, 20);
	object_is(PAGES(1) + 92, "01234567", 8);
	object_put(twin);
	end();
}

static int write_new_page(void *ctx)
{
	int64_t moved = put(PAGES(*(uint64_t *)ctx), AT, 8);

	if (moved == 8)
		object_is(PAGES(*(uint64_t *)ctx), "01234567", 8);
	else
		assert_false(object_has(object, *(uint64_t *)ctx));
	return moved == 8 ? 0 : (int)moved;
}

static int punch_all(void *ctx)
{
	uint64_t bytes = *(const uint64_t *)ctx;
	int err = object_punch(object, 10, bytes);

	if (err == 0)
		object_is(0, "0123456789\0\0", 12);
	return err;
}

static void without_memory(void **state)
{
	static char source[PAGES(4)] = "0123456789abcdef";
	uint64_t page = 700, much = PAGES(300), little = 4, half = PAGES(2);

	(void)state;
	begin(PAGES(1000), source, sizeof(source));
	program_has(AT, "01234567");
	assert_in_range(unit_fail_each(write_new_page, &page), 2, 20);
	assert_in_range(unit_fail_each(punch_all, &little), 1, 20);
	assert_in_range(unit_fail_each(punch_all, &half), 0, 20);
	assert_int_equal(object_create(PAGES(1000), NULL, 0, &twin), 0);
	assert_int_equal(object_clone_range(object, 0, twin, 0, 1000), 0);
	assert_in_range(unit_fail_each(punch_all, &much), 1, 20);
	assert_int_equal(object_next(object, 1, true), 700);
	object_put(twin);
	end();
	begin(PAGES(1000), source, sizeof(source));
	assert_in_range(unit_fail_each(punch_all, &much), 2, 20);
	end();
}

/* ---- Holes and ends. */

static void punching(void **state)
{
	static char source[PAGES(3)];

	(void)state;
	memset(source, 's', sizeof(source));
	begin(PAGES(3) - 100, source, sizeof(source));
	assert_int_equal(object_punch(object, PAGES(3) - 100, 10), 0); /* behind the end */
	assert_int_equal(object_punch(object, PAGES(7), PAGES(9)), 0);
	assert_int_equal(object_pages(object), 0);
	assert_int_equal(object_punch(object, 4, 3), 0); /* within a page */
	object_is(0, "ssss\0\0\0sss", 10);
	assert_int_equal(object_punch(object, PAGES(1) + 4, PAGES(1)), 0); /* over a boundary */
	object_is(PAGES(1), "ssss\0\0\0\0", 8);
	object_is(PAGES(2), "\0\0\0\0sss", 7);
	assert_int_equal(object_punch(object, PAGES(2) + 2, PAGES(1)), 0); /* to the end, and further */
	assert_int_equal(object_extend(object, PAGES(3)), 0);
	object_is(PAGES(3) - 104, "\0\0\0\0\0\0\0\0", 8);
	/* Where nothing is written yet, zeros need no page. */
	assert_int_equal(object_extend(object, PAGES(6)), 0);
	assert_int_equal(object_punch(object, PAGES(4) + 7, PAGES(1)), 0);
	assert_int_equal(object_next(object, PAGES(3) >> PAGE_SHIFT, true), UINT64_MAX);
	assert_int_equal(object_punch(object, 0, UINT64_C(1) << 40), 0);
	assert_int_equal(object_pages(object), 0);
	object_is(0, "\0\0\0\0\0\0\0\0", 8); /* not the source's */
	unit_audit();
	end();
}

/* What is there, and what is not: from one node to the next, and where there is none. */
static void next_of_kind(void **state)
{
	static const uint64_t there[] = { 3, 63, 64, 200, 70000 };

	(void)state;
	begin(PAGES(100000), NULL, 0);
	assert_int_equal(object_next(object, 0, true), UINT64_MAX);
	assert_int_equal(object_next(object, 5, false), 5);
	for (unsigned i = 0; i < ARRAY_LEN(there); i++)
		assert_int_equal(object_write(object, PAGES(there[i]), "x", 1), 1);
	assert_int_equal(object_next(object, 0, true), 3);
	assert_int_equal(object_next(object, 4, true), 63);
	assert_int_equal(object_next(object, 65, true), 200);
	assert_int_equal(object_next(object, 201, true), 70000);
	assert_int_equal(object_next(object, 70001, true), UINT64_MAX);
	assert_int_equal(object_next(object, 63, false), 65);
	assert_int_equal(object_next(object, 3, false), 4);
	assert_int_equal(object_next(object, 128, false), 128); /* a node that is not there, and others behind it */
	end();
}

/* When a program last wrote through a mapping; told once. */
static void written_at(void **state)
{
	uint64_t first;

	(void)state;
	begin(PAGES(8), NULL, 0);
	fake_ticks = 100000;
	assert_int_equal(object_take_written(object), 0);
	unit_store(VADDR(FILE_AT), 1);
	assert_in_range(object_take_written(object), 100000 - OBJECT_WRITTEN_TICKS, 100000);
	assert_int_equal(object_take_written(object), 0);
	fake_ticks = 200000;
	unit_store(VADDR(FILE_AT + PAGES(1)), 1);
	fake_ticks += OBJECT_WRITTEN_TICKS / 2;
	unit_store(VADDR(FILE_AT + PAGES(2)), 1);
	first = object_take_written(object);
	assert_in_range(first, 200000, 200000 + OBJECT_WRITTEN_TICKS / 2);
	unit_store(VADDR(FILE_AT + PAGES(3)), 1);
	fake_ticks += 3 * OBJECT_WRITTEN_TICKS;
	unit_store(VADDR(FILE_AT + PAGES(4)), 1);
	assert_in_range(object_take_written(object), fake_ticks - OBJECT_WRITTEN_TICKS, fake_ticks);
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(onto_itself),
	UNIT_TEST(sizes_and_errors),
	UNIT_TEST(while_it_gets_shorter),
	UNIT_TEST(longer_without_memory),
	UNIT_TEST(without_memory),
	UNIT_TEST(punching),
	UNIT_TEST(next_of_kind),
	UNIT_TEST(written_at),
	UNIT_TEST(cut_off_while_a_page_is_made),
	UNIT_TEST(cut_off_before_the_end_is_reached),
	UNIT_TEST(cut_off_while_it_is_read),
	UNIT_TEST(cut_off_within_what_all_name),
};

UNIT_MAIN("transfer", tests)
