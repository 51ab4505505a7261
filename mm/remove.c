/*
 * Taking pages out of objects: truncation, holes. What is in use no more: evict.c.
 *
 * Truncation: (1) the size, (2) all mappings, private copies included, (3) the index. A fault reads the size with its leaf
 * table's lock held, until its entry is there: either that is before (2) gets the lock, which then takes the entry, or it sees
 * the size. So nothing behind the end is mapped after (2), and (3) finds frames that only the index names.
 * Holes: (1) the index, (2) the object's own frames in all mappings, likewise. What a fault filled anew between the two is
 * new, and at worst unmapped for nothing.
 * In each, what was taken out is freed after look_wait: a reader may be copying from it. So are the nodes of the index that are
 * empty then: a file of pages far apart, each of which came and went, would otherwise keep a node for each.
 * Locks: the object's, while the index changes; then the lists of its mappings and, one range at a time, their tables.
 */
#include <string.h>

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/object_core.h"
#include "mm/reverse.h"
#include "mm/walk.h"

void object_removed_locked(struct object *object)
{
	/* release: pairs with the acquire in add_page and object_removals: what the page is made of has changed by then */
	atomic_fetch_add_explicit(&object->removals, 1, memory_order_release);
}

static void unmap(struct object *object, uint64_t first, uint64_t last, bool copies)
{
	reverse_enter(object);
	reverse_unmap(object, first, last, copies);
	reverse_exit(object);
}

void object_uncount(struct object *object, uint64_t pages, uint64_t dirty)
{
	/* relaxed: counts to look at */
	atomic_fetch_sub_explicit(&object->pages, pages, memory_order_relaxed);
	atomic_fetch_sub_explicit(&object->dirty, dirty, memory_order_relaxed);
	mm_dirty_add(0 - dirty);
}

void object_remove(struct object *object, uint64_t first, uint64_t last, bool unmapping)
{
	for (;;) {
		struct index_dead dead = { .n = 0 };
		struct index_taken taken;
		uint64_t pages, dirty;
		bool more;

		spin_lock(&object->lock, RANK_OBJECT);
		more = index_take(&object->index, first, last, &taken);
		if (more)
			index_prune(&object->index, taken.first, &dead);
		spin_unlock(&object->lock, RANK_OBJECT);
		if (!more)
			break;
		index_taken_count(&taken, &pages, &dirty);
		object_uncount(object, pages, dirty);
		if (unmapping)
			unmap(object, taken.first, taken.last, false);
		look_wait();
		index_bury(&dead);
		index_taken_put(&taken);
	}
}

int object_own_ends(struct object *object, uint64_t first, uint64_t last)
{
	struct index_dead dead = { .n = 0 };
	_Atomic(uintptr_t) *slot;
	int err = 0;

	if (!object_asks(object))
		return 0; /* never cloned */
	spin_lock(&object->lock, RANK_OBJECT);
	if (first != 0)
		err = index_own(&object->index, first, false, &dead, &slot);
	if (err == 0)
		err = index_own(&object->index, last - 1, false, &dead, &slot);
	spin_unlock(&object->lock, RANK_OBJECT);
	object_bury(&dead);
	return err;
}

/* ---- Size. */

