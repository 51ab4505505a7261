/*
 * Short of memory, or of counts: each allocation of each call fails in turn, and what is there stays as it was, in the space and in its child;
 * pages, tables and side pages that as many entries name as can be.
 */
#include "tests/unit/unit.h"

#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/walk.h"

#define ANON_AT	   UINT64_C(0x40000000) /* an entry of the root is all of it */
#define ANON_PAGES (UINT64_C(1) << 18)
#define FILE_AT	   UINT64_C(0x10000000)
#define PRIVATE_AT UINT64_C(0x20000000)
#define STACK_AT   UINT64_C(0x30000000)
#define TO	   UINT64_C(0x3f0000000)
#define RW	   (PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space, *child;
static struct object *object;

static void begin(bool forked)
{
	struct mapping like = { .max_perm = PERM_RWX, .shared = true, .watch = &unit_watch };
	vaddr_t at = VADDR(FILE_AT), stack = VADDR(STACK_AT);

	unit_watched = 0;
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(1024), NULL, 0, &object), 0);
	like.object = object;
	if (forked)
		like.watch = NULL; /* or its tables are not shared */
	(void)unit_map(space, ANON_AT, ANON_PAGES, RW);
	assert_int_equal(space_map_like(space, PLACE_FIXED, &at, PAGES(1024), RW, &like, 0), 0);
	(void)unit_map_object(space, PRIVATE_AT, 1024, PERM_RWX, object, 0, false);
	assert_int_equal(space_map(space, PLACE_FIXED, &stack, PAGES(2), RW, mapping_anon_growing(MAPPING_FORK_COPY)),
			 0);
	for (uint64_t i = 0; i < 2; i++) {
		unit_store(VADDR(ANON_AT + PAGES(700 * i)), 1 + i);
		unit_store(VADDR(FILE_AT + PAGES(700 * i)), 3 + i);
		unit_store(VADDR(PRIVATE_AT + PAGES(700 * i)), 5 + i);
		unit_store(VADDR(STACK_AT + PAGES(i)), 7 + i);
	}
	child = forked ? unit_fork(space) : NULL;
}

static void words_of(struct space *of)
{
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(unit_load_in(of, ANON_AT + PAGES(700 * i)), 1 + i);
		assert_int_equal(unit_load_in(of, FILE_AT + PAGES(700 * i)), 3 + i);
		assert_int_equal(unit_load_in(of, PRIVATE_AT + PAGES(700 * i)), 5 + i);
		assert_int_equal(unit_load_in(of, STACK_AT + PAGES(i)), 7 + i);
	}
}

static void end(void)
{
	if (child != NULL)
		unit_drop(child);
	object_put(object);
	unit_end(space);
	assert_int_equal(unit_watched, 0);
}

/* ---- Calls. */

static int map_over(void)
{
	vaddr_t at = VADDR(ANON_AT + PAGES(1000));

	return space_map_object(space, PLACE_FIXED, &at, PAGES(3), RW, RW, object, PAGES(699), true);
}

static void mapped_over(bool done)
{
	assert_int_equal(unit_load_in(space, ANON_AT + PAGES(1001)), done ? 4 : 0);
}

static int map_anywhere(void)
{
	vaddr_t at = VADDR(0);
	int err = space_map_object(space, PLACE_HINT, &at, PAGES(3), RW, RW, object, PAGES(699), true);

	if (err == 0)
		assert_int_equal(space_object_at(space, at, &object, &(uint64_t){ 0 }), 0);
	if (err == 0)
		object_put(object);
	return err;
}

static int map_again(void)
{
	vaddr_t at = VADDR(TO);

	return space_map_again(space, VADDR(FILE_AT + PAGES(700)), PLACE_FIXED, &at, PAGES(1));
}

static void mapped_again(bool done)
{
	if (done)
		assert_int_equal(unit_load_in(space, TO), 4);
	else
		unit_expect_fault(VADDR(TO), ACCESS_READ, FAULT_MAPERR);
}

static int protect(void)
{
	return space_protect(space, VADDR(ANON_AT + PAGES(1000)), PAGES(2), PERM_R);
}

