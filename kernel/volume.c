/*
 * Volumes and their nodes. Contract: volume.h.
 *
 * Invariants
 * - A vnode's count includes the volume's own, so it does not become 0 by node_put: only by vnode_freeze, under the volume's
 *   mutex, when nobody else has one. Counts come from those that there are, or from vnode_get under the mutex: so what is frozen
 *   stays so.
 * - A file in the cache is let go of only with no dirty page and no mapping (which counts the object alone), and after fs/ was
 *   told its size and time. Whoever looks it up afterwards finds on the disk what was in the cache.
 * - A node counts its directory (node.up). So directories go after what is in them.
 *
 * What is frozen is freed without the mutex, which is inner to the stores'.
 */
#include "kernel/volume.h"

#include <stdio.h>
#include <string.h>

#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define NS_PER_SEC   UINT64_C(1000000000)
#define MODE_DEFAULT 0755U
#define MODE_WRITE   0222U
#define NODES_LEAST  64U
#define NODES_SHARE  256U /* of memory's frames: that many nodes stay without being in use */

static int64_t now(void)
{
	return (int64_t)(time_realtime_ns() / NS_PER_SEC);
}

/* ---- Nodes. */

static struct vnode **bucket_of(struct volume *volume, const struct fat_node *fat)
{
	return &volume->bucket[((uintptr_t)fat >> 5) % VOLUME_BUCKETS];
}

struct vnode *vnode_find(struct volume *volume, const struct fat_node *fat)
{
	struct vnode *vnode = *bucket_of(volume, fat);

	while (vnode != NULL && vnode->fat != fat)
		vnode = vnode->chain;
	return vnode;
}

static void vnode_hash(struct volume *volume, struct vnode *vnode)
{
	struct vnode **at = bucket_of(volume, vnode->fat);

	vnode->chain = *at;
	*at = vnode;
	list_add_tail(&volume->nodes, &vnode->link);
	volume->count++;
}

static void vnode_unhash(struct volume *volume, struct vnode *vnode)
{
	struct vnode **at = bucket_of(volume, vnode->fat);

	while (*at != vnode)
		at = &(*at)->chain;
	*at = vnode->chain;
	list_del(&vnode->link);
	volume->count--;
}

/* Takes over the reference of fat when it succeeds. up: NULL for the root. */
static struct vnode *vnode_create(struct volume *volume, struct fat_node *fat)
{
	struct vnode *vnode = kalloc(sizeof(*vnode));
	struct fat_attr attr;

	if (vnode == NULL)
		return NULL;
	fat_attr(fat, &attr);
	node_init(&vnode->node,
		  (attr.directory ? S_IFDIR : S_IFREG) |
			  ((attr.flags & FAT_READ_ONLY) != 0 && !attr.directory ? MODE_DEFAULT & ~MODE_WRITE
										: MODE_DEFAULT));
	vnode->node.inode = attr.ino;
	vnode->node.links = 1;
	vnode->node.volume = volume;
	vnode->fat = fat;
	list_init(&vnode->link);
	return vnode;
}

int vnode_get(struct node *up, struct fat_node *fat, const char *name, size_t n, struct node **out)
{
	struct volume *volume = up->volume;
	struct vnode *vnode = vnode_find(volume, fat);
	char *copy;

	if (vnode != NULL) {
		fat_put(fat);
		list_del(&vnode->link);
		list_add_tail(&volume->nodes, &vnode->link);
		node_get(&vnode->node);
		*out = &vnode->node;
		return 0;
	}
	copy = kalloc(n + 1);
	vnode = copy == NULL ? NULL : vnode_create(volume, fat);
	if (vnode == NULL) {
		kfree(copy);
		fat_put(fat);
		return -ENOMEM;
	}
	memcpy(copy, name, n);
	vnode->node.name = copy;
	vnode->node.up = up;
	node_get(up);
	if (node_is(&vnode->node, S_IFDIR))
		vnode->node.directory.parent = up;
	vnode_hash(volume, vnode);
	node_get(&vnode->node);
	*out = &vnode->node;
	return 0;
}

void vnode_remove(struct vnode *vnode)
{
	struct volume *volume = vnode->node.volume;

	vnode_unhash(volume, vnode);
	list_add_tail(&volume->removed, &vnode->link);
	tree_enter();
	vnode->node.links = 0;
	vnode->counted = true;
	if (node_is(&vnode->node, S_IFDIR))
		vnode->node.directory.removed = true;
	tree_leave();
}

int vnode_settle(struct vnode *vnode)
{
	struct object *object = node_is(&vnode->node, S_IFREG) ? vnode->node.regular.object : NULL;
	struct fat_attr attr;
	int64_t stamp;
	int error = 0;

	if (object == NULL)
		return 0;
	volume_note_writes(vnode);
	fat_attr(vnode->fat, &attr);
	if (attr.bytes != object_bytes(object)) {
		error = fat_truncate(vnode->fat, object_bytes(object));
		vnode->node.volume->touched = true;
	}
	/* relaxed: a write that comes later sets it again */
	stamp = error != 0 ? 0 : atomic_exchange_explicit(&vnode->stamp, 0, memory_order_relaxed);
	if (stamp != 0) {
		error = fat_set_times(vnode->fat, stamp, stamp);
		vnode->node.volume->touched = true;
	}
	return error;
}

