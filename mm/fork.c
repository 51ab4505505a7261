/*
 * Forking a space. Tables with many entries are detached (share.h) and counted: fork's cost does not grow with memory. Those with few,
 * and those that will be needed at once, are copied: every private page becomes shared between the two, read-only in both,
 * writable by right.
 *
 * Invariants: a page that was writable is reached by neither space when the parent's locks are let go, unless read-only, and no hart
 * holds a writable translation of it: the parent was shot down under them. So no write can reach a page after somebody else took
 * its copy of it.
 * Locks: the parent's root, and what is copied, on either side: walks of the reverse map come by as soon as the child is attached to an
 * object, and find what the two share only when the parent has been shot down.
 * What is detached is not locked, nor anything below. So somebody who found a table below as the parent's own, and locked it, just before,
 * may be at work in it still: a fault, a copy of user memory, a range operation. That is as if he had come before the fork: the child
 * does not see a page before it has its table's lock. Whoever has walked through before, but gets the lock later, sees space->forks
 * and walks again (walk.h). What he may have brought with him is looked at after the bump: either fork sees it, or he sees the bump. That
 * is descriptors that the child is not attached to, those that fork must not share (both: fork begins anew), and seals.
 * Spaces that have had such descriptors are copied, all of them, with all tables locked.
 */
#include "lib/errno.h"
#include "mm/fork.h"
#include "mm/mapping.h"
#include "mm/place.h"
#include "mm/range.h"
#include "mm/reverse.h"
#include "mm/share.h"
#include "mm/tlb.h"
#include "mm/view.h"
#include "mm/walk.h"

/*
 * Leaf tables with up to so many entries in use are copied: that costs both spaces less than a fault each, for which the table is
 * copied or taken over. Upper tables: so few that it does not show in fork's cost.
 */
#define LEAF_SPARSE  32
#define UPPER_SPARSE 16

static enum fork_policy policy = FORK_TABLES; /* set once, before programs run */

/* The table is locked; it stays so until the parent has been shot down. */
static void keep_locked(struct fork *fork, pfn_t table)
{
	frame_of(table)->table.next_dead = fork->locked;
	fork->locked = table;
}

static void lock_for_fork(struct fork *fork, pfn_t table)
{
	spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
	keep_locked(fork, table);
}

static void unlock_for_fork(struct fork *fork)
{
	while (fork->locked.v != 0) {
		pfn_t table = fork->locked;

		fork->locked = frame_of(table)->table.next_dead;
		table_unlock(table);
	}
}

/* Whether a table of this level, for the addresses from va on, is better shared than copied. It is locked. */
static bool is_shareable(const struct fork *fork, pfn_t table, unsigned level, uint64_t va)
{
	uint16_t used = frame_of(table)->table.used;

	if (!fork->sharing || policy == FORK_ALL_TABLES)
		return fork->sharing;
	if (used <= (level == 0 ? LEAF_SPARSE : UPPER_SPARSE))
		return false;
	for (unsigned i = 0; fork->hot != NULL && i < SPACE_HOT; i++)
		if (fork->hot[i].v - va < pt_span(level + 1))
			return false;
	return true;
}

/* The table becomes one of both, or of all that share it already. 0 or -ENOMEM. */
static int fork_share(struct fork *fork, _Atomic uint64_t *slot, pte_t pte, pfn_t child, unsigned index)
{
	pfn_t below = pte_pfn(pte);

	if (!frame_get(below))
		return -ENOMEM;
	if (pte_is_table(pte)) {
		frame_of(below)->table.shared = true;
		pte_swap(slot, pte_detached(below));
		fork->range.unlinked = true;
	}
	pte_store(pt_slot(child, index), pte_detached(below));
	frame_of(child)->table.used++;
	mm_count(MM_TABLES_SHARED);
	return 0;
}

/* In the leaf table of va. */
static inline bool is_written(const struct fork *fork, uint64_t va)
{
	_Static_assert(SPACE_WRITTEN == 2, "");
	return fork->hot != NULL && (fork->hot[0].v - va < pt_span(1) || fork->hot[1].v - va < pt_span(1));
}

static int fork_table(struct fork *fork, pfn_t parent, pfn_t child, unsigned level, uint64_t va);

static int fork_copy(struct fork *fork, pfn_t below, pfn_t child, unsigned level, unsigned index, uint64_t va)
{
	pfn_t copy;
	int err = table_new(level - 1, PTE(0), &copy);

	if (err != 0)
		return err;
	/* Walks of the reverse map that come through it may not go on to what is shared. */
	if (fork->sharing && level > 1)
		lock_for_fork(fork, copy);
	if (level == 1 && is_written(fork, va))
		fork_hot_leaf(fork, below, copy, va);
	err = level == 1 ? fork_leaf(fork, below, copy) : fork_table(fork, below, copy, level - 1, va);
	/* Done first, since walks of the reverse map may find it; and linked also when it failed, since taking the child down does. */
	pte_store(pt_slot(child, index), pte_table(copy));
	frame_of(child)->table.used++;
	return err;
}

static int fork_below(struct fork *fork, pfn_t parent, pfn_t child, unsigned level, unsigned index, uint64_t va)
{
	_Atomic uint64_t *slot = pt_slot(parent, index);
	pte_t pte = pte_load(slot);
	pfn_t below = pte_pfn(pte);
	int err = 0;

	if (pte_is_detached(pte))
		return fork_share(fork, slot, pte, child, index);
	if (fork->sharing)
		spin_lock(&frame_of(below)->table.lock, RANK_TABLE);
	if (!is_shareable(fork, below, level - 1, va) && frame_of(below)->table.used != 0) {
		if (fork->sharing)
			keep_locked(fork, below);
		return fork_copy(fork, below, child, level, index, va);
	}
	/* What was unmapped piece by piece leaves an empty table, which the child need not have. */
	if (frame_of(below)->table.used != 0)
		err = fork_share(fork, slot, pte, child, index);
	if (fork->sharing)
		table_unlock(below);
	return err;
}

