/* The kernel's own access to user memory: any address, any length, across pages, strings, words, futex keys. */
#include "tests/unit/store.h"

#include "mm/object.h"
#include "mm/slab.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x3fffe000) /* two pages below 1 GiB */
#define N  PAGES(6)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16 };
static unsigned char flat[N], buffer[N];

static void random_copies(void **state)
{
	struct space *space = unit_begin(&machine);

	(void)state;
	(void)unit_seed();
	(void)unit_map(space, AT, N >> PAGE_SHIFT, RW);
	memset(flat, 0, N);
	for (unsigned step = 0; step < unit_steps(3000); step++) {
		uint64_t from = fake_below(N),
			 n = fake_below(fake_below(3) == 0 ? N - from + 1 : MIN(N - from + 1, 64));

		switch (fake_below(3)) {
		case 0:
			for (uint64_t i = 0; i < n; i++)
				flat[from + i] = buffer[i] = (unsigned char)fake_random();
			assert_int_equal(user_write(space, VADDR(AT + from), buffer, n), 0);
			break;
		case 1:
			memset(flat + from, 0, n);
			assert_int_equal(user_clear(space, VADDR(AT + from), n), 0);
			break;
		default:
			assert_int_equal(user_read(space, buffer, VADDR(AT + from), n), 0);
			assert_memory_equal(buffer, flat + from, n);
		}
	}
	unit_end(space);
}

static void bad_addresses(void **state)
{
	static const uint64_t bad[] = { 0,
					AT - 1,
					AT + PAGES(2) - 3,
					USER_END - 1,
					USER_END,
					USER_END + 5,
					UINT64_C(1) << 38,
					UINT64_MAX - 3,
					UINT64_C(0xffffffc080200000),
					UINT64_C(0x8000000000000000) };
	struct space *space = unit_begin(&machine);
	uint32_t word;

	(void)state;
	(void)unit_map(space, AT, 2, RW);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(user_read(space, buffer, VADDR(bad[i]), 8), -EFAULT);
		assert_int_equal(user_write(space, VADDR(bad[i]), buffer, 8), -EFAULT);
		assert_int_equal(user_clear(space, VADDR(bad[i]), 8), -EFAULT);
		assert_int_equal(user_read(space, buffer, VADDR(bad[i]), 0), 0);
		if (bad[i] != AT + PAGES(2) - 3 && bad[i] != AT - 1 && bad[i] < USER_END)
			continue;
		assert_true(user_load_u32(space, VADDR(bad[i]), &word) == -EFAULT);
		assert_true(user_cmpxchg_u32(space, VADDR(bad[i]), 0, 1, &word) == -EFAULT);
	}
	assert_int_equal(user_write(space, VADDR(AT), buffer, UINT64_MAX - 5), -EFAULT); /* as far as it goes */
	unit_end(space);
}

static void strings(void **state)
{
	struct space *space = unit_begin(&machine);
	char text[64];

	(void)state;
	(void)unit_map(space, AT, 2, RW);
	assert_int_equal(user_write(space, VADDR(AT + PAGE_SIZE - 5), "across a page", 14), 0);
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGE_SIZE - 5), sizeof(text)), 13);
	assert_string_equal(text, "across a page");
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGE_SIZE - 5), 14), 13);
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGE_SIZE - 5), 13), -ENAMETOOLONG);
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGE_SIZE - 5), 3), -ENAMETOOLONG);
	assert_int_equal(user_read_string(space, text, VADDR(AT), sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(user_write(space, VADDR(AT + PAGES(2) - 4), "abcd", 4), 0); /* runs off the end */
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGES(2) - 4), sizeof(text)), -EFAULT);
	assert_int_equal(user_read_string(space, text, VADDR(AT + PAGES(2) - 4), 4), -ENAMETOOLONG);
	assert_int_equal(user_read_string(space, text, VADDR(0), sizeof(text)), -EFAULT);
	unit_end(space);
}

