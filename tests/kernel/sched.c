/* Threads and wait queues: no wake-up is lost, threads run where they may. */
#include "kernel/sched.h"

#include <stdatomic.h>

#include "firmware/hart.h"
#include "firmware/trap.h"
#include "kernel/quiesce.h"
#include "kernel/runqueue.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "lib/watch.h"
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

/*
 * A hart that looks for work waits for another's queue to be unlocked, and takes the interrupt of a thread that is put on its own while it waits:
 * it must not go to sleep for want of an interrupt. Three harts: one puts it there, one holds its own queue, one looks.
 */
#define LOST_NS UINT64_C(15000000000) /* within what a wait may last before the watchdog asks: that wakes all */

enum { STARTER, HOLDER, LOOKER, ROLES };

static unsigned hart_of[ROLES];
static _Atomic bool holding, let_go, ran;

static bool looker_is_idle(void)
{
	struct runqueue *queue = &runqueues[hart_of[LOOKER]];
	bool idle;

	spin_lock(&queue->lock, RANK_RUNQUEUE);
	idle = queue->current == &queue->idle;
	spin_unlock(&queue->lock, RANK_RUNQUEUE);
	return idle;
}

static bool looker_waits(void)
{
	struct watch_seen wait = watch_of(hart_of[LOOKER]);

	return wait.what == WATCH_LOCK && wait.object == &runqueues[hart_of[HOLDER]].lock;
}

static uint64_t looker_interrupts(void)
{
	return atomic_load(&hart_get(hart_of[LOOKER])->ipis_received);
}

static bool is_holding(void)
{
	return atomic_load(&holding);
}

static bool has_run(void)
{
	return atomic_load(&ran);
}

static bool comes_true(bool (*what)(void))
{
	for (uint64_t until = time_ns() + LOST_NS; !what() && time_ns() < until;)
		hw_relax();
	return what();
}

static void run(void *arg)
{
	(void)arg;
	atomic_store(&ran, true);
}

/* What it has on its list, and nobody else may run, makes others look into it. */
static void hold(void)
{
	KT_CHECK(comes_true(looker_is_idle));
	ktest_start(ender, NULL, UINT64_C(1) << hw_hart());
	spin_lock(&my_queue()->lock, RANK_RUNQUEUE);
	atomic_store(&holding, true);
	while (!atomic_load(&let_go))
		hw_relax();
	spin_unlock(&my_queue()->lock, RANK_RUNQUEUE);
}

static void start(void)
{
	uint64_t looker = UINT64_C(1) << hart_of[LOOKER], before;

	KT_CHECK(comes_true(is_holding));
	hw_send_ipi(looker);
	KT_CHECK(comes_true(looker_waits));
	before = looker_interrupts();
	ktest_start(run, NULL, looker);
	for (uint64_t until = time_ns() + LOST_NS; looker_interrupts() == before && time_ns() < until;)
		hw_relax();
	KT_CHECK(looker_interrupts() != before);
	atomic_store(&let_go, true);
	KT_CHECK(comes_true(has_run));
	/* It runs now if it has not: the others are to find the machine in order. */
	hw_send_ipi(looker);
}

static void look_body(unsigned index)
{
	if (index < ROLES)
		hart_of[index] = hw_hart();
	ktest_barrier();
	if (index == STARTER)
		start();
	else if (index == HOLDER)
		hold();
}

static void harts_look_again_before_they_sleep(void)
{
	holding = let_go = ran = false;
	if (ktest_harts() >= ROLES)
		ktest_on_all(look_body);
}

/*
 * A hart takes the interrupt of a quiesce while its thread waits for a lock, and the thread then sleeps: the hart has nothing to run, and
 * must stand still before it sleeps, too. What would wake it is its thread's deadline.
 */
static struct spinlock gate;
static struct wait_queue rest;
static _Atomic uint64_t interrupts_before;
static _Atomic bool about_to_quiesce, stood;

static bool looker_waits_for_gate(void)
{
	struct watch_seen wait = watch_of(hart_of[LOOKER]);

	return wait.what == WATCH_LOCK && wait.object == &gate;
}

static bool looker_was_told(void)
{
	return atomic_load(&about_to_quiesce) && quiesce_wanted() &&
	       looker_interrupts() != atomic_load(&interrupts_before);
}

static void have_rest(void)
{
	uint64_t until = time_ns() + LOST_NS;
	struct waiter waiter = { 0 };
	int error = 0;

	while (error == 0) {
		wait_prepare(&rest, &waiter);
		if (atomic_load(&stood))
			break;
		error = wait_block_killable(until);
	}
	wait_finish(&rest, &waiter);
}

static void quiesce_all(void)
{
	uint64_t began;

	KT_CHECK(comes_true(looker_waits_for_gate));
	atomic_store(&interrupts_before, looker_interrupts());
	atomic_store(&about_to_quiesce, true);
	began = time_ns();
	quiesce_begin();
	quiesce_end();
	KT_CHECK(time_ns() - began < LOST_NS / 2);
	atomic_store(&stood, true);
	wake_all(&rest);
}

static void stand_body(unsigned index)
{
	if (index < ROLES)
		hart_of[index] = hw_hart();
	ktest_barrier();
	if (index == STARTER) {
		quiesce_all();
	} else if (index == HOLDER) {
		spin_lock(&gate, RANK_FILE);
		atomic_store(&holding, true);
		KT_CHECK(comes_true(looker_was_told));
		spin_unlock(&gate, RANK_FILE);
		have_rest();
	} else if (index == LOOKER) {
		KT_CHECK(comes_true(is_holding));
		spin_lock(&gate, RANK_FILE);
		spin_unlock(&gate, RANK_FILE);
		have_rest();
	}
}

static void harts_stand_before_they_sleep(void)
{
	spin_init(&gate);
	wait_queue_init(&rest);
	holding = about_to_quiesce = stood = false;
	if (ktest_harts() >= ROLES)
		ktest_on_all(stand_body);
}

static const struct ktest tests[] = {
	{ "many_threads_yield", many_threads_yield },
	{ "threads_stay_where_they_may_run", threads_stay_where_they_may_run },
	{ "no_wake_is_lost", no_wake_is_lost },
	{ "wakes_race_with_timeouts", wakes_race_with_timeouts },
	{ "threads_end_and_are_freed", threads_end_and_are_freed },
	{ "harts_look_again_before_they_sleep", harts_look_again_before_they_sleep },
	{ "harts_stand_before_they_sleep", harts_stand_before_they_sleep },
};

KTEST_SUITE(ktest_sched, tests);
