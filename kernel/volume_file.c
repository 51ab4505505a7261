/*
 * The contents of files on volumes: between the page cache and the disk.
 *
 * fs/ says where a file's bytes lie; they go from and to the cache's frames directly, as many at once as there are.
 *
 * fs/ is asked under the volume's mutex, and the disk is waited for without it: so a slow one keeps nobody from other files.
 * Reading: clusters that are taken from the file meanwhile are cut off from its object first, so what was read is thrown away
 * (object_insert). Writing: the store's `writing` is held, under which alone a file becomes shorter; so its clusters stay its own.
 * But behind what was ever written fs/ may fill a gap with zeros when all is synced, which would fall on the same sectors: so
 * whoever calls fat_sync or fat_clean waits until no file is being written, and lets none begin (volume_quiet).
 *
 * A file's size is the object's; fs/ has room for it before it grows (volume_resize), and is told when its pages are written or it
 * is synced (vnode_settle).
 */
#include <stdio.h>
#include <string.h>

#include "firmware/trap.h"
#include "kernel/disk.h"
#include "kernel/sys.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/coremap.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* A transfer of pages. */
struct transfer {
	struct vnode *vnode;
	enum block_op op;
	const uint64_t *index;
	const pfn_t *frames;
	unsigned n;
	uint64_t size; /* writing: the file's, as fs/ was told it; it may be getting longer */
	struct disk_batch batch;
	/* Reading: of the page where the file's content ends, what is behind it. */
	uint8_t *tail;
	uint64_t tail_bytes;
};

static struct volume *volume_of(const struct transfer *transfer)
{
	return transfer->vnode->node.volume;
}

static uint64_t device_sector(const struct transfer *transfer, const struct fat_run *run)
{
	return run->sector * (volume_of(transfer)->disk.disk.sector_bytes / SECTOR_BYTES);
}

/* Where the file's bytes from `offset` on lie. */
static int map(const struct transfer *transfer, uint64_t offset, struct fat_run *run)
{
	int error;

	mutex_lock(&volume_of(transfer)->mutex);
	error = fat_map(transfer->vnode->fat, offset, run);
	mutex_unlock(&volume_of(transfer)->mutex);
	return error;
}

/* How many of the pages from i on follow each other and lie in the run as a whole, with content if they are read. */
static unsigned whole_pages(const struct transfer *transfer, unsigned i, const struct fat_run *run)
{
	uint32_t bytes = transfer->op == BLOCK_READ ? run->content : run->bytes;
	unsigned k = 0;

	while (i + k < transfer->n && transfer->index[i + k] == transfer->index[i] + k && (k + 1) * PAGE_SIZE <= bytes)
		k++;
	return k;
}

/* What of the page is not content reads as 0, when the disk has answered. */
static void keep_tail(struct transfer *transfer, uint8_t *at, uint64_t bytes)
{
	transfer->tail = at;
	transfer->tail_bytes = bytes;
}

/* A page in pieces: of clusters smaller than it, or where the file ends. `bytes`: how many are on the disk. */
static int add_pieces(struct transfer *transfer, unsigned i, uint64_t bytes)
{
	uint8_t *data = frame_data(transfer->frames[i]);
	struct fat_run run;

	for (uint64_t at = 0, piece; at < bytes; at += piece) {
		int error = map(transfer, transfer->index[i] * PAGE_SIZE + at, &run);

		if (error == -ENXIO && transfer->op == BLOCK_READ) {
			memset(data + at, 0, PAGE_SIZE - at);
			return 0;
		}
		if (error != 0)
			return error;
		piece = MIN(run.bytes, bytes - at);
		if (transfer->op == BLOCK_READ && run.zero) {
			memset(data + at, 0, piece);
			continue;
		}
		if (transfer->op == BLOCK_READ && run.content < piece)
			keep_tail(transfer, data + at + run.content, piece - run.content);
		(void)disk_batch_add(&transfer->batch, transfer->op, device_sector(transfer, &run),
				     PADDR(pfn_paddr(transfer->frames[i]).v + at), piece);
	}
	return 0;
}

