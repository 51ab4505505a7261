/*
 * Growing a region at its upper end (mremap) or at its lower one (stacks): more of the same, where there is room.
 *
 * What the region is like is read under its table's lock; the new part is then mapped as any other, so that somebody who
 * changes the region meanwhile has done so before or after.
 */
#include "lib/errno.h"
#include "mm/locked.h"
#include "mm/mapping.h"
#include "mm/walk.h"

/* Linux's stack_guard_gap: nothing may lie this close below a region that grows down. */
#define GUARD_GAP (256 * PAGE_SIZE)

static int map_alike(struct space *space, vaddr_t like, vaddr_t at, uint64_t bytes)
{
	uint64_t perm;
	struct mapping *mapping = walk_mapping(space, like, &perm);
	int err;

	if (mapping == NULL)
		return -EFAULT;
	err = space_map(space, PLACE_NO_REPLACE, &at, bytes, perm, mapping);
	mapping_put(mapping, 1);
	return err == -EEXIST || err == -EINVAL ? -ENOMEM : err;
}

int space_extend(struct space *space, vaddr_t end, uint64_t bytes)
{
	enum space_lock lock;
	int err;

	if (end.v < PAGE_SIZE || end.v > USER_END)
		return -EFAULT;
	err = map_alike(space, VADDR(end.v - PAGE_SIZE), end, bytes);
	/* More of a locked region is locked; without memory to note it, it only is not told. */
	(void)locked_until(space, end.v - PAGE_SIZE, &lock);
	if (err == 0 && lock != SPACE_UNLOCKED && space_set_lock(space, end, bytes, lock) != 0)
		return 0;
	return err;
}

int space_map_again(struct space *space, vaddr_t like, enum space_place place, vaddr_t *to, uint64_t bytes)
{
	uint64_t perm;
	struct mapping *mapping = walk_mapping(space, like, &perm);
	int err;

	if (mapping == NULL)
		return -EFAULT;
	err = mapping->object == NULL ? -EINVAL
				      : space_map_like(space, place, to, bytes, perm, mapping, like.v - mapping->base);
	mapping_put(mapping, 1);
	return err;
}

int space_grow_down(struct space *space, vaddr_t va)
{
	struct space_region region;
	uint64_t start = vaddr_page(va).v;
	uint64_t below = start < GUARD_GAP ? 0 : start - GUARD_GAP;

	/* The first region above the gap must be the one that grows, and the page asked for below it. */
	if (!space_next_region(space, VADDR(below), &region) || region.start.v <= start || !region.grows)
		return -EFAULT;
	/* relaxed: a limit, of which the last value will do */
	if (region.end.v - start > atomic_load_explicit(&space->grow_limit, memory_order_relaxed))
		return -ENOMEM;
	return map_alike(space, region.start, VADDR(start), region.start.v - start);
}
