/*
 * The buddy allocator: free memory in blocks of 2^order frames, each aligned to its size.
 *
 * Invariants: a block on a list has `buddy` set and `order` right in its first frame, and none of its frames is in use;
 * two buddies of one order are never both on a list, because freeing merges them.
 * Locks: one, for everything here. Harts come by in batches only (coremap.c's magazines), so it is not on any hot path.
 * Does not: count references, clear memory, or know what frames are for.
 */
#include "lib/check.h"
#include "mm/coremap.h"

static struct {
	struct spinlock lock;
	struct list free[BUDDY_ORDERS]; /* [lock] */
	uint64_t frames;		/* [lock] in all lists together */
} buddy;

static pfn_t frame_pfn(const struct frame *frame)
{
	return PFN((uint64_t)(frame - HW_COREMAP));
}

static void block_put(pfn_t pfn, unsigned order)
{
	struct frame *frame = frame_of(pfn);

	frame->order = (uint8_t)order;
	frame->buddy = true;
	list_add(&buddy.free[order], &frame->free);
}

static void block_take(struct frame *frame)
{
	frame->buddy = false;
	list_del(&frame->free);
}

void buddy_init(void)
{
	for (unsigned order = 0; order < BUDDY_ORDERS; order++)
		list_init(&buddy.free[order]);
	spin_init(&buddy.lock);
	buddy.frames = 0;
}

static bool alloc_locked(unsigned order, pfn_t *out)
{
	unsigned from = order;

	while (from < BUDDY_ORDERS && list_empty(&buddy.free[from]))
		from++;
	if (from >= BUDDY_ORDERS)
		return false;

	struct frame *frame = list_first(&buddy.free[from], struct frame, free);
	pfn_t pfn = frame_pfn(frame);

	block_take(frame);
	while (from > order) {
		from--;
		block_put(PFN(pfn.v + (UINT64_C(1) << from)), from);
	}
	buddy.frames -= UINT64_C(1) << order;
	*out = pfn;
	return true;
}

static void free_locked(pfn_t pfn, unsigned order)
{
	buddy.frames += UINT64_C(1) << order;
	while (order < BUDDY_ORDERS - 1) {
		pfn_t other = PFN(pfn.v ^ (UINT64_C(1) << order));

		/* The other half may lie outside of RAM, where the coremap has no memory behind it. */
		if (!frame_exists(other))
			break;
		struct frame *frame = frame_of(other);

		if (!frame->buddy || frame->order != order)
			break;
		block_take(frame);
		pfn = PFN(pfn.v & ~(UINT64_C(1) << order));
		order++;
	}
	block_put(pfn, order);
}

void buddy_add(pfn_t start, uint64_t count)
{
	uint64_t at = start.v;
	uint64_t end = start.v + count;

	for (uint64_t i = at; i < end; i++)
		frame_of(PFN(i))->kind = FRAME_FREE;

	spin_lock(&buddy.lock, RANK_BUDDY);
	while (at < end) {
		unsigned order = BUDDY_ORDERS - 1;

		while ((at & ((UINT64_C(1) << order) - 1)) != 0 || at + (UINT64_C(1) << order) > end)
			order--;
		free_locked(PFN(at), order);
		at += UINT64_C(1) << order;
	}
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

bool buddy_alloc(unsigned order, pfn_t *out)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	bool got = alloc_locked(order, out);
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return got;
}

unsigned buddy_alloc_batch(pfn_t *out, unsigned want)
{
	unsigned got = 0;

	spin_lock(&buddy.lock, RANK_BUDDY);
	while (got < want && alloc_locked(0, &out[got]))
		got++;
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return got;
}

void buddy_free(pfn_t pfn, unsigned order)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	free_locked(pfn, order);
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

void buddy_free_batch(const pfn_t *pfns, unsigned n)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	for (unsigned i = 0; i < n; i++)
		free_locked(pfns[i], 0);
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

uint64_t buddy_free_guess(void)
{
	/* relaxed: without the lock, a number of a moment ago */
	return __atomic_load_n(&buddy.frames, __ATOMIC_RELAXED);
}

uint64_t buddy_free_frames(void)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	uint64_t frames = buddy.frames;
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return frames;
}