static int fork_table(struct fork *fork, pfn_t parent, pfn_t child, unsigned level, uint64_t va)
{
	struct table_walk walk = table_walk(parent);
	int err = 0;

	frame_of(child)->table.groups = walk.groups;
	for (unsigned left = frame_of(parent)->table.used; err == 0 && left != 0; left--) {
		_Atomic uint64_t *slot = table_walk_next(&walk);
		unsigned i = (unsigned)(slot - pt_slot(parent, 0));
		pte_t pte = pte_load(slot);

		if (pte_leads(pte)) {
			err = fork_below(fork, parent, child, level, i, va + i * pt_span(level));
			continue;
		}
		err = fork_reservation(fork, &pte, pte_mapping(pte));
		if (err == 0 && !pte_is_none(pte)) {
			pte_store(pt_slot(child, i), pte);
			frame_of(child)->table.used++;
		}
	}
	return err;
}

/* Locks all the parent's tables, with the child attached to whatever they have entries of. 0 or -ENOMEM. */
static int lock_attached(struct range *range, struct space *parent, struct space *child)
{
	uint32_t seen;

	for (;;) {
		int err = reverse_fork(parent, child, &seen);

		if (err != 0)
			return err;
		range_lock(range, parent, 0, USER_END);
		if (LIKELY(!reverse_changed(parent, seen)))
			return 0;
		/* A thread has mapped something meanwhile. */
		range_unlock(range);
		reverse_leave(child);
	}
}

/* Every table is copied, under the locks of all. */
static int fork_all(struct fork *fork, struct space *parent, struct space *child)
{
	int err = lock_attached(&fork->range, parent, child);

	if (err != 0)
		return err;
	fork->range.holders = TLB_ALL;
	/* relaxed: under the locks, so that what is sealed in the child is known to be */
	atomic_init(&child->seals, atomic_load_explicit(&parent->seals, memory_order_relaxed));
	/* relaxed: as above */
	atomic_init(&child->fork_copies, atomic_load_explicit(&parent->fork_copies, memory_order_relaxed));
	spin_lock(&frame_of(child->root)->table.lock, RANK_TABLE);
	err = range_own(&fork->range);
	if (err == 0)
		err = fork_table(fork, parent->root, child->root, PT_ROOT, 0);
	table_unlock(child->root);
	range_shootdown(&fork->range);
	if (err == 0 && policy == FORK_EAGER)
		fork_eager(parent->root, child->root);
	else if (err == 0)
		fork_hot(fork);
	if (fork->watched != NULL)
		range_drop_mapping(&fork->range, fork->copy);
	range_unlock(&fork->range);
	return err;
}

/* 0, -ENOMEM, or -EAGAIN: somebody came in between. */
static int fork_sharing(struct fork *fork, struct space *parent, struct space *child)
{
	uint32_t seen;
	int err = reverse_fork(parent, child, &seen);

	if (err != 0)
		return err;
	fork->sharing = true;
	fork->range = (struct range){ .space = parent, .end = USER_END, .holders = TLB_ALL };
	lock_for_fork(fork, parent->root);
	lock_for_fork(fork, child->root);
	err = fork_table(fork, parent->root, child->root, PT_ROOT, 0);
	if (space_has_views(parent))
		views_clear(parent);
	/* release: pairs with the acquire in walk_forks; and a full fence, which pairs with the one in walk_enter: see above */
	atomic_fetch_add_explicit(&parent->forks, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	/* relaxed: behind the fence */
	atomic_init(&child->seals, atomic_load_explicit(&parent->seals, memory_order_relaxed));
	if (err == 0 &&
	    (reverse_changed(parent, seen) || atomic_load_explicit(&parent->fork_copies, memory_order_relaxed)))
		err = -EAGAIN;
	range_shootdown(&fork->range);
	if (err == 0)
		fork_hot(fork);
	if (fork->watched != NULL)
		range_drop_mapping(&fork->range, fork->copy);
	unlock_for_fork(fork);
	range_finish(&fork->range);
	return err;
}

static int fork_once(struct space *parent, const vaddr_t *hot, struct space **out)
{
	struct fork fork = { .hot = hot };
	struct space *child;
	int err = space_create(&child);

	if (err != 0)
		return err;
	child->mmap_top = parent->mmap_top;
	/* relaxed: limits */
	atomic_init(&child->grow_limit, atomic_load_explicit(&parent->grow_limit, memory_order_relaxed));
	place_inherit(child, parent);

	/* relaxed: looked at again */
	if (policy <= FORK_COW || atomic_load_explicit(&parent->fork_copies, memory_order_relaxed))
		err = fork_all(&fork, parent, child);
	else
		err = fork_sharing(&fork, parent, child);
	if (err != 0) {
		/*
		 * Pages that were made read-only for nothing become writable again by their next fault, tables that were detached
		 * private again by theirs.
		 */
		space_put(child);
		return err;
	}
	*out = child;
	return 0;
}

int space_fork_near(struct space *parent, const vaddr_t *hot, struct space **out)
{
	int err;

	do
		err = fork_once(parent, hot, out);
	while (err == -EAGAIN); /* another thread has got something done */
	return err;
}

int space_fork(struct space *parent, struct space **out)
{
	return space_fork_near(parent, NULL, out);
}

void space_set_fork_policy(enum fork_policy new)
{
	policy = new;
}
