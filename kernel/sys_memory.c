/*
 * Memory calls: Linux's arguments and errno values on one side, mm/space.h on the other.
 *
 * Locks: the process's, around brk alone, so that two threads growing the heap do not both see the old end. Everything else
 * is locked inside mm/.
 */
#include "firmware/trap.h"
#include "kernel/cache.h"
#include "kernel/file.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/socket.h"
#include "kernel/sys.h"
#include "kernel/tree.h"
#include "kernel/touch.h"
#include "kernel/trap.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/object.h"
#include "mm/space.h"

#define PROT_READ      1U
#define PROT_WRITE     2U
#define PROT_EXEC      4U
#define PROT_GROWSDOWN 0x01000000U
#define PROT_GROWSUP   0x02000000U

#define MAP_SHARED	    0x01U
#define MAP_PRIVATE	    0x02U
#define MAP_SHARED_VALIDATE 0x03U
#define MAP_DROPPABLE	    0x08U
#define MAP_TYPE	    0x0fU
#define MAP_FIXED	    0x10U
#define MAP_ANONYMOUS	    0x20U
#define MAP_GROWSDOWN	    0x100U
#define MAP_LOCKED	    0x2000U
#define MAP_POPULATE	    0x8000U
#define MAP_HUGETLB	    0x40000U
#define MAP_FIXED_NOREPLACE 0x100000U

/* Lowest address that a program may map without CAP_SYS_RAWIO, and that is chosen for it. */
#define MMAP_MIN PAGE_SIZE

static uint64_t permissions(uint64_t prot)
{
	uint64_t perm = 0;

	if ((prot & PROT_READ) != 0)
		perm |= PERM_R;
	if ((prot & PROT_WRITE) != 0)
		perm |= PERM_R | PERM_W;
	if ((prot & PROT_EXEC) != 0)
		perm |= PERM_X;
	return perm;
}

static bool page_aligned(uint64_t x)
{
	return (x & PAGE_MASK) == 0;
}

bool memory_round_up(uint64_t *bytes)
{
	if (*bytes > USER_END)
		return false;
	*bytes = ALIGN_UP(*bytes, PAGE_SIZE);
	return true;
}

/* Whether the calling thread has something better to do than to go on with a long call. */
static bool interrupted(void)
{
	struct thread *thread = current_thread();

	sched_breathe();
	/* acquire: as in trap_work */
	return (atomic_load_explicit(&thread->work, memory_order_acquire) & (WORK_KILL | WORK_STARVED)) != 0;
}

int memory_populate(struct space *space, uint64_t start, uint64_t bytes, enum access access)
{
	for (uint64_t va = start; va < start + bytes; va += PAGE_SIZE) {
		enum fault fault = touch_fault(space, VADDR(va), access);

		if (fault == FAULT_OOM)
			trap_starved(space, VADDR(va));
		if (fault == FAULT_MAPERR || fault == FAULT_OOM)
			return -ENOMEM;
		if (fault != FAULT_OK)
			return fault == FAULT_ACCERR ? -EINVAL : -EFAULT;
		if (va / PAGE_SIZE % 32 == 0 && interrupted())
			return -EINTR;
	}
	return 0;
}

/* ---- Limits. */

/* relaxed: another process may be setting it; the old one or the new one will do */
static uint64_t limit_now(struct process *process, unsigned which)
{
	return __atomic_load_n(&process->limits[which].soft, __ATOMIC_RELAXED);
}

int memory_may_grow(struct process *process, uint64_t bytes, uint64_t perm, bool shared)
{
	uint64_t all = limit_now(process, RLIMIT_AS), data = limit_now(process, RLIMIT_DATA);
	bool is_data = (perm & PERM_W) != 0 && !shared;
	struct space_region region;

	if (all == UINT64_MAX && (data == UINT64_MAX || !is_data))
		return 0;
	for (uint64_t at = 0; space_next_region(process->space, VADDR(at), &region); at = region.end.v) {
		uint64_t size = region.end.v - region.start.v;

		all = all > size ? all - size : 0;
		if ((region.perm & PERM_W) != 0 && !region.shared)
			data = data > size ? data - size : 0;
	}
	return bytes > all || (is_data && bytes > data) ? -ENOMEM : 0;
}

int memory_may_place(uint64_t address)
{
	struct process *process = current_process();

	if (LIKELY(address >= MMAP_MIN))
		return 0;
	/* relaxed: as a limit */
	return (__atomic_load_n(&process->capabilities[CAPABILITY_EFFECTIVE], __ATOMIC_RELAXED) & CAP_SYS_RAWIO) != 0
		       ? 0
		       : -EPERM;
}

/* ---- mmap. */

struct mmap_request {
	uint64_t address, bytes, prot, flags, offset;
	struct file *file; /* NULL: none, with MAP_ANONYMOUS */
	enum space_place place;
	bool shared;
};

