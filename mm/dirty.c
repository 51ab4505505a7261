/*
 * Backed objects: which pages have changes that the store has not, and cleaning them.
 *
 * A shared mapping of a backed object is writable only where the page is marked: the first write faults, and the fault marks
 * the page and then sets W, both under the leaf table's lock. Cleaning takes the mark away first and then, through the reverse
 * map, W, with the same lock, and shoots down. So of a fault at the same time
 *   - the mark came before it was taken: then so did the lock, and W is set by the time the reverse map gets the lock, which takes
 *     it; what was written meanwhile is in the frame before the caller looks at it;
 *   - the mark came after: it stays, and the page will be cleaned again, whether W was taken or not.
 * Either way a page that somebody can write to, or has written to since its frame was handed to the caller, is marked.
 * Locks: the object's. Frames that are being written back have a count, so they are neither evicted nor used anew.
 */
#include <string.h>

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/object_core.h"
#include "mm/reverse.h"
#include "mm/walk.h"

static void (*dirtied)(struct object *object); /* set once, before programs run */

void object_set_dirtied(void (*handler)(struct object *object))
{
	dirtied = handler;
}

uint64_t object_dirty_pages(const struct object *object)
{
	return atomic_load_explicit(&object->dirty, memory_order_relaxed);
}

uint64_t objects_dirty(void)
{
	uint64_t sum = 0;

	for (unsigned h = 0; h < hw_harts(); h++)
		sum += atomic_load_explicit(&mm_harts[h].dirty, memory_order_relaxed);
	return (int64_t)sum < 0 ? 0 : sum; /* pages that became clean while we looked */
}

bool object_mark_locked(struct object *object, uint64_t index)
{
	if (!index_mark(&object->index, index))
		return false;
	atomic_fetch_add_explicit(&object->dirty, 1, memory_order_relaxed);
	mm_dirty_add(1);
	return true;
}

static void unmark_locked(struct object *object, uint64_t index)
{
	bool was = index_unmark(&object->index, index);

	CHECK(was);
	atomic_fetch_sub_explicit(&object->dirty, 1, memory_order_relaxed);
	mm_dirty_add(UINT64_MAX);
}

void object_was_dirtied(struct object *object)
{
	if (dirtied != NULL)
		dirtied(object);
}

int object_mark_dirty(struct object *object, uint64_t index, pfn_t pfn)
{
	bool new = false, there;

	spin_lock(&object->lock, RANK_OBJECT);
	there = slot_pfn(index_find(&object->index, index)).v == pfn.v;
	if (there)
		new = object_mark_locked(object, index);
	spin_unlock(&object->lock, RANK_OBJECT);
	if (new)
		object_was_dirtied(object);
	return there ? 0 : -EAGAIN;
}

int object_let_write(struct object *object, uint64_t index, pfn_t pfn)
{
	uintptr_t slot;

	if (object->store != NULL)
		return object_mark_dirty(object, index, pfn);
	look_enter();
	slot = index_find_own(&object->index, index);
	look_exit();
	/* A clone that shares it from now on takes W away again (clone.c), with the lock that the caller has. */
	return slot_pfn(slot).v == pfn.v && (slot & SLOT_SHARED) == 0 ? 0 : -EAGAIN;
}

bool object_may_be_written(const struct object *object, uint64_t index)
{
	uintptr_t slot = index_find_own(&object->index, index);

	return slot_has_frame(slot) && (slot & SLOT_SHARED) == 0 &&
	       (object->store == NULL || index_next_dirty(&object->index, index) == index);
}

unsigned object_clean_begin(struct object *object, uint64_t first, uint64_t last, unsigned max, pfn_t *frames,
			    uint64_t *indices)
{
	unsigned n = 0;

	ASSERT(object->store != NULL);
	spin_lock(&object->lock, RANK_OBJECT);
	for (uint64_t i = first; n < MIN(max, OBJECT_BATCH); i++) {
		pfn_t pfn;

		i = index_next_dirty(&object->index, i);
		if (i >= last)
			break;
		pfn = slot_pfn(index_find(&object->index, i));
		frame_get_more(pfn); /* once a page: its mark goes */
		frame_of(pfn)->object.written++;
		unmark_locked(object, i);
		frames[n] = pfn;
		indices[n++] = i;
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	if (n != 0) {
		reverse_enter(object);
		reverse_protect(object, indices[0], indices[n - 1] + 1);
		reverse_exit(object);
	}
	return n;
}

void object_clear_tail(struct object *object, uint64_t index, pfn_t pfn)
{
	uint64_t end;

	/* Under the lock: a write that makes the object longer does that first, and then its bytes are behind no end any more. */
	spin_lock(&object->lock, RANK_OBJECT);
	end = object_bytes(object);
	if ((end & PAGE_MASK) != 0 && index == end >> PAGE_SHIFT)
		memset((char *)frame_data(pfn) + (end & PAGE_MASK), 0, PAGE_SIZE - (end & PAGE_MASK));
	spin_unlock(&object->lock, RANK_OBJECT);
}

void object_clean_end(struct object *object, const pfn_t *frames, const uint64_t *indices, unsigned n, bool failed)
{
	bool new = false;

	spin_lock(&object->lock, RANK_OBJECT);
	for (unsigned i = 0; i < n; i++) {
		frame_of(frames[i])->object.written--;
		if (failed && slot_pfn(index_find(&object->index, indices[i])).v == frames[i].v)
			new |= object_mark_locked(object, indices[i]);
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	for (unsigned i = 0; i < n; i++)
		frame_put(frames[i]);
	if (new)
		object_was_dirtied(object);
}
