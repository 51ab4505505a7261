/* Disks as files: their nodes in /dev, their pages in the cache, and what opening one gives. */
#ifndef KERNEL_BLOCKDEV_H
#define KERNEL_BLOCKDEV_H

#include "drivers/block.h"
#include "kernel/cache.h"
#include "kernel/file.h"

struct blockdev {
	struct store store;
	struct block_device *device;
	struct blockdev *next;
};

/* Stores and nodes for all disks that are registered. After the tree; 0 or -ENOMEM. */
int blockdev_init(void) MUST_CHECK;
/* For one more: a partition, say. */
int blockdev_add(struct block_device *device) MUST_CHECK;
/* Writes all back, and gives the stores back. Before the tree goes. */
void blockdev_end(void);
struct blockdev *blockdev_find(uint64_t rdev); /* NULL: there is no such disk */

/* Of a node that is S_IFBLK; takes over the caller's count of it when it succeeds. -ENXIO: there is no such disk. */
int blockdev_open(struct node *node, unsigned flags, struct file **out) MUST_CHECK;

#endif
