/*
 * The index of a memory object: a radix tree from page number to frame, whose nodes several objects may share (clones).
 * Private to mm/.
 *
 * Look-ups (index_find, index_find_own) take no lock and are made within a look-up epoch (walk.h), alone or under table locks;
 * what they find stays until the epoch ends. Everything else is called with the lock of the object whose index it is.
 * What changes leave over is dropped by the caller after look_wait(), with no lock of an object held.
 */
#ifndef MM_INDEX_H
#define MM_INDEX_H

#include <stdatomic.h>

#include "lib/types.h"

#define INDEX_BITS  6
#define INDEX_SLOTS (1U << INDEX_BITS)
#define INDEX_DEPTH 9 /* levels that page numbers of 52 bits may need */

/* What stands in a slot of the lowest level: 0, or a frame number, shifted, with: */
#define SLOT_SHARED ((uintptr_t)1) /* other indexes may name the frame: nobody writes to it */
#define SLOT_HOLE   ((uintptr_t)2) /* no frame; zeros, whatever the object's source has there */
#define SLOT_SHIFT  2

struct index_node {
	_Atomic uint32_t
		references; /* slots and roots that name it; more than one: it changes no more, but for SLOT_SHARED */
	uint8_t shift;	    /* index >> shift selects the slot */
	bool audited;	    /* the audit's mark; otherwise false */
	uint64_t dirty;	    /* lowest level: pages with changes that the store has not; above: nodes with such */
	/* Lowest level, of a backed object, by whoever looks: index_marks.c. */
	_Atomic uint64_t seen;		      /* has been looked up */
	_Atomic uint64_t used;		      /* and again since; or is new and has not been looked up */
	_Atomic uint64_t ahead;		      /* whoever looks it up first says so */
	_Atomic(uintptr_t) slot[INDEX_SLOTS]; /* lowest level: see above; else nodes; 0: none */
};

struct index {
	_Atomic(uintptr_t) root; /* a node, or 0 */
};

/* Nodes that copies have taken the place of. */
struct index_dead {
	unsigned n;
	struct index_node *node[2 * INDEX_DEPTH];
};

/* Slots of one node that were taken out: [first, last) is all that was in them. */
struct index_taken {
	unsigned n;
	bool nodes;	/* they name nodes, not frames */
	uint64_t dirty; /* which of the frames are */
	uint64_t first, last;
	uintptr_t slot[INDEX_SLOTS];
};

static inline pfn_t slot_pfn(uintptr_t slot)
{
	return PFN(slot >> SLOT_SHIFT);
}

static inline uintptr_t pfn_slot(pfn_t pfn)
{
	return (uintptr_t)pfn.v << SLOT_SHIFT;
}

static inline bool slot_has_frame(uintptr_t slot)
{
	return slot >> SLOT_SHIFT != 0;
}

static inline uintptr_t slot_load(const _Atomic(uintptr_t) *slot)
{
	/* acquire: pairs with the release of whoever stores one: what it names is seen filled */
	return atomic_load_explicit(slot, memory_order_acquire);
}

static inline unsigned node_slot(const struct index_node *node, uint64_t i)
{
	return (i >> node->shift) % INDEX_SLOTS;
}

static inline bool node_reaches(const struct index_node *node, uint64_t i)
{
	return node != NULL && (i >> node->shift) < INDEX_SLOTS;
}

/* Pages that one slot of the node stands for. */
static inline uint64_t node_span(const struct index_node *node)
{
	return UINT64_C(1) << node->shift;
}