/* ---- Data on its way to the disk. */

/* Until *count is 0. [mutex], which is let go of meanwhile */
static void wait_none(struct volume *volume, const unsigned *count)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&volume->changed, &waiter);
		if (*count == 0)
			break;
		mutex_unlock(&volume->mutex);
		wait_block_always();
		mutex_lock(&volume->mutex);
	}
	wait_finish(&volume->changed, &waiter);
}

void vnode_write_begin(struct vnode *vnode)
{
	struct volume *volume = vnode->node.volume;

	wait_none(volume, &volume->quiet);
	vnode->writing = true;
	volume->writing++;
}

void vnode_write_end(struct vnode *vnode)
{
	struct volume *volume = vnode->node.volume;

	vnode->writing = false;
	if (--volume->writing == 0)
		wake_all(&volume->changed);
}

void volume_quiet(struct volume *volume)
{
	volume->quiet++;
	wait_none(volume, &volume->writing);
}

void volume_resume(struct volume *volume)
{
	if (--volume->quiet == 0)
		wake_all(&volume->changed);
}

/* ---- Letting go of them. */

static bool vnode_is_needed(struct vnode *vnode)
{
	struct object *object = node_is(&vnode->node, S_IFREG) ? vnode->node.regular.object : NULL;

	if (object == NULL)
		return false;
	if (vnode->writing || !object_is_sole(object))
		return true;
	if (vnode->node.links == 0 || vnode->node.volume->ending)
		return false;
	return object_dirty_pages(object) != 0 || vnode_settle(vnode) != 0;
}

/* Whether nobody has it, and from now on nobody gets it. [mutex] */
static bool vnode_freeze(struct vnode *vnode)
{
	uint32_t one = 1;

	/* acquire: what others did with the node before they let go of it is done */
	if (!atomic_compare_exchange_strong_explicit(&vnode->node.count, &one, 0, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	if (!vnode_is_needed(vnode))
		return true;
	/* relaxed: nobody looks at it without the mutex */
	atomic_store_explicit(&vnode->node.count, 1, memory_order_relaxed);
	return false;
}

/* With no lock held. */
static void vnode_free(struct vnode *vnode)
{
	struct volume *volume = vnode->node.volume;

	if (node_is(&vnode->node, S_IFREG) && vnode->node.regular.object != NULL) {
		/* The writer may be about to say that it has written. */
		mutex_lock(&vnode->store.writing);
		if (vnode->node.links == 0)
			(void)!object_resize(vnode->store.object, 0);
		mutex_unlock(&vnode->store.writing);
		(void)!cache_remove(&vnode->store);
	}
	mutex_lock(&volume->mutex);
	fat_put(vnode->fat);
	mutex_unlock(&volume->mutex);
	node_put(vnode->node.up);
	if (node_is(&vnode->node, S_IFDIR))
		kfree(vnode->node.directory.bucket);
	kfree(vnode->node.name);
	kfree(vnode);
}

static bool free_all(struct list *gone)
{
	bool any = !list_empty(gone);

	while (!list_empty(gone)) {
		struct vnode *vnode = list_first(gone, struct vnode, link);

		list_del(&vnode->link);
		vnode_free(vnode);
	}
	return any;
}

/* Whether all that keeps it is that its data is on its way. [mutex] */
static bool is_only_written(const struct vnode *vnode)
{
	return vnode->writing && object_is_sole(vnode->store.object) &&
	       atomic_load_explicit(&vnode->node.count, memory_order_relaxed) == 1; /* relaxed: a guess */
}

/* Those of the removed that nobody has. False: there are none, but would be if nothing were being written. [mutex] */
static bool take_removed(struct volume *volume, struct list *gone)
{
	bool written = false;

	list_for_each_safe (pos, tmp, &volume->removed) {
		struct vnode *vnode = list_entry(pos, struct vnode, link);

		if (!vnode_freeze(vnode)) {
			written |= is_only_written(vnode);
			continue;
		}
		list_del(&vnode->link);
		list_add_tail(gone, &vnode->link);
	}
	return !written || !list_empty(gone);
}

/* One of those who free removed ones has done so; or there is none. [mutex], which is let go of meanwhile */
static void wait_reaped(struct volume *volume)
{
	unsigned before = volume->reaped;
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&volume->changed, &waiter);
		if (volume->reaping == 0 || volume->reaped != before)
			break;
		mutex_unlock(&volume->mutex);
		wait_block_always();
		mutex_lock(&volume->mutex);
	}
	wait_finish(&volume->changed, &waiter);
}

