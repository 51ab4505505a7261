/*
 * Memory: the cache gives clean pages back before anybody is ended for want of it.
 *
 * Two ways. Who finds no frame (a fault, a read that needs some) gives clean pages back itself, and where all are dirty waits for
 * the writer (cache_reclaim). And while few frames are free (low), whoever is about to fill more of them with a file first makes
 * room, so that what the kernel needs in passing is there.
 *
 * Which pages: those that no program has mapped first, store by store in turn, from where the last look at that store ended; then
 * mapped ones. No locks of its own; all numbers here are guesses, and relaxed.
 */
#include "kernel/cache_parts.h"
#include "mm/coremap.h"

#define SHARE_LOW 64U /* a 64th of memory is low */
#define BATCH	  256U
#define ATTEMPTS  4U

static struct {
	uint64_t low;
} reclaim;

void cache_reclaim_init(void)
{
	reclaim.low = frames_total() / SHARE_LOW;
}

bool cache_is_short(void)
{
	return frames_free() < reclaim.low;
}

/* From where the last look ended, and around. */
static uint64_t evict_from(struct store *store, uint64_t want, bool mapped)
{
	uint64_t from = atomic_load_explicit(&store->evict_at, memory_order_relaxed);
	uint64_t got = object_evict(store->object, from, UINT64_MAX, want, mapped);

	if (got < want && from != 0)
		got += object_evict(store->object, 0, from, want - got, mapped);
	atomic_store_explicit(&store->evict_at, from + want, memory_order_relaxed);
	if (from + want >= object_bytes(store->object) >> PAGE_SHIFT)
		atomic_store_explicit(&store->evict_at, 0, memory_order_relaxed);
	return got;
}

static uint64_t evict(uint64_t want, bool mapped)
{
	uint64_t got = 0;

	for (struct store *store = cache_next(NULL); store != NULL; store = cache_next(store)) {
		if (got < want && object_pages(store->object) != 0)
			got += evict_from(store, want - got, mapped);
	}
	return got;
}

static uint64_t evict_any(uint64_t want)
{
	uint64_t got = evict(want, false);

	return got != 0 ? got : evict(want, true);
}

void cache_make_room(void)
{
	uint64_t free = frames_free();

	if (free < reclaim.low)
		(void)evict_any(reclaim.low - free + BATCH);
}

bool cache_reclaim(void)
{
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		if (evict_any(BATCH) != 0)
			return true;
		if (objects_dirty() == 0 || cache_writer_pass() != 0)
			return false;
	}
	return false;
}
