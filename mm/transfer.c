/*
 * Between an object's pages and a program's memory, or the kernel's: read() and write().
 *
 * A piece lies within one page on either side. The program's page is found first and its leaf table stays locked, so nothing
 * can fail once bytes move. The object's page is then found in a look-up epoch, which keeps the frame from being freed; to read
 * it takes no count and writes nothing that others read. A page of an unbacked object is also written within the epoch: a clone
 * marks what it shares and then waits for all epochs to end, so whatever is written to a shared frame is written before. One of
 * a backed object is written with a count, so that it is not evicted before it is marked, which is done after the bytes
 * are there: a mark that is taken away earlier (dirty.c) belongs to earlier bytes.
 * A page that is not there is filled before it goes into the index, with the size if that grows: nobody sees it half written.
 * Locks: the leaf table's, and within it the object's.
 */
#include <string.h>

#include "lib/errno.h"
#include "mm/object_core.h"
#include "mm/user.h"
#include "mm/walk.h"

/* The other side: a program's memory, or (space NULL) the kernel's. */
struct side {
	struct space *space;
	vaddr_t va;
	pfn_t table;
	char *at; /* while it is locked */
};

static int side_lock(struct side *side, enum access access)
{
	void *page;
	int err;

	if (side->space == NULL) {
		side->at = (char *)(uintptr_t)side->va.v;
		return 0;
	}
	err = user_page_lock(side->space, side->va, access, &side->table, &page);
	side->at = page;
	return err;
}

static void side_unlock(const struct side *side)
{
	if (side->space != NULL)
		table_unlock(side->table);
}

/* As much of n as lies within one page of either side. */
static uint64_t piece(const struct side *side, uint64_t offset, uint64_t n)
{
	n = MIN(n, PAGE_SIZE - (offset & PAGE_MASK));
	return side->space == NULL ? n : MIN(n, PAGE_SIZE - (side->va.v & PAGE_MASK));
}

/* A program may read a file into its own mapping of it. */
static void copy(void *dst, const void *src, uint64_t n)
{
	if ((uintptr_t)dst - (uintptr_t)src < n || (uintptr_t)src - (uintptr_t)dst < n)
		memmove(dst, src, n);
	else
		memcpy(dst, src, n);
}

/* Zeros for a hole, unless it has a source or a store. 1: look again. */
static int read_missing(struct object *object, uint64_t offset, struct side *side, uint64_t n)
{
	pfn_t pfn;
	int err;

	if (object->store == NULL && ALIGN_DOWN(offset, PAGE_SIZE) >= object_source_bytes(object)) {
		err = side_lock(side, ACCESS_WRITE);
		if (err != 0)
			return err;
		/* Where it was cut off, the size went before the page: there are no zeros behind the end. */
		err = offset + n > object_bytes(object);
		if (err == 0)
			memset(side->at, 0, n);
		side_unlock(side);
		return err;
	}
	err = object_frame(object, offset >> PAGE_SHIFT, &pfn);
	if (err == 0)
		frame_put(pfn);
	return err != 0 ? err : 1; /* there now: again */
}

/* A page that is read in small pieces, one behind the other, is used once. By hart: to remember it is to write no line of others. */
static bool is_again(const struct object *object, uint64_t index)
{
	struct mm_hart *hart = mm_this_hart();
	uint64_t what = (uintptr_t)object + index * UINT64_C(0x9e3779b97f4a7c15);

	if (hart->looked == what)
		return false;
	hart->looked = what;
	return true;
}

static int64_t read_piece(struct object *object, uint64_t offset, struct side *side, uint64_t n)
{
	int err;

	do {
		uint64_t bytes = object_bytes(object);

		if (offset >= bytes)
			return 0;
		n = piece(side, offset, MIN(n, bytes - offset));

		bool again = object->store != NULL && is_again(object, offset >> PAGE_SHIFT), ahead = false;
		uintptr_t slot;

		err = side_lock(side, ACCESS_WRITE);
		if (err != 0)
			return err;
		look_enter();
		slot = object_look(object, offset >> PAGE_SHIFT, again, &ahead);
		if (slot_has_frame(slot))
			copy(side->at, (const char *)frame_data(slot_pfn(slot)) + (offset & PAGE_MASK), n);
		look_exit();
		side_unlock(side);
		if (UNLIKELY(ahead))
			object_was_reached(object, offset >> PAGE_SHIFT);
		if (slot_has_frame(slot))
			return (int64_t)n;
		err = read_missing(object, offset, side, n);
	} while (err == 1);
	/* Cut off meanwhile. */
	return err == -EFAULT && offset >= object_bytes(object) ? 0 : err != 0 ? err : (int64_t)n;
}

