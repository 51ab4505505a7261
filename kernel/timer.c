/*
 * Timers: a pairing heap for each hart, linked through the timers themselves, so there is no size to choose and arming
 * never fails.
 *
 * Invariants: timer->state is TIMER_IDLE, TIMER_ARMED (in the heap of timer->hart) or TIMER_FIRING (taken out, fire() may
 * be running on timer->hart), or TIMER_AGAIN (the same, and fire() wants it armed again). Only the owner arms and cancels, so a timer is in one heap at most; only its hart fires it.
 *
 * Locks: heap->lock (RANK_TIMER) guards the heap's links and the change from ARMED. fire() is called without it. A
 * cancel that finds the timer FIRING waits until fire() has returned, so that the owner may free it: fire() (sched_wake)
 * never waits for the owner then, because the owner is running and so not blocked.
 *
 * Memory order: the state's release stores pair with the acquire loads in timer_try_cancel.
 */
#include "kernel/timer.h"

#include <stdatomic.h>

#include "firmware/trap.h"
#include "lib/check.h"
#include "lib/lock.h"
#include "lib/watch.h"
#include "mm/slab.h"

enum { TIMER_IDLE, TIMER_ARMED, TIMER_FIRING, TIMER_AGAIN };

struct heap {
	struct spinlock lock; /* RANK_TIMER */
	struct timer *first;  /* the earliest [lock] */
	uint64_t slice;	      /* end of the running thread's slice; this hart only */
	uint64_t set;	      /* what the hart's interrupt is armed for; this hart only */
} CACHE_ALIGNED;

static struct heap *heaps; /* hw_harts() of them */

void timers_init(void)
{
	heaps = kalloc(sizeof(struct heap) * hw_harts());
	CHECK(heaps != NULL);
	for (unsigned i = 0; i < hw_harts(); i++) {
		spin_init(&heaps[i].lock);
		heaps[i].slice = UINT64_MAX;
		heaps[i].set = UINT64_MAX;
	}
}

/* The earlier of two heaps takes the other as its first child. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *under = b;

	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (b->ticks < a->ticks) {
		under = a;
		a = b;
	}
	under->next = a->child;
	if (under->next != NULL)
		under->next->slot = &under->next;
	a->child = under;
	under->slot = &a->child;
	a->next = NULL;
	return a;
}

/* Melds a list of siblings, in pairs and then all, without recursion. */
static struct timer *meld_siblings(struct timer *list)
{
	struct timer *pairs = NULL;
	struct timer *all = NULL;

	while (list != NULL) {
		struct timer *a = list;
		struct timer *b = a->next;

		list = b == NULL ? NULL : b->next;
		a->next = NULL;
		if (b != NULL)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct timer *next = pairs->next;

		pairs->next = NULL;
		all = meld(all, pairs);
		pairs = next;
	}
	return all;
}

static void heap_insert(struct heap *heap, struct timer *timer)
{
	timer->child = NULL;
	timer->next = NULL;
	heap->first = meld(heap->first, timer);
	heap->first->slot = &heap->first;
}

static void heap_remove(struct heap *heap, struct timer *timer)
{
	struct timer *rest;

	*timer->slot = timer->next;
	if (timer->next != NULL)
		timer->next->slot = timer->slot;
	timer->next = NULL;
	rest = meld_siblings(timer->child);
	timer->child = NULL;
	heap->first = meld(heap->first, rest);
	if (heap->first != NULL)
		heap->first->slot = &heap->first;
}

/* This hart's interrupt for the earlier of the first timer and the slice's end. */
static void heap_program(struct heap *heap)
{
	uint64_t first = heap->first == NULL ? UINT64_MAX : heap->first->ticks;
	uint64_t want = MIN(first, heap->slice);

	if (want == heap->set)
		return;
	heap->set = want;
	timer_set(want);
}