static void words(void **state)
{
	struct space *space = unit_begin(&machine);
	uint32_t word = 7, old;

	(void)state;
	(void)unit_map(space, AT, 2, RW);
	assert_int_equal(user_load_u32(space, VADDR(AT), &word), -EAGAIN); /* not there yet */
	assert_int_equal(space_fault(space, VADDR(AT), ACCESS_READ), FAULT_OK);
	assert_int_equal(user_load_u32(space, VADDR(AT), &word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(user_cmpxchg_u32(space, VADDR(AT), 0, 5, &old), -EAGAIN); /* the zero frame stays zero */
	assert_int_equal(space_fault(space, VADDR(AT), ACCESS_WRITE), FAULT_OK);
	assert_int_equal(user_cmpxchg_u32(space, VADDR(AT), 1, 5, &old), 0);
	assert_int_equal(old, 0);
	assert_int_equal(user_cmpxchg_u32(space, VADDR(AT), 0, 5, &old), 0);
	assert_int_equal(old, 0);
	assert_int_equal(unit_load(VADDR(AT)), 5);
	assert_int_equal(user_load_u32(space, VADDR(AT + 2), &word), -EFAULT);
	assert_int_equal(user_cmpxchg_u32(space, VADDR(AT + 1), 0, 5, &old), -EFAULT);
	unit_end(space);
}

/* Shared memory is the same futex in every space; private memory is another in each. */
static void futex_keys(void **state)
{
	struct space *space = unit_begin(&machine), *child;
	struct user_key a, b;
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	(void)unit_map(space, AT, 1, RW);
	(void)unit_map_object(space, AT + PAGES(10), 2, RW, object, 3, true);
	(void)unit_map_object(space, AT + PAGES(20), 4, RW, object, 2, true);
	(void)unit_map_object(space, AT + PAGES(30), 4, RW, object, 2, false);
	assert_int_equal(user_futex_key(space, VADDR(AT + PAGES(10) + 12), &a), 0);
	unit_store(VADDR(AT + PAGES(21) + 8), 1);
	assert_int_equal(user_futex_key(space, VADDR(AT + PAGES(21) + 12), &b), 0);
	assert_ptr_equal(a.of, b.of);
	assert_int_equal(a.offset, PAGES(3) + 12);
	assert_int_equal(a.offset, b.offset);
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	assert_int_equal(user_futex_key(child, VADDR(AT + PAGES(10) + 12), &b), 0);
	assert_ptr_equal(a.of, b.of);
	assert_int_equal(a.offset, b.offset);
	for (unsigned at = 0; at <= 30; at += 30) {
		assert_int_equal(user_futex_key(space, VADDR(AT + PAGES(at)), &a), 0);
		assert_int_equal(user_futex_key(child, VADDR(AT + PAGES(at)), &b), 0);
		assert_ptr_not_equal(a.of, b.of);
		unit_store(VADDR(AT + PAGES(at)), 1);
		assert_int_equal(user_futex_key(space, VADDR(AT + PAGES(at)), &b), 0);
		assert_true(a.of == b.of && a.offset == b.offset); /* the same before and after the first touch */
	}
	assert_int_equal(user_futex_key(space, VADDR(AT + PAGES(5)), &a), -EFAULT);
	assert_int_equal(user_futex_key(space, VADDR(USER_END), &a), -EFAULT);
	object_put(object);
	unit_drop(child);
	unit_end(space);
}

/* Against permissions: private memory by a copy that gives the program no right, shared memory not; holes stop it. */
static void forced(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object;
	uint64_t word;

	(void)state;
	assert_int_equal(object_create(PAGES(2), "source", 6, &object), 0);
	(void)unit_map(space, AT, 1, 0);
	(void)unit_map_object(space, AT + PAGES(1), 2, PERM_R, object, 0, false);
	(void)unit_map_object(space, AT + PAGES(4), 2, PERM_R, object, 0, true);
	assert_int_equal(force_read(space, buffer, VADDR(AT + 5), 3), 3);
	assert_int_equal(buffer[0], 0);
	assert_int_equal(force_write(space, VADDR(AT + PAGES(1) - 2), "abXY", 4), 4);
	assert_int_equal(force_read(space, buffer, VADDR(AT + PAGES(1) - 2), 8), 8);
	assert_memory_equal(buffer, "abXYurce", 8);
	assert_int_equal(object_read(object, 0, buffer, 6), 6);
	assert_memory_equal(buffer, "source", 6);
	unit_audit();
	assert_int_equal(space_fault(space, VADDR(AT + PAGES(1)), ACCESS_WRITE), FAULT_ACCERR);
	assert_int_equal(space_fault(space, VADDR(AT), ACCESS_READ), FAULT_ACCERR);
	assert_int_equal(force_write(space, VADDR(AT + PAGES(4)), "Z", 1), 0);
	assert_int_equal(force_read(space, buffer, VADDR(AT + PAGES(4)), 6), 6);
	assert_memory_equal(buffer, "source", 6);
	assert_int_equal(force_read(space, buffer, VADDR(AT + PAGES(3) - 9), 20), 9);
	assert_int_equal(force_read(space, &word, VADDR(USER_END - 1), 8), 0);
	assert_int_equal(force_write(space, VADDR(UINT64_MAX - 3), &word, 8), 0);
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(3), RW), 0);
	assert_int_equal(user_read(space, buffer, VADDR(AT + PAGES(1) - 2), 4), 0);
	assert_memory_equal(buffer, "abXY", 4);
	unit_audit();
	object_put(object);
	unit_end(space);
}

/* Where only a fault gets further: a page that a clone shares, and one whose store wants to know that it is written. */
static void forced_by_faults(void **state)
{
	struct space *space = unit_begin(&machine);
	struct object *object, *clone;
	static struct store store;
	uint64_t word = 0;

	(void)state;
	assert_int_equal(object_create(PAGES(2), NULL, 0, &object), 0);
	assert_int_equal(object_create(PAGES(2), NULL, 0, &clone), 0);
	word = 77;
	assert_int_equal(object_write(object, 0, &word, 8), 8);
	assert_int_equal(object_clone_range(object, 0, clone, 0, 2), 0);
	unit_map_object(space, AT, 2, RW, object, 0, true);
	assert_int_equal(force_read(space, &word, VADDR(AT + PAGE_SIZE), 8), 8);
	assert_int_equal(word, 0);
	word = 78;
	assert_int_equal(force_write(space, VADDR(AT), &word, 8), 8);
	assert_int_equal(object_read(object, 0, &word, 8), 8);
	assert_int_equal(word, 78);
	assert_int_equal(object_read(clone, 0, &word, 8), 8);
	assert_int_equal(word, 77);
	store_start(&store, 2);
	store_read_in(&store, 0);
	unit_map_object(space, AT + PAGES(4), 2, RW, store.object, 0, true);
	assert_int_equal(unit_load(VADDR(AT + PAGES(4))), 0);
	assert_int_equal(force_write(space, VADDR(AT + PAGES(4)), &word, 8), 8);
	assert_int_equal(object_dirty_pages(store.object), 1);
	assert_int_equal(force_write(space, VADDR(AT + PAGES(5)), &word, 8), 0); /* must be read in first */
	unit_audit();
	object_put(object);
	object_put(clone);
	object_put(store.object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(random_copies), UNIT_TEST(bad_addresses), UNIT_TEST(strings),		 UNIT_TEST(words),
	UNIT_TEST(futex_keys),	  UNIT_TEST(forced),	    UNIT_TEST(forced_by_faults),
};

UNIT_MAIN_SHARING("user", tests)
