/* Memory objects against a flat array: filling from a source, growth of the index, reads and writes at any offset. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/object_list.h"
#include "mm/slab.h"

#define BYTES (PAGES(200) + 777)

static const struct fake_config machine = { .harts = 2 };
static unsigned char flat[BYTES], buffer[BYTES + PAGE_SIZE];

static void random_io(void **state)
{
	static unsigned char source[PAGES(50) + 123];
	struct object *object;
	uint64_t before;

	(void)state;
	fake_start(&machine);
	(void)unit_seed();
	slab_drain();
	before = frames_free();
	for (size_t i = 0; i < sizeof(source); i++)
		flat[i] = source[i] = (unsigned char)fake_random();
	assert_int_equal(object_create(BYTES, source, sizeof(source), &object), 0);
	assert_int_equal(object_bytes(object), BYTES);
	for (unsigned step = 0; step < unit_steps(3000); step++) {
		uint64_t offset = fake_below(BYTES + 100), n = fake_below(fake_below(4) == 0 ? 40000 : 200);
		uint64_t expect = offset >= BYTES ? 0 : MIN(n, BYTES - offset);

		if (fake_below(2) == 0) {
			assert_int_equal(object_read(object, offset, buffer, n), expect);
			assert_memory_equal(buffer, flat + MIN(offset, BYTES), expect);
		} else {
			for (uint64_t i = 0; i < n; i++)
				buffer[i] = (unsigned char)fake_random();
			assert_int_equal(object_write(object, offset, buffer, n), expect);
			memcpy(flat + MIN(offset, BYTES), buffer, expect);
		}
	}
	assert_int_equal(object_read(object, 0, buffer, sizeof(buffer)), BYTES);
	assert_memory_equal(buffer, flat, BYTES);
	object_put(object);
	slab_drain();
	assert_int_equal(frames_free(), before);
	unit_audit();
}

static void frames_are_counted(void **state)
{
	struct object *object;
	pfn_t pfn, again;

	(void)state;
	fake_start(&machine);
	assert_int_equal(object_create(BYTES, NULL, 0, &object), 0);
	assert_int_equal(object_frame(object, 7, &pfn), 0);
	assert_int_equal(frame_of(pfn)->kind, FRAME_OBJECT);
	assert_int_equal(atomic_load(&frame_of(pfn)->count), 2);
	assert_int_equal(object_frame(object, 7, &again), 0);
	assert_int_equal(again.v, pfn.v);
	frame_put(again);
	assert_int_equal(object_frame(object, 200, &again), 0); /* the last, partial page */
	frame_put(again);
	assert_int_equal(object_frame(object, 201, &again), -EFAULT);
	assert_int_equal(object_frame(object, UINT64_MAX >> 12, &again), -EFAULT);
	object_put(object);
	assert_int_equal(frame_of(pfn)->kind, FRAME_OBJECT); /* ours still */
	frame_put(pfn);
	assert_int_equal(frame_of(pfn)->kind, FRAME_FREE);
}

struct seen {
	unsigned n;
	uint64_t sum;
};

static void see(void *ctx, uint64_t index, pfn_t pfn, bool dirty)
{
	struct seen *seen = ctx;

	assert_int_equal(frame_of(pfn)->kind, FRAME_OBJECT);
	assert_false(dirty);
	seen->n++;
	seen->sum += index;
}

/* An index that grows by whole levels, sparse, highest and lowest first. */
static void sparse_and_large(void **state)
{
	static const uint64_t index[] = { 0, 1, 63, 64, 4095, 4096, 262143, 262144, (UINT64_C(1) << 30) + 5 };
	struct object *object;
	struct seen seen = { 0, 0 };
	const struct object_visitor visitor = { see, &seen };
	uint64_t sum = 0, value, before;

	(void)state;
	fake_start(&machine);
	slab_drain();
	before = frames_free();
	assert_int_equal(object_create(UINT64_C(1) << 44, NULL, 0, &object), 0);
	for (unsigned i = 0; i < ARRAY_LEN(index); i++) {
		uint64_t at = index[(i * 5) % ARRAY_LEN(index)];

		value = at * 77;
		assert_int_equal(object_write(object, PAGES(at) + 8, &value, 8), 8);
		sum += at;
	}
	for (unsigned i = 0; i < ARRAY_LEN(index); i++) {
		assert_int_equal(object_read(object, PAGES(index[i]) + 8, &value, 8), 8);
		assert_int_equal(value, index[i] * 77);
	}
	object_visit(object, true, &visitor);
	assert_int_equal(seen.n, ARRAY_LEN(index));
	assert_int_equal(seen.sum, sum);
	object_put(object);
	slab_drain();
	assert_int_equal(frames_free(), before);
}

/* Fail each allocation of a write in turn: the right error, or the part that went; nothing lost; then it works. */
static void no_memory(void **state)
{
	struct object *object;
	uint64_t before, value = 5;
	int64_t done = 0;

	(void)state;
	fake_start(&machine);
	slab_drain();
	before = frames_free();
	assert_int_equal(object_create(UINT64_C(1) << 40, NULL, 0, &object), 0);
	for (unsigned n = 1; done != 8; n++) {
		fake_fail_at(n, false);
		done = object_write(object, PAGES(1 << 20) + 16, &value, 8);
		if (fake_fail_hit() && done != 8)
			assert_int_equal(done, -ENOMEM);
		assert_in_range(n, 0, 20);
	}
	fake_fail_at(0, false);
	value = 0;
	assert_int_equal(object_read(object, PAGES(1 << 20) + 16, &value, 8), 8);
	assert_int_equal(value, 5);
	object_put(object);
	slab_drain();
	assert_int_equal(frames_free(), before);
	unit_audit();
}

/* What is cut off is gone: zeros when it grows again, also where it came from the source and was never touched. */
static void resizing(void **state)
{
	static unsigned char source[PAGES(20)];
	struct object *object;
	uint64_t bytes = sizeof(source);

	(void)state;
	fake_start(&machine);
	(void)unit_seed();
	for (size_t i = 0; i < sizeof(source); i++)
		flat[i] = source[i] = (unsigned char)fake_random();
	assert_int_equal(object_create(bytes, source, bytes, &object), 0);
	assert_true(object_is_sole(object));
	for (unsigned step = 0; step < unit_steps(1000); step++) {
		uint64_t offset = fake_below(BYTES);
		uint64_t n = fake_below(9000);
		uint64_t expect;

		if (fake_below(3) == 0) {
			uint64_t to = fake_below(4) == 0 ? fake_below(BYTES) : bytes - fake_below(MIN(bytes, 5000) + 1);

			assert_int_equal(object_resize(object, to), 0);
			if (to > bytes)
				memset(flat + bytes, 0, to - bytes);
			bytes = to;
			assert_int_equal(object_bytes(object), bytes);
		}
		expect = offset >= bytes ? 0 : MIN(n, bytes - offset);
		assert_int_equal(object_read(object, offset, buffer, n), expect);
		assert_memory_equal(buffer, flat + offset, expect);
		memset(buffer, (int)step, n);
		assert_int_equal(object_write(object, offset, buffer, n), expect);
		memset(flat + offset, (int)step, expect);
	}
	object_put(object);
	unit_audit();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(random_io),	     UNIT_TEST(resizing),  UNIT_TEST(frames_are_counted),
	UNIT_TEST(sparse_and_large), UNIT_TEST(no_memory),
};

UNIT_MAIN_SHARING("object", tests)
