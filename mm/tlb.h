/* Keeping the harts' TLBs true. Private to mm/; tlb_serve is in space.h. */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "mm/coremap.h"
#include "mm/hart.h"
#include "mm/space.h"

void tlb_init(bool by_ipi);

/* The harts that are asked by each shootdown, or 0: space_set_shootdown. */
extern uint64_t tlb_everyone;

/*
 * Every hart that may hold translations of [start, start + bytes) of this space has dropped them when this returns, this
 * hart included. Called after the entries were changed, with the locks of their tables held or the space unshared.
 * bytes == 0: all of the space, every level: whenever a non-leaf entry changed. May be called with table locks held:
 * while it waits it serves, and so does everybody who waits for one of those locks. holders: of the harts in views (view.h) the ones
 * that may hold them: struct frame.table.harts of the leaf tables, or TLB_ALL.
 */
void tlb_shootdown(struct space *space, uint64_t holders, vaddr_t start, uint64_t bytes);
#define TLB_ALL UINT64_MAX

/* This hart alone; for changes that give more permission, which other harts find out by a spurious fault. */
void tlb_fence_local(struct space *space, vaddr_t start, uint64_t bytes);

/* The same for the page of va, where it must be quick. */
static inline void tlb_fence_page(struct mm_hart *mine, const struct space *space, vaddr_t va)
{
	mm_count_here(mine, MM_FENCES_LOCAL, 1);
	hw_fence_page(va, space->asid);
}

/* tlb_shootdown of the page of va, in the leaf table with this entry. */
static inline void tlb_shootdown_page(struct mm_hart *mine, struct space *space, const struct frame *leaf, vaddr_t va)
{
	uint64_t others;

	/* As in tlb.c's targets: the change of the entry before the look at who may hold it. acquire: as there */
	atomic_thread_fence(memory_order_seq_cst);
	others = atomic_load_explicit(&space->active, memory_order_acquire) |
		 atomic_load_explicit(&space->cached, memory_order_relaxed);
	if (LIKELY((others & ~(UINT64_C(1) << hw_hart())) == 0))
		tlb_fence_page(mine, space, va);
	else
		tlb_shootdown(space, leaf->table.harts, vaddr_page(va), PAGE_SIZE);
}

/* Code was written or mapped in this space: no hart runs it with stale instructions. */
void tlb_sync_icache(struct space *space);

#endif
