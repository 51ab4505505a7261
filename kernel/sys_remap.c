/*
 * mremap, as Linux does it (mm/mremap.c): what is refused, in which order, and what has happened by then. mm/ moves.
 *
 * A "vma" is a region here: a run of equal permissions and mapping. Locks: mm/'s own; two calls at once on one range are
 * each correct, in some order.
 */
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define MREMAP_MAYMOVE	 1U
#define MREMAP_FIXED	 2U
#define MREMAP_DONTUNMAP 4U

struct remap {
	struct space *space;
	uint64_t from, bytes, new_bytes, flags, to;
};

static int check(struct remap *remap)
{
	uint64_t flags = remap->flags;

	if ((flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0)
		return -EINVAL;
	if ((flags & MREMAP_FIXED) != 0 && (flags & MREMAP_MAYMOVE) == 0)
		return -EINVAL;
	if ((flags & MREMAP_DONTUNMAP) != 0 && ((flags & MREMAP_MAYMOVE) == 0 || remap->bytes != remap->new_bytes))
		return -EINVAL;
	if ((remap->from & PAGE_MASK) != 0 || !memory_round_up(&remap->bytes))
		return -EINVAL;
	if (!memory_round_up(&remap->new_bytes))
		return (flags & MREMAP_FIXED) != 0 ? -EINVAL : -ENOMEM;
	return remap->new_bytes == 0 ? -EINVAL : 0;
}

/* The region that holds the start. 0, -EFAULT: there is none; -EPERM: it is sealed. */
static int region_at(struct space *space, uint64_t at, struct space_region *region)
{
	if (at >= USER_END || !space_next_region(space, VADDR(at), region) || region->start.v > at)
		return -EFAULT;
	return region->sealed ? -EPERM : 0;
}

/* What is to be resized or moved is one region, and there may be more of it. */
static int check_source(const struct remap *remap, struct space_region *region)
{
	int error = region_at(remap->space, remap->from, region);

	if (error != 0)
		return error;
	if (remap->bytes == 0 && !region->shared)
		return -EINVAL;
	if (remap->bytes > region->end.v - remap->from)
		return -EFAULT;
	if (remap->new_bytes <= remap->bytes)
		return 0;
	return memory_may_grow(current_process(), remap->new_bytes - remap->bytes, region->perm, region->shared);
}

/* What does not fit the new size goes first. */
static int drop_tail(struct remap *remap)
{
	uint64_t tail = remap->bytes - remap->new_bytes;
	int error;

	if (remap->bytes <= remap->new_bytes)
		return 0;
	error = space_unmap(remap->space, VADDR(remap->from + remap->new_bytes), tail);
	remap->bytes = remap->new_bytes;
	return error;
}

static int64_t move(struct remap *remap, enum space_place place, uint64_t to)
{
	vaddr_t at = VADDR(to);
	int error;

	if (remap->bytes == 0)
		error = space_map_again(remap->space, VADDR(remap->from), place, &at, remap->new_bytes);
	else
		error = space_move(remap->space, VADDR(remap->from), remap->bytes, place, &at, remap->new_bytes,
				   (remap->flags & MREMAP_DONTUNMAP) != 0);
	return error != 0 ? error : (int64_t)at.v;
}

/* MREMAP_FIXED, or MREMAP_DONTUNMAP with a hint. */
static int64_t move_to(struct remap *remap)
{
	bool fixed = (remap->flags & MREMAP_FIXED) != 0;
	struct space_region region;
	int64_t result;
	int error = 0;

	if ((remap->to & PAGE_MASK) != 0 || remap->new_bytes > USER_END || remap->to > USER_END - remap->new_bytes)
		return -EINVAL;
	if (remap->from + remap->bytes > remap->to && remap->to + remap->new_bytes > remap->from)
		return -EINVAL;
	if (fixed)
		error = space_unmap(remap->space, VADDR(remap->to), remap->new_bytes);
	if (error == 0)
		error = drop_tail(remap);
	if (error == 0)
		error = check_source(remap, &region);
	if (error != 0)
		return error;
	do
		result = move(remap, fixed ? PLACE_NO_REPLACE : PLACE_HINT, remap->to);
	while (result == -EEXIST && space_unmap(remap->space, VADDR(remap->to), remap->new_bytes) == 0);
	return result;
}

int64_t sys_mremap(const uint64_t *a)
{
	struct remap remap = {
		.space = current_space(), .from = a[0], .bytes = a[1], .new_bytes = a[2], .flags = a[3], .to = a[4]
	};
	struct space_region region;
	int error = check(&remap);

	if (error == 0)
		error = region_at(remap.space, remap.from, &region);
	if (error == 0 && (remap.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0)
		return move_to(&remap);
	if (error == 0 && remap.bytes >= remap.new_bytes) {
		error = remap.bytes > USER_END - remap.from ? -EINVAL : drop_tail(&remap);
		return error != 0 ? error : (int64_t)remap.from;
	}
	if (error == 0)
		error = check_source(&remap, &region);
	if (error != 0)
		return error;
	if (remap.bytes != 0 && remap.from + remap.bytes == region.end.v &&
	    space_extend(remap.space, region.end, remap.new_bytes - remap.bytes) == 0)
		return (int64_t)remap.from;
	return (remap.flags & MREMAP_MAYMOVE) != 0 ? move(&remap, PLACE_HINT, 0) : -ENOMEM;
}
