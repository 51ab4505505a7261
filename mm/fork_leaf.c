/*
 * Forking a leaf table: what the child gets for each entry of the parent's. Contract: fork.h; what is held meanwhile: fork.c.
 *
 * Small processes' forks are made of this loop, so it goes by groups of entries, takes runs of one reservation at once, and has in
 * line what is alike: pages and reservations of the descriptor that the last one had, too, where that is plain. Its counts are added up.
 * Locks: the parent's table. Memory order: the parent's W goes before its shootdown (fork.c), with the count up before.
 */
#include "lib/bits.h"
#include "lib/errno.h"
#include "mm/fork.h"
#include "mm/hart.h"
#include "mm/mapping.h"
#include "mm/walk.h"

#define NO_ENTRY UINT64_MAX /* no entry of ours is like that */

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

int fork_reservation(struct fork *fork, pte_t *pte, struct mapping *mapping)
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
static int share_page(struct fork *fork, _Atomic uint64_t *slot, pte_t *pte)
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

struct leaf {
	struct fork *fork;
	pfn_t parent;
	pfn_t child;
	struct mapping *plain; /* the descriptor of the last one, if that is plain; or NULL */
	uint64_t n;	       /* what the child got of that one, not counted yet */
	uint64_t last;	       /* a reservation of that one, or NO_ENTRY */
	unsigned missing;      /* entries that the child did not get */
	int err;
};

static void count(struct leaf *leaf)
{
	if (leaf->plain != NULL)
		mapping_get(leaf->plain, leaf->n);
	leaf->n = 0;
}

/* The child's for an entry of another descriptor than the last, or of one that is not plain; 0: none, where there is an error, too. */
static uint64_t fork_anew(struct leaf *leaf, _Atomic uint64_t *slot, pte_t pte, struct mapping *mapping)
{
	bool page = pte_is_page(pte);

	count(leaf);
	leaf->last = NO_ENTRY;
	leaf->plain = is_plain(mapping) ? mapping : NULL;
	if (leaf->plain == NULL) {
		leaf->err =
			page ? fork_page(leaf->fork, slot, &pte, mapping) : fork_reservation(leaf->fork, &pte, mapping);
	} else if (page) {
		leaf->err = share_page(leaf->fork, slot, &pte);
	} else {
		leaf->last = pte.v;
	}
	leaf->n = leaf->plain != NULL && leaf->err == 0;
	return leaf->err == 0 ? pte.v : 0;
}

/* An entry that is not as the last. False: there was an error. */
static __attribute__((noinline)) bool fork_other(struct leaf *leaf, _Atomic uint64_t *slot)
{
	unsigned index = (unsigned)(slot - pt_slot(leaf->parent, 0));
	pte_t pte = pte_load(slot);
	bool page = pte_is_page(pte);
	struct mapping *mapping = page ? table_mapping(frame_of(leaf->parent), index) : pte_mapping(pte);

	if (!page && mapping == leaf->plain) {
		leaf->last = pte.v;
		leaf->n++;
	} else {
		pte.v = fork_anew(leaf, slot, pte, mapping);
	}
	leaf->missing += pte.v == 0;
	pte_store_unseen(pt_slot(leaf->child, index), pte);
	return leaf->err == 0;
}

/* A page that the parent may write, of the last one's descriptor: from here on it is one of both. False: there was an error. */
static __attribute__((noinline)) bool fork_written(struct leaf *leaf, _Atomic uint64_t *slot, _Atomic uint64_t *copy)
{
	pte_t pte = pte_load(slot);

	leaf->err = share_page(leaf->fork, slot, &pte);
	if (leaf->err == 0)
		pte_store_unseen(copy, pte);
	return leaf->err == 0;
}

/* A page that is named too often: false. */
static __attribute__((noinline, cold)) bool fork_refused(struct leaf *leaf, struct frame *frame, uint32_t old)
{
	leaf->err = frame_get_refused(frame, old) ? 0 : -ENOMEM;
	return leaf->err == 0;
}

struct cursor {
	_Atomic uint64_t *slot, *copy;
	struct mapping *const *side;
	struct mapping *usual;
	struct frame *coremap;
	const struct frame *zero;
	int64_t one;
};

