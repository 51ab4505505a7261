/*
 * Calls about whether memory is there: mincore, the mlock family, msync.
 *
 * Nothing is ever paged out, so what was touched stays; locking memory is touching it. The one user is root, whom
 * RLIMIT_MEMLOCK does not bind, as on Linux.
 */
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define MLOCK_ONFAULT 1U
#define MCL_CURRENT   1U
#define MCL_FUTURE    2U
#define MCL_ONFAULT   4U
#define MS_ASYNC      1U
#define MS_INVALIDATE 2U
#define MS_SYNC	      4U

#define MINCORE_PAGES 256U

int64_t sys_mincore(const uint64_t *a)
{
	uint64_t bytes = a[1];
	uint8_t resident[MINCORE_PAGES];
	uint64_t pages;

	if ((a[0] & PAGE_MASK) != 0)
		return -EINVAL;
	if (!memory_round_up(&bytes) || a[0] > USER_END || bytes > USER_END - a[0])
		return -ENOMEM;
	pages = bytes >> PAGE_SHIFT;
	if (a[2] >= USER_END || pages > USER_END - a[2])
		return -EFAULT;
	for (uint64_t done = 0, part; done < pages; done += part) {
		int error;

		part = MIN(pages - done, MINCORE_PAGES);
		error = space_resident(current_space(), VADDR(a[0] + done * PAGE_SIZE), part, resident);
		if (error == 0)
			error = user_write(current_space(), VADDR(a[2] + done), resident, part);
		if (error != 0)
			return error;
		sched_breathe();
	}
	return 0;
}

/* Touches what is mapped of a range as its permissions allow; private memory for writing, so that it is nobody else's. */
static int64_t lock_range(uint64_t start, uint64_t bytes)
{
	struct space *space = current_space();
	int64_t result = memory_check_mapped(space, start, bytes);
	struct space_region region;

	for (uint64_t at = start; result == 0 && at < start + bytes; at = region.end.v) {
		enum access access;

		if (!space_next_region(space, VADDR(at), &region) || region.start.v > at)
			return -ENOMEM;
		if (region.perm == 0)
			return -ENOMEM;
		access = (region.perm & PERM_W) != 0 && !region.shared ? ACCESS_WRITE
			 : (region.perm & PERM_R) != 0		       ? ACCESS_READ
								       : ACCESS_EXEC;
		if (memory_populate(space, at, MIN(region.end.v, start + bytes) - at, access) != 0)
			return -ENOMEM;
	}
	return result;
}

/* Linux rounds the start down and the end up. */
static int round_out(uint64_t *start, uint64_t *bytes)
{
	uint64_t end = *start + *bytes;

	if (end < *start || ALIGN_UP(end, PAGE_SIZE) < end)
		return -EINVAL;
	*start = ALIGN_DOWN(*start, PAGE_SIZE);
	*bytes = ALIGN_UP(end, PAGE_SIZE) - *start;
	return *bytes != 0 && ALIGN_UP(end, PAGE_SIZE) > USER_END ? -ENOMEM : 0;
}

int64_t sys_mlock2(const uint64_t *a)
{
	uint64_t start = a[0], bytes = a[1];
	int error;

	if ((a[2] & ~(uint64_t)MLOCK_ONFAULT) != 0)
		return -EINVAL;
	error = round_out(&start, &bytes);
	if (error != 0 || bytes == 0)
		return error;
	if (a[2] == MLOCK_ONFAULT)
		return memory_check_mapped(current_space(), start, bytes);
	return lock_range(start, bytes);
}

int64_t sys_mlock(const uint64_t *a)
{
	const uint64_t args[] = { a[0], a[1], 0 };

	return sys_mlock2(args);
}

int64_t sys_munlock(const uint64_t *a)
{
	uint64_t start = a[0], bytes = a[1];
	int error = round_out(&start, &bytes);

	return error != 0 || bytes == 0 ? error : memory_check_mapped(current_space(), start, bytes);
}

int64_t sys_mlockall(const uint64_t *a)
{
	struct space *space = current_space();
	struct space_region region;

	if (a[0] == 0 || (a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 || a[0] == MCL_ONFAULT)
		return -EINVAL;
	if ((a[0] & MCL_CURRENT) == 0 || (a[0] & MCL_ONFAULT) != 0)
		return 0;
	/* What cannot be touched is left, as on Linux. */
	for (uint64_t at = 0; space_next_region(space, VADDR(at), &region); at = region.end.v)
		if (lock_range(region.start.v, region.end.v - region.start.v) == -EINTR)
			break;
	return 0;
}

int64_t sys_munlockall(const uint64_t *a)
{
	(void)a;
	return 0;
}

int64_t sys_msync(const uint64_t *a)
{
	uint64_t bytes = a[1];

	if ((a[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || (a[0] & PAGE_MASK) != 0 ||
	    (a[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	if (!memory_round_up(&bytes) || a[0] > USER_END || bytes > USER_END - a[0])
		return -ENOMEM;
	/* Mappings and reads see the same frames, and there is nothing behind them yet. */
	return memory_check_mapped(current_space(), a[0], bytes);
}
