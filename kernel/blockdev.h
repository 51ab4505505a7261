/* Disks as files: their nodes in /dev, and what opening one gives. */
#ifndef KERNEL_BLOCKDEV_H
#define KERNEL_BLOCKDEV_H

#include "drivers/block.h"
#include "kernel/file.h"

/* Nodes for all disks that are registered. After the tree; 0 or -ENOMEM. */
int blockdev_init(void) MUST_CHECK;
/* A node for one more: a partition, say. */
int blockdev_add(const struct block_device *device) MUST_CHECK;
/* Of a node that is S_IFBLK; takes over the caller's count of it when it succeeds. -ENXIO: there is no such disk. */
int blockdev_open(struct node *node, unsigned flags, struct file **out) MUST_CHECK;

#endif
