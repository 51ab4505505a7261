/* Timers: they fire, once, not early, in order; and can be cancelled at any moment. */
#include "kernel/timer.h"

#include <stdatomic.h>

#include "firmware/trap.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "tests/kernel/ktest.h"

#define MANY 100
#define MS   UINT64_C(1000000)

static void sleep_until(uint64_t deadline)
{
	struct wait_queue queue;
	struct waiter waiter = { 0 };

	wait_queue_init(&queue);
	while (time_ns() < deadline) {
		wait_prepare(&queue, &waiter);
		(void)!wait_block(deadline);
	}
	wait_finish(&queue, &waiter);
}

static void sleep_body(unsigned index)
{
	for (unsigned i = 0; i < 5; i++) {
		uint64_t start = time_ns(), length = MS * (1 + (index + i) % 4);

		sleep_until(start + length);
		KT_CHECK(time_ns() >= start + length);
	}
}

static void sleeping_on_all_harts(void)
{
	ktest_on_all(sleep_body);
}

static void a_wait_times_out(void)
{
	struct wait_queue queue;
	struct waiter waiter = { 0 };
	uint64_t deadline = time_ns() + 2 * MS;

	wait_queue_init(&queue);
	for (unsigned i = 0; i < 2; i++, deadline = 0) { /* in a while, and long past */
		int error;

		do { /* 0: for no reason, as it may */
			wait_prepare(&queue, &waiter);
			error = wait_block(deadline);
		} while (error == 0);
		KT_CHECK(error == -ETIMEDOUT);
		KT_CHECK(time_ns() >= deadline);
	}
	wait_finish(&queue, &waiter);
}

struct shot {
	struct timer timer;
	uint64_t deadline;
	_Atomic unsigned fired;
	_Atomic bool early;
};

static struct shot shots[HW_MAX_HARTS][MANY];

static void fire(struct timer *timer)
{
	struct shot *shot = container_of(timer, struct shot, timer);

	if (time_ns() < shot->deadline)
		atomic_store(&shot->early, true);
	atomic_fetch_add(&shot->fired, 1);
}

/* How late is the host's business, which may not run this hart for a while; that it comes is ours. */
static void wait_until_fired(struct shot *shot)
{
	uint64_t patience = time_ns() + 10000 * MS;

	while (shot->fired == 0 && time_ns() < patience)
		sleep_until(time_ns() + MS);
	KT_CHECK(shot->fired == 1);
}

/* A hundred on each hart, half of them cancelled: what was cancelled in time never fires, the rest once. */
static void many_body(unsigned index)
{
	struct shot *mine = shots[index];
	uint64_t now = time_ns();

	for (unsigned i = 0; i < MANY; i++) {
		mine[i] = (struct shot){ .deadline = now + MS + ktest_below(10 * MS) };
		timer_arm(&mine[i].timer, mine[i].deadline, fire);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		timer_cancel(&mine[i].timer);
	sleep_until(now + 12 * MS);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 2 == 0)
			KT_CHECK(mine[i].fired == 0 || time_ns() > mine[i].deadline);
		else
			wait_until_fired(&mine[i]);
		KT_CHECK(mine[i].fired <= 1 && !mine[i].early);
		timer_cancel(&mine[i].timer); /* harmless on one that has fired */
	}
}

static void many_timers_on_all_harts(void)
{
	ktest_on_all(many_body);
}

static const struct ktest tests[] = {
	{ "sleeping_on_all_harts", sleeping_on_all_harts },
	{ "a_wait_times_out", a_wait_times_out },
	{ "many_timers_on_all_harts", many_timers_on_all_harts },
};

KTEST_SUITE(ktest_timer, tests);
