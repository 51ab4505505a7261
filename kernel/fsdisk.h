/*
 * Between fs/ and the disks: a block device as fs/ wants one, and the partitions that fs/ finds on it as block devices of
 * their own. Also implements fs/fs.h.
 */
#ifndef KERNEL_FSDISK_H
#define KERNEL_FSDISK_H

#include "drivers/block.h"
#include "fs/disk.h"

/* &fsdisk->disk is for fs/; it lives as long as the volume on it. Its calls wait: kernel/disk.h. */
struct fsdisk {
	struct disk disk;
	struct block_device *device; /* a disk or a partition */
};

void fsdisk_init(struct fsdisk *fsdisk, struct block_device *device);

/* How many bytes mounted volumes keep for themselves: sectors of their tables and directories, what they know of files. Not the page cache's. */
uint64_t fsdisk_bytes(void);

/* Looks for partition tables on all disks, registers vda1 and so on, and says what is wrong with those tables. At boot. */
void fsdisk_partitions(void);

#endif