/* The lowest-level node that has page i, or NULL. */
static inline struct index_node *index_node_of(const struct index *index, uint64_t i)
{
	struct index_node *node = (struct index_node *)slot_load(&index->root);

	if (!node_reaches(node, i))
		return NULL;
	while (node != NULL && node->shift != 0)
		node = (struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	return node;
}

/* The slot of page i, or 0. With SLOT_SHARED where another index may reach it by whatever way. */
static inline uintptr_t index_find(const struct index *index, uint64_t i)
{
	const struct index_node *leaf = index_node_of(index, i);

	return leaf == NULL ? 0 : slot_load(&leaf->slot[node_slot(leaf, i)]);
}

uintptr_t index_find_own(const struct index *index, uint64_t i);

/* Whether a node on the way to page i is shared. */
bool index_is_shared(const struct index *index, uint64_t i);

/*
 * The slot of page i, in nodes that are this index's alone: copies of those that are shared, which go on *dead. Without
 * `create`, *out is NULL where there is none. 0 or -ENOMEM; then as before, to whoever looks.
 */
int index_own(struct index *index, uint64_t i, bool create, struct index_dead *dead, _Atomic(uintptr_t) **out)
	MUST_CHECK;
void index_bury(struct index_dead *dead); /* after look_wait */

/* The slot of page i, as it is, for another index: a count more of its frame, and the mark. False: it has as many as can be. */
bool index_share(struct index *index, uint64_t i, uintptr_t *out);

/*
 * The same for whole nodes: of [i, i + (1 << shift)), both multiples of it, and shift one of INDEX_BITS, but not 0, up to index_height:
 * the node (NULL: nothing is there) with a reference more; and the slot for one, as index_own's.
 */
unsigned index_height(const struct index *index); /* 0: nothing is there */
bool index_share_node(struct index *index, uint64_t i, unsigned shift, struct index_node **out);
int index_own_node(struct index *index, uint64_t i, unsigned shift, bool create, struct index_dead *dead,
		   _Atomic(uintptr_t) **out) MUST_CHECK;
uint64_t index_node_pages(const struct index_node *node); /* of one that does not change any more */

/* One reference of a node less: the last one frees it and puts the frames below. */
void index_node_put(struct index_node *node);

/*
 * Takes something of [first, last) out, as much as one node has, if anything is left. The nodes with a part in the range
 * must be this index's alone: after index_own(first) and index_own(last - 1).
 */
bool index_take(struct index *index, uint64_t first, uint64_t last, struct index_taken *taken);
/* How many pages that was, and how many of them dirty. */
void index_taken_count(const struct index_taken *taken, uint64_t *pages, uint64_t *dirty);
void index_taken_put(const struct index_taken *taken); /* after look_wait */

/* Takes the nodes on the way to page i out that nothing is in any more; they go on *dead. For whoever took pages out. */
void index_prune(struct index *index, uint64_t i, struct index_dead *dead);

/* The lowest-level node that has page i or the first behind it; *base: its first page. NULL: none. */
struct index_node *index_leaf(const struct index *index, uint64_t i, uint64_t *base);

/* Dirty marks of pages that are there. Whether this changed anything. */
bool index_mark(struct index *index, uint64_t i);
bool index_unmark(struct index *index, uint64_t i);
/* The first dirty page at or behind i, or UINT64_MAX. */
uint64_t index_next_dirty(const struct index *index, uint64_t i);

/*
 * Which pages are in use, of a backed object. New: page i was put there; ahead: whoever looks it up first is told (index_note_use is
 * true, once). Use: it was looked up; again: not just the next bytes of what was looked up last. Forget: those of `pages`, a bit
 * each, that were in use; from now on they are not. In a look-up epoch, or with the lock.
 */
void index_note_new(struct index_node *leaf, uint64_t i, bool ahead);
bool index_note_use(struct index_node *leaf, uint64_t i, bool again);
uint64_t index_forget_use(struct index_node *leaf, uint64_t pages);

/* For the audit. The first visit of a node when `mark` differs from its mark sets that and goes into it; others do not. */
void index_visit(struct index *index, bool mark, void (*visit)(void *ctx, uint64_t i, uintptr_t slot, bool dirty),
		 void *ctx);

#endif
