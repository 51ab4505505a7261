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

struct fork {
	struct range range;	 /* all of the parent */
	const vaddr_t *hot;	 /* SPACE_HOT addresses, or NULL */
	bool sharing;		 /* tables may be shared; then only `locked` ones and the roots are locked */
	pfn_t locked;		 /* by frame.table.next_dead */
	struct mapping *watched; /* the descriptor that was last copied for the child, or NULL */
	struct mapping *copy;	 /* what it got for it, with one count for us */
};

/* What is watched gets a descriptor of its own in the child, which is one more attachment. 0 or -ENOMEM. */
static int fork_mapping(struct fork *fork, struct mapping **mapping)
{
	struct mapping *copy;
	int err;

	if (LIKELY((*mapping)->watch == NULL))
		return 0;
	if (fork->watched != *mapping) {
		err = mapping_derive(*mapping, &copy);
		if (err != 0)
			return err;
		if (fork->watched != NULL)
			range_drop_mapping(&fork->range, fork->copy);
		fork->watched = *mapping;
		fork->copy = copy;
	}
	*mapping = fork->copy;
	return 0;
}

/* What the child gets for the parent's reservation; none: nothing. Counted. 0 or -ENOMEM. */
static int fork_reservation(struct fork *fork, pte_t *pte, struct mapping *mapping)
{
	int err = fork_mapping(fork, &mapping);

	if (mapping->fork == MAPPING_FORK_DROP || err != 0) {
		*pte = PTE(0);
		return err;
	}
	if (UNLIKELY(mapping->watch != NULL))
		*pte = pte_reservation(mapping, pte->v & PERM_RWX);
	mapping_get(mapping, 1);
	return 0;
}

/* A private page becomes one of both. 0 or -ENOMEM. */
static inline int share_page(struct fork *fork, _Atomic uint64_t *slot, pte_t *pte)
{
	if (!frame_get(pte_pfn(*pte)))
		return -ENOMEM;
	if ((pte->v & PTE_W) != 0) {
		*pte = PTE(pte_clear(slot, PTE_W).v & ~PTE_W);
		fork->range.revoked = true;
	}
	return 0;
}

/* Replaces the parent's entry of a page by what the child gets for it. Counted. 0 or -ENOMEM. */
static int fork_page(struct fork *fork, _Atomic uint64_t *slot, pte_t *pte, struct mapping *mapping)
{
	int err;

	if (mapping->fork == MAPPING_FORK_DROP) {
		*pte = PTE(0);
		return 0;
	}
	if (mapping->fork == MAPPING_FORK_WIPE || mapping->shared) {
		err = fork_mapping(fork, &mapping);
		/* The child of a shared mapping faults the object's pages in when it needs them. */
		*pte = page_reservation(*pte, mapping);
	} else {
		err = share_page(fork, slot, pte);
	}
	if (err == 0)
		mapping_get(mapping, 1);
	return err;
}

/* Whether all that the child needs of an entry of this descriptor is one like it. */
static bool is_plain(const struct mapping *mapping)
{
	return mapping->fork == MAPPING_FORK_COPY && mapping->watch == NULL && !mapping->shared;
}

struct fork_leaf {
	struct fork *fork;
	pfn_t parent;
	struct mapping *plain; /* the descriptor of the last one, if that is plain; or NULL */
	uint64_t n;	       /* what the child got of that one, not counted yet */
	uint64_t last;	       /* a reservation of that one, or 0 */
	int err;
};

/* The child's for an entry of another descriptor than the last, or of one that is not plain; none where there is an error, too. */
static __attribute__((noinline)) uint64_t fork_other(struct fork_leaf *leaf, unsigned index)
{
	_Atomic uint64_t *slot = pt_slot(leaf->parent, index);
	pte_t pte = pte_load(slot);
	bool page = pte_is_page(pte);
	struct mapping *mapping = page ? table_mapping(frame_of(leaf->parent), index) : pte_mapping(pte);

	if (leaf->plain != NULL)
		mapping_get(leaf->plain, leaf->n);
	leaf->n = 0;
	leaf->last = 0;
	leaf->plain = is_plain(mapping) ? mapping : NULL;
	if (leaf->plain == NULL) {
		leaf->err =
			page ? fork_page(leaf->fork, slot, &pte, mapping) : fork_reservation(leaf->fork, &pte, mapping);
	} else if (page) {
		leaf->err = share_page(leaf->fork, slot, &pte);
	} else {
		leaf->last = pte.v;
	}
	return leaf->err == 0 ? pte.v : 0;
}

