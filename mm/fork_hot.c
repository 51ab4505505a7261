/*
 * Pages that parent and child will both write to as soon as they run: the stack's, and the one of the child's thread id. The child gets
 * its copy at once. That is a copy which one of the two would make anyway, without the faults: the other would find out that the page
 * is its alone by one more.
 *
 * fork=eager does so with all pages that may be written, as far as there is memory: those that get none are copied when they are written.
 *
 * Called when the parent has been shot down, with the locks of all its tables on the way: nobody can write to such a page, so the child
 * sees what the others are as of. Afterwards the parent's is writable again if nobody else names it; harts that hold the read-only
 * translation find out by a spurious fault.
 * Locks: the child's leaf table too, as walks of the reverse map may be in it.
 */
#include "mm/fork.h"

#include "mm/coremap.h"
#include "mm/hart.h"
#include "mm/walk.h"

void fork_hot_leaf(struct fork *fork, pfn_t parent, pfn_t child, uint64_t va)
{
	for (unsigned i = 0; i < SPACE_WRITTEN; i++) {
		if (fork->hot[i].v - va >= pt_span(1))
			continue;
		fork->written[i].parent = pt_slot(parent, pt_index(fork->hot[i], 0));
		fork->written[i].child = pt_slot(child, pt_index(fork->hot[i], 0));
		fork->written[i].leaf = child;
	}
}

/* The child's leaf table is locked. False: there is no memory. */
static bool copy_locked(_Atomic uint64_t *parent, _Atomic uint64_t *child)
{
	pte_t pte = pte_load(child);
	pfn_t old = pte_pfn(pte), new;

	/* A private page to be copied when it is written, which nobody executes. */
	if ((pte.v & (PTE_V | PTE_U | PTE_W | PTE_X | PTE_MAYWRITE)) != (PTE_V | PTE_U | PTE_MAYWRITE) ||
	    frame_of(old)->kind != FRAME_ANON || pte_pfn(pte_load(parent)).v != old.v)
		return true;
	if (frame_alloc(FRAME_ANON, &new) != 0)
		return false;
	hw_page_copy(frame_data(new), frame_data(old));
	mm_count(MM_COW_COPIES);
	pte_swap(child, pte_leaf(new, (pte.v & (PTE_R | PTE_MAYWRITE)) | PTE_W));
	frame_put(old);
	if (frame_is_sole(old))
		pte_set(parent, PTE_W | PTE_A | PTE_D);
	return true;
}

void fork_hot(const struct fork *fork)
{
	for (unsigned i = 0; i < SPACE_WRITTEN; i++) {
		if (fork->written[i].child == NULL)
			continue;
		spin_lock(&frame_of(fork->written[i].leaf)->table.lock, RANK_TABLE);
		(void)copy_locked(fork->written[i].parent, fork->written[i].child);
		table_unlock(fork->written[i].leaf);
	}
}

#define SERVE_PAGES 16U /* 64 KiB copied */

/* What the child's table has, the parent's has at the same place: no more, and all of it locked. False: there is no memory. */
static bool eager_table(pfn_t parent, pfn_t child, unsigned level)
{
	struct table_walk walk = table_walk(child);
	bool more = true;

	for (unsigned left = frame_of(child)->table.used; more && left != 0; left--) {
		_Atomic uint64_t *slot = table_walk_next(&walk);
		_Atomic uint64_t *from = pt_slot(parent, (unsigned)(slot - pt_slot(child, 0)));
		pfn_t below = pte_pfn(pte_load(slot));

		if (level == 0) {
			more = copy_locked(from, slot);
			if (left % SERVE_PAGES == 0)
				hw_relax();
		} else if (pte_is_table(pte_load(slot))) {
			spin_lock(&frame_of(below)->table.lock, RANK_TABLE);
			more = eager_table(pte_pfn(pte_load(from)), below, level - 1);
			table_unlock(below);
		}
	}
	return more;
}

void fork_eager(pfn_t parent, pfn_t child)
{
	(void)eager_table(parent, child, PT_ROOT);
}
