/* Frames: the buddy allocator against a bitmap, stocks, exhaustion, counts. */
#include "tests/unit/unit.h"

#define RAM_FRAMES 4096 /* 16 MiB */

static const struct fake_config small = { .harts = 4, .bytes = PAGES(RAM_FRAMES), .coremap_only = true };

static uint64_t first_pfn(void)
{
	return FAKE_RAM_BASE >> PAGE_SHIFT;
}

/* Which frames a test has got, by its own book. */
static bool taken[RAM_FRAMES];

static void take(pfn_t pfn, unsigned order)
{
	assert_int_equal(pfn.v & ((UINT64_C(1) << order) - 1), 0);
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		uint64_t at = pfn.v + i - first_pfn();

		assert_in_range(at, 0, RAM_FRAMES - 1);
		assert_false(taken[at]);
		taken[at] = true;
	}
}

static void give(pfn_t pfn, unsigned order)
{
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		assert_true(taken[pfn.v + i - first_pfn()]);
		taken[pfn.v + i - first_pfn()] = false;
	}
}

static void what_is_reserved_is_never_given_out(void **state)
{
	struct fake_config config = { .bytes = PAGES(RAM_FRAMES),
				      .coremap_only = true,
				      .reserved = PAGES(100),
				      .reserved_at = PAGES(1000),
				      .reserved_bytes = PAGES(24),
				      .hole_start = PAGES(2000),
				      .hole_bytes = PAGES(64) };
	uint64_t n = 0;
	pfn_t pfn;

	(void)state;
	fake_start(&config);
	assert_true(frames_total() <= RAM_FRAMES - 100 - 24 - 64);
	assert_true(frames_total() >= RAM_FRAMES - 100 - 24 - 64 - 16);
	assert_int_equal(frames_free(), frames_total());
	assert_true(frame_exists(PFN(first_pfn())));
	assert_true(frame_exists(PFN(first_pfn() + RAM_FRAMES - 1)));
	assert_false(frame_exists(PFN(first_pfn() + RAM_FRAMES)));
	assert_false(frame_exists(PFN(first_pfn() - 1)));
	assert_false(frame_exists(PFN(first_pfn() + 2000)));
	assert_false(frame_exists(PFN(first_pfn() + 2063)));
	assert_true(frame_exists(PFN(first_pfn() + 2064)));
	while (frame_alloc(FRAME_ANON, &pfn) == 0) {
		uint64_t at = pfn.v - first_pfn();

		take(pfn, 0);
		assert_true(at >= 100 && !(at >= 1000 && at < 1024) && !(at >= 2000 && at < 2064));
		memset(frame_data(pfn), 1, PAGE_SIZE);
		n++;
	}
	assert_int_equal(n, frames_total());
	assert_int_equal(frames_free(), 0);
}

struct held {
	pfn_t pfn;
	unsigned order;
};

static unsigned alloc_random(struct held *held, unsigned n)
{
	unsigned order = fake_below(3) != 0 ? 0 : (unsigned)fake_below(7);
	enum frame_kind kind = fake_below(2) != 0 ? FRAME_ANON : FRAME_KERNEL;
	pfn_t pfn;
	int error = order == 0 ? frame_alloc(kind, &pfn) : frame_alloc_block(kind, order, &pfn);

	if (error != 0) {
		assert_int_equal(error, -ENOMEM);
		return n;
	}
	take(pfn, order);
	assert_int_equal(frame_of(pfn)->kind, kind);
	assert_true(frame_is_sole(pfn));
	held[n] = (struct held){ pfn, order };
	return n + 1;
}

static unsigned free_random(struct held *held, unsigned n)
{
	unsigned i = (unsigned)fake_below(n);

	give(held[i].pfn, held[i].order);
	frame_put(held[i].pfn);
	held[i] = held[n - 1];
	return n - 1;
}

