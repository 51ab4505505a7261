/*
 * The buddy allocator: free memory in blocks of 2^order frames, each aligned to its size. And the depot in front of it: chains of
 * single frames as a hart's stock gave them, for the next stock that runs out, so that harts pass each other hundreds of frames by
 * writing a line or two.
 *
 * Invariants: a block on a list has `buddy` set and `order` right in its first frame, and none of its frames is in use;
 * two buddies of one order are never both on a list, because freeing merges them. Frames of the depot are free, and on no list.
 * Locks: one, for everything here. Harts come by in batches only (coremap.c's stocks), so it is not on any hot path.
 * Does not: count references, clear memory, or know what frames are for.
 */
#include "lib/check.h"
#include "mm/coremap.h"

static struct {
	struct spinlock lock CACHE_ALIGNED;
	_Atomic uint64_t frames;       /* [lock] in all lists together; read by buddy_free_guess without it */
	_Atomic uint64_t depot_frames; /* [lock] the same */
	struct frame *depot; /* [lock] first frames of chains, by stock.next_chain; the last one given is taken first */
	struct list free[BUDDY_ORDERS]; /* [lock] */
} buddy;

/* Blocks that are freed one by one under one hold of the lock. */
#define AT_ONCE 64

/* relaxed: under the lock; atomic for those who only guess */
static uint64_t read_n(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static void count(_Atomic uint64_t *n, uint64_t by)
{
	store_relaxed_u64(n, read_n(n) + by);
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
	atomic_init(&buddy.frames, 0);
	buddy.depot = NULL;
	atomic_init(&buddy.depot_frames, 0);
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
	count(&buddy.frames, 0 - (UINT64_C(1) << order));
	*out = pfn;
	return true;
}

static void free_locked(pfn_t pfn, unsigned order)
{
	count(&buddy.frames, UINT64_C(1) << order);
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

/* [lock] Frames at .. end - 1, in as large blocks as there are. */
static void free_run(uint64_t at, uint64_t end)
{
	while (at < end) {
		unsigned order = BUDDY_ORDERS - 1;

		while ((at & ((UINT64_C(1) << order) - 1)) != 0 || at + (UINT64_C(1) << order) > end)
			order--;
		free_locked(PFN(at), order);
		at += UINT64_C(1) << order;
	}
}

void buddy_add(pfn_t start, uint64_t count)
{
	for (uint64_t i = start.v; i < start.v + count; i++)
		frame_of(PFN(i))->kind = FRAME_FREE;
	spin_lock(&buddy.lock, RANK_BUDDY);
	free_run(start.v, start.v + count);
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

bool buddy_alloc(unsigned order, pfn_t *out)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	bool got = alloc_locked(order, out);
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return got;
}

/* [lock] Refills may not take what the others need, so blocks become smaller where little is left. */
static uint32_t take_block(unsigned order, pfn_t *block)
{
	while (order > 0 && (UINT64_C(4) * hw_harts() << order) > read_n(&buddy.frames))
		order--;
	for (;;) {
		if (alloc_locked(order, block))
			return UINT32_C(1) << order;
		if (order-- == 0)
			return 0;
	}
}

uint32_t buddy_take(unsigned order, struct frame **first, pfn_t *block)
{
	uint32_t n;

	spin_lock(&buddy.lock, RANK_BUDDY);
	*first = buddy.depot;
	if (*first != NULL) {
		n = (*first)->stock.n;
		buddy.depot = (*first)->stock.next_chain;
		count(&buddy.depot_frames, UINT64_C(0) - n);
	} else {
		n = take_block(order, block);
	}
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return n;
}

/* Others get the lock in between. */
void buddy_free_chain(struct frame *first)
{
	while (first != NULL) {
		spin_lock(&buddy.lock, RANK_BUDDY);
		for (unsigned i = 0; i < AT_ONCE && first != NULL; i++) {
			struct frame *next = first->stock.next;

			free_locked(frame_pfn(first), 0);
			first = next;
		}
		spin_unlock(&buddy.lock, RANK_BUDDY);
	}
}

void buddy_give(struct frame *first, uint32_t n, uint64_t keep)
{
	bool kept;

	spin_lock(&buddy.lock, RANK_BUDDY);
	kept = read_n(&buddy.depot_frames) + n <= keep;
	if (kept) {
		first->stock.n = n;
		first->stock.next_chain = buddy.depot;
		buddy.depot = first;
		count(&buddy.depot_frames, n);
	}
	spin_unlock(&buddy.lock, RANK_BUDDY);
	if (!kept)
		buddy_free_chain(first);
}

void buddy_give_run(pfn_t pfn, uint32_t n)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	free_run(pfn.v, pfn.v + n);
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

void buddy_settle(void)
{
	struct frame *first;

	do {
		spin_lock(&buddy.lock, RANK_BUDDY);
		first = buddy.depot;
		if (first != NULL) {
			buddy.depot = first->stock.next_chain;
			count(&buddy.depot_frames, UINT64_C(0) - first->stock.n);
		}
		spin_unlock(&buddy.lock, RANK_BUDDY);
		buddy_free_chain(first);
	} while (first != NULL);
}

void buddy_free(pfn_t pfn, unsigned order)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	free_locked(pfn, order);
	spin_unlock(&buddy.lock, RANK_BUDDY);
}

uint64_t buddy_free_guess(void)
{
	/* relaxed: without the lock, a number of a moment ago */
	return read_n(&buddy.frames) + read_n(&buddy.depot_frames);
}

uint64_t buddy_free_frames(void)
{
	spin_lock(&buddy.lock, RANK_BUDDY);
	uint64_t frames = buddy_free_guess();
	spin_unlock(&buddy.lock, RANK_BUDDY);
	return frames;
}