static int check_mmap(struct mmap_request *request)
{
	uint64_t type = request->flags & MAP_TYPE;

	if (request->bytes == 0)
		return -EINVAL;
	if (!memory_round_up(&request->bytes))
		return -ENOMEM;
	if (type == MAP_DROPPABLE && (request->flags & MAP_ANONYMOUS) != 0 &&
	    (request->flags & (MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN)) != 0)
		return -EINVAL;
	if ((request->flags & MAP_HUGETLB) != 0)
		return -ENOMEM;
	request->shared = type != MAP_PRIVATE && type != MAP_DROPPABLE;
	request->place = PLACE_HINT;
	if ((request->flags & MAP_FIXED_NOREPLACE) != 0)
		request->place = PLACE_NO_REPLACE;
	else if ((request->flags & MAP_FIXED) != 0)
		request->place = PLACE_FIXED;
	if (request->place == PLACE_HINT) {
		request->address &= ~PAGE_MASK;
		if (request->address < MMAP_MIN || request->address > USER_END - request->bytes)
			request->address = 0;
		return 0;
	}
	if (request->address > USER_END - request->bytes)
		return -ENOMEM;
	if (!page_aligned(request->address))
		return -EINVAL;
	return memory_may_place(request->address);
}

/* Whether pages so far behind a file's begin can have numbers; those of regular files and sockets must also be offsets. */
static bool offset_ok(const struct file *file, const struct mmap_request *request)
{
	if ((int64_t)request->offset < 0)
		return false;
	return (file->ops != &regular_ops && socket_of(file) == NULL) ||
	       request->offset >> PAGE_SHIFT <= ((uint64_t)INT64_MAX - request->bytes) >> PAGE_SHIFT;
}

/* What Linux looks at after where it is to be. */
static int check_kind(const struct mmap_request *request)
{
	uint64_t type = request->flags & MAP_TYPE;

	if (request->file != NULL && !offset_ok(request->file, request))
		return -EOVERFLOW;
	if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE && type != MAP_DROPPABLE)
		return -EINVAL;
	return request->file != NULL && type == MAP_DROPPABLE ? -EINVAL : 0;
}

static bool may_map_writable(struct file *file)
{
	const struct store *store = file->ops->store == NULL ? NULL : file->ops->store(file);

	return file_may_write(file) && (store == NULL || !store->read_only);
}

static bool is_device(const struct file *file)
{
	return file->node != NULL && node_is(file->node, S_IFCHR);
}

static int map_file(struct space *space, const struct mmap_request *request, vaddr_t *at)
{
	uint64_t max_perm = PERM_RWX;
	struct file *file = request->file;
	struct object *object;
	int error = 0;

	if (!file_may_read(file))
		error = -EACCES;
	else if (request->shared && !may_map_writable(file))
		max_perm &= ~PERM_W;
	if (error == 0 && (permissions(request->prot) & ~max_perm) != 0)
		error = -EACCES;
	if (error == 0)
		error = file_object(file, &object);
	if (error == 0 && request->shared && is_device(file)) { /* /dev/zero: as long as it is mapped, as on Linux */
		error = object_resize(object, request->bytes);
		if (error != 0)
			object_put(object);
	}
	if (error == 0 && request->shared) {
		error = file_seal_map(file, object, permissions(request->prot), &max_perm);
		if (error != 0)
			object_put(object);
	}
	if (error != 0)
		return error;
	error = space_map_object(space, request->place, at, request->bytes, permissions(request->prot), max_perm,
				 object, request->offset, request->shared);
	if (request->shared && (max_perm & PERM_W) != 0)
		object_writer_put(object);
	object_put(object);
	return error;
}

static int map_shared_memory(struct space *space, const struct mmap_request *request, vaddr_t *at)
{
	struct object *object;
	int error = object_create(request->bytes, NULL, 0, &object);

	if (error != 0)
		return error;
	error = space_map_object(space, request->place, at, request->bytes, permissions(request->prot), PERM_RWX,
				 object, 0, true);
	object_put(object);
	return error;
}

static int map_private(struct space *space, const struct mmap_request *request, vaddr_t *at)
{
	struct mapping *mapping = mapping_anon(MAPPING_FORK_COPY);

	if ((request->flags & MAP_TYPE) == MAP_DROPPABLE)
		mapping = mapping_anon_droppable();
	if ((request->flags & MAP_GROWSDOWN) != 0)
		mapping = mapping_anon_growing(MAPPING_FORK_COPY);
	return space_map(space, request->place, at, request->bytes, permissions(request->prot), mapping);
}

