/*
 * A split virtqueue (virtio 1.2, section 2.7), in the layout that legacy devices want and modern ones take. The caller's
 * lock guards all of it. What the device writes is believed only after a check: an impossible answer is -EIO.
 */
#ifndef DRIVERS_VIRTIO_RING_H
#define DRIVERS_VIRTIO_RING_H

#include "lib/types.h"

struct virtio_descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

#define VIRTIO_DESC_NEXT     1U
#define VIRTIO_DESC_WRITE    2U /* the device writes to it */
#define VIRTIO_DESC_INDIRECT 4U

struct virtio_available; /* virtio_ring.c */
struct virtio_used;

struct virtio_ring {
	uint16_t size;	  /* a power of two */
	bool event_index; /* VIRTIO_F_EVENT_IDX was negotiated */
	/* The device reads, and writes used. */
	struct virtio_descriptor *descriptor;
	struct virtio_available *available;
	volatile struct virtio_used *used;
	/* Ours: the device cannot spoil it. */
	uint16_t *next; /* of the free list, or of the chain */
	uint16_t
		*chain; /* descriptors that the chain beginning here has; 0: none begins here, or it is not under way */
	uint16_t free_head, free_count, under_way;
	uint16_t available_index, used_index; /* free-running */
	uint16_t kicked;		      /* available_index at the last virtio_ring_kick */
};

/* What a ring of so many entries needs: contiguous zeroed memory for the device, on a page; and memory of our own. */
uint64_t virtio_ring_bytes(unsigned size);
uint64_t virtio_ring_own_bytes(unsigned size);
void virtio_ring_init(struct virtio_ring *ring, unsigned size, bool event_index, void *memory, void *own);

/*
 * Adds a chain of n descriptors, of which only address, bytes and VIRTIO_DESC_WRITE count; through `table` (room for n, the
 * device's to read until the chain is used), where that is not NULL. Its id in *id; -ENOSPC: no room now. 1 <= n <= size.
 */
int virtio_ring_add(struct virtio_ring *ring, const struct virtio_descriptor *chain, unsigned n,
		    struct virtio_descriptor *table, uint16_t *id) MUST_CHECK;

/* Shows the device what was added: whether it wants to be notified. */
bool virtio_ring_kick(struct virtio_ring *ring) MUST_CHECK;

/* The next chain that the device has used: 1, its id and the bytes written; 0: none; -EIO: the device answers nonsense. */
int virtio_ring_take(struct virtio_ring *ring, uint16_t *id, uint32_t *bytes) MUST_CHECK;

/* Asks for an interrupt at the next used chain: whether there is one already (then take, and ask again). */
bool virtio_ring_rearm(struct virtio_ring *ring) MUST_CHECK;

#endif
