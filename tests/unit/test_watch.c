/* Waits that last are reported after each bound, and once more when they are over; others not at all. */
#include "lib/lock.h"
#include "lib/watch.h"
#include "tests/unit/unit.h"

static const struct fake_config machine = { .harts = 2, .coremap_only = true };
static unsigned reports, ends;
static uint64_t last;

static void note(const struct watch *watch, uint64_t ticks)
{
	reports += watch->what != WATCH_NOTHING;
	ends += watch->what == WATCH_NOTHING;
	last = ticks;
}

static void turns(struct watch *watch, unsigned looks, uint64_t ticks)
{
	for (unsigned i = 0; i < looks; i++) {
		fake_ticks += ticks;
		for (unsigned turn = 0; turn < WATCH_TURNS; turn++)
			watch_turn(watch);
	}
}

static void reported_after_each_bound(void **state)
{
	struct watch watch = { .what = WATCH_WALK, .object = &machine, .detail = 1 };

	(void)state;
	fake_start(&machine);
	watch_init(1000, note);
	turns(&watch, 1, 5000);
	assert_int_equal(reports, 0);
	assert_int_equal(watch_of(0).what, WATCH_WALK);
	assert_ptr_equal(watch_of(0).object, &machine);
	assert_int_equal(watch_of(0).detail, 1);
	assert_int_equal(watch_of(1).what, WATCH_NOTHING);
	turns(&watch, 1, 999);
	assert_int_equal(reports, 0);
	turns(&watch, 1, 1);
	assert_int_equal(reports, 1);
	turns(&watch, 9, 100);
	assert_int_equal(reports, 1);
	turns(&watch, 1, 100);
	assert_int_equal(reports, 2);
	assert_int_equal(last, 2000);
	assert_int_equal(ends, 0);
	watch_end(&watch);
	assert_int_equal(ends, 1);
	assert_int_equal(watch_of(0).what, WATCH_NOTHING);
}

static void short_waits_are_not(void **state)
{
	struct watch watch = { .what = WATCH_WALK }, none = { .what = WATCH_WALK };

	(void)state;
	fake_start(&machine);
	watch_init(1000, note);
	turns(&watch, 9, 100);
	watch_end(&watch);
	watch_end(&none);
	assert_int_equal(reports + ends, 0);
}

static void none_without_a_bound(void **state)
{
	struct watch watch = { .what = WATCH_WALK };

	(void)state;
	fake_start(&machine);
	turns(&watch, 9, UINT64_C(1) << 40);
	watch_end(&watch);
	assert_int_equal(reports + ends, 0);
}

static struct spinlock lock;

/* In hw_relax, when the hart has waited for long: the lock is let go of. */
static void let_go(void)
{
	fake_ticks += 10;
	if (reports == 2)
		spin_init(&lock);
}

static void a_lock_that_stays_held(void **state)
{
	(void)state;
	fake_start(&machine);
	watch_init(10000, note);
	spin_lock(&lock, RANK_OBJECT);
	lock_rank_drop(RANK_OBJECT);
	fake_waiting = let_go;
	spin_lock(&lock, RANK_OBJECT);
	fake_waiting = NULL;
	assert_int_equal(reports, 2);
	assert_int_equal(ends, 1);
	spin_unlock(&lock, RANK_OBJECT);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(reported_after_each_bound),
	UNIT_TEST(short_waits_are_not),
	UNIT_TEST(none_without_a_bound),
	UNIT_TEST(a_lock_that_stays_held),
};

UNIT_MAIN("watch", tests)