void timer_arm(struct timer *timer, uint64_t deadline_ns, void (*fire)(struct timer *timer))
{
	struct heap *heap = &heaps[hw_hart()];

	timer->ticks = ns_to_ticks(deadline_ns);
	timer->fire = fire;
	timer->hart = hw_hart();
	spin_lock(&heap->lock, RANK_TIMER);
	/* relaxed: the lock orders it for the firing hart; the owner is the only other reader */
	atomic_store_explicit(&timer->state, TIMER_ARMED, memory_order_relaxed);
	heap_insert(heap, timer);
	heap_program(heap);
	spin_unlock(&heap->lock, RANK_TIMER);
}

void timer_again(struct timer *timer, uint64_t deadline_ns)
{
	timer->ticks = ns_to_ticks(deadline_ns);
	/* relaxed: only timers_serve, which called us, looks for it */
	atomic_store_explicit(&timer->state, TIMER_AGAIN, memory_order_relaxed);
}

bool timer_try_cancel(struct timer *timer)
{
	struct heap *heap = &heaps[timer->hart];
	bool idle;

	/* acquire: pairs with the release after fire(), so what fire() did is done */
	if (atomic_load_explicit(&timer->state, memory_order_acquire) == TIMER_IDLE)
		return true;
	spin_lock(&heap->lock, RANK_TIMER);
	if (atomic_load_explicit(&timer->state, memory_order_relaxed) == TIMER_ARMED) {
		heap_remove(heap, timer);
		atomic_store_explicit(&timer->state, TIMER_IDLE, memory_order_relaxed);
	}
	/* acquire: as above */
	idle = atomic_load_explicit(&timer->state, memory_order_acquire) == TIMER_IDLE;
	spin_unlock(&heap->lock, RANK_TIMER);
	return idle;
}

static __attribute__((noinline)) void await_firing(struct timer *timer)
{
	struct watch watch = { .what = WATCH_TIMER, .object = timer };

	do {
		watch_turn(&watch);
	} while (!timer_try_cancel(timer));
	watch_end(&watch);
}

/* The hart that fires needs nothing of us but hw_relax. */
void timer_cancel(struct timer *timer)
{
	if (!timer_try_cancel(timer))
		await_firing(timer);
}

static struct timer *take_due(struct heap *heap)
{
	struct timer *timer;

	spin_lock(&heap->lock, RANK_TIMER);
	timer = heap->first;
	if (timer != NULL && timer->ticks <= time_ticks()) {
		heap_remove(heap, timer);
		atomic_store_explicit(&timer->state, TIMER_FIRING, memory_order_relaxed);
	} else {
		timer = NULL;
		heap_program(heap);
	}
	spin_unlock(&heap->lock, RANK_TIMER);
	return timer;
}

/* fire() has returned: the timer is idle, or armed again. */
static void after_fire(struct heap *heap, struct timer *timer)
{
	uint32_t fired = TIMER_FIRING;

	/* release: pairs with the acquire in timer_try_cancel: the owner may free the timer now */
	if (atomic_compare_exchange_strong_explicit(&timer->state, &fired, TIMER_IDLE, memory_order_release,
						    memory_order_relaxed))
		return;
	spin_lock(&heap->lock, RANK_TIMER);
	atomic_store_explicit(&timer->state, TIMER_ARMED, memory_order_relaxed);
	heap_insert(heap, timer);
	spin_unlock(&heap->lock, RANK_TIMER);
}

bool timers_serve(void)
{
	struct heap *heap = &heaps[hw_hart()];
	struct timer *timer;
	bool slice_over = heap->slice <= time_ticks();

	/* Whatever is armed has gone off or is about to: makes heap_program arm anew. */
	heap->set = 0;
	if (slice_over)
		heap->slice = UINT64_MAX;
	while ((timer = take_due(heap)) != NULL) {
		timer->fire(timer);
		after_fire(heap, timer);
	}
	return slice_over;
}

void timer_slice(uint64_t ticks)
{
	struct heap *heap = &heaps[hw_hart()];

	if (heap->slice != UINT64_MAX)
		return;
	heap->slice = time_ticks() + ticks;
	if (heap->slice < heap->set) {
		heap->set = heap->slice;
		timer_set(heap->set);
	}
}
