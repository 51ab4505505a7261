/*
 * madvise: what a program says of a range of its memory. What changes nothing here is checked as Linux checks it.
 *
 * Locks: those inside mm/. What lies between two looks at a space may be changed by another thread, which harms itself.
 */
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "mm/space.h"

#define MADV_NORMAL	     0
#define MADV_RANDOM	     1
#define MADV_SEQUENTIAL	     2
#define MADV_WILLNEED	     3
#define MADV_DONTNEED	     4
#define MADV_FREE	     8
#define MADV_DONTFORK	     10
#define MADV_DOFORK	     11
#define MADV_HUGEPAGE	     14
#define MADV_NOHUGEPAGE	     15
#define MADV_DONTDUMP	     16
#define MADV_DODUMP	     17
#define MADV_WIPEONFORK	     18
#define MADV_KEEPONFORK	     19
#define MADV_COLD	     20
#define MADV_PAGEOUT	     21
#define MADV_POPULATE_READ   22
#define MADV_POPULATE_WRITE  23
#define MADV_DONTNEED_LOCKED 24

/* Private anonymous memory only; other memory is copied, and may be told so. As on Linux, what lies behind a hole is set, too. */
static int64_t set_fork(struct space *space, uint64_t start, uint64_t bytes, enum mapping_fork fork)
{
	struct space_region region;
	int64_t result = 0;
	int error = 0;

	for (uint64_t at = start; at < start + bytes && error == 0; at = region.end.v) {
		if (!space_next_region(space, VADDR(at), &region) || region.start.v >= start + bytes)
			return -ENOMEM;
		if (region.start.v > at)
			result = -ENOMEM;
		at = MAX(at, region.start.v);
		if (region.object == NULL)
			error = space_set_fork(space, VADDR(at), MIN(region.end.v, start + bytes) - at, fork);
		else if (fork != MAPPING_FORK_COPY)
			error = -EINVAL;
	}
	return error != 0 ? error : result;
}

/* Up to the first page that is locked: whose memory stays. */
static int64_t discard_unlocked(struct space *space, uint64_t start, uint64_t bytes)
{
	struct space_region region;
	uint64_t end = start + bytes, at = start;
	int64_t result = 0;

	if (space_locked_bytes(space) == 0)
		return space_discard(space, VADDR(start), bytes);
	while (at < end && space_next_region(space, VADDR(at), &region) && region.lock == SPACE_UNLOCKED)
		at = region.end.v;
	if (at < end && space_next_region(space, VADDR(at), &region) && region.start.v < end)
		end = MAX(at, region.start.v);
	if (end != start)
		result = space_discard(space, VADDR(start), end - start);
	return end != start + bytes && (result == 0 || result == -ENOMEM) ? -EINVAL : result;
}

/* MADV_FREE lets the kernel take the pages at any time from now on: at once is one such time. Anonymous memory only. */
static int64_t free_range(struct space *space, uint64_t start, uint64_t bytes)
{
	struct space_region region;

	for (uint64_t at = start; at < start + bytes && space_next_region(space, VADDR(at), &region); at = region.end.v)
		if (region.start.v < start + bytes && region.object != NULL)
			return -EINVAL;
	return discard_unlocked(space, start, bytes);
}

/* KEEPONFORK and DODUMP: what is droppable never is kept. */
static int64_t keep(struct space *space, uint64_t start, uint64_t bytes, bool on_fork)
{
	struct space_region region;

	for (uint64_t at = start; at < start + bytes && space_next_region(space, VADDR(at), &region); at = region.end.v)
		if (region.start.v < start + bytes && region.droppable)
			return -EINVAL;
	return on_fork ? set_fork(space, start, bytes, MAPPING_FORK_COPY) : memory_check_mapped(space, start, bytes);
}

/* There is nowhere to page out to, so only what is droppable goes. */
static int64_t page_out(struct space *space, uint64_t start, uint64_t bytes)
{
	struct space_region region;

	for (uint64_t at = start; at < start + bytes && space_next_region(space, VADDR(at), &region);
	     at = region.end.v) {
		uint64_t from = MAX(region.start.v, start), to = MIN(region.end.v, start + bytes);
		int error = 0;

		if (from >= to)
			break;
		if (region.lock != SPACE_UNLOCKED && !region.droppable)
			return -EINVAL;
		if (region.droppable)
			error = space_discard(space, VADDR(from), to - from);
		if (error != 0)
			return error;
	}
	return memory_check_mapped(space, start, bytes);
}

static int64_t advise(struct space *space, uint64_t start, uint64_t bytes, int advice)
{
	switch (advice) {
	case MADV_FREE:
		return free_range(space, start, bytes);
	case MADV_DONTNEED:
		return discard_unlocked(space, start, bytes);
	case MADV_DONTNEED_LOCKED:
		return space_discard(space, VADDR(start), bytes);
	case MADV_DONTFORK:
		return set_fork(space, start, bytes, MAPPING_FORK_DROP);
	case MADV_WIPEONFORK:
		return set_fork(space, start, bytes, MAPPING_FORK_WIPE);
	case MADV_DOFORK:
		return set_fork(space, start, bytes, MAPPING_FORK_COPY);
	case MADV_KEEPONFORK:
	case MADV_DODUMP:
		return keep(space, start, bytes, advice == MADV_KEEPONFORK);
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
		memory_will_read(start, bytes, advice);
		return memory_check_mapped(space, start, bytes);
	case MADV_WILLNEED:
		memory_will_need(start, bytes);
		return memory_check_mapped(space, start, bytes);
	case MADV_PAGEOUT:
		return page_out(space, start, bytes);
	case MADV_POPULATE_READ:
		return memory_populate(space, start, bytes, ACCESS_READ);
	case MADV_POPULATE_WRITE:
		return memory_populate(space, start, bytes, ACCESS_WRITE);
	default:
		return memory_check_mapped(space, start, bytes);
	}
}

static bool known_advice(int advice)
{
	return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) || advice == MADV_FREE || advice == MADV_DONTFORK ||
	       advice == MADV_DOFORK || (advice >= MADV_HUGEPAGE && advice <= MADV_DONTNEED_LOCKED);
}

/* A range that ends behind all memory has its effect on what is mapped before, and is ENOMEM, as one with a hole is. */
int64_t sys_madvise(const uint64_t *a)
{
	uint64_t bytes = ALIGN_UP(a[1], PAGE_SIZE);
	int advice = (int)a[2];
	int64_t result;

	if (!known_advice(advice))
		return -EINVAL;
	if ((a[0] & PAGE_MASK) != 0 || (bytes == 0 && a[1] != 0) || a[0] + bytes < a[0])
		return -EINVAL;
	if (bytes == 0)
		return 0;
	if (a[0] >= USER_END)
		return -ENOMEM;
	result = advise(current_space(), a[0], MIN(bytes, USER_END - a[0]), advice);
	return result == 0 && bytes > USER_END - a[0] ? -ENOMEM : result;
}
