/*
 * Locked ranges: a list a space, in order of address, that is empty for nearly all.
 *
 * Invariants: ranges do not overlap; `locked_bytes` is their sum, so one look tells whether there is anything to do.
 * Locks: the space's own, inner to nothing that is taken here but the slabs; never held with a table's.
 * Does not: keep in step with unmapping atomically. A lock that races with munmap of its range is before or after it.
 */
#include "mm/locked.h"

#include "lib/errno.h"
#include "mm/slab.h"

struct locked {
	struct list link;
	uint64_t start, end;
	bool on_fault;
};

void locked_init(struct space *space)
{
	spin_init(&space->locked_lock);
	list_init(&space->locked);
}

static void drop(struct space *space, struct locked *range)
{
	list_del(&range->link);
	space->locked_bytes -= range->end - range->start;
	kfree(range);
}

void locked_end(struct space *space)
{
	while (!list_empty(&space->locked))
		drop(space, list_first(&space->locked, struct locked, link));
}

/* Takes [start, end) out of every range. False: a range had to be split and could not be; it is gone as a whole. */
static bool cut(struct space *space, uint64_t start, uint64_t end)
{
	bool good = true;

	list_for_each_safe (pos, next, &space->locked) {
		struct locked *range = list_entry(pos, struct locked, link);
		struct locked *tail;

		if (range->end <= start || range->start >= end)
			continue;
		if (range->start >= start && range->end <= end) {
			drop(space, range);
		} else if (range->start >= start) {
			space->locked_bytes -= end - range->start;
			range->start = end;
		} else if (range->end <= end) {
			space->locked_bytes -= range->end - start;
			range->end = start;
		} else if ((tail = kalloc(sizeof(*tail))) == NULL) {
			drop(space, range);
			good = false;
		} else {
			*tail = (struct locked){ .start = end, .end = range->end, .on_fault = range->on_fault };
			list_add(&range->link, &tail->link);
			space->locked_bytes -= end - start;
			range->end = start;
		}
	}
	return good;
}

/* Where no range overlaps it. Joins its neighbours of the same kind. */
static void insert(struct space *space, struct locked *new)
{
	struct list *before = &space->locked;

	list_for_each (pos, &space->locked) {
		if (list_entry(pos, struct locked, link)->start > new->start)
			break;
		before = pos;
	}
	list_add(before, &new->link);
	space->locked_bytes += new->end - new->start;
	if (before != &space->locked) {
		struct locked *last = list_entry(before, struct locked, link);

		if (last->end == new->start && last->on_fault == new->on_fault) {
			new->start = last->start;
			list_del(&last->link);
			kfree(last);
		}
	}
	if (new->link.next != &space->locked) {
		struct locked *next = list_entry(new->link.next, struct locked, link);

		if (next->start == new->end && next->on_fault == new->on_fault) {
			new->end = next->end;
			list_del(&next->link);
			kfree(next);
		}
	}
}

int space_set_lock(struct space *space, vaddr_t start, uint64_t bytes, enum space_lock lock)
{
	struct locked *new = NULL;
	bool good;

	if (bytes == 0 || (lock == SPACE_UNLOCKED && space_locked_bytes(space) == 0))
		return 0;
	if (lock != SPACE_UNLOCKED) {
		new = kalloc(sizeof(*new));
		if (new == NULL)
			return -ENOMEM;
		*new = (struct locked){ .start = start.v,
					.end = start.v + bytes,
					.on_fault = lock == SPACE_LOCKED_ON_FAULT };
	}
	spin_lock(&space->locked_lock, RANK_LOCKED);
	good = cut(space, start.v, start.v + bytes);
	if (new != NULL)
		insert(space, new);
	spin_unlock(&space->locked_lock, RANK_LOCKED);
	return good ? 0 : -ENOMEM;
}

uint64_t space_locked_bytes(struct space *space)
{
	spin_lock(&space->locked_lock, RANK_LOCKED);
	uint64_t bytes = space->locked_bytes;
	spin_unlock(&space->locked_lock, RANK_LOCKED);
	return bytes;
}

/* A look without the lock: whoever has just locked something and unmaps it sees its own. */
static bool nothing_locked(const struct space *space)
{
	return __atomic_load_n(&space->locked_bytes, __ATOMIC_RELAXED) == 0;
}

void locked_forget(struct space *space, uint64_t start, uint64_t bytes)
{
	if (LIKELY(nothing_locked(space)))
		return;
	spin_lock(&space->locked_lock, RANK_LOCKED);
	(void)cut(space, start, start + bytes);
	spin_unlock(&space->locked_lock, RANK_LOCKED);
}

uint64_t locked_until(struct space *space, uint64_t at, enum space_lock *lock)
{
	uint64_t until = UINT64_MAX;

	*lock = SPACE_UNLOCKED;
	if (LIKELY(nothing_locked(space)))
		return until;
	spin_lock(&space->locked_lock, RANK_LOCKED);
	list_for_each (pos, &space->locked) {
		struct locked *range = list_entry(pos, struct locked, link);

		if (range->end <= at)
			continue;
		until = range->start;
		if (range->start <= at) {
			until = range->end;
			*lock = range->on_fault ? SPACE_LOCKED_ON_FAULT : SPACE_LOCKED;
		}
		break;
	}
	spin_unlock(&space->locked_lock, RANK_LOCKED);
	return until;
}

void locked_move(struct space *space, uint64_t from, uint64_t bytes, uint64_t to, uint64_t new_bytes)
{
	enum space_lock lock;

	if (LIKELY(nothing_locked(space)))
		return;
	(void)locked_until(space, from, &lock);
	locked_forget(space, from, bytes);
	/* Without memory for it the lock is forgotten: the pages stay all the same. */
	if (lock != SPACE_UNLOCKED && space_set_lock(space, VADDR(to), new_bytes, lock) != 0)
		return;
}