/* Page i and those behind it that can go with it: how many, or an error. */
static int add_pages(struct transfer *transfer, unsigned i, uint64_t bytes)
{
	struct fat_run run;
	unsigned k;
	int error = bytes < PAGE_SIZE ? 0 : map(transfer, transfer->index[i] * PAGE_SIZE, &run);

	k = bytes < PAGE_SIZE || error != 0 ? 0 : whole_pages(transfer, i, &run);
	if (k != 0) {
		(void)disk_batch_frames(&transfer->batch, transfer->op, device_sector(transfer, &run),
					transfer->frames + i, k);
		return (int)k;
	}
	error = add_pieces(transfer, i, bytes);
	return error != 0 ? error : 1;
}

static int volume_read(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	struct vnode *vnode = container_of(store, struct vnode, store);
	struct transfer transfer = { .vnode = vnode, .op = BLOCK_READ, .index = index, .frames = frames, .n = n };
	int error = 0, result;

	disk_batch_init(&transfer.batch, vnode->node.volume->disk.device);
	for (unsigned i = 0; i < n && error >= 0; i += (unsigned)MAX(error, 1))
		error = add_pages(&transfer, i, PAGE_SIZE);
	result = disk_batch_wait(&transfer.batch);
	if (transfer.tail != NULL)
		memset(transfer.tail, 0, transfer.tail_bytes);
	return error < 0 ? error : result;
}

/* ---- Writing. */

/* Of page `index`, to the end of the sector where the file ends. */
static uint64_t bytes_of(const struct transfer *transfer, uint64_t index)
{
	uint64_t left = transfer->size > index * PAGE_SIZE ? transfer->size - index * PAGE_SIZE : 0;

	return MIN(ALIGN_UP(left, (uint64_t)volume_of(transfer)->disk.disk.sector_bytes), PAGE_SIZE);
}

/* All up to page i is on the disk. */
static int written_to(struct transfer *transfer, unsigned i)
{
	int error = disk_batch_wait(&transfer->batch);

	if (error != 0 || i == 0)
		return error;
	mutex_lock(&volume_of(transfer)->mutex);
	fat_wrote(transfer->vnode->fat, (transfer->index[i - 1] + 1) * PAGE_SIZE);
	mutex_unlock(&volume_of(transfer)->mutex);
	return 0;
}

/* What lies before `offset` and was never written becomes zeros: piece by piece, so that others have the mutex in between. */
static int fill_gap(struct transfer *transfer, uint64_t offset)
{
	struct fat_run run;
	int error;

	do {
		mutex_lock(&volume_of(transfer)->mutex);
		error = fat_map_write(transfer->vnode->fat, offset, &run);
		mutex_unlock(&volume_of(transfer)->mutex);
	} while (error == -EAGAIN);
	return error;
}

/* Page i does not follow the one before: where it lies behind all that was written, the gap becomes zeros first. */
static int begin_run(struct transfer *transfer, unsigned i)
{
	struct fat_run run;
	int error;

	if (bytes_of(transfer, transfer->index[i]) == 0)
		return 0;
	error = map(transfer, transfer->index[i] * PAGE_SIZE, &run);
	if (error != 0 || (!run.zero && i != 0))
		return error;
	error = written_to(transfer, i);
	return error != 0 ? error : fill_gap(transfer, transfer->index[i] * PAGE_SIZE);
}

static int write_all(struct transfer *transfer)
{
	unsigned i = 0;
	int error = 0;

	while (i < transfer->n && error >= 0) {
		if (i == 0 || transfer->index[i] != transfer->index[i - 1] + 1)
			error = begin_run(transfer, i);
		if (error >= 0)
			error = add_pages(transfer, i, bytes_of(transfer, transfer->index[i]));
		if (error > 0)
			i += (unsigned)error;
	}
	if (error >= 0)
		return written_to(transfer, i);
	(void)!disk_batch_wait(&transfer->batch);
	return error;
}

