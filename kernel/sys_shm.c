/*
 * shmat, shmdt, shmctl: what a program sees of System V shared memory. The segments: shm.c, which has the only lock.
 *
 * An attachment is one mapping descriptor; shmdt knows it by the address of the segment's byte 0. Another thread that maps
 * something in its place between the look and the unmapping does so to itself.
 */
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/shm.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "mm/space.h"

#define SHM_RDONLY 010000U
#define SHM_RND	   020000U
#define SHM_REMAP  040000U
#define SHM_EXEC   0100000U

#define IPC_RMID     0
#define IPC_SET	     1
#define IPC_STAT     2
#define IPC_INFO     3
#define SHM_LOCK     11
#define SHM_UNLOCK   12
#define SHM_STAT     13
#define SHM_INFO     14
#define SHM_STAT_ANY 15

static int check_address(uint64_t *address, uint32_t flags)
{
	if (*address == 0)
		return (flags & SHM_REMAP) != 0 ? -EINVAL : 0;
	if ((*address & PAGE_MASK) == 0)
		return 0;
	if ((flags & SHM_RND) == 0)
		return -EINVAL;
	*address &= ~PAGE_MASK;
	return *address == 0 && (flags & SHM_REMAP) != 0 ? -EINVAL : 0;
}

static int check_place(struct space *space, uint64_t address, uint64_t bytes, uint32_t flags)
{
	struct space_region region;

	if ((flags & SHM_REMAP) == 0) {
		if (address + bytes < address)
			return -EINVAL;
		if (space_next_region(space, VADDR(address), &region) && region.start.v < address + bytes)
			return -EINVAL;
	}
	if (bytes > USER_END || address > USER_END - bytes)
		return -ENOMEM;
	return memory_may_place(address);
}

/* The segment has an attachment for us. */
static int attach(struct segment *segment, bool fixed, uint64_t *address, uint32_t flags)
{
	uint64_t max_perm = (flags & SHM_RDONLY) != 0 ? PERM_R | PERM_X : PERM_RWX;
	uint64_t perm = (max_perm & (PERM_R | PERM_W)) | ((flags & SHM_EXEC) != 0 ? PERM_X : 0);
	const struct mapping like = {
		.object = segment->object, .max_perm = max_perm, .shared = true, .watch = &segment->watch
	};
	enum space_place place = fixed ? (flags & SHM_REMAP) != 0 ? PLACE_FIXED : PLACE_NO_REPLACE : PLACE_HINT;
	uint64_t bytes = segment->status.bytes;
	vaddr_t at = VADDR(*address);
	int error = fixed ? check_place(current_space(), *address, bytes, flags) : 0;

	if (error == 0 && !memory_round_up(&bytes))
		error = -ENOMEM;
	if (error == 0)
		error = memory_may_grow(current_process(), bytes, perm, true);
	if (error == 0)
		error = space_map_like(current_space(), place, &at, bytes, perm, &like, 0);
	*address = at.v;
	return error == -EEXIST ? -EINVAL : error;
}

int64_t sys_shmat(const uint64_t *a)
{
	uint32_t flags = (uint32_t)a[2];
	uint64_t address = a[1];
	struct segment *segment;
	int error;

	if ((int32_t)a[0] < 0)
		return -EINVAL;
	error = check_address(&address, flags);
	if (error != 0)
		return error;
	segment = shm_hold((uint32_t)a[0]);
	if (segment == NULL)
		return -EINVAL;
	error = attach(segment, a[1] != 0, &address, flags);
	shm_release(segment);
	return error != 0 ? error : (int64_t)address;
}

/* Whether the region is of an attachment whose first byte lies, or would lie, at base. */
static bool is_part(const struct space_region *region, uint64_t base)
{
	return region->watch != NULL && region->start.v - region->offset == base;
}

