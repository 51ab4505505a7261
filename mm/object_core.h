/*
 * What memory objects are made of, for the files that do things to them: object.c (making, looking up), transfer.c (read and
 * write), remove.c (truncation, holes, eviction), dirty.c, clone.c, reverse.c (who maps them), fault.c. Private to mm/.
 */
#ifndef MM_OBJECT_CORE_H
#define MM_OBJECT_CORE_H

#include <stdatomic.h>

#include "lib/list.h"
#include "lib/lock.h"
#include "mm/coremap.h"
#include "mm/index.h"
#include "mm/object.h"

struct object {
	_Atomic uint32_t references;
	bool fixed;		       /* see object_set_fixed; before it is mapped */
	_Atomic bool asks;	       /* shared mappings may not write before they asked; goes on, never off */
	_Atomic bool shrinking;	       /* what is behind the end is being taken out: it gets no longer [lock] */
	_Atomic uint64_t writers;      /* descriptors of writable shared mappings */
	void *store;		       /* NULL: unbacked */
	const char *source;	       /* or NULL */
	struct spinlock lock;	       /* RANK_OBJECT */
	_Atomic uint64_t bytes;	       /* written under lock */
	_Atomic uint64_t source_bytes; /* written under lock; only gets less */
	struct index index;	       /* changed under lock */
	_Atomic uint64_t pages, dirty; /* in the index, and how many of them are marked */
	_Atomic uint64_t removals;     /* written under lock */
	uint64_t evict_next;	       /* where object_evict goes on [lock] */
	struct list link;	       /* of all objects [object_list lock] */
	struct spinlock walk_lock;     /* RANK_REVERSE_WALK: one walk through all mappings at a time */
	struct spinlock mappings_lock; /* RANK_REVERSE */
	struct list mappings;	       /* descriptors, oldest first [mappings_lock] */
	_Atomic uint64_t written_at;   /* see object_take_written */
	/* Where the walk is, if one is under way: reverse.c [mappings_lock] */
	struct list *walk_mapping; /* in mappings */
	struct list *walk_at;	   /* in that one's attachments; NULL: at their begin */
};

/* A fault lets a program write through a shared mapping. Few stores, so that harts that write to one file do not share a line for it. */
static inline void object_note_write(struct object *object)
{
	uint64_t now = hw_ticks();

	/* relaxed: a time that was */
	if (UNLIKELY(now - atomic_load_explicit(&object->written_at, memory_order_relaxed) > OBJECT_WRITTEN_TICKS))
		atomic_store_explicit(&object->written_at, now, memory_order_relaxed);
}

static inline uint64_t bytes_pages(uint64_t bytes)
{
	return (bytes >> PAGE_SHIFT) + ((bytes & PAGE_MASK) != 0);
}

static inline bool object_asks(const struct object *object)
{
	/*
	 * relaxed: set before the walk through all mappings that takes their right to write away. That takes the lock of
	 * each leaf table, and this is asked under it: whoever gets it later sees the flag; whoever had it before is seen.
	 */
	return atomic_load_explicit(&object->asks, memory_order_relaxed);
}

/*
 * index_find by a program's access, in a look-up epoch, of which backed objects keep a note: index_note_use. *ahead: the caller tells so
 * (object_was_reached) once it has left the epoch.
 */
static inline uintptr_t object_look(const struct object *object, uint64_t index, bool again, bool *ahead)
{
	struct index_node *leaf = index_node_of(&object->index, index);

	if (leaf == NULL)
		return 0;
	if (object->store != NULL)
		*ahead = index_note_use(leaf, index, again);
	return slot_load(&leaf->slot[node_slot(leaf, index)]);
}

void object_was_reached(struct object *object, uint64_t index);

/* The caller is about to let a shared mapping write to page `index`, which is `pfn`; under the leaf's lock. 0; -EAGAIN: it must
 * be owned first (unbacked), or is not there any more (backed). */
int object_let_write(struct object *object, uint64_t index, pfn_t pfn) MUST_CHECK;

/* For the audit: whether a shared mapping's entry for the page may have W. */
bool object_may_be_written(const struct object *object, uint64_t index);

/* Page `index` of it, which is `pfn`, has changes that the store has not. -EAGAIN: it is not there any more. */
int object_mark_dirty(struct object *object, uint64_t index, pfn_t pfn) MUST_CHECK;

/* A copy of page `index`, if it is there, made without a count. */
bool object_copy_page(struct object *object, uint64_t index, void *page);

uint64_t object_source_bytes(const struct object *object);

/* object_frame under a leaf table's lock: also -EAGAIN: unbacked, and the index is shared with a clone: object_own first. */
int object_frame_locked(struct object *object, uint64_t index, pfn_t *out) MUST_CHECK;

/* A frame for page `index`, filled as the object begins; with the count that the index will have. 0 or -ENOMEM. */
int object_new_page(struct object *object, uint64_t index, pfn_t *out) MUST_CHECK;

/*
 * Puts a page where none is, also behind the end. ahead: as object_insert. Lock held. 0, -EEXIST, -ENOMEM. dead: for object_bury, when the lock is let go
 * of; NULL: the caller cannot (it holds table locks), so where the index is shared there: -EAGAIN.
 */
int object_place_locked(struct object *object, uint64_t index, pfn_t pfn, bool ahead, struct index_dead *dead)
	MUST_CHECK;
void object_bury(struct index_dead *dead);

/* Notes that the page, which is there, is dirty. Lock held. Whether it was clean: then object_was_dirtied without the lock. */
bool object_mark_locked(struct object *object, uint64_t index);
void object_was_dirtied(struct object *object);

/* object_extend for whoever holds a table: -EAGAIN: the page at the end is shared, own it first; -EBUSY: it is getting shorter. */
int object_try_extend(struct object *object, uint64_t bytes) MUST_CHECK;

/* Takes [first, last) out of the index; unmap: and of every mapping. The nodes at both ends are owned. No lock held. */
void object_remove(struct object *object, uint64_t first, uint64_t last, bool unmap);
/* So many are there less. */
void object_uncount(struct object *object, uint64_t pages, uint64_t dirty);
/* Makes the index of [first, last) this object's alone at both ends. 0 or -ENOMEM. */
int object_own_ends(struct object *object, uint64_t first, uint64_t last) MUST_CHECK;
/* From now on a page that was filled or read before is not inserted. Lock held. */
void object_removed_locked(struct object *object);

#endif
