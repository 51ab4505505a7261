/*
 * System V shared memory: segments that have an id and perhaps a key, and live until they are removed and nobody has them
 * attached any more.
 *
 * Invariants
 * - A segment's memory is an object; an attachment is a mapping descriptor of it (mm/mapping.h), which the segment watches.
 *   So `attached` is the number of descriptors, whatever made or removed them: shmat, fork, mremap; shmdt, munmap, exec, exit.
 *   And one more for each shmat that is on its way.
 * - A segment is in the table from shmget until it is both removed (MODE_DEST) and not attached; whoever makes that true
 *   takes it out, under the lock, and is then its only owner.
 * - An id is slot + sequence * SHM_SLOTS, as on Linux: an old id does not name a new segment in the same slot.
 * Locks: one (RANK_SHM), around the table and all fields. Inside of table locks, since descriptors go under those; so memory
 * is never mapped under it, nor given back.
 */
#include "kernel/shm.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "kernel/text.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/slab.h"

#define IPC_CREAT   01000U
#define IPC_EXCL    02000U
#define SHM_HUGETLB 04000U
#define MODE_DEST   01000U
#define MODE_LOCKED 02000U

#define IPC_PRIVATE 0

#define NS_PER_S UINT64_C(1000000000)

static struct {
	struct spinlock lock;
	struct segment **slots;	 /* NULL: free [lock] */
	uint32_t room;		 /* of slots; grows up to SHM_SEGMENTS [lock] */
	uint32_t used;		 /* [lock] */
	uint32_t last, sequence; /* the slot that was taken last; how often they have begun anew [lock] */
	uint64_t pages;		 /* of all segments, touched or not [lock] */
} shm;

static void lock(void)
{
	spin_lock(&shm.lock, RANK_SHM);
}

static void unlock(void)
{
	spin_unlock(&shm.lock, RANK_SHM);
}

static int64_t now_s(void)
{
	return (int64_t)(time_realtime_ns() / NS_PER_S);
}

static uint32_t current_pid(void)
{
	const struct process *process = current_thread()->process;

	return process == NULL ? 0 : process->pid;
}

static uint64_t pages_of(const struct segment *segment)
{
	return (segment->status.bytes >> PAGE_SHIFT) + ((segment->status.bytes & PAGE_MASK) != 0);
}

static struct segment *segment_of(struct mapping_watch *watch)
{
	return (struct segment *)((char *)watch - offsetof(struct segment, watch));
}

/* ---- The table. */

/* [lock] */
static struct segment *by_id(uint32_t id)
{
	uint32_t slot = id % SHM_SLOTS;
	struct segment *segment = slot < shm.room ? shm.slots[slot] : NULL;

	return segment != NULL && segment->id == id ? segment : NULL;
}

/* [lock] */
static struct segment *by_key(int32_t key)
{
	for (uint32_t i = 0; i < shm.room; i++)
		if (shm.slots[i] != NULL && shm.slots[i]->status.key == key)
			return shm.slots[i];
	return NULL;
}

/* [lock] The first free slot. 0, -ENOSPC, -ENOMEM. */
static int find_slot(uint32_t *out)
{
	uint32_t room = MAX(16U, shm.room * 2);
	struct segment **slots;

	for (*out = 0; *out < shm.room; (*out)++)
		if (shm.slots[*out] == NULL)
			return 0;
	if (shm.room >= SHM_SEGMENTS)
		return -ENOSPC;
	slots = kalloc(room * sizeof(struct segment *));
	if (slots == NULL)
		return -ENOMEM;
	if (shm.room != 0)
		memcpy(slots, shm.slots, shm.room * sizeof(struct segment *));
	kfree(shm.slots);
	shm.slots = slots;
	shm.room = room;
	return 0;
}

/* [lock] Takes the segment out of the table. */
static void take_out(struct segment *segment)
{
	shm.slots[segment->id % SHM_SLOTS] = NULL;
	shm.used--;
	shm.pages -= pages_of(segment);
}

/* Nobody else can find it. No lock held but those of tables. */
static void destroy(struct segment *segment)
{
	object_put(segment->object);
	kfree(segment);
}