/* Some of one frame each and some blocks, at one visit to the allocator; the first of them had another slot, and stays. */
static unsigned free_many(struct held *held, unsigned n)
{
	struct frame_batch batch = { .first = NULL };
	unsigned count = (unsigned)fake_below(MIN(n, 700)) + 1;

	assert_true(frame_get(held[n - 1].pfn));
	frame_batch_put(&batch, held[n - 1].pfn);
	assert_true(frame_is_sole(held[n - 1].pfn));
	frame_batch_put(&batch, frame_zero());
	for (; count != 0; count--) {
		n--;
		give(held[n].pfn, held[n].order);
		frame_batch_put(&batch, held[n].pfn);
	}
	frame_batch_end(&batch);
	assert_null(batch.first);
	return n;
}

static void random_against_a_bitmap(void **state)
{
	static struct held held[RAM_FRAMES];
	unsigned n = 0, up = 1;
	uint64_t total, in_use;

	(void)state;
	fake_start(&small);
	(void)unit_seed();
	total = frames_free();
	for (unsigned step = 0; step < unit_steps(200000); step++) {
		if (fake_below(5000) == 0)
			up = !up;
		if (fake_below(50) == 0)
			fake_hart_enter((unsigned)fake_below(4));
		if (fake_below(10000) == 0)
			coremap_drain();
		if (n == 0 || fake_below(100) < (up ? 60 : 40))
			n = alloc_random(held, n);
		else if (fake_below(1000) == 0)
			n = free_many(held, n);
		else
			n = free_random(held, n);
		if (step % 4096 != 0)
			continue;
		in_use = 0;
		for (unsigned i = 0; i < n; i++)
			in_use += UINT64_C(1) << held[i].order;
		assert_int_equal(frames_free() + in_use, total);
	}
	while (n != 0)
		n = free_random(held, n);
	assert_int_equal(frames_free(), total);
	coremap_drain();
	assert_int_equal(buddy_free_frames(), total);
}

/* All merges back: as large a block as at the start can be had at the end. */
static void blocks_merge_again(void **state)
{
	static pfn_t all[RAM_FRAMES];
	unsigned n = 0, largest = 11;
	pfn_t block;

	(void)state;
	fake_start(&small);
	while (frame_alloc_block(FRAME_KERNEL, largest, &block) != 0)
		largest--;
	assert_true(largest >= 10);
	frame_put(block);
	while (frame_alloc(FRAME_ANON, &all[n]) == 0)
		n++;
	for (unsigned i = 0; i < n; i++) { /* every second one first, so that nothing merges early */
		unsigned at = i < (n + 1) / 2 ? 2 * i : 2 * (i - (n + 1) / 2) + 1;

		frame_put(all[at]);
	}
	assert_int_equal(frame_alloc_block(FRAME_KERNEL, largest, &block), 0);
	take(block, largest);
	frame_put(block);
	assert_int_equal(frame_alloc_block(FRAME_KERNEL, BUDDY_ORDERS, &block), -ENOMEM);
	assert_int_equal(frame_alloc_block(FRAME_KERNEL, 40, &block), -ENOMEM);
}

/* What other harts have put by is found before an allocation fails. */
static void stocks_are_searched(void **state)
{
	static pfn_t all[RAM_FRAMES];
	unsigned n = 0;
	pfn_t pfn;

	(void)state;
	fake_start(&small);
	while (frame_alloc(FRAME_ANON, &all[n]) == 0)
		n++;
	assert_int_equal(n, frames_total());
	fake_hart_enter(2);
	for (unsigned i = 0; i < 5; i++)
		frame_put(all[i]);
	fake_hart_enter(1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), -ENOMEM);
	assert_int_equal(frame_alloc_zeroed(FRAME_ANON, &pfn), -ENOMEM);
	assert_int_equal(frame_alloc_block(FRAME_ANON, 1, &pfn), -ENOMEM);
	/* A pair that lies in a stock as two single frames is still a pair. */
	for (unsigned i = 0; i < n; i++)
		if ((all[i].v & 1) == 0)
			for (unsigned j = 0; j < n && i >= 5; j++)
				if (j >= 5 && all[j].v == all[i].v + 1) {
					frame_put(all[i]);
					frame_put(all[j]);
					assert_int_equal(frame_alloc_block(FRAME_ANON, 1, &pfn), 0);
					return;
				}
	fail_msg("no pair");
}