/* ---- Writing. */

struct write {
	struct object *object;
	uint64_t offset, n;
	uint64_t seen; /* object_removals() from before the size was looked at */
	struct side side;
};

static char *place(const struct write *write, pfn_t pfn)
{
	return (char *)frame_data(pfn) + (write->offset & PAGE_MASK);
}

/* Into the page of a backed object that is there. 0; -EAGAIN: it is being evicted; -ENOMEM. */
static int write_backed(struct write *write)
{
	struct object *object = write->object;
	uint64_t index = write->offset >> PAGE_SHIFT;
	uintptr_t slot;
	int err = -EAGAIN;

	look_enter();
	slot = index_find(&object->index, index);
	if (slot_has_frame(slot))
		err = frame_try_get(slot_pfn(slot));
	look_exit();
	if (err != 0)
		return err;
	copy(place(write, slot_pfn(slot)), write->side.at, write->n);
	err = object_mark_dirty(object, index, slot_pfn(slot));
	frame_put(slot_pfn(slot));
	return err == -EAGAIN ? 0 : err; /* cut off meanwhile, and what we wrote with it */
}

enum written { WRITTEN, WRITE_MISSING, WRITE_SHARED, WRITE_LATER };

/* Into the page of an unbacked object, if it is there and not shared. */
static enum written write_unbacked(struct write *write)
{
	enum written done = WRITTEN;
	uintptr_t slot;

	look_enter();
	slot = index_find_own(&write->object->index, write->offset >> PAGE_SHIFT);
	if (!slot_has_frame(slot))
		done = WRITE_MISSING;
	else if ((slot & SLOT_SHARED) != 0)
		done = WRITE_SHARED;
	else
		copy(place(write, slot_pfn(slot)), write->side.at, write->n);
	look_exit();
	return done;
}