static int volume_write(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	struct vnode *vnode = container_of(store, struct vnode, store);
	struct transfer transfer = { .vnode = vnode, .op = BLOCK_WRITE, .index = index, .frames = frames, .n = n };
	struct volume *volume = vnode->node.volume;
	struct fat_attr attr;
	int error;

	disk_batch_init(&transfer.batch, volume->disk.device);
	mutex_lock(&volume->mutex);
	vnode_write_begin(vnode);
	volume->touched = true;
	error = vnode_settle(vnode);
	fat_attr(vnode->fat, &attr);
	mutex_unlock(&volume->mutex);
	transfer.size = attr.bytes;
	if (error == 0)
		error = write_all(&transfer);
	mutex_lock(&volume->mutex);
	vnode_write_end(vnode);
	mutex_unlock(&volume->mutex);
	return error;
}

static int sync_node(struct vnode *vnode)
{
	struct volume *volume = vnode->node.volume;
	int error;

	mutex_lock(&volume->mutex);
	error = vnode_settle(vnode);
	if (error == 0)
		error = fat_sync_node(vnode->fat);
	mutex_unlock(&volume->mutex);
	return error;
}

static int volume_sync_file(struct store *store)
{
	return sync_node(container_of(store, struct vnode, store));
}

int volume_sync_node(struct node *node)
{
	return volume_sync(node->volume);
}

/* Longer: room, which is the file's as soon as the object says so. Shorter: the object is so already. */
static int volume_resize(struct store *store, uint64_t bytes)
{
	struct vnode *vnode = container_of(store, struct vnode, store);
	struct volume *volume = vnode->node.volume;
	int error;

	mutex_lock(&volume->mutex);
	volume->touched = true;
	error = bytes <= object_bytes(store->object) ? vnode_settle(vnode) : fat_extend(vnode->fat, bytes);
	mutex_unlock(&volume->mutex);
	return error;
}

/* Files that were removed, and whose last user has just gone. */
static bool volume_relieve(struct store *store)
{
	return volume_reap(container_of(store, struct vnode, store)->node.volume);
}

static void volume_failed(struct store *store, int error)
{
	(void)cache_errors_note(&container_of(store, struct vnode, store)->node.volume->error, error);
}

static const struct store_ops volume_store_ops = {
	.read = volume_read,
	.write = volume_write,
	.sync = volume_sync_file,
	.resize = volume_resize,
	.relieve = volume_relieve,
	.failed = volume_failed,
};

struct volume *volume_of_store(const struct store *store)
{
	return store->ops == &volume_store_ops ? container_of(store, const struct vnode, store)->node.volume : NULL;
}

/* ---- Open files. */

static int load_locked(struct vnode *vnode)
{
	struct fat_attr attr;
	int error;

	if (vnode->node.regular.object != NULL)
		return 0;
	fat_attr(vnode->fat, &attr);
	vnode->store.ops = &volume_store_ops;
	vnode->store.bytes_max = FAT_SIZE_MAX;
	snprintf(vnode->store.name, sizeof(vnode->store.name), "%s: %s", vnode->node.volume->disk.device->name,
		 vnode->node.name);
	error = cache_add(&vnode->store, attr.bytes);
	if (error != 0)
		return error;
	tree_enter();
	vnode->node.regular.object = vnode->store.object;
	tree_leave();
	return 0;
}

int volume_load(struct node *node)
{
	int error;

	mutex_lock(&node->volume->mutex);
	error = load_locked(vnode_of(node));
	mutex_unlock(&node->volume->mutex);
	return error;
}

void volume_stamp(struct node *node)
{
	/* relaxed: a guess at when, for whoever looks later */
	atomic_store_explicit(&vnode_of(node)->stamp, (int64_t)(time_realtime_ns() / NS_PER_SEC), memory_order_relaxed);
}

void volume_note_writes(struct vnode *vnode)
{
	uint64_t ticks = object_take_written(vnode->node.regular.object);
	int64_t written = ticks == 0 ? 0 : (int64_t)(time_realtime_at(ticks) / NS_PER_SEC);

	if (written > atomic_load_explicit(&vnode->stamp, memory_order_relaxed))
		atomic_store_explicit(&vnode->stamp, written, memory_order_relaxed);
}