static void zeroed_means_zero(void **state)
{
	static const char zero[PAGE_SIZE];
	pfn_t pfn[64];

	(void)state;
	fake_start(&small);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(frame_alloc(FRAME_ANON, &pfn[i]), 0); /* the fake fills it with garbage */
	for (unsigned i = 0; i < 64; i++)
		frame_put(pfn[i]);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(frame_alloc_zeroed(FRAME_ANON, &pfn[i]), 0);
		assert_memory_equal(frame_data(pfn[i]), zero, PAGE_SIZE);
	}
	assert_memory_equal(frame_data(frame_zero()), zero, PAGE_SIZE);
}

static void counts(void **state)
{
	uint64_t before;
	pfn_t pfn;

	(void)state;
	fake_start(&small);
	before = frames_free();
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	assert_true(frame_is_sole(pfn));
	for (unsigned i = 0; i < 100000; i++) /* beyond 8 and 16 bits */
		assert_true(frame_get(pfn));
	assert_false(frame_is_sole(pfn));
	for (unsigned i = 0; i < 100000; i++)
		frame_put(pfn);
	assert_true(frame_is_sole(pfn));
	assert_int_equal(frames_free(), before - 1);
	frame_put(pfn);
	assert_int_equal(frames_free(), before);
	assert_int_equal(frame_of(pfn)->kind, FRAME_FREE);
	for (unsigned i = 0; i < 1000; i++) /* immortal, uncounted */
		frame_put(frame_zero());
	assert_true(frame_get(frame_zero()));
	assert_int_equal(frame_of(frame_zero())->kind, FRAME_ZERO);
}

static void do_put(void *arg)
{
	frame_put(*(pfn_t *)arg);
}

static void do_get(void *arg)
{
	(void)!frame_get(*(pfn_t *)arg);
}

static void count_underflow_stops(void **state)
{
	const char *text;
	pfn_t pfn;

	(void)state;
	fake_start(&small);
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	frame_put(pfn);
	text = fake_panic_of(do_put, &pfn);
	assert_non_null(text);
	assert_non_null(strstr(text, "CHECK"));
}

static void count_of_free_frame_stops(void **state)
{
	pfn_t pfn;

	(void)state;
	fake_start(&small);
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	frame_put(pfn);
	assert_non_null(fake_panic_of(do_get, &pfn));
}

/* No program can drive a count to where it wraps: it is refused one before, and nothing is done. */
static void counts_do_not_wrap(void **state)
{
	pfn_t pfn;

	(void)state;
	fake_start(&small);
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX - 1);
	assert_true(frame_get(pfn));
	for (unsigned i = 0; i < 10; i++)
		assert_false(frame_get(pfn));
	assert_int_equal(atomic_load(&frame_of(pfn)->count), FRAME_COUNT_MAX);
	frame_put(pfn);
	assert_true(frame_get(pfn));
}

/* 6 GiB with a hole in it: the largest blocks, and nothing that reaches into the hole. */
static void a_large_machine(void **state)
{
	uint64_t gib = UINT64_C(1) << 30, hole = (FAKE_RAM_BASE + 3 * gib) >> PAGE_SHIFT, before;
	pfn_t block[8];
	unsigned n = 0;

	(void)state;
	fake_start(&(struct fake_config){
		.harts = 8, .bytes = 6 * gib, .hole_start = 3 * gib, .hole_bytes = PAGES(5), .coremap_only = true });
	before = frames_free();
	while (n < 8 && frame_alloc_block(FRAME_ANON, BUDDY_ORDERS - 1, &block[n]) == 0)
		n++;
	assert_int_equal(n, 4); /* the first GiB has a reservation in it, the fourth the hole */
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(block[i].v % (gib >> PAGE_SHIFT), 0);
		assert_true(hole < block[i].v || hole >= block[i].v + (gib >> PAGE_SHIFT));
		frame_put(block[i]);
	}
	assert_int_equal(frames_free(), before);
}

/* A count that is none, or as high as can be, is not taken; frames are told to be few once for each that is taken. */
static unsigned told;