bool volume_reap(struct volume *volume)
{
	struct list gone = LIST_INIT(gone);
	bool any;

	mutex_lock(&volume->mutex);
	if (!take_removed(volume, &gone)) {
		volume_quiet(volume);
		(void)take_removed(volume, &gone);
		volume_resume(volume);
	}
	any = !list_empty(&gone) || volume->reaping != 0;
	if (list_empty(&gone))
		wait_reaped(volume); /* so that nobody is told that the volume is full while room is on its way */
	else
		volume->reaping++;
	mutex_unlock(&volume->mutex);
	if (free_all(&gone)) {
		mutex_lock(&volume->mutex);
		volume->reaping--;
		volume->reaped++;
		wake_all(&volume->changed);
		mutex_unlock(&volume->mutex);
	}
	return any;
}

/* Until there are at most `keep`. Directories become free with what is in them: again, as long as there was any. */
static void let_go(struct volume *volume, unsigned keep)
{
	struct list gone;

	do {
		list_init(&gone);
		mutex_lock(&volume->mutex);
		if (keep == 0)
			wait_none(volume, &volume->writing);
		list_for_each_safe (pos, tmp, &volume->nodes) {
			struct vnode *vnode = list_entry(pos, struct vnode, link);

			if (volume->count <= keep)
				break;
			if (!vnode_freeze(vnode))
				continue;
			vnode_unhash(volume, vnode);
			list_add_tail(&gone, &vnode->link);
		}
		mutex_unlock(&volume->mutex);
	} while (free_all(&gone));
}

void volume_trim(struct volume *volume)
{
	unsigned most = (unsigned)MAX(frames_total() / NODES_SHARE, NODES_LEAST);

	/* A look without the mutex: a guess. */
	if (__atomic_load_n(&volume->count, __ATOMIC_RELAXED) > most)
		let_go(volume, most / 4 * 3);
}

/* ---- Volumes. */

int volume_mount(struct block_device *device, bool read_only, struct volume **out, const char **why)
{
	struct fat_options options = { .now = now };
	struct volume *volume = kalloc(sizeof(*volume));
	int error;

	*why = "not enough memory";
	if (volume == NULL)
		return -ENOMEM;
	mutex_init(&volume->mutex, MUTEX_VOLUME);
	wait_queue_init(&volume->changed);
	list_init(&volume->nodes);
	list_init(&volume->removed);
	fsdisk_init(&volume->disk, device);
	volume->read_only = read_only || device->read_only;
	options.read_only = volume->read_only;
	error = fat_mount(&volume->disk.disk, &options, &volume->fat, why);
	if (error == 0) {
		volume->root = vnode_create(volume, fat_root(volume->fat));
		if (volume->root != NULL) {
			*out = volume;
			return 0;
		}
		*why = "not enough memory";
		if (fat_unmount(volume->fat) != 0)
			klog("%s: could not be marked clean again", device->name);
		error = -ENOMEM;
	}
	kfree(volume);
	return error;
}

/* [mutex] */
static int settle_all(struct volume *volume)
{
	int result = 0;

	list_for_each (pos, &volume->nodes) {
		int error = vnode_settle(list_entry(pos, struct vnode, link));

		result = error != 0 ? error : result;
	}
	return result;
}

int volume_sync(struct volume *volume)
{
	int error, result;

	mutex_lock(&volume->mutex);
	volume_quiet(volume);
	result = settle_all(volume);
	error = fat_sync(volume->fat);
	if (error == 0 && result == 0)
		volume->touched = false;
	volume->clean = false;
	volume_resume(volume);
	mutex_unlock(&volume->mutex);
	return result != 0 ? result : error;
}

void volume_tidy(struct volume *volume, bool sync)
{
	(void)volume_reap(volume);
	if (!sync || volume->read_only)
		return;
	mutex_lock(&volume->mutex);
	(void)!settle_all(volume);
	if (volume->touched || !volume->clean)
		volume_quiet(volume);
	if (volume->touched) {
		volume->touched = fat_sync(volume->fat) != 0;
		volume->clean = false;
		volume_resume(volume);
	} else if (!volume->clean) {
		volume->clean = fat_clean(volume->fat) == 0;
		volume_resume(volume);
	}
	mutex_unlock(&volume->mutex);
}

/* The nodes that nobody has, with their dirty pages. A page that cannot be written keeps its node. */
static void write_all(struct volume *volume)
{
	struct store *store = NULL;

	while ((store = cache_next(store)) != NULL) {
		if (volume_of_store(store) == volume)
			(void)!cache_write_back(store, 0, UINT64_MAX);
	}
}

void volume_settle(struct volume *volume, bool end)
{
	write_all(volume);
	mutex_lock(&volume->mutex);
	(void)!settle_all(volume);
	volume->ending = end;
	mutex_unlock(&volume->mutex);
	(void)volume_reap(volume);
	let_go(volume, 0);
}

int volume_unmount(struct volume *volume)
{
	int error, result;

	mutex_lock(&volume->mutex);
	result = fat_clean(volume->fat);
	error = fat_unmount(volume->fat);
	mutex_unlock(&volume->mutex);
	kfree(volume->root->node.directory.bucket);
	kfree(volume->root);
	kfree(volume);
	return result != 0 ? result : error;
}
