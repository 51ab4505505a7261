/*
 * virtio-blk: requests into the ring, answers out of it. Contract: block.h, virtio_blk.h.
 *
 * Invariants: a request is on `waiting` or on `under_way`, and on under_way exactly while its id is in request[]. One header,
 * status byte and descriptor table (a slot) belongs to each id of the ring, so that taking a request never allocates.
 *
 * Nothing the device says is trusted: an impossible answer, DEVICE_NEEDS_RESET or silence make it dead. A dead device is
 * reset, after which it may not use memory; if it does not confirm that, what it had is kept from reuse. Then all requests
 * are answered -EIO, and so are all that come.
 *
 * Locks: blk->lock; requests are ended without it. Memory order: the ring's (virtio_ring.c).
 */
#include "drivers/virtio_blk.h"

#include "firmware/log.h"
#include "lib/check.h"
#include "lib/errno.h"

#define F_SIZE_MAX  (UINT64_C(1) << 1)
#define F_SEG_MAX   (UINT64_C(1) << 2)
#define F_READ_ONLY (UINT64_C(1) << 5)
#define F_BLK_SIZE  (UINT64_C(1) << 6)
#define F_FLUSH	    (UINT64_C(1) << 9)
#define F_TOPOLOGY  (UINT64_C(1) << 10)

enum { CAPACITY = 0, SIZE_MAX_BYTES = 8, SEG_MAX = 12, BLK_SIZE = 20, PHYSICAL_EXPONENT = 24 };

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 };

#define STATUS_OK      0U
#define STATUS_NOTHING 0xffU /* ours: the device has not written one */

#define SECTORS_MAX  2048U /* of a request, where the device sets no limit */
#define AROUND	     2U	   /* descriptors of header and status */
#define EXPONENT_MAX 7U
#define PATIENCE     120U /* a flush may take long on a host that has much to write */
#define WORRY	     4U	  /* part of it after which there is a line */

struct virtio_blk_slot {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
	uint8_t status;
	uint8_t padding[15];
	struct virtio_descriptor table[VIRTIO_BLK_SEGMENTS + AROUND];
};

_Static_assert(sizeof(struct virtio_blk_slot) == 1024, "slots do not cross pages");

static uint32_t patience = PATIENCE;

void virtio_blk_set_patience(uint32_t seconds)
{
	patience = seconds;
}

/* ---- To the device. */

static unsigned add_segments(const struct virtio_blk *blk, const struct block_request *request,
			     struct virtio_descriptor *chain)
{
	uint16_t flags = request->op == BLOCK_READ ? VIRTIO_DESC_WRITE : 0;
	unsigned n = 0;

	for (uint32_t i = 0; request->op != BLOCK_FLUSH && i < request->count; i++) {
		uint64_t at = request->segments[i].start.v;
		uint32_t left = request->segments[i].bytes;

		while (left != 0) {
			uint32_t bytes = MIN(left, blk->segment_max);

			CHECK(n < VIRTIO_BLK_SEGMENTS);
			chain[n++] = (struct virtio_descriptor){ .address = at, .bytes = bytes, .flags = flags };
			at += bytes;
			left -= bytes;
		}
	}
	return n;
}

/* Whether there was room. */
static bool send_locked(struct virtio_blk *blk, struct block_request *request)
{
	static const uint32_t types[] = {
		[BLOCK_READ] = TYPE_IN, [BLOCK_WRITE] = TYPE_OUT, [BLOCK_FLUSH] = TYPE_FLUSH
	};
	struct virtio_descriptor chain[VIRTIO_BLK_SEGMENTS + AROUND];
	bool indirect = (blk->device.features & VIRTIO_F_INDIRECT_DESC) != 0;
	uint16_t id = blk->ring.free_head;
	struct virtio_blk_slot *slot;
	unsigned n = 1 + add_segments(blk, request, &chain[1]);

	if (blk->ring.free_count == 0)
		return false;
	slot = &blk->slot[id];
	chain[0] = (struct virtio_descriptor){ .address = hw_paddr(slot).v, .bytes = 16 };
	chain[n++] = (struct virtio_descriptor){ .address = hw_paddr(&slot->status).v,
						 .bytes = 1,
						 .flags = VIRTIO_DESC_WRITE };
	if (virtio_ring_add(&blk->ring, chain, n, indirect ? slot->table : NULL, &id) != 0)
		return false;
	slot->type = types[request->op];
	slot->sector = request->op == BLOCK_FLUSH ? 0 : request->sector;
	slot->status = STATUS_NOTHING;
	blk->request[id] = request;
	return true;
}