/* The page is in the index, and the object as long as that makes it. 0; -EEXIST: look again; -EBUSY: it is getting shorter; -ENOMEM. */
static int add_written(struct write *write, pfn_t pfn)
{
	struct object *object = write->object;
	uint64_t index = write->offset >> PAGE_SHIFT, end = write->offset + write->n;
	struct index_dead dead = { .n = 0 };
	bool dirtied = false;
	uint64_t old;
	int err = -EBUSY;

	spin_lock(&object->lock, RANK_OBJECT);
	old = object_bytes(object);
	/* What was cut off meanwhile may be what the page was filled with, or where the object ended when it was made so long. */
	if (write->seen != atomic_load_explicit(&object->removals, memory_order_relaxed))
		err = -EEXIST;
	else if (end <= old || !atomic_load_explicit(&object->shrinking, memory_order_relaxed)) {
		err = object_place_locked(object, index, pfn, false, &dead);
		if (err == 0 && end > old) /* relaxed: see object_bytes */
			atomic_store_explicit(&object->bytes, end, memory_order_relaxed);
		if (err == 0 && object->store != NULL)
			dirtied = object_mark_locked(object, index);
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	object_bury(&dead);
	if (dirtied)
		object_was_dirtied(object);
	return err;
}

/* The whole page is written, or all of it that there is. */
static bool is_whole(const struct write *write)
{
	uint64_t bytes = object_bytes(write->object);

	return (write->offset & PAGE_MASK) == 0 && (write->n == PAGE_SIZE || write->offset + write->n >= bytes);
}

/* A page that is not there: 0: written; -EEXIST: it is there now; -EBUSY. */
static int write_new(struct write *write)
{
	struct object *object = write->object;
	uint64_t index = write->offset >> PAGE_SHIFT;
	pfn_t pfn;
	int err;

	if (object->store != NULL && !is_whole(write) && index < bytes_pages(object_bytes(object)))
		return -EAGAIN;
	err = object_new_page(object, index, &pfn);
	if (err == 0) {
		err = side_lock(&write->side, ACCESS_READ);
		if (err == 0) {
			memcpy(place(write, pfn), write->side.at, write->n);
			side_unlock(&write->side);
			err = add_written(write, pfn);
		}
		if (err != 0)
			frame_put(pfn);
	}
	return err;
}

/* What object_try_extend was short of, with no lock held. 1: look again; or an error. */
static int extend_later(struct write *write, int err)
{
	if (err == -EAGAIN)
		err = object_own(write->object, object_bytes(write->object) >> PAGE_SHIFT);
	else if (err == -EBUSY)
		hw_relax(); /* the end of object_resize is near */
	return err == 0 || err == -EBUSY ? 1 : err;
}

/* 0: it is written; 1: look again; or an error. */
static int write_once(struct write *write)
{
	struct object *object = write->object;
	uint64_t index = write->offset >> PAGE_SHIFT;
	enum written done = WRITTEN;
	int err;

	if (!object_has(object, index)) {
		err = write_new(write);
		if (err == -EBUSY)
			hw_relax(); /* the end of object_resize is near */
		return err == -EEXIST || err == -EBUSY ? 1 : err;
	}
	err = side_lock(&write->side, ACCESS_READ);
	if (err != 0)
		return err;
	/* Before the copy, as what is behind the old end is cleared; and before the mark, as who cleans looks at the size. */
	err = object_try_extend(object, write->offset + write->n);
	if (err != 0)
		done = WRITE_LATER;
	else if (object->store != NULL)
		err = write_backed(write);
	else
		done = write_unbacked(write);
	side_unlock(&write->side);
	if (done == WRITE_LATER)
		return extend_later(write, err);
	if (err == -EAGAIN || done == WRITE_MISSING)
		return 1;
	if (done == WRITE_SHARED)
		err = object_own(object, index);
	return err != 0 ? err : done == WRITE_SHARED;
}

/* The object is as long as up to where the bytes go. */
static int reach(struct write *write)
{
	int err;

	if (write->offset <= object_bytes(write->object))
		return 0;
	/* First, so that bytes that are not there do not make it longer. */
	err = side_lock(&write->side, ACCESS_READ);
	if (err != 0)
		return err;
	side_unlock(&write->side);
	return object_extend(write->object, write->offset);
}

/* Once the bytes are there the size is not looked at again: what is cut off behind a write is cut off with it. */
static int64_t write_piece(struct write *write)
{
	int err;

	do {
		write->seen = object_removals(write->object);
		err = reach(write);
		if (err == 0)
			err = write_once(write);
	} while (err == 1);
	return err != 0 ? err : (int64_t)write->n;
}

int64_t object_to_user(struct object *object, uint64_t offset, struct space *space, vaddr_t va, uint64_t n)
{
	struct side side = { .space = space, .va = va };

	return read_piece(object, offset, &side, n);
}

int64_t user_to_object(struct object *object, uint64_t offset, struct space *space, vaddr_t va, uint64_t n,
		       uint64_t limit)
{
	struct write write = { .object = object, .offset = offset, .side = { .space = space, .va = va } };

	if (offset >= limit)
		return 0;
	write.n = piece(&write.side, offset, MIN(n, limit - offset));
	return write_piece(&write);
}

int64_t object_read(struct object *object, uint64_t offset, void *dst, uint64_t n)
{
	uint64_t done = 0;
	int64_t part = 0;

	while (done < n) {
		struct side side = { .va = VADDR((uintptr_t)dst + done) };

		part = read_piece(object, offset + done, &side, n - done);
		if (part <= 0)
			break;
		done += (uint64_t)part;
	}
	return part < 0 && done == 0 ? part : (int64_t)done;
}

int64_t object_write(struct object *object, uint64_t offset, const void *src, uint64_t n)
{
	uint64_t bytes = object_bytes(object);
	uint64_t done = 0;
	int64_t part = 0;

	n = offset < bytes ? MIN(n, bytes - offset) : 0;
	while (done < n) {
		struct write write = { .object = object, .offset = offset + done };

		write.side.va = VADDR((uintptr_t)src + done);
		write.n = piece(&write.side, write.offset, n - done);
		part = write_piece(&write);
		if (part < 0)
			break;
		done += (uint64_t)part;
	}
	return part < 0 && done == 0 ? part : (int64_t)done;
}