static void protected(bool done)
{
	assert_int_equal(fake_store(VADDR(ANON_AT + PAGES(1001)), 1), done ? FAULT_ACCERR : FAULT_OK);
	assert_int_equal(fake_store(VADDR(ANON_AT + PAGES(1002)), 1), FAULT_OK);
}

static int protect_touched(void)
{
	return space_protect(space, VADDR(FILE_AT + PAGES(1)), PAGES(3), PERM_R);
}

static int unmap(void)
{
	return space_unmap(space, VADDR(ANON_AT + PAGES(1000)), PAGES(2));
}

static void unmapped(bool done)
{
	assert_int_equal(fake_store(VADDR(ANON_AT + PAGES(1001)), 1), done ? FAULT_MAPERR : FAULT_OK);
	assert_int_equal(fake_store(VADDR(ANON_AT + PAGES(1002)), 1), FAULT_OK);
}

static int discard(void)
{
	int err = space_discard(space, VADDR(ANON_AT), PAGES(1));

	return err == -EAGAIN ? -ENOMEM : err;
}

static void discarded(bool done)
{
	assert_int_equal(unit_load_in(space, ANON_AT), done ? 0 : 1);
	assert_int_equal(unit_load_in(space, ANON_AT + PAGES(700)), 2);
	unit_store(VADDR(ANON_AT), 1);
}

static int wipe(void)
{
	return space_set_fork(space, VADDR(ANON_AT), PAGES(2), MAPPING_FORK_WIPE);
}

static int seal(void)
{
	return space_seal(space, VADDR(FILE_AT + PAGES(699)), PAGES(2));
}

/* Without memory a part of it may be sealed: that before the page for which there was none. */
static void sealed(bool done)
{
	assert_int_equal(space_protect(space, VADDR(FILE_AT + PAGES(700)), PAGES(1), RW), done ? -EPERM : 0);
	assert_int_equal(space_protect(space, VADDR(FILE_AT + PAGES(701)), PAGES(1), RW), 0);
}

static int move(void)
{
	vaddr_t to = VADDR(TO + PAGES(500));

	return space_move(space, VADDR(PRIVATE_AT + PAGES(690)), PAGES(20), PLACE_FIXED, &to, PAGES(30), false);
}

static void moved(bool done)
{
	vaddr_t back = VADDR(PRIVATE_AT + PAGES(690));

	if (done) {
		assert_int_equal(unit_load_in(space, TO + PAGES(510)), 6);
		assert_int_equal(
			space_move(space, VADDR(TO + PAGES(500)), PAGES(20), PLACE_FIXED, &back, PAGES(20), false), 0);
		unit_expect_fault(VADDR(TO + PAGES(510)), ACCESS_READ, FAULT_MAPERR);
	}
	unit_expect_fault(VADDR(TO + PAGES(500)), ACCESS_READ, FAULT_MAPERR);
}

static struct space *made;

static int fork_it(void)
{
	return space_fork(space, &made);
}

static void was_forked(bool done)
{
	if (!done)
		return;
	words_of(made);
	unit_drop(made);
}

static int grow(void)
{
	return space_grow_down(space, VADDR(STACK_AT - PAGES(600)));
}

static int extend(void)
{
	return space_extend(space, VADDR(STACK_AT + PAGES(2)), PAGES(600));
}

static int force(void)
{
	return force_write(space, VADDR(PRIVATE_AT + PAGES(10) - 4), "01234567", 8) == 8 ? 0 : -ENOMEM;
}

static void forced(bool done)
{
	char bytes[8];

	assert_int_equal(user_read(space, bytes, VADDR(PRIVATE_AT + PAGES(10) - 4), 8), 0);
	assert_memory_equal(bytes, done ? "01234567" : "0123\0\0\0\0", done ? 8 : 0);
}

static int write_user(void)
{
	return user_write(space, VADDR(ANON_AT + PAGES(512) - 4), "01234567", 8);
}