/* What waits goes to the device as far as that has room. */
static void pump_locked(struct virtio_blk *blk)
{
	while (!list_empty(&blk->waiting)) {
		struct block_request *request = list_first(&blk->waiting, struct block_request, link);

		if (!send_locked(blk, request))
			break;
		if (list_empty(&blk->under_way))
			blk->last_answer = blk->tick;
		list_del(&request->link);
		list_add_tail(&blk->under_way, &request->link);
		/* its own time, and that of each before it */
		request->due = blk->tick + (uint64_t)patience * blk->ring.under_way;
	}
	/* relaxed: only here, under the lock, is it written */
	if (blk->ring.under_way > atomic_load_explicit(&blk->block.counts.most_at_once, memory_order_relaxed))
		atomic_store_explicit(&blk->block.counts.most_at_once, blk->ring.under_way, memory_order_relaxed);
	if (virtio_ring_kick(&blk->ring))
		virtio_mmio_notify(&blk->device);
}

/* ---- From the device. */

static void finish(struct list *done)
{
	while (!list_empty(done)) {
		struct block_request *request = list_first(done, struct block_request, link);

		list_del(&request->link);
		block_done(request, request->error);
	}
}

static void fail_all(struct list *from, struct list *done)
{
	while (!list_empty(from)) {
		struct block_request *request = list_first(from, struct block_request, link);

		list_del(&request->link);
		request->error = -EIO;
		list_add_tail(done, &request->link);
	}
}

/* Out of use, for good. All that it had is on `done` then. */
static void die_locked(struct virtio_blk *blk, const char *why, struct list *done)
{
	klog("%s: %s: the disk is out of use", blk->block.name, why);
	blk->dead = true;
	if (!virtio_mmio_reset(&blk->device))
		list_for_each (pos, &blk->under_way)
			block_keep(list_entry(pos, struct block_request, link));
	fail_all(&blk->under_way, done);
	fail_all(&blk->waiting, done);
}

/* What the device has to write: the status, and what is read. */
static uint64_t written_of(const struct block_request *request)
{
	return 1 + (request->op == BLOCK_READ ? request->bytes : 0);
}

/* Modern devices say how much they have written; what legacy ones say means nothing. */
static bool is_whole(const struct virtio_blk *blk, const struct block_request *request, uint32_t written)
{
	return blk->device.legacy || written == written_of(request);
}

/* More than there was room for: who knows where. */
static bool is_too_much(const struct virtio_blk *blk, const struct block_request *request, uint32_t written)
{
	return !blk->device.legacy && written > written_of(request);
}

/* All that the device has answered: to `done`. 0 or -EIO. */
static int collect_locked(struct virtio_blk *blk, struct list *done)
{
	uint32_t written;
	uint16_t id;
	int taken;

	do {
		while ((taken = virtio_ring_take(&blk->ring, &id, &written)) > 0) {
			struct block_request *request = blk->request[id];
			uint8_t status = *(volatile uint8_t *)&blk->slot[id].status;

			blk->request[id] = NULL;
			blk->last_answer = blk->tick;
			request->error = status == STATUS_OK && is_whole(blk, request, written) ? 0 : -EIO;
			list_del(&request->link);
			list_add_tail(done, &request->link);
			if (is_too_much(blk, request, written))
				return -EIO;
		}
	} while (taken == 0 && virtio_ring_rearm(&blk->ring));
	return taken;
}

static const char *why_failed(struct virtio_blk *blk)
{
	return virtio_mmio_gone(&blk->device) ? "it is gone" : "it says that it has failed";
}

bool virtio_blk_interrupt(void *arg)
{
	struct virtio_blk *blk = arg;
	struct list done;
	bool told;

	list_init(&done);
	spin_lock(&blk->lock, RANK_BLOCK);
	(void)virtio_mmio_interrupt(&blk->device);
	told = !blk->dead;
	if (!blk->dead) {
		if (collect_locked(blk, &done) != 0)
			die_locked(blk, "it answers nonsense", &done);
		else if (virtio_mmio_failed(&blk->device))
			die_locked(blk, why_failed(blk), &done);
		else
			pump_locked(blk);
	}
	told = told && (blk->dead || !list_empty(&done));
	spin_unlock(&blk->lock, RANK_BLOCK);
	finish(&done);
	return told;
}

/* ---- Behind block.h. */

static struct virtio_blk *blk_of(struct block_device *device)
{
	return container_of(device, struct virtio_blk, block);
}

static void blk_submit(struct block_device *device, struct block_request *request)
{
	struct virtio_blk *blk = blk_of(device);
	bool dead;

	spin_lock(&blk->lock, RANK_BLOCK);
	dead = blk->dead;
	if (!dead) {
		list_add_tail(&blk->waiting, &request->link);
		pump_locked(blk);
	}
	spin_unlock(&blk->lock, RANK_BLOCK);
	if (dead)
		block_done(request, -EIO);
}

static bool is_late(const struct virtio_blk *blk)
{
	const struct block_request *oldest;

	if (list_empty(&blk->under_way))
		return false;
	oldest = list_first(&blk->under_way, const struct block_request, link);
	return blk->tick - blk->last_answer > patience || oldest->due < blk->tick;
}

