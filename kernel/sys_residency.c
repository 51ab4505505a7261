/*
 * Calls about whether memory is there: mincore, the mlock family.
 *
 * Nothing is ever paged out, so what was touched stays; locking memory is touching it, and noting it for /proc and for
 * RLIMIT_MEMLOCK, which binds who has given CAP_IPC_LOCK up.
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
static int64_t touch_range(uint64_t start, uint64_t bytes)
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

/* Linux rounds the start down and the end up, and what has become nothing by that is nothing. */
static int round_out(uint64_t *start, uint64_t *bytes)
{
	*bytes = ALIGN_UP(*bytes + (*start & PAGE_MASK), PAGE_SIZE);
	*start = ALIGN_DOWN(*start, PAGE_SIZE);
	return *start + *bytes < *start ? -EINVAL : 0;
}

/* 0, or Linux's answer where the limit does not allow `bytes` more: -EPERM where it allows none, else error. */
static int check_limit(uint64_t bytes, int error)
{
	struct process *process = current_process();
	uint64_t limit, locked = space_locked_bytes(process->space);
	bool bound;

	spin_lock(&process->lock, RANK_PROCESS);
	limit = process->limits[RLIMIT_MEMLOCK].soft;
	bound = (process->capabilities[CAPABILITY_EFFECTIVE] & CAP_IPC_LOCK) == 0;
	spin_unlock(&process->lock, RANK_PROCESS);
	if (!bound)
		return 0;
	if (limit == 0)
		return -EPERM;
	return bytes > limit || locked > limit - bytes ? error : 0;
}

/* Up to the first hole, as on Linux, which is ENOMEM then. */
static int set_lock(uint64_t start, uint64_t bytes, enum space_lock lock)
{
	struct space *space = current_space();
	uint64_t end = memory_mapped_end(space, start, start + bytes);
	int error;

	if (end == start)
		return -ENOMEM;
	error = space_set_lock(space, VADDR(start), end - start, lock);
	return error != 0 || end == start + bytes ? error : -ENOMEM;
}

int memory_lock_range(uint64_t start, uint64_t bytes, bool on_fault)
{
	int64_t error = set_lock(start, bytes, on_fault ? SPACE_LOCKED_ON_FAULT : SPACE_LOCKED);

	if (error == 0 && !on_fault)
		error = touch_range(start, bytes);
	return (int)error;
}

int64_t sys_mlock2(const uint64_t *a)
{
	uint64_t start = a[0], bytes = a[1];
	int error;

	if ((a[2] & ~(uint64_t)MLOCK_ONFAULT) != 0)
		return -EINVAL;
	error = round_out(&start, &bytes);
	if (error == 0)
		error = check_limit(bytes, -ENOMEM);
	if (error != 0 || bytes == 0)
		return error;
	return memory_lock_range(start, bytes, a[2] == MLOCK_ONFAULT);
}

int64_t sys_mlock(const uint64_t *a)
{
	const uint64_t args[] = { a[0], a[1], 0 };

	return sys_mlock2(args);
}

int64_t sys_munlock(const uint64_t *a)
{
	uint64_t start = a[0], bytes = a[1];
	int64_t error = round_out(&start, &bytes);

	return error != 0 || bytes == 0 ? error : set_lock(start, bytes, SPACE_UNLOCKED);
}

static void set_future(bool future, bool on_fault)
{
	struct process *process = current_process();

	spin_lock(&process->lock, RANK_PROCESS);
	process->lock_future = future;
	process->lock_on_fault = on_fault;
	spin_unlock(&process->lock, RANK_PROCESS);
}

static uint64_t mapped_bytes(struct space *space)
{
	struct space_region region;
	uint64_t bytes = 0;

	for (uint64_t at = 0; space_next_region(space, VADDR(at), &region); at = region.end.v)
		bytes += region.end.v - region.start.v;
	return bytes;
}

int64_t sys_mlockall(const uint64_t *a)
{
	struct space *space = current_space();
	bool on_fault = (a[0] & MCL_ONFAULT) != 0;
	struct space_region region;
	int error = 0;

	if (a[0] == 0 || (a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 || a[0] == MCL_ONFAULT)
		return -EINVAL;
	error = check_limit((a[0] & MCL_CURRENT) != 0 ? mapped_bytes(space) - space_locked_bytes(space) : 0, -ENOMEM);
	if (error != 0)
		return error;
	set_future((a[0] & MCL_FUTURE) != 0, on_fault);
	/* What cannot be touched is left, as on Linux. */
	for (uint64_t at = 0; (a[0] & MCL_CURRENT) != 0 && space_next_region(space, VADDR(at), &region);
	     at = region.end.v)
		if (memory_lock_range(region.start.v, region.end.v - region.start.v, on_fault) == -EINTR)
			break;
	return 0;
}

int64_t sys_munlockall(const uint64_t *a)
{
	(void)a;
	set_future(false, false);
	return space_set_lock(current_space(), VADDR(0), USER_END, SPACE_UNLOCKED);
}