/* [lock] One attachment fewer, whatever it was. Whether the caller, when it has let go of the lock, must destroy it. */
static bool drop(struct segment *segment)
{
	CHECK(segment->status.attached != 0);
	segment->status.attached--;
	if (segment->status.attached != 0 || (segment->status.mode & MODE_DEST) == 0)
		return false;
	take_out(segment);
	return true;
}

/* ---- What the segment watches. */

static void attached(struct mapping_watch *watch)
{
	struct segment *segment = segment_of(watch);

	lock();
	segment->status.attached++;
	segment->status.attach_time = now_s();
	segment->status.last = current_pid();
	unlock();
}

static void detached(struct mapping_watch *watch)
{
	struct segment *segment = segment_of(watch);
	bool last;

	lock();
	segment->status.detach_time = now_s();
	segment->status.last = current_pid();
	last = drop(segment);
	unlock();
	if (last)
		destroy(segment);
}

/* ---- shmget. */

static int check_new(uint64_t bytes, uint32_t flags)
{
	uint32_t huge = flags >> 26 & 0x3f;

	if (bytes < 1 || bytes > SHM_BYTES)
		return -EINVAL;
	if ((flags & SHM_HUGETLB) == 0)
		return 0;
	/* There are sizes of 2 MiB and 1 GiB, and no pages of them. */
	return huge == 0 || huge == 21 || huge == 30 ? -ENOMEM : -EINVAL;
}

static int make(int32_t key, uint64_t bytes, uint32_t flags, struct segment **out)
{
	struct segment *segment;
	int error = check_new(bytes, flags);

	if (error != 0)
		return error;
	segment = kalloc(sizeof(*segment));
	if (segment == NULL)
		return -ENOMEM;
	segment->watch = (struct mapping_watch){ .attached = attached, .detached = detached };
	segment->status.key = key;
	segment->status.bytes = bytes;
	segment->status.mode = flags & 0777;
	segment->status.change_time = now_s();
	segment->status.creator = current_pid();
	error = object_create(bytes, NULL, 0, &segment->object);
	if (error != 0)
		kfree(segment);
	else
		*out = segment;
	return error;
}

/* [lock] Its id, or an error. */
static int64_t insert(struct segment *segment)
{
	uint64_t pages = pages_of(segment);
	uint32_t slot;
	int error;

	if (shm.pages + pages < pages || shm.pages + pages > SHM_PAGES)
		return -ENOSPC;
	error = find_slot(&slot);
	if (error != 0)
		return error;
	if (slot <= shm.last && ++shm.sequence > INT32_MAX / SHM_SLOTS)
		shm.sequence = 0;
	shm.last = slot;
	segment->status.sequence = (uint16_t)shm.sequence;
	segment->id = slot + shm.sequence * SHM_SLOTS;
	shm.slots[slot] = segment;
	shm.used++;
	shm.pages += pages;
	return segment->id;
}

/* [lock] The id of the segment that has the key; -ENOENT, or why it will not do. */
static int64_t find_key(int32_t key, uint64_t bytes, uint32_t flags)
{
	struct segment *segment = key == IPC_PRIVATE ? NULL : by_key(key);

	if (segment == NULL)
		return -ENOENT;
	if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		return -EEXIST;
	return segment->status.bytes < bytes ? -EINVAL : (int64_t)segment->id;
}

int64_t sys_shmget(const uint64_t *a)
{
	int32_t key = (int32_t)a[0];
	uint32_t flags = (uint32_t)a[2];
	struct segment *made = NULL;
	int64_t result;
	int error;

	lock();
	result = find_key(key, a[1], flags);
	unlock();
	if (result != -ENOENT || (key != IPC_PRIVATE && (flags & IPC_CREAT) == 0))
		return result;
	error = make(key, a[1], flags, &made);
	if (error != 0)
		return error;
	lock();
	/* Somebody else may have made it meanwhile. */
	result = find_key(key, a[1], flags);
	if (result == -ENOENT) {
		result = insert(made);
		made = result < 0 ? made : NULL;
	}
	unlock();
	if (made != NULL)
		destroy(made);
	return result;
}

/* ---- For sys_shm.c. */

struct segment *shm_hold(uint32_t id)
{
	struct segment *segment;

	lock();
	segment = by_id(id);
	if (segment != NULL)
		segment->status.attached++;
	unlock();
	return segment;
}

void shm_release(struct segment *segment)
{
	bool last;

	lock();
	last = drop(segment);
	unlock();
	if (last)
		destroy(segment);
}