static void tell(void)
{
	told++;
}

static void frames_get_few(void **state)
{
	pfn_t pfn, first = PFN(0);
	uint64_t n = 0;

	(void)state;
	fake_start(&small);
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
	assert_int_equal(frame_try_get(pfn), 0);
	assert_int_equal(atomic_load(&frame_of(pfn)->count), 2);
	atomic_store(&frame_of(pfn)->count, 0);
	assert_int_equal(frame_try_get(pfn), -EAGAIN);
	atomic_store(&frame_of(pfn)->count, FRAME_COUNT_MAX);
	assert_int_equal(frame_try_get(pfn), -ENOMEM);
	assert_int_equal(atomic_load(&frame_of(pfn)->count), FRAME_COUNT_MAX);
	atomic_store(&frame_of(pfn)->count, 1);
	frame_put(pfn);
	frames_set_low(300, tell);
	while (frames_free() > 1000) {
		assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
		*(uint64_t *)frame_data(pfn) = first.v;
		first = pfn;
		n++;
	}
	assert_int_equal(told, 0);
	while (frame_alloc(FRAME_ANON, &pfn) == 0) {
		*(uint64_t *)frame_data(pfn) = first.v;
		first = pfn;
		n++;
	}
	assert_in_range(told, 1, 301);
	for (; first.v != 0; first = pfn) {
		pfn = PFN(*(uint64_t *)frame_data(first));
		frame_put(first);
	}
	assert_int_equal(frames_free(), n);
}

/* As many harts as there may be, little memory, the end of it taken: each has what it needs of its own, and all of the rest is there. */
static void many_harts(void **state)
{
	uint64_t bytes = UINT64_C(2) << 20;
	pfn_t pfn;
	uint64_t n = 0;

	(void)state;
	fake_start(&(struct fake_config){ .harts = HW_MAX_HARTS,
					  .bytes = bytes,
					  .reserved = PAGES(4),
					  .reserved_at = bytes - PAGES(3),
					  .reserved_bytes = PAGES(3),
					  .coremap_only = true });
	assert_in_range(frames_free(), (bytes >> PAGE_SHIFT) - 16, (bytes >> PAGE_SHIFT) - 8);
	for (uint64_t left = frames_free(); left != 0; left--, n++) {
		fake_hart_enter((unsigned)(n % HW_MAX_HARTS));
		assert_int_equal(frame_alloc(FRAME_ANON, &pfn), 0);
		assert_true(pfn.v < (FAKE_RAM_BASE + bytes - PAGES(3)) >> PAGE_SHIFT);
	}
	assert_int_equal(frame_alloc(FRAME_ANON, &pfn), -ENOMEM);
}

/* Looking at each frame in turn leaves the hole out. */
static void frames_in_turn(void **state)
{
	uint64_t n = 0;
	pfn_t last = PFN(0);

	(void)state;
	fake_start(&(struct fake_config){
		.bytes = UINT64_C(32) << 20, .hole_start = UINT64_C(16) << 20, .hole_bytes = PAGES(7) });
	for (pfn_t pfn = frame_first(); pfn.v != 0; pfn = frame_next(pfn), n++) {
		assert_true(frame_exists(pfn) && pfn.v > last.v);
		last = pfn;
	}
	assert_int_equal(n, ((UINT64_C(32) << 20) >> PAGE_SHIFT) - 7);
	unit_audit();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(what_is_reserved_is_never_given_out),
	UNIT_TEST(random_against_a_bitmap),
	UNIT_TEST(blocks_merge_again),
	UNIT_TEST(stocks_are_searched),
	UNIT_TEST(zeroed_means_zero),
	UNIT_TEST(counts),
	UNIT_TEST(count_underflow_stops),
	UNIT_TEST(count_of_free_frame_stops),
	UNIT_TEST(counts_do_not_wrap),
	UNIT_TEST(a_large_machine),
	UNIT_TEST(frames_get_few),
	UNIT_TEST(many_harts),
	UNIT_TEST(frames_in_turn),
};

UNIT_MAIN("coremap", tests)
