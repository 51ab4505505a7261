/* Keeping the harts' TLBs true. Private to mm/; tlb_serve is in space.h. */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "mm/space.h"

void tlb_init(bool by_ipi);

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

/* Code was written or mapped in this space: no hart runs it with stale instructions. */
void tlb_sync_icache(struct space *space);

#endif
