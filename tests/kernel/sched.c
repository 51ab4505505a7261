/* Threads and wait queues: no wake-up is lost, threads run where they may. */
#include "kernel/sched.h"

#include <stdatomic.h>

#include "firmware/trap.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "tests/kernel/ktest.h"

#define MANY 64

static _Atomic unsigned count;

static void yielder(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 50; i++)
		sched_yield();
	atomic_fetch_add(&count, 1);
}

static void many_threads_yield(void)
{
	count = 0;
	for (unsigned i = 0; i < MANY; i++)
		ktest_start(yielder, NULL, UINT64_MAX);
	ktest_wait();
	KT_CHECK(atomic_load(&count) == MANY);
}

static void pinned(void *arg)
{
	uint64_t allowed = (uint64_t)(uintptr_t)arg;

	for (unsigned i = 0; i < 30; i++) {
		KT_CHECK((allowed >> hw_hart() & 1) != 0);
		sched_yield();
	}
}

static void threads_stay_where_they_may_run(void)
{
	for (unsigned round = 0; round < 4; round++) {
		for (uint64_t left = sched_harts(); left != 0; left &= left - 1) {
			uint64_t allowed = left & -left;

			ktest_start(pinned, (void *)(uintptr_t)allowed, allowed);
			ktest_start(pinned, (void *)(uintptr_t)sched_harts(), sched_harts());
		}
	}
	ktest_wait();
}

/* Pairs hand a ball back and forth over two queues. */
struct pair {
	struct wait_queue queue;
	struct spinlock lock; /* guards ball */
	unsigned ball;
};

struct player {
	struct pair *pair;
	unsigned side;
};

#define PAIRS  6
#define PASSES 200

static bool my_turn(struct pair *pair, unsigned side)
{
	bool mine;

	spin_lock(&pair->lock, RANK_PROCESS);
	mine = pair->ball % 2 == side;
	spin_unlock(&pair->lock, RANK_PROCESS);
	return mine;
}

static void play(void *arg)
{
	struct player *player = arg;
	struct pair *pair = player->pair;

	for (unsigned i = 0; i < PASSES; i++) {
		struct waiter waiter = { 0 };

		for (;;) {
			wait_prepare(&pair->queue, &waiter);
			if (my_turn(pair, player->side))
				break;
			(void)!wait_block_killable(WAIT_FOREVER);
		}
		wait_finish(&pair->queue, &waiter);
		spin_lock(&pair->lock, RANK_PROCESS);
		pair->ball++;
		spin_unlock(&pair->lock, RANK_PROCESS);
		if (i % 2 == 0)
			wake_all(&pair->queue);
		else
			wake_one(&pair->queue);
	}
}

static void no_wake_is_lost(void)
{
	static struct pair pairs[PAIRS];
	static struct player players[PAIRS][2];

	for (unsigned i = 0; i < PAIRS; i++) {
		wait_queue_init(&pairs[i].queue);
		spin_init(&pairs[i].lock);
		pairs[i].ball = 0;
		for (unsigned side = 0; side < 2; side++) {
			players[i][side] = (struct player){ &pairs[i], side };
			ktest_start(play, &players[i][side], UINT64_MAX);
		}
	}
	ktest_wait();
	for (unsigned i = 0; i < PAIRS; i++)
		KT_CHECK(pairs[i].ball == 2 * PASSES);
}

/* Many wait, and time out at about the time they are woken: each comes back by one or the other. */
static struct wait_queue herd;
static _Atomic unsigned woken, late;

static void herd_member(void *arg)
{
	struct waiter waiter = { 0 };
	int error;

	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		wait_prepare(&herd, &waiter);
		error = wait_block(time_ns() + ktest_below(2000000));
		wait_finish(&herd, &waiter);
		waiter = (struct waiter){ 0 };
		KT_CHECK(error == 0 || error == -ETIMEDOUT);
		atomic_fetch_add(error == 0 ? &woken : &late, 1);
	}
	atomic_fetch_sub(&count, 1);
}

static void herd_waker(void *arg)
{
	(void)arg;
	while (atomic_load(&count) != 0) {
		if (ktest_below(2) == 0)
			wake_one(&herd);
		else
			wake_all(&herd);
		for (uint64_t i = ktest_below(200); i != 0; i--)
			hw_relax();
		sched_yield();
	}
}

static void wakes_race_with_timeouts(void)
{
	wait_queue_init(&herd);
	woken = late = 0;
	count = 12;
	for (unsigned i = 0; i < 12; i++)
		ktest_start(herd_member, NULL, UINT64_MAX);
	if (ktest_harts() > 1)
		ktest_start(herd_waker, NULL, UINT64_MAX);
	ktest_wait();
	KT_CHECK(woken + late == 12 * 20);
}

static void ender(void *arg)
{
	(void)arg;
	atomic_fetch_add(&count, 1);
}

static void threads_end_and_are_freed(void)
{
	count = 0;
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 30; i++)
			ktest_start(ender, NULL, UINT64_MAX);
		ktest_wait();
	}
	KT_CHECK(atomic_load(&count) == 300);
}

static const struct ktest tests[] = {
	{ "many_threads_yield", many_threads_yield },
	{ "threads_stay_where_they_may_run", threads_stay_where_they_may_run },
	{ "no_wake_is_lost", no_wake_is_lost },
	{ "wakes_race_with_timeouts", wakes_race_with_timeouts },
	{ "threads_end_and_are_freed", threads_end_and_are_freed },
};

KTEST_SUITE(ktest_sched, tests);