static int64_t map(struct mmap_request *request)
{
	struct space *space = current_space();
	int error = check_mmap(request);
	bool future;
	vaddr_t at = VADDR(request->address);

	if (error == 0)
		error = check_kind(request);
	if (error == 0)
		error = memory_may_grow(current_process(), request->bytes, permissions(request->prot), request->shared);
	if (error != 0)
		return error;
	if (request->file != NULL)
		error = map_file(space, request, &at);
	else if (request->shared)
		error = map_shared_memory(space, request, &at);
	else
		error = map_private(space, request, &at);
	if (error != 0)
		return error;
	/* A hint: no more than the machine has frames, and what cannot be touched is left. */
	if ((request->flags & MAP_POPULATE) != 0 &&
	    memory_populate(space, at.v, MIN(request->bytes, frames_total() * PAGE_SIZE),
			    (request->prot & PROT_WRITE) != 0 && !request->shared ? ACCESS_WRITE : ACCESS_READ) != 0)
		return (int64_t)at.v;
	/* relaxed: another thread that calls mlockall now is before or after */
	future = __atomic_load_n(&current_process()->lock_future, __ATOMIC_RELAXED);
	if (((request->flags & MAP_LOCKED) != 0 || future) &&
	    memory_lock_range(at.v, request->bytes, future && current_process()->lock_on_fault) != 0)
		return (int64_t)at.v;
	return (int64_t)at.v;
}

int64_t sys_mmap(const uint64_t *a)
{
	struct mmap_request request = {
		.address = a[0],
		.bytes = a[1],
		.prot = a[2],
		.flags = a[3],
		.offset = a[5],
	};
	int64_t result = page_aligned(request.offset) ? 0 : -EINVAL;

	if (result == 0 && (request.flags & MAP_ANONYMOUS) == 0)
		result = file_get((int)a[4], &request.file);
	if (result != 0)
		return result;
	result = map(&request);
	if (request.file != NULL)
		file_put(request.file);
	return result;
}

/* ---- Ranges. */

int64_t sys_munmap(const uint64_t *a)
{
	uint64_t bytes = a[1];

	if (!page_aligned(a[0]) || !memory_round_up(&bytes) || bytes == 0 || a[0] > USER_END - bytes)
		return -EINVAL;
	return space_unmap(current_space(), VADDR(a[0]), bytes);
}

/* A range that goes on behind all memory is changed up to the first hole, as any. */
static int64_t protect_beyond(uint64_t start, uint64_t prot)
{
	int error = -ENOMEM;

	if (start < USER_END)
		error = space_protect(current_space(), VADDR(start), USER_END - start, permissions(prot));
	return error == 0 ? -ENOMEM : error;
}

int64_t sys_mprotect(const uint64_t *a)
{
	uint64_t bytes = ALIGN_UP(a[1], PAGE_SIZE);

	if (!page_aligned(a[0]))
		return -EINVAL;
	if (a[1] == 0)
		return 0;
	if (a[0] + bytes <= a[0])
		return -ENOMEM;
	if ((a[2] & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
		return -EINVAL;
	if (a[0] + bytes > USER_END)
		return protect_beyond(a[0], a[2]);
	return space_protect(current_space(), VADDR(a[0]), bytes, permissions(a[2]));
}

uint64_t memory_mapped_end(struct space *space, uint64_t start, uint64_t end)
{
	struct space_region region;
	uint64_t at = start;

	while (at < end && at < USER_END && space_next_region(space, VADDR(at), &region) && region.start.v <= at)
		at = region.end.v;
	return MIN(at, end);
}

int64_t memory_check_mapped(struct space *space, uint64_t start, uint64_t bytes)
{
	return memory_mapped_end(space, start, start + bytes) == start + bytes ? 0 : -ENOMEM;
}

/* ---- brk. */

/* [process lock] 0, or an error: then the break stays. */
static int move_break(struct process *process, uint64_t to)
{
	uint64_t old_end = ALIGN_UP(process->brk, PAGE_SIZE);
	uint64_t new_end = ALIGN_UP(to, PAGE_SIZE);
	vaddr_t at = VADDR(old_end);

	if (new_end < old_end)
		return space_unmap(process->space, VADDR(new_end), old_end - new_end);
	if (new_end == old_end)
		return 0;
	if (memory_may_grow(process, new_end - old_end, PERM_R | PERM_W, false) != 0)
		return -ENOMEM;
	return space_map(process->space, PLACE_NO_REPLACE, &at, new_end - old_end, PERM_R | PERM_W,
			 mapping_anon(MAPPING_FORK_COPY));
}

int64_t sys_brk(const uint64_t *a)
{
	struct process *process = current_process();
	uint64_t result;

	spin_lock(&process->lock, RANK_PROCESS);
	if (a[0] >= process->brk_start && a[0] <= process->space->mmap_top.v && move_break(process, a[0]) == 0)
		process->brk = a[0];
	result = process->brk;
	spin_unlock(&process->lock, RANK_PROCESS);
	return (int64_t)result;
}

/* ---- Instructions. */

int64_t sys_riscv_flush_icache(const uint64_t *a)
{
	uint64_t others = sched_harts() & ~(UINT64_C(1) << hw_hart());

	if ((a[2] & ~UINT64_C(1)) != 0)
		return -EINVAL;
	hw_fence_i();
	/* SYS_RISCV_FLUSH_ICACHE_LOCAL: only for the calling thread; which may be moved, so everywhere all the same. */
	if (others != 0)
		hw_remote_fence_i(others);
	return 0;
}