/* Part of a page that is there and this object's alone: zeros. Under the lock, so that it is not evicted meanwhile, without a count. */
static void clear_part(struct object *object, uint64_t offset, uint64_t bytes)
{
	uint64_t index = offset >> PAGE_SHIFT;
	bool dirtied = false;
	uintptr_t slot;

	if (bytes == 0)
		return;
	spin_lock(&object->lock, RANK_OBJECT);
	slot = index_find(&object->index, index);
	if (slot_has_frame(slot)) {
		memset((char *)frame_data(slot_pfn(slot)) + (offset & PAGE_MASK), 0, bytes);
		dirtied = object->store != NULL && object_mark_locked(object, index);
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	if (dirtied)
		object_was_dirtied(object);
}

/* Bytes from `offset` to the end of its page; 0 where it is at the begin of one. */
static uint64_t tail(uint64_t offset)
{
	return (PAGE_SIZE - (offset & PAGE_MASK)) & PAGE_MASK;
}

static int shrink(struct object *object, uint64_t bytes)
{
	uint64_t first = bytes_pages(bytes), last = bytes_pages(object_bytes(object));
	int err = (bytes & PAGE_MASK) != 0 ? object_own(object, bytes >> PAGE_SHIFT) : 0;

	if (err == 0 && first < last)
		err = object_own_ends(object, first, UINT64_MAX);
	if (err != 0)
		return err;
	spin_lock(&object->lock, RANK_OBJECT);
	last = MAX(last, bytes_pages(object_bytes(object))); /* a write may have made it longer meanwhile */
	/* relaxed: read under the lock, but for object_bytes, see there */
	atomic_store_explicit(&object->shrinking, true, memory_order_relaxed);
	atomic_store_explicit(&object->bytes, bytes, memory_order_relaxed);
	if (bytes < object_source_bytes(object))
		atomic_store_explicit(&object->source_bytes, bytes, memory_order_relaxed);
	object_removed_locked(object);
	spin_unlock(&object->lock, RANK_OBJECT);
	if (first < last) {
		unmap(object, first, last, true);
		object_remove(object, first, UINT64_MAX, false);
	}
	clear_part(object, bytes, tail(bytes));
	spin_lock(&object->lock, RANK_OBJECT);
	atomic_store_explicit(&object->shrinking, false, memory_order_relaxed);
	spin_unlock(&object->lock, RANK_OBJECT);
	return 0;
}

int object_resize(struct object *object, uint64_t bytes)
{
	return bytes < object_bytes(object) ? shrink(object, bytes) : object_extend(object, bytes);
}

/* ---- Holes. */

/* Page i, which the source has, becomes a hole. What was there is *old. Lock held. */
static int note_hole_locked(struct object *object, uint64_t i, struct index_dead *dead, uintptr_t *old)
{
	_Atomic(uintptr_t) *slot;
	int err = index_own(&object->index, i, true, dead, &slot);

	if (err == 0)
		*old = atomic_exchange_explicit(slot, SLOT_HOLE, memory_order_acq_rel);
	return err;
}

/* Pages of the source: their place in the index says that they are not as the source has them. One at a time: files of
 * the initramfs are small, and few have holes punched into them. */
static int punch_source(struct object *object, uint64_t first, uint64_t last)
{
	int err = 0;

	for (uint64_t i = first; err == 0 && i < last; i++) {
		struct index_dead dead = { .n = 0 };
		uintptr_t old = 0;

		spin_lock(&object->lock, RANK_OBJECT);
		object_removed_locked(object);
		err = note_hole_locked(object, i, &dead, &old);
		spin_unlock(&object->lock, RANK_OBJECT);
		object_bury(&dead);
		if (!slot_has_frame(old))
			continue;
		object_uncount(object, 1, 0);
		unmap(object, i, i + 1, false);
		look_wait();
		frame_put(slot_pfn(old));
	}
	return err;
}

static int punch_pages(struct object *object, uint64_t first, uint64_t last)
{
	uint64_t source = MIN(bytes_pages(object_source_bytes(object)), last);
	int err = 0;

	if (first < source)
		err = punch_source(object, first, source);
	if (err == 0)
		err = object_own_ends(object, first, last);
	if (err != 0)
		return err;
	spin_lock(&object->lock, RANK_OBJECT);
	object_removed_locked(object);
	spin_unlock(&object->lock, RANK_OBJECT);
	object_remove(object, MAX(first, source), last, true);
	return 0;
}

/* The edges of [offset, end): parts of pages. Those that the source has are filled first. */
static int punch_part(struct object *object, uint64_t offset, uint64_t bytes)
{
	uint64_t index = offset >> PAGE_SHIFT;
	pfn_t pfn;
	int err;

	if (bytes == 0)
		return 0;
	if (ALIGN_DOWN(offset, PAGE_SIZE) < object_source_bytes(object)) {
		err = object_frame(object, index, &pfn);
		if (err != 0)
			return err;
		frame_put(pfn);
	}
	err = object_own(object, index);
	if (err == 0)
		clear_part(object, offset, bytes);
	return err;
}

int object_punch(struct object *object, uint64_t offset, uint64_t bytes)
{
	uint64_t end = MIN(offset + bytes, object_bytes(object));
	uint64_t first = bytes_pages(offset), last = end >> PAGE_SHIFT;
	int err;

	if (offset >= end)
		return 0;
	if (end == object_bytes(object))
		last = bytes_pages(end); /* behind the end there is nothing to keep */
	if (first > last)		 /* within one page */
		return punch_part(object, offset, end - offset);
	err = punch_part(object, offset, tail(offset));
	if (err == 0 && last << PAGE_SHIFT < end)
		err = punch_part(object, last << PAGE_SHIFT, end - (last << PAGE_SHIFT));
	return err == 0 && first < last ? punch_pages(object, first, last) : err;
}