static int touch(void)
{
	enum fault fault = fake_store(VADDR(ANON_AT + PAGES(701)), 9);

	assert_true(fault == FAULT_OK || fault == FAULT_OOM);
	return fault == FAULT_OK ? 0 : -ENOMEM;
}

static int touch_first(void)
{
	enum fault fault = fake_store(VADDR(ANON_AT + PAGES(100000)), 9);

	return fault == FAULT_OK ? 0 : -ENOMEM;
}

static int touch_shared(void)
{
	enum fault fault = fake_store(VADDR(FILE_AT + PAGES(701)), 9);

	return fault == FAULT_OK ? 0 : -ENOMEM;
}

static const struct call {
	const char *name;
	int (*call)(void);
	void (*check)(bool done);
} calls[] = {
	{ "map over", map_over, mapped_over },
	{ "map anywhere", map_anywhere, NULL },
	{ "map again", map_again, mapped_again },
	{ "protect", protect, protected },
	{ "protect touched", protect_touched, NULL },
	{ "unmap", unmap, unmapped },
	{ "discard", discard, discarded },
	{ "wipe", wipe, NULL },
	{ "seal", seal, sealed },
	{ "move", move, moved },
	{ "fork", fork_it, was_forked },
	{ "grow", grow, NULL },
	{ "extend", extend, NULL },
	{ "force", force, forced },
	{ "write", write_user, NULL },
	{ "touch", touch, NULL },
	{ "touch first", touch_first, NULL },
	{ "touch shared", touch_shared, NULL },
};

static void each_fails(bool forked)
{
	unsigned failures = 0;

	for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
		bool hit = true;

		for (uint64_t n = 1; hit; n++) {
			int err;

			begin(forked);
			space_switch(space);
			fake_fail_at(n, false);
			err = calls[i].call();
			hit = fake_fail_hit();
			fake_fail_at(0, false);
			unit_audit();
			if (err != 0 && (err != -ENOMEM || !hit))
				fake_fail("%s, allocation %llu fails: %d", calls[i].name, (unsigned long long)n, err);
			failures += err != 0;
			if (calls[i].check != NULL)
				calls[i].check(err == 0);
			words_of(space);
			if (child != NULL)
				words_of(child);
			end();
		}
	}
	assert_in_range(failures, ARRAY_LEN(calls), 200);
}

static void every_call(void **state)
{
	(void)state;
	each_fails(false);
}

static void every_call_of_a_parent(void **state)
{
	(void)state;
	each_fails(true);
}

/* A write maps pages beside its own where there is memory for them; its own comes first. */
static void no_memory_beside(void **state)
{
	(void)state;
	begin(false);
	space_set_fault_around(1, 8);
	unit_store(VADDR(ANON_AT + PAGES(1024)), 1); /* the table is there from now on */
	unit_store(VADDR(ANON_AT + PAGES(1033)), 1);
	assert_true(pte_is_page(unit_entry(space, VADDR(ANON_AT + PAGES(1039)), NULL)));
	fake_fail_at(3, true);
	assert_int_equal(fake_store(VADDR(ANON_AT + PAGES(1040)), 1), FAULT_OK);
	fake_fail_at(0, false);
	assert_true(pte_is_page(unit_entry(space, VADDR(ANON_AT + PAGES(1040)), NULL)));
	assert_false(pte_is_page(unit_entry(space, VADDR(ANON_AT + PAGES(1047)), NULL)));
	unit_audit();
	end();
}

/* ---- Counts. */

static pfn_t table_at(struct space *of, uint64_t va, unsigned level)
{
	pfn_t table = of->root;

	for (unsigned at = PT_ROOT; at > level; at--)
		table = pte_pfn(pte_load(pt_slot(table, pt_index(VADDR(va), at))));
	return table;
}

