/* What a fork knows on its way: fork.c, and fork_leaf.c for the entries. Private to the two. */
#ifndef MM_FORK_H
#define MM_FORK_H

#include "mm/range.h"

struct fork {
	struct range range;	 /* all of the parent */
	const vaddr_t *hot;	 /* SPACE_HOT addresses, or NULL */
	bool sharing;		 /* tables may be shared; then only `locked` ones and the roots are locked */
	pfn_t locked;		 /* by frame.table.next_dead */
	struct mapping *watched; /* the descriptor that was last copied for the child, or NULL */
	struct mapping *copy;	 /* what it got for it, with one count for us */
	struct {
		_Atomic uint64_t *parent, *child; /* NULL: none */
		pfn_t leaf;			  /* the child's */
	} written[SPACE_WRITTEN];		  /* the entries of the first of `hot` */
};

/* What the child gets for the parent's reservation; none: nothing. Counted. 0 or -ENOMEM. */
int fork_reservation(struct fork *fork, pte_t *pte, struct mapping *mapping) MUST_CHECK;

/* Both get pages of their own where the first of `hot` are, in leaf tables that were copied; of these, for addresses from va on. fork_hot.c. */
void fork_hot_leaf(struct fork *fork, pfn_t parent, pfn_t child, uint64_t va);
void fork_hot(const struct fork *fork);
/* The same for all pages that may be written; these are the roots. */
void fork_eager(pfn_t parent, pfn_t child);

/* Fills the child's leaf table, which is new, from the parent's. 0, or -ENOMEM: as far as it went. */
int fork_leaf(struct fork *fork, pfn_t parent, pfn_t child) MUST_CHECK;

#endif
