/*
 * Copying a space for fork: every private page becomes shared between the two, read-only in both, writable by right.
 *
 * Leaf tables are copied here, one by one; sharing whole tables (docs/architecture.md, "What is left open") will replace
 * fork_leaf's call by a count and a detached entry, and nothing else.
 * Invariants: a page that was writable is so in neither space when the parent's locks are let go, and no hart holds a
 * writable translation of it: the parent was shot down under them. So no write can reach a page after somebody else took
 * its copy of it.
 * Locks: all the parent's tables, and the child's root: walks of the reverse map come by as soon as it is attached to an object. What
 * is below they find only when it is done.
 */
#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/range.h"
#include "mm/reverse.h"
#include "mm/walk.h"

struct fork {
	struct range range;	 /* all of the parent */
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

/* Entries index .. end - 1 of the parent are the same reservation: the child gets them too, or nothing. */
static int fork_reservations(struct fork *fork, pfn_t parent, pfn_t child, unsigned index, unsigned end)
{
	pte_t pte = pte_load(pt_slot(parent, index));
	struct mapping *mapping = pte_mapping(pte);
	int err = fork_mapping(fork, &mapping);

	if (mapping->fork == MAPPING_FORK_DROP || err != 0)
		return err;
	if (UNLIKELY(mapping->watch != NULL))
		pte = pte_reservation(mapping, pte.v & PERM_RWX);
	mapping_get(mapping, end - index);
	frame_of(child)->table.used = (uint16_t)(frame_of(child)->table.used + (end - index));
	for (unsigned i = index; i < end; i++)
		pte_store_unseen(pt_slot(child, i), pte);
	return 0;
}

/* Replaces the parent's entry of a page by what the child gets for it. 0 or -ENOMEM. */
static int fork_page(struct fork *fork, _Atomic uint64_t *slot, pte_t *pte, struct mapping *mapping)
{
	if (mapping->fork == MAPPING_FORK_DROP) {
		*pte = PTE(0);
		return 0;
	}
	if (mapping->fork == MAPPING_FORK_WIPE || mapping->shared) {
		int err = fork_mapping(fork, &mapping);

		if (err != 0)
			return err;
		/* The child of a shared mapping faults the object's pages in when it needs them. */
		*pte = page_reservation(*pte, mapping);
	} else {
		if (!frame_get(pte_pfn(*pte)))
			return -ENOMEM;
		if ((pte->v & PTE_W) != 0) {
			*pte = PTE(pte_clear(slot, PTE_W).v & ~PTE_W);
			fork->range.revoked = true;
		}
	}
	mapping_get(mapping, 1);
	return 0;
}

static int fork_side(const struct frame *parent, struct frame *child)
{
	pfn_t side;

	child->table.mapping = parent->table.mapping;
	if (parent->table.side == NULL)
		return 0;
	if (frame_alloc(FRAME_TABLE, &side) != 0)
		return -ENOMEM;
	hw_page_copy(frame_data(side), parent->table.side);
	child->table.side = frame_data(side);
	return 0;
}

static int fork_leaf(struct fork *fork, pfn_t parent, pfn_t child)
{
	struct frame *from = frame_of(parent);
	struct frame *to = frame_of(child);
	int err = fork_side(from, to);
	unsigned next;

	to->table.groups = from->table.groups;
	for (unsigned i = table_next(parent, 0, PT_ENTRIES); err == 0 && i < PT_ENTRIES;
	     i = table_next(parent, next, PT_ENTRIES)) {
		_Atomic uint64_t *slot = pt_slot(parent, i);
		pte_t pte = pte_load(slot);

		if (!pte_is_page(pte)) {
			next = table_run(parent, i, PT_ENTRIES);
			err = fork_reservations(fork, parent, child, i, next);
			continue;
		}
		next = i + 1;
		err = fork_page(fork, slot, &pte, table_mapping(from, i));
		if (err == 0 && !pte_is_none(pte)) {
			pte_store_unseen(pt_slot(child, i), pte);
			to->table.used++;
		}
	}
	return err;
}

static int fork_table(struct fork *fork, pfn_t parent, pfn_t child, unsigned level);

static int fork_below(struct fork *fork, pfn_t parent, pfn_t child, unsigned level, unsigned index)
{
	pfn_t below = pte_pfn(pte_load(pt_slot(parent, index)));
	pfn_t copy;
	int err;

	/* What was unmapped piece by piece leaves an empty table, which the child need not have. */
	if (frame_of(below)->table.used == 0)
		return 0;
	err = table_new(level - 1, PTE(0), &copy);
	if (err != 0)
		return err;
	err = level == 1 ? fork_leaf(fork, below, copy) : fork_table(fork, below, copy, level - 1);
	/* Done first, since walks of the reverse map may find it; and linked also when it failed, since taking the child down does. */
	pte_store(pt_slot(child, index), pte_table(copy));
	frame_of(child)->table.used++;
	return err;
}

static int fork_table(struct fork *fork, pfn_t parent, pfn_t child, unsigned level)
{
	unsigned end = level == PT_ROOT ? PT_ENTRIES / 2 : PT_ENTRIES; /* the kernel's half is in place */
	unsigned next;
	int err = 0;

	frame_of(child)->table.groups = frame_of(parent)->table.groups;
	for (unsigned i = table_next(parent, 0, end); err == 0 && i < end; i = table_next(parent, next, end)) {
		if (pte_is_table(pte_load(pt_slot(parent, i)))) {
			next = i + 1;
			err = fork_below(fork, parent, child, level, i);
		} else {
			next = table_run(parent, i, end);
			err = fork_reservations(fork, parent, child, i, next);
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

int space_fork(struct space *parent, struct space **out)
{
	struct space *child;
	struct fork fork = { .watched = NULL };
	int err = space_create(&child);

	if (err != 0)
		return err;
	child->mmap_top = parent->mmap_top;
	/* relaxed: limits */
	atomic_init(&child->grow_limit, atomic_load_explicit(&parent->grow_limit, memory_order_relaxed));
	child->hint[hw_hart()] = parent->hint[hw_hart()]; /* the others' are theirs to write */

	err = lock_attached(&fork.range, parent, child);
	if (err != 0) {
		space_put(child);
		return err;
	}
	/* relaxed: under the locks, so that what is sealed in the child is known to be */
	atomic_init(&child->seals, atomic_load_explicit(&parent->seals, memory_order_relaxed));
	spin_lock(&frame_of(child->root)->table.lock, RANK_TABLE);
	err = fork_table(&fork, parent->root, child->root, PT_ROOT);
	table_unlock(child->root);
	range_shootdown(&fork.range);
	if (fork.watched != NULL)
		range_drop_mapping(&fork.range, fork.copy);
	range_unlock(&fork.range);
	if (err != 0) {
		/* Pages that were made read-only for nothing become writable again by their next fault. */
		space_put(child);
		return err;
	}
	*out = child;
	return 0;
}