/* What fork, or the child's first touch, would count once more has as many as can be: -ENOMEM, or no memory for the fault. */
static void refuse_one_more(pfn_t pfn, uint64_t va)
{
	uint32_t count = atomic_load(&frame_of(pfn)->count);
	int err;

	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	err = space_fork(space, &made);
	if (err == 0) {
		space_switch(made);
		assert_int_equal(fake_store(VADDR(va), 77), FAULT_OOM);
		space_switch(space);
		unit_drop(made);
	}
	assert_true(err == 0 || err == -ENOMEM);
	assert_int_equal(atomic_load(&frame_of(pfn)->count), FRAME_COUNT_MAX);
	atomic_store(&frame_of(pfn)->count, count);
	unit_audit();
	words_of(space);
	child = unit_fork(space);
	unit_store_in(child, va, 78);
	unit_drop(child);
	child = NULL;
	words_of(space);
}

static void pages_that_many_name(void **state)
{
	(void)state;
	begin(false);
	assert_int_equal(space_unmap(space, VADDR(FILE_AT), PAGES(1)), 0);
	(void)unit_map(space, FILE_AT, 1, RW);
	unit_store(VADDR(FILE_AT), 3);
	refuse_one_more(unit_frame_at(space, ANON_AT), ANON_AT);
	/* Where one table mixes mappings. */
	refuse_one_more(unit_frame_at(space, FILE_AT), FILE_AT);
	refuse_one_more(unit_frame_at(space, PRIVATE_AT), PRIVATE_AT);
	end();
}

static void tables_that_many_name(void **state)
{
	struct frame *frame;

	(void)state;
	begin(true); /* and so nothing is watched */
	unit_drop(child);
	child = NULL;
	space_set_fork_policy(FORK_ALL_TABLES);
	space_switch(space);
	unit_store(VADDR(ANON_AT), 1);
	frame = frame_of(table_at(space, ANON_AT, 1));
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	assert_int_equal(space_fork(space, &made), -ENOMEM);
	atomic_store(&frame->count, 1);
	unit_audit();
	/* The leaf, when the table above it is copied. */
	made = unit_fork(space);
	frame = frame_of(table_at(space, ANON_AT, 0));
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	space_switch(made);
	assert_int_equal(fake_store(VADDR(ANON_AT), 9), FAULT_OOM);
	atomic_store(&frame->count, 1);
	unit_audit();
	unit_store(VADDR(ANON_AT), 9);
	unit_drop(made);
	/* The side page, where a table mixes mappings. */
	assert_int_equal(space_set_fork(space, VADDR(STACK_AT), PAGES(1), MAPPING_FORK_COPY), 0);
	space_switch(space);
	(void)unit_map(space, PRIVATE_AT + PAGES(3), 1, RW);
	unit_store(VADDR(PRIVATE_AT + PAGES(3)), 1);
	frame = frame_of(table_at(space, PRIVATE_AT, 0));
	assert_non_null(frame->table.side);
	frame = frame_of(paddr_pfn(hw_paddr(frame->table.side)));
	made = unit_fork(space);
	atomic_store(&frame->count, FRAME_COUNT_MAX);
	space_switch(made);
	assert_int_equal(fake_store(VADDR(PRIVATE_AT + PAGES(3)), 9), FAULT_OOM);
	atomic_store(&frame->count, 1);
	unit_audit();
	unit_store(VADDR(PRIVATE_AT + PAGES(3)), 9);
	unit_drop(made);
	words_of(space);
	assert_int_equal(unit_load(VADDR(PRIVATE_AT + PAGES(3))), 1);
	end();
}

/* A space that is attached to more descriptors than it may be gets no further one. */
static void attached_to_many(void **state)
{
	vaddr_t at = VADDR(TO);

	(void)state;
	begin(false);
	atomic_fetch_add(&space->attachments, 1U << 30);
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(1), RW, RW, object, 0, true), -ENOMEM);
	atomic_fetch_sub(&space->attachments, 1U << 30);
	assert_int_equal(space_map_object(space, PLACE_FIXED, &at, PAGES(1), RW, RW, object, 0, true), 0);
	assert_int_equal(unit_load(at), 3);
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(every_call),		 UNIT_TEST(every_call_of_a_parent), UNIT_TEST(no_memory_beside),
	UNIT_TEST(pages_that_many_name), UNIT_TEST(tables_that_many_name),  UNIT_TEST(attached_to_many),
};

UNIT_MAIN_SHARING("short", tests)
