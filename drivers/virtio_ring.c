/*
 * The split virtqueue. Contract: virtio_ring.h.
 *
 * Memory order: the device is another agent on the same coherent memory. Each side publishes by an index: ours
 * (available->index) is stored after the entries it covers; the device's (used->index) is loaded before the entries. With
 * event indices both sides store their index and then look at the other's event: a full fence between. All fences are
 * hw_fence_io, which orders the notify register's write, too.
 */
#include "drivers/virtio_ring.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "lib/hw.h"

struct virtio_available {
	uint16_t flags;
	volatile uint16_t index;
	uint16_t ring[]; /* size of them, then the used event */
};

struct virtio_used {
	uint16_t flags;
	uint16_t index;
	struct {
		uint32_t id;
		uint32_t bytes;
	} ring[]; /* size of them, then the available event */
};

#define USED_NO_NOTIFY 1U
#define NONE	       UINT16_MAX

static uint64_t used_offset(unsigned size)
{
	uint64_t bytes = size * sizeof(struct virtio_descriptor) + sizeof(struct virtio_available) + (size + 1) * 2;

	return ALIGN_UP(bytes, PAGE_SIZE);
}

uint64_t virtio_ring_bytes(unsigned size)
{
	return used_offset(size) + sizeof(struct virtio_used) + size * 8 + 2;
}

uint64_t virtio_ring_own_bytes(unsigned size)
{
	return 2 * size * sizeof(uint16_t);
}

void virtio_ring_init(struct virtio_ring *ring, unsigned size, bool event_index, void *memory, void *own)
{
	uint8_t *at = memory;

	*ring = (struct virtio_ring){ .size = (uint16_t)size,
				      .event_index = event_index,
				      .free_count = (uint16_t)size };
	ring->descriptor = memory;
	ring->available = (void *)(at + size * sizeof(struct virtio_descriptor));
	ring->used = (volatile void *)(at + used_offset(size));
	ring->next = own;
	ring->chain = ring->next + size;
	for (unsigned i = 0; i < size; i++) {
		ring->next[i] = i + 1 < size ? (uint16_t)(i + 1) : NONE;
		ring->chain[i] = 0;
	}
}

/* ---- Adding. */

static void write_table(struct virtio_descriptor *table, const struct virtio_descriptor *chain, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		table[i] = chain[i];
		table[i].flags = (chain[i].flags & VIRTIO_DESC_WRITE) | (i + 1 < n ? VIRTIO_DESC_NEXT : 0);
		table[i].next = (uint16_t)(i + 1 < n ? i + 1 : 0);
	}
}

/* Into n free descriptors; they stay linked by ring->next, the last one to the rest of the free list. */
static void write_chain(struct virtio_ring *ring, const struct virtio_descriptor *chain, unsigned n)
{
	uint16_t at = ring->free_head;

	for (unsigned i = 0; i < n; i++) {
		struct virtio_descriptor *to = &ring->descriptor[at];

		*to = chain[i];
		to->flags = (chain[i].flags & (VIRTIO_DESC_WRITE | VIRTIO_DESC_INDIRECT)) |
			    (i + 1 < n ? VIRTIO_DESC_NEXT : 0);
		to->next = i + 1 < n ? ring->next[at] : 0;
		at = ring->next[at];
	}
	ring->free_head = at;
	ring->free_count = (uint16_t)(ring->free_count - n);
}

int virtio_ring_add(struct virtio_ring *ring, const struct virtio_descriptor *chain, unsigned n,
		    struct virtio_descriptor *table, uint16_t *id)
{
	struct virtio_descriptor indirect;

	ASSERT(n >= 1 && n <= ring->size);
	if (ring->free_count < (table != NULL ? 1 : n))
		return -ENOSPC;
	*id = ring->free_head;
	if (table != NULL) {
		write_table(table, chain, n);
		indirect = (struct virtio_descriptor){ .address = hw_paddr(table).v,
						       .bytes = (uint32_t)(n * sizeof(*table)),
						       .flags = VIRTIO_DESC_INDIRECT };
		chain = &indirect;
		n = 1;
	}
	ring->chain[*id] = (uint16_t)n;
	write_chain(ring, chain, n);
	ring->under_way++;
	ring->available->ring[ring->available_index++ % ring->size] = *id;
	return 0;
}

static uint16_t available_event(const struct virtio_ring *ring)
{
	return *(volatile uint16_t *)(volatile void *)&ring->used->ring[ring->size];
}

bool virtio_ring_kick(struct virtio_ring *ring)
{
	uint16_t old = ring->kicked, new = ring->available_index;

	if (old == new)
		return false;
	hw_fence_io(); /* the entries before the index */
	ring->available->index = new;
	ring->kicked = new;
	hw_fence_io(); /* the index before the look at what the device wants */
	if (!ring->event_index)
		return (ring->used->flags & USED_NO_NOTIFY) == 0;
	/* whether the event lies in [old, new) */
	return (uint16_t)(new - available_event(ring) - 1) < (uint16_t)(new - old);
}

/* ---- Taking. */

static void free_chain(struct virtio_ring *ring, uint16_t id)
{
	uint16_t last = id;

	for (unsigned i = 1; i < ring->chain[id]; i++)
		last = ring->next[last];
	ring->next[last] = ring->free_head;
	ring->free_head = id;
	ring->free_count = (uint16_t)(ring->free_count + ring->chain[id]);
	ring->chain[id] = 0;
	ring->under_way--;
}

int virtio_ring_take(struct virtio_ring *ring, uint16_t *id, uint32_t *bytes)
{
	uint16_t ready = (uint16_t)(ring->used->index - ring->used_index);
	unsigned at = ring->used_index % ring->size;
	uint32_t head;

	if (ready == 0)
		return 0;
	if (ready > ring->under_way)
		return -EIO;
	hw_fence_io(); /* the index before the entry, and what the entry stands for */
	head = ring->used->ring[at].id;
	*bytes = ring->used->ring[at].bytes;
	if (head >= ring->size || ring->chain[head] == 0)
		return -EIO;
	*id = (uint16_t)head;
	free_chain(ring, *id);
	ring->used_index++;
	return 1;
}

bool virtio_ring_rearm(struct virtio_ring *ring)
{
	if (ring->event_index) {
		*(volatile uint16_t *)&ring->available->ring[ring->size] = ring->used_index;
		hw_fence_io(); /* the event before the look at the index */
	}
	return ring->used->index != ring->used_index;
}