/* The same for a page of the last one's: an entry that differs from the parent's in W alone. */
static inline uint64_t fork_alike(struct fork_leaf *leaf, _Atomic uint64_t *slot, uint64_t pte)
{
	if (UNLIKELY(!frame_get(PFN(pte << 10 >> 20)))) {
		leaf->err = -ENOMEM;
		return 0;
	}
	if ((pte & PTE_W) != 0) {
		pte = pte_clear(slot, PTE_W).v & ~PTE_W;
		leaf->fork->range.revoked = true;
	}
	return pte;
}

/* Entries first .. first + PT_GROUP - 1; how many the child got. */
static inline unsigned fork_group(struct fork_leaf *leaf, _Atomic uint64_t *slot, _Atomic uint64_t *copy,
				  struct mapping *const *side, struct mapping *usual)
{
	struct mapping *plain = leaf->plain;
	uint64_t last = leaf->last;
	unsigned got = 0;

	for (unsigned i = 0; i < PT_GROUP; i++) {
		uint64_t pte = pte_load(&slot[i]).v;

		if (pte == 0)
			continue;
		if (pte != last) {
			if ((pte & PTE_U) != 0 && (side != NULL ? side[i] : usual) == plain) {
				pte = fork_alike(leaf, &slot[i], pte);
			} else if ((pte & PTE_U) == 0 && pte_mapping(PTE(pte)) == plain) {
				last = pte;
			} else {
				leaf->n += got;
				pte = fork_other(leaf, (unsigned)(slot - pt_slot(leaf->parent, 0)) + i);
				leaf->n -= got;
				plain = leaf->plain;
				last = leaf->last;
			}
			if (UNLIKELY(pte == 0)) {
				if (leaf->err != 0)
					break;
				continue;
			}
		}
		got++;
		pte_store_unseen(&copy[i], PTE(pte));
	}
	leaf->n += got;
	leaf->last = last;
	return got;
}

static int fork_leaf(struct fork *fork, pfn_t parent, pfn_t child)
{
	struct frame *from = frame_of(parent), *to = frame_of(child);
	_Atomic uint64_t *slot = pt_slot(parent, 0), *copy = pt_slot(child, 0);
	struct mapping **side = from->table.side;
	struct fork_leaf leaf = { .fork = fork, .parent = parent, .err = table_share_side(from, to) };
	unsigned used = 0;

	to->table.groups = from->table.groups;
	for (uint64_t groups = from->table.groups; groups != 0 && leaf.err == 0; groups >>= 1) {
		if ((groups & 1) != 0)
			used += fork_group(&leaf, slot, copy, side, from->table.mapping);
		slot += PT_GROUP;
		copy += PT_GROUP;
		side += side != NULL ? PT_GROUP : 0;
	}
	if (leaf.plain != NULL)
		mapping_get(leaf.plain, leaf.n);
	to->table.used = (uint16_t)used;
	return leaf.err;
}

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
	unsigned end = level == PT_ROOT ? PT_ENTRIES / 2 : PT_ENTRIES; /* the kernel's half is in place */
	int err = 0;

	frame_of(child)->table.groups = frame_of(parent)->table.groups;
	for (unsigned i = table_next(parent, 0, end); err == 0 && i < end; i = table_next(parent, i + 1, end)) {
		pte_t pte = pte_load(pt_slot(parent, i));

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
	if (policy == FORK_EAGER || atomic_load_explicit(&parent->fork_copies, memory_order_relaxed))
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
