/*
 * Disks in the page cache: page i is the eight sectors from 8 i on; the last one may be cut off by the disk's end, and then ends
 * in zeros. The list of them changes at boot and at the end only, so looking needs no lock.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/blockdev.h"
#include "kernel/disk.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define PAGE_SECTORS (PAGE_SIZE / SECTOR_BYTES)

static struct blockdev *devices;

/* How many of the pages from the first on follow each other and lie in the disk as a whole. */
static unsigned run_of(const struct block_device *device, const uint64_t *index, unsigned n)
{
	unsigned run = 0;

	while (run < n && index[run] == index[0] + run && (index[run] + 1) * PAGE_SECTORS <= device->sectors)
		run++;
	return run;
}

/* The last page, if the disk ends within it. */
static void add_end(struct disk_batch *batch, enum block_op op, uint64_t index, pfn_t frame)
{
	uint64_t bytes = (batch->device->sectors - index * PAGE_SECTORS) * SECTOR_BYTES;

	if (op == BLOCK_READ)
		memset((char *)frame_data(frame) + bytes, 0, PAGE_SIZE - bytes);
	(void)disk_batch_add(batch, op, index * PAGE_SECTORS, pfn_paddr(frame), bytes);
}

/* All requests are under way before the first is waited for. */
static int move(struct store *store, enum block_op op, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	struct blockdev *dev = container_of(store, struct blockdev, store);
	struct disk_batch batch;

	disk_batch_init(&batch, dev->device);
	for (unsigned i = 0, run; i < n; i += run) {
		run = run_of(dev->device, index + i, n - i);
		if (run != 0)
			(void)disk_batch_frames(&batch, op, index[i] * PAGE_SECTORS, frames + i, run);
		else
			add_end(&batch, op, index[i], frames[i]);
		run = MAX(run, 1U);
	}
	return disk_batch_wait(&batch);
}

static int blockstore_read(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	return move(store, BLOCK_READ, index, frames, n);
}

static int blockstore_write(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	return move(store, BLOCK_WRITE, index, frames, n);
}

static int blockstore_sync(struct store *store)
{
	return disk_flush(container_of(store, struct blockdev, store)->device);
}

static const struct store_ops blockstore_ops = {
	.read = blockstore_read,
	.write = blockstore_write,
	.sync = blockstore_sync,
};

struct blockdev *blockdev_find(uint64_t rdev)
{
	struct blockdev *dev = devices;

	while (dev != NULL && DEVICE(dev->device->major, dev->device->minor) != rdev)
		dev = dev->next;
	return dev;
}

static int make_store(struct block_device *device)
{
	struct blockdev *dev = kalloc(sizeof(*dev));
	int error;

	if (dev == NULL)
		return -ENOMEM;
	dev->device = device;
	dev->store.ops = &blockstore_ops;
	dev->store.read_only = device->read_only;
	memcpy(dev->store.name, device->name, sizeof(device->name));
	error = cache_add(&dev->store, device->sectors * SECTOR_BYTES);
	if (error != 0) {
		kfree(dev);
		return error;
	}
	dev->next = devices;
	devices = dev;
	return 0;
}

static int make_node(const struct block_device *device)
{
	char path[sizeof("/dev/") + BLOCK_NAME_BYTES];
	struct node *node;
	int error = node_create(S_IFBLK | 0660U, &node);

	if (error != 0)
		return error;
	node->rdev = DEVICE(device->major, device->minor);
	node->fixed = true;
	snprintf(path, sizeof(path), "/dev/%s", device->name);
	error = tree_place(path, node);
	node_put(node);
	return error == -EEXIST ? 0 : error; /* the initramfs has one */
}

int blockdev_add(struct block_device *device)
{
	int error = make_store(device);

	return error != 0 ? error : make_node(device);
}

int blockdev_init(void)
{
	int error = 0;

	for (struct block_device *device = block_next(NULL); device != NULL && error == 0; device = block_next(device))
		error = blockdev_add(device);
	return error;
}

void blockdev_end(void)
{
	while (devices != NULL) {
		struct blockdev *dev = devices;

		devices = dev->next;
		(void)!cache_sync(&dev->store, 0, UINT64_MAX, NULL);
		(void)!cache_remove(&dev->store);
		kfree(dev);
	}
}
