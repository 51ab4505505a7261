/*
 * Disks, for the kernel's threads: drivers/block.h with waiting.
 *
 * Functions that wait do so until the device has answered, whatever happens to the thread: no lock held (mutexes may be).
 * Sectors are of 512 bytes; what is read or written is a multiple of device->block_bytes at a multiple of it. Errors: -EIO;
 * -EINVAL for what is no multiple or behind the end; -EROFS. They need no memory: where there is none, requests go one by one.
 */
#ifndef KERNEL_DISK_H
#define KERNEL_DISK_H

#include "drivers/block.h"
#include "kernel/wait.h"

/* Boot arguments ramdisk= and disk-timeout=; finds the disks and lists them. initrd: where ramdisk='s images are; NULL: none. Once,
 * before there are files. */
void disk_init(const void *fdt, const void *initrd, uint64_t initrd_bytes);

/* A kernel buffer in the direct map (kalloc's, a frame's). */
int disk_read(struct block_device *device, uint64_t sector, void *buffer, uint64_t bytes) MUST_CHECK;
int disk_write(struct block_device *device, uint64_t sector, const void *buffer, uint64_t bytes) MUST_CHECK;
/* What was written is durable. */
int disk_flush(struct block_device *device) MUST_CHECK;

/* Whole frames, one behind the other on the disk; the caller holds them. */
int disk_read_frames(struct block_device *device, uint64_t sector, const pfn_t *frames, uint64_t count) MUST_CHECK;
int disk_write_frames(struct block_device *device, uint64_t sector, const pfn_t *frames, uint64_t count) MUST_CHECK;

/*
 * Several at once: init, any number of adds, wait; then add again or forget it. One thread's, and it stays where it is from
 * the first add until wait has returned. The memory is the device's meanwhile. Without waiting (read-ahead, say): struct
 * block_request and block_submit themselves.
 */
struct disk_batch {
	struct block_device *device;
	_Atomic uint32_t pending;
	_Atomic int error; /* the first */
};

void disk_batch_init(struct disk_batch *batch, struct block_device *device);
/* Any length; what is too long for one request becomes several. An error is the batch's, too. */
int disk_batch_add(struct disk_batch *batch, enum block_op op, uint64_t sector, paddr_t start, uint64_t bytes);
int disk_batch_frames(struct disk_batch *batch, enum block_op op, uint64_t sector, const pfn_t *frames, uint64_t count);
/* All are done: 0, or the first error. */
int disk_batch_wait(struct disk_batch *batch) MUST_CHECK;

#endif