uint64_t shm_watched_bytes(const struct mapping_watch *watch)
{
	uint64_t bytes = 0;

	lock();
	for (uint32_t i = 0; i < shm.room; i++)
		if (shm.slots[i] != NULL && &shm.slots[i]->watch == watch)
			bytes = pages_of(shm.slots[i]) << PAGE_SHIFT;
	unlock();
	return bytes;
}

uint32_t shm_totals(uint32_t *used, uint64_t *pages)
{
	uint32_t highest;

	lock();
	for (highest = shm.room; highest > 0 && shm.slots[highest - 1] == NULL; highest--)
		;
	*used = shm.used;
	*pages = shm.pages;
	unlock();
	return highest;
}

int64_t shm_status(uint32_t which, bool by_slot, struct shm_status *out)
{
	struct segment *segment;
	int64_t result = -EINVAL;

	lock();
	segment = !by_slot ? by_id(which) : which < shm.room ? shm.slots[which] : NULL;
	if (segment != NULL) {
		*out = segment->status;
		result = by_slot ? (int64_t)segment->id : 0;
	}
	unlock();
	return result;
}

int shm_set_owner(uint32_t id, const struct shm_status *from)
{
	struct segment *segment;

	if (from->uid == UINT32_MAX || from->gid == UINT32_MAX)
		return -EINVAL;
	lock();
	segment = by_id(id);
	if (segment != NULL) {
		segment->status.uid = from->uid;
		segment->status.gid = from->gid;
		segment->status.mode = (segment->status.mode & ~0777U) | (from->mode & 0777U);
		segment->status.change_time = now_s();
	}
	unlock();
	return segment == NULL ? -EINVAL : 0;
}

bool shm_look(uint32_t slot, struct shm_status *status, uint32_t *id, uint64_t *resident)
{
	struct object *object = NULL;

	lock();
	if (slot < shm.room && shm.slots[slot] != NULL) {
		*status = shm.slots[slot]->status;
		*id = shm.slots[slot]->id;
		object = shm.slots[slot]->object;
		object_get(object);
	}
	unlock();
	if (object == NULL)
		return false;
	*resident = object_pages(object);
	object_put(object);
	return true;
}

int shm_remove(uint32_t id)
{
	struct segment *segment;
	bool last = false;

	lock();
	segment = by_id(id);
	if (segment != NULL) {
		segment->status.mode |= MODE_DEST;
		segment->status.key = IPC_PRIVATE;
		last = segment->status.attached == 0;
		if (last)
			take_out(segment);
	}
	unlock();
	if (last)
		destroy(segment);
	return segment == NULL ? -EINVAL : 0;
}

int shm_set_locked(uint32_t id, bool locked)
{
	struct segment *segment;

	lock();
	segment = by_id(id);
	if (segment != NULL)
		segment->status.mode = (segment->status.mode & ~MODE_LOCKED) | (locked ? MODE_LOCKED : 0);
	unlock();
	return segment == NULL ? -EINVAL : 0;
}

void shm_text(struct text *text)
{
	struct shm_status s;
	uint64_t resident;
	uint32_t id;

	text_put(
		text,
		"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime "
		"     dtime      ctime                   rss                  swap\n");
	for (uint32_t slot = 0; slot < SHM_SEGMENTS; slot++)
		if (shm_look(slot, &s, &id, &resident))
			text_put(text,
				 "%10d %10u  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10ld %10ld %10ld %21lu %21lu\n",
				 (int)s.key, (unsigned)id, (unsigned)s.mode, (unsigned long)s.bytes,
				 (unsigned)s.creator, (unsigned)s.last, (unsigned long)s.attached, (unsigned)s.uid,
				 (unsigned)s.gid, (unsigned)s.cuid, (unsigned)s.cgid, (long)s.attach_time,
				 (long)s.detach_time, (long)s.change_time, (unsigned long)(resident << PAGE_SHIFT),
				 0UL);
}

void shm_end(void)
{
	for (uint32_t slot = 0; slot < shm.room; slot++)
		if (shm.slots[slot] != NULL) {
			CHECK(shm.slots[slot]->status.attached == 0);
			destroy(shm.slots[slot]);
		}
	kfree(shm.slots);
	shm.slots = NULL;
	shm.room = 0;
}
