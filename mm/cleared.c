/*
 * Frames that are cleared ahead. Contract: cleared.h.
 *
 * Invariants: a frame here is all zeros. It is FRAME_FREE with a count of 0, counts as free (frames_free), and is given back before an
 * allocation fails.
 * Locks: each hart's stock has one, all but uncontended: only the audit, and who finds no memory, looks into another's. It is
 * not held while the allocator is called.
 */
#include "mm/cleared.h"

#include "mm/hart.h"

/* Where the allocator has fewer than this it is left alone. */
#define CLEARED_LOW 4096

static _Atomic bool enabled; /* relaxed: soon enough */

void cleared_enable(bool on)
{
	atomic_store_explicit(&enabled, on, memory_order_relaxed);
}

static uint32_t read_n(const struct cleared *stock)
{
	/* relaxed: guarded by the lock; atomic for those who only look */
	return atomic_load_explicit(&stock->n, memory_order_relaxed);
}

bool cleared_prepare(void)
{
	struct cleared *mine = &mm_this_hart()->cleared;
	uint32_t n = read_n(mine); /* only gets less but here */
	pfn_t pfn;

	if (!atomic_load_explicit(&enabled, memory_order_relaxed) || n == CLEARED_MAX ||
	    buddy_free_guess() < CLEARED_LOW || frame_alloc(FRAME_FREE, &pfn) != 0)
		return false;
	/* It counts as free again at once, and is cleared before anybody can have it. */
	spin_lock(&mine->lock, RANK_MAGAZINE);
	n = read_n(mine);
	store_relaxed_u32(&frame_of(pfn)->count, 0);
	mine->frame[n] = pfn;
	store_relaxed_u32(&mine->n, n + 1);
	hw_page_clear(frame_data(pfn));
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	return true;
}

bool cleared_take(struct cleared *mine, enum frame_kind kind, pfn_t *out)
{
	uint32_t n;

	spin_lock(&mine->lock, RANK_MAGAZINE);
	n = read_n(mine);
	if (n != 0) {
		*out = mine->frame[n - 1];
		store_relaxed_u32(&mine->n, n - 1);
	}
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	if (n == 0)
		return false;
	frame_of(*out)->kind = (uint8_t)kind;
	/* relaxed: as in coremap.c's frame_init */
	store_relaxed_u32(&frame_of(*out)->count, 1);
	return true;
}

void cleared_drain(void)
{
	pfn_t pfn;

	for (unsigned h = 0; h < hw_harts(); h++)
		while (read_n(&mm_harts[h].cleared) != 0 && cleared_take(&mm_harts[h].cleared, FRAME_KERNEL, &pfn))
			frame_put(pfn);
}

uint64_t cleared_frames(void)
{
	uint64_t n = 0;

	for (unsigned h = 0; h < hw_harts(); h++)
		n += read_n(&mm_harts[h].cleared);
	return n;
}