/* Once in a silence. */
static void say_slow(const struct virtio_blk *blk)
{
	uint32_t worry = MAX(patience / WORRY, 1);

	if (!list_empty(&blk->under_way) && blk->tick - blk->last_answer == worry)
		klog("%s: no answer for %u s; it has %u", blk->block.name, worry, patience);
}

static void blk_tick(struct block_device *device)
{
	struct virtio_blk *blk = blk_of(device);
	struct list done;

	list_init(&done);
	spin_lock(&blk->lock, RANK_BLOCK);
	blk->tick++;
	if (!blk->dead && virtio_mmio_failed(&blk->device))
		die_locked(blk, why_failed(blk), &done);
	else if (!blk->dead && is_late(blk))
		die_locked(blk, "it does not answer", &done);
	else if (!blk->dead)
		say_slow(blk);
	spin_unlock(&blk->lock, RANK_BLOCK);
	finish(&done);
}

static const struct block_ops blk_ops = { .submit = blk_submit, .tick = blk_tick };

/* ---- Starting. */

/* Units that are no power of two, or that we cannot address, are not the device's to ask for. */
static int read_limits(struct virtio_blk *blk)
{
	struct virtio_mmio *device = &blk->device;
	struct block_device *block = &blk->block;
	uint64_t has = device->features;
	uint32_t unit = (has & F_BLK_SIZE) != 0 ? virtio_mmio_config32(device, BLK_SIZE) : SECTOR_BYTES;
	uint32_t segments = (has & F_SEG_MAX) != 0 ? virtio_mmio_config32(device, SEG_MAX) : 1;
	uint32_t exponent = (has & F_TOPOLOGY) != 0 ? virtio_mmio_config8(device, PHYSICAL_EXPONENT) : 0;

	blk->segment_max = (has & F_SIZE_MAX) != 0 ? virtio_mmio_config32(device, SIZE_MAX_BYTES) : UINT32_MAX;
	blk->segment_max &= ~(SECTOR_BYTES - 1);
	if (unit < SECTOR_BYTES || unit > PAGE_SIZE || (unit & (unit - 1)) != 0 || blk->segment_max < PAGE_SIZE)
		return -EIO;
	segments = MIN(MIN(segments, VIRTIO_BLK_SEGMENTS), blk->ring.size - AROUND);
	if (segments == 0)
		return -EIO;
	block->max_segments = segments;
	block->max_sectors = SECTORS_MAX;
	if (blk->segment_max / SECTOR_BYTES < SECTORS_MAX) {
		/* halves: each segment may end in a descriptor that is not full */
		block->max_segments = MAX(segments / 2, 1);
		block->max_sectors = MAX(segments / 2, 1) * (blk->segment_max / SECTOR_BYTES);
		block->max_sectors = MIN(block->max_sectors, SECTORS_MAX);
	}
	block->sectors = virtio_mmio_config64(device, CAPACITY) & ~(uint64_t)(unit / SECTOR_BYTES - 1);
	block->block_bytes = unit;
	block->physical_bytes = unit << MIN(exponent, EXPONENT_MAX);
	block->read_only = (has & F_READ_ONLY) != 0;
	block->has_flush = (has & F_FLUSH) != 0;
	block->ops = &blk_ops;
	return 0;
}

static int make_ring(struct virtio_blk *blk, virtio_memory *memory)
{
	unsigned size = MIN(virtio_mmio_queue_max(&blk->device), VIRTIO_BLK_QUEUE);
	void *shared, *own;

	while ((size & (size - 1)) != 0)
		size &= size - 1;
	if (size <= AROUND)
		return -EIO;
	shared = memory(virtio_ring_bytes(size));
	own = memory(virtio_ring_own_bytes(size));
	blk->slot = memory(size * sizeof(*blk->slot));
	blk->request = memory(size * sizeof(struct block_request *));
	if (shared == NULL || own == NULL || blk->slot == NULL || blk->request == NULL)
		return -ENOMEM;
	virtio_ring_init(&blk->ring, size, (blk->device.features & VIRTIO_F_EVENT_IDX) != 0, shared, own);
	return 0;
}

int virtio_blk_start(struct virtio_blk *blk, virtio_memory *memory)
{
	uint64_t wanted = F_SIZE_MAX | F_SEG_MAX | F_READ_ONLY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY |
			  VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	int error;

	spin_init(&blk->lock);
	list_init(&blk->waiting);
	list_init(&blk->under_way);
	blk->dead = true; /* so far its interrupts mean nothing */
	error = virtio_mmio_start(&blk->device, wanted);
	if (error == 0)
		error = make_ring(blk, memory);
	if (error == 0)
		error = read_limits(blk);
	if (error != 0) {
		(void)virtio_mmio_reset(&blk->device);
		virtio_mmio_give_up(&blk->device);
		return error;
	}
	virtio_mmio_queue_set(&blk->device, &blk->ring);
	virtio_mmio_ready(&blk->device);
	blk->dead = false;
	return 0;
}
