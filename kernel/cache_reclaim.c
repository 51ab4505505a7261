/*
 * Memory: the cache gives clean pages back before anybody is ended for want of it.
 *
 * Three ways. Who finds no frame (a fault, a copy, a read that needs some) gives clean pages back itself, and where all are dirty
 * waits for the writer (cache_reclaim). A thread gives some back while few frames are free, so that what the kernel itself needs in
 * passing is there. And who is about to fill more frames with a file makes room first.
 *
 * Which pages: those that nobody has mapped, nor used again since they were read; then those that were not used since the last look at
 * them, mapped or not (mm/evict.c); then any. Stores in turn, each from where the last look at it ended. No locks of its own; all numbers here are guesses, and relaxed, but for `wanted`, which is set with release before
 * the thread is woken and looked at with acquire.
 */
#include "firmware/trap.h"
#include "kernel/cache_parts.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "mm/coremap.h"

#define SHARE_LOW 64U /* a 64th of memory is low */
#define BATCH	  256U
#define ATTEMPTS  4U
#define REST_NS	  UINT64_C(100000000) /* after nothing was to be had */

static struct {
	uint64_t low;
	struct wait_queue queue; /* the thread's */
	_Atomic uint32_t wanted;
	_Atomic uint64_t rests_until;
	_Atomic(const struct store *) from; /* which to look at next; perhaps gone */
} reclaim;

bool cache_is_short(void)
{
	return frames_free() < reclaim.low;
}

/* Store by store, from the one that the last ones were of. */
static uint64_t evict(uint64_t want, unsigned which)
{
	/* relaxed: only compared */
	const struct store *from = atomic_load_explicit(&reclaim.from, memory_order_relaxed);
	uint64_t got = 0;

	for (unsigned round = 0; round < 2 && got < want; round++) {
		bool mine = round == 1;

		for (struct store *store = cache_next(NULL); store != NULL; store = cache_next(store)) {
			mine = store == from ? !mine : mine;
			if (!mine || got >= want || object_pages(store->object) == 0)
				continue;
			got += object_evict(store->object, 0, UINT64_MAX, want - got, which);
			atomic_store_explicit(&reclaim.from, store, memory_order_relaxed);
		}
	}
	return got;
}

/*
 * What is used least first, and what is used more only where that was not `least` of `want`. The second look at
 * mapped pages finds those that nobody has used since the first.
 */
static uint64_t evict_any(uint64_t want, uint64_t least)
{
	static const unsigned which[] = { 0, EVICT_MAPPED, EVICT_MAPPED, EVICT_MAPPED | EVICT_USED };
	uint64_t got = 0;

	for (unsigned i = 0; i < ARRAY_LEN(which) && got < least; i++)
		got += evict(want - got, which[i]);
	return got;
}

void cache_make_room(void)
{
	uint64_t free = frames_free();

	if (free < reclaim.low)
		(void)evict_any(reclaim.low - free + BATCH, 1);
}

static bool reclaim_pages(uint64_t want, uint64_t least)
{
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		if (evict_any(want, least) != 0)
			return true;
		if (objects_dirty() == 0 || cache_writer_pass() != 0)
			return false;
	}
	return false;
}

bool cache_reclaim(void)
{
	return reclaim_pages(BATCH, 1);
}

bool cache_relieve(unsigned attempt)
{
	uint64_t want = (uint64_t)BATCH << attempt;

	return reclaim_pages(want, want);
}

/* ---- The thread. */

/* mm's: few frames are left. Any locks may be held. */
static void wanted(void)
{
	if (atomic_load_explicit(&reclaim.wanted, memory_order_relaxed) != 0 ||
	    time_ns() < atomic_load_explicit(&reclaim.rests_until, memory_order_relaxed))
		return;
	/* release: see the top */
	if (atomic_exchange_explicit(&reclaim.wanted, 1, memory_order_release) == 0)
		wake_all(&reclaim.queue);
}

static void thread_wait(void)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&reclaim.queue, &waiter);
		/* acquire: see the top */
		if (atomic_load_explicit(&reclaim.wanted, memory_order_acquire) != 0 || kthread_should_stop())
			break;
		wait_block_always();
	}
	wait_finish(&reclaim.queue, &waiter);
}

static void thread_main(void *unused)
{
	(void)unused;
	for (;;) {
		uint64_t got = BATCH;

		thread_wait();
		if (kthread_should_stop())
			return;
		while (got != 0 && frames_free() < 2 * reclaim.low) {
			got = evict_any(BATCH, 1);
			sched_breathe();
		}
		if (got == 0) {
			cache_write_soon();
			atomic_store_explicit(&reclaim.rests_until, time_ns() + REST_NS, memory_order_relaxed);
		}
		atomic_store_explicit(&reclaim.wanted, 0, memory_order_relaxed);
	}
}

void cache_reclaim_init(void)
{
	reclaim.low = frames_total() / SHARE_LOW;
	wait_queue_init(&reclaim.queue);
}

int cache_reclaim_start(void)
{
	int error = kthread_create(thread_main, NULL, "reclaim", NULL);

	if (error == 0)
		frames_set_low(reclaim.low, wanted);
	return error;
}