/* The entries of a group, from `first` on. False: there was an error. */
static ALWAYS_INLINE bool fork_group(struct leaf *leaf, const struct cursor *at)
{
	struct mapping *plain = leaf->plain;
	uint64_t last = leaf->last, n = leaf->n + PT_GROUP;

#pragma GCC unroll 8
	for (unsigned i = 0; i < PT_GROUP; i++) {
		uint64_t pte = pte_load(&at->slot[i]).v;
		bool alike;

		if (LIKELY(pte == last)) {
			pte_store_unseen(&at->copy[i], PTE(pte));
			continue;
		}
		alike = (at->side != NULL ? at->side[i] : at->usual) == plain;
		if (LIKELY((pte & (PTE_U | PTE_W)) == PTE_U) && LIKELY(alike)) {
			struct frame *frame = &at->coremap[pte_pfn(PTE(pte)).v];

			if (LIKELY(frame != at->zero)) {
				/* relaxed: the parent's slot is locked. As frame_get. */
				int64_t old = frame_count_step(frame, at->one);

				if (UNLIKELY(old <= 0)) {
					leaf->n = n - (PT_GROUP - i);
					return fork_refused(leaf, frame, (uint32_t)old);
				}
			}
			pte_store_unseen(&at->copy[i], PTE(pte));
			continue;
		}
		if (pte == 0) {
			n--;
			continue;
		}
		if ((pte & PTE_U) == 0 && pte_mapping(PTE(pte)) == plain) {
			last = pte;
			pte_store_unseen(&at->copy[i], PTE(pte));
			continue;
		}
		leaf->n = n - (PT_GROUP - i);
		if ((pte & PTE_U) != 0 && alike) {
			if (UNLIKELY(!fork_written(leaf, &at->slot[i], &at->copy[i])))
				return false;
			continue;
		}
		if (UNLIKELY(!fork_other(leaf, &at->slot[i])))
			return false;
		n = leaf->n + (PT_GROUP - i - 1);
		plain = leaf->plain;
		last = leaf->last;
	}
	leaf->last = last;
	leaf->n = n;
	return true;
}

/* How many entries there are, where the loop above has been left in the middle. */
static __attribute__((noinline, cold)) unsigned count_entries(pfn_t table)
{
	unsigned used = 0;

	for (unsigned i = table_next(table, 0, PT_ENTRIES); i < PT_ENTRIES; i = table_next(table, i + 1, PT_ENTRIES))
		used++;
	return used;
}

/* The groups that there are, in runs of such as are neighbours. */
static void fork_groups(struct leaf *leaf, struct cursor at, uint64_t groups)
{
	while (groups != 0) {
		unsigned skip = bits_lowest(groups);

		groups >>= skip;
		at.slot += skip * PT_GROUP;
		at.copy += skip * PT_GROUP;
		at.side = at.side != NULL ? at.side + skip * PT_GROUP : NULL;
		do {
			if (UNLIKELY(!fork_group(leaf, &at)))
				return;
			at.slot += PT_GROUP;
			at.copy += PT_GROUP;
			at.side = at.side != NULL ? at.side + PT_GROUP : NULL;
			groups >>= 1;
		} while ((groups & 1) != 0);
	}
}

int fork_leaf(struct fork *fork, pfn_t parent, pfn_t child)
{
	struct frame *from = frame_of(parent), *to = frame_of(child);
	struct leaf leaf = { .fork = fork, .parent = parent, .child = child, .last = NO_ENTRY };
	struct cursor at = {
		.slot = pt_slot(parent, 0),
		.copy = pt_slot(child, 0),
		.side = from->table.side,
		.usual = from->table.mapping,
		.coremap = (struct frame *)kept_constant((uintptr_t)HW_COREMAP),
		.one = (int64_t)kept_constant(1),
		.zero = frame_of(mm_this_hart()->zero),
	};

	if (table_share_side(from, to) != 0)
		return -ENOMEM;
	to->table.groups = from->table.groups;
	fork_groups(&leaf, at, from->table.groups);
	count(&leaf);
	to->table.used = (uint16_t)(leaf.err == 0 ? from->table.used - leaf.missing : count_entries(child));
	return leaf.err;
}