/* All that is left of the attachment at that address goes, also where its beginning has been unmapped already. */
int64_t sys_shmdt(const uint64_t *a)
{
	struct space *space = current_space();
	const struct mapping_watch *watch = NULL;
	uint64_t end = USER_END;
	struct space_region region;

	if ((a[0] & PAGE_MASK) != 0)
		return -EINVAL;
	for (uint64_t at = a[0]; at < end && space_next_region(space, VADDR(at), &region); at = region.end.v) {
		int error;

		if (region.start.v >= end)
			break;
		if (!is_part(&region, a[0]) || (watch != NULL && region.watch != watch))
			continue;
		if (watch == NULL) {
			end = MIN(end, a[0] + shm_watched_bytes(region.watch));
			watch = region.watch;
		}
		error = space_unmap(space, region.start, region.end.v - region.start.v);
		/* What is sealed stays, which nobody is told, as on Linux. */
		if (error != 0 && error != -EPERM)
			return error;
	}
	return watch == NULL ? -EINVAL : 0;
}

/* ---- shmctl. */

static int put(uint64_t address, const void *what, uint64_t bytes)
{
	return user_write(current_space(), VADDR(address), what, bytes) != 0 ? -EFAULT : 0;
}

static int64_t info(uint64_t address)
{
	const uint64_t limits[9] = { SHM_BYTES, 1, SHM_SEGMENTS, SHM_SEGMENTS, SHM_PAGES };
	uint64_t pages;
	uint32_t used, slots = shm_totals(&used, &pages);

	return put(address, limits, sizeof(limits)) != 0 ? -EFAULT : slots == 0 ? 0 : (int64_t)slots - 1;
}

static int64_t usage(uint64_t address)
{
	/* Segments, padding, pages, resident ones, swapped ones, attempts, successes. */
	struct {
		uint32_t used, pad;
		uint64_t pages, resident, swapped, attempts, successes;
	} all = { 0 };
	struct shm_status status;
	uint64_t resident;
	uint32_t id, slots = shm_totals(&all.used, &all.pages);

	for (uint32_t slot = 0; slot < slots; slot++)
		if (shm_look(slot, &status, &id, &resident))
			all.resident += resident;
	return put(address, &all, sizeof(all)) != 0 ? -EFAULT : slots == 0 ? 0 : (int64_t)slots - 1;
}

static int64_t get_status(uint32_t which, bool by_slot, uint64_t address)
{
	struct shm_status status;
	int64_t result = shm_status(which, by_slot, &status);

	return result >= 0 && put(address, &status, sizeof(status)) != 0 ? -EFAULT : result;
}

static int64_t set_owner(uint32_t id, uint64_t address)
{
	struct shm_status from;

	if (user_read(current_space(), &from, VADDR(address), sizeof(from)) != 0)
		return -EFAULT;
	return shm_set_owner(id, &from);
}

/* Who may not lock memory at all may not lock a segment. */
static int64_t set_locked(uint32_t id, bool locked)
{
	struct process *process = current_process();
	bool may;

	spin_lock(&process->lock, RANK_PROCESS);
	may = (process->capabilities[CAPABILITY_EFFECTIVE] & CAP_IPC_LOCK) != 0 ||
	      process->limits[RLIMIT_MEMLOCK].soft != 0;
	spin_unlock(&process->lock, RANK_PROCESS);
	return may || !locked ? shm_set_locked(id, locked) : -EPERM;
}

int64_t sys_shmctl(const uint64_t *a)
{
	uint32_t id = (uint32_t)a[0];

	if ((int32_t)a[0] < 0)
		return -EINVAL;
	switch ((int32_t)a[1]) {
	case IPC_INFO:
		return info(a[2]);
	case SHM_INFO:
		return usage(a[2]);
	case IPC_STAT:
		return get_status(id, false, a[2]);
	case SHM_STAT:
	case SHM_STAT_ANY:
		return get_status(id, true, a[2]);
	case IPC_SET:
		return set_owner(id, a[2]);
	case IPC_RMID:
		return shm_remove(id);
	case SHM_LOCK:
	case SHM_UNLOCK:
		return set_locked(id, (int32_t)a[1] == SHM_LOCK);
	default:
		return -EINVAL;
	}
}
