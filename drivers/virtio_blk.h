/*
 * virtio-blk (virtio 1.2, section 5.2) behind drivers/block.h: the core. virtio.c finds the device and gives it memory and an
 * interrupt; the tests give it a fake.
 */
#ifndef DRIVERS_VIRTIO_BLK_H
#define DRIVERS_VIRTIO_BLK_H

#include "drivers/block.h"
#include "drivers/virtio_mmio.h"
#include "lib/lock.h"

/* With the header, the status and the descriptors' table this is 1 KiB: four to a page. */
#define VIRTIO_BLK_SEGMENTS 60U
#define VIRTIO_BLK_QUEUE    128U /* requests at the device at once, at most */

struct virtio_blk_slot;

struct virtio_blk {
	struct block_device block;
	struct virtio_mmio device;
	struct spinlock lock; /* RANK_BLOCK: guards what follows, and device */
	struct virtio_ring ring;
	struct virtio_blk_slot *slot;	/* one for each id of the ring; the device reads and writes them */
	struct block_request **request; /* by id; NULL: not under way */
	struct list waiting;		/* not yet at the device, oldest first */
	struct list under_way;		/* at the device, in the order in which they went there */
	uint32_t segment_max;		/* bytes that the device takes in one descriptor */
	uint32_t tick;			/* counts while requests are pending */
	uint32_t last_answer;		/* tick of the last answer, or of the first request after idleness */
	bool dead;
};

/* Contiguous zeroed memory of so many bytes, on a page; NULL: there is none. It is never given back. */
typedef void *virtio_memory(uint64_t bytes);

/* Seconds that a device may be silent while it has requests. Before the first device. */
void virtio_blk_set_patience(uint32_t seconds);

/*
 * Starts a block device that virtio_mmio_open has found; fills in all of blk->block but name and numbers. -EIO: it does not
 * do as it should; -ENOMEM. In either case the device is left reset.
 */
int virtio_blk_start(struct virtio_blk *blk, virtio_memory *memory) MUST_CHECK;
/* The device's interrupt. arg: its struct virtio_blk. Whether it had an answer, or has failed. */
bool virtio_blk_interrupt(void *arg);

#endif
