/* Small kernel objects: random sizes against a book of what each holds; alignment, zeroing, giving all back. */
#include "tests/unit/unit.h"

#include "mm/slab.h"

#define OBJECTS 2000

static const struct fake_config machine = { .harts = 4 };

struct held {
	unsigned char *at;
	size_t bytes;
	unsigned char fill;
};

static void check_fill(const struct held *held)
{
	for (size_t i = 0; i < held->bytes; i++)
		assert_int_equal(held->at[i], held->fill);
}

static size_t random_size(void)
{
	switch (fake_below(8)) {
	case 0:
		return 1 + fake_below(20000);
	case 1:
		return UINT64_C(1) << fake_below(14);
	default:
		return 1 + fake_below(600);
	}
}

static void put(struct held *held)
{
	check_fill(held);
	kfree(held->at);
	held->at = NULL;
}

static void get(struct held *held)
{
	size_t bytes = random_size(), align = 1;

	held->at = kalloc(bytes);
	held->bytes = bytes;
	held->fill = 0;
	if (held->at == NULL)
		return;
	while (align < bytes && align < 4096)
		align *= 2;
	assert_int_equal((uintptr_t)held->at & (align - 1), 0);
	while (align < bytes)
		align *= 2;
	assert_int_equal(kalloc_bytes(held->at), MAX(align, 64));
	check_fill(held);
	held->fill = (unsigned char)(1 + fake_below(255));
	memset(held->at, held->fill, bytes);
}

static void random_sizes(void **state)
{
	static struct held held[OBJECTS];
	uint64_t before;

	(void)state;
	fake_start(&machine);
	(void)unit_seed();
	slab_drain();
	before = frames_free();
	for (unsigned step = 0; step < unit_steps(60000); step++) {
		struct held *one = &held[fake_below(OBJECTS)];

		if (fake_below(20) == 0)
			fake_hart_enter((unsigned)fake_below(4));
		if (fake_below(10000) == 0)
			slab_drain();
		if (one->at != NULL)
			put(one);
		else
			get(one);
	}
	for (unsigned i = 0; i < OBJECTS; i++)
		if (held[i].at != NULL)
			put(&held[i]);
	slab_drain();
	assert_int_equal(frames_free(), before);
	unit_audit();
}

static void null_is_freed(void **state)
{
	(void)state;
	fake_start(&machine);
	kfree(NULL);
}

static void no_memory(void **state)
{
	unsigned char *block[64];
	unsigned n = 0;
	uint64_t before;

	(void)state;
	fake_start(&(struct fake_config){ .harts = 2, .bytes = UINT64_C(4) << 20 });
	slab_drain();
	before = frames_free();
	while (n < 64 && (block[n] = kalloc(100000)) != NULL)
		n++;
	assert_in_range(n, 4, 63);
	assert_null(kalloc(UINT64_C(1) << 40));
	while (n-- != 0)
		kfree(block[n]);
	assert_int_equal(frames_free(), before);
	fake_fail_at(1, true);
	assert_null(kalloc(64));
	fake_fail_at(0, false);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(random_sizes),
	UNIT_TEST(null_is_freed),
	UNIT_TEST(no_memory),
};

UNIT_MAIN("slab", tests)
