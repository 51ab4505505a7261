/*
 * Waiting for disks, and what their drivers need of the kernel: memory, the watch's timers. Contract: disk.h.
 *
 * Waiting threads sleep on one of a few queues, by their batch's address. The queues live for ever and the batch does not:
 * done() leaves the batch alone once it has lowered pending, and then wakes by the queue.
 *
 * Memory order: pending is lowered with release and read with acquire: who sees 0 sees what the device has written.
 */
#include "kernel/disk.h"

#include <string.h>

#include "drivers/ramdisk.h"
#include "drivers/sd_disk.h"
#include "drivers/virtio.h"
#include "firmware/boot.h"
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/cpio.h"
#include "kernel/driver_events.h"
#include "kernel/timer.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define QUEUES		 16U
#define RESERVE_SEGMENTS 8U
#define TIMEOUT_MAX	 3600U

struct disk_request {
	struct block_request block;
	struct disk_batch *batch;
	uint32_t room; /* for segments */
	struct block_segment segment[];
};

/* The watch over a device: drivers/block.h. */
struct disk_watch {
	struct disk_watch *next;
	struct block_device *device;
	struct timer timer;
};

static struct {
	struct wait_queue queue[QUEUES];
	/* For when there is no memory: one request, so that pages can always be written, and memory be got by it. */
	struct disk_request *_Atomic reserve; /* NULL: in use */
	struct disk_request *reserved;	      /* the same, always */
	struct wait_queue reserve_back;
	struct disk_watch *watches; /* complete before the first request */
} disks;

/* ---- Batches. */

static struct wait_queue *queue_of(const struct disk_batch *batch)
{
	return &disks.queue[(uint64_t)batch / CACHE_LINE % QUEUES];
}

void disk_batch_init(struct disk_batch *batch, struct block_device *device)
{
	batch->device = device;
	atomic_init(&batch->pending, 0);
	atomic_init(&batch->error, 0);
}

static void batch_fail(struct disk_batch *batch, int error)
{
	int none = 0;

	/* relaxed: pending orders it for the waiter */
	(void)atomic_compare_exchange_strong_explicit(&batch->error, &none, error, memory_order_relaxed,
						      memory_order_relaxed);
}

static void request_free(struct disk_request *request)
{
	if (request != disks.reserved) {
		kfree(request);
		return;
	}
	/* release: pairs with the acquire in take_reserve */
	atomic_store_explicit(&disks.reserve, request, memory_order_release);
	wake_one(&disks.reserve_back);
}

/* Whoever has it gives it back when the device has answered, which takes no memory. */
static struct disk_request *take_reserve(void)
{
	struct disk_request *request;
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&disks.reserve_back, &waiter);
		/* acquire: pairs with the release in request_free */
		request = atomic_exchange_explicit(&disks.reserve, NULL, memory_order_acquire);
		if (request != NULL)
			break;
		wait_block_always();
	}
	wait_finish(&disks.reserve_back, &waiter);
	return request;
}

static void request_done(struct block_request *block, int error)
{
	struct disk_request *request = container_of(block, struct disk_request, block);
	struct disk_batch *batch = request->batch;
	struct wait_queue *queue = queue_of(batch);

	if (error != 0)
		batch_fail(batch, error);
	request_free(request);
	/* release: see the top; the batch may be gone from here on */
	if (atomic_fetch_sub_explicit(&batch->pending, 1, memory_order_release) == 1)
		wake_all(queue);
}

/* Without memory it waits for the reserve. */
static struct disk_request *request_create(struct disk_batch *batch, enum block_op op, uint64_t sector)
{
	uint32_t room = op == BLOCK_FLUSH ? 0 : batch->device->max_segments;
	struct disk_request *request = kalloc(sizeof(*request) + room * sizeof(struct block_segment));

	if (request == NULL) {
		request = take_reserve();
		room = MIN(room, RESERVE_SEGMENTS);
	}
	request->room = room;
	request->batch = batch;
	request->block = (struct block_request){
		.op = op, .sector = sector, .segments = request->segment, .done = request_done
	};
	return request;
}

static void request_submit(struct disk_batch *batch, struct disk_request *request)
{
	/* relaxed: only this thread raises it */
	atomic_fetch_add_explicit(&batch->pending, 1, memory_order_relaxed);
	block_submit(batch->device, &request->block);
}

/* As much of the segment as the request has room for: how many bytes. Neighbours become one. */
static uint32_t request_extend(const struct block_device *device, struct disk_request *request, uint64_t used,
			       struct block_segment piece)
{
	struct block_segment *last = request->block.count == 0 ? NULL : &request->segment[request->block.count - 1];
	uint64_t room = (uint64_t)device->max_sectors * SECTOR_BYTES / device->block_bytes * device->block_bytes - used;

	piece.bytes = (uint32_t)MIN(piece.bytes, room);
	if (piece.bytes == 0)
		return 0;
	if (last != NULL && last->start.v + last->bytes == piece.start.v)
		last->bytes += piece.bytes;
	else if (request->block.count == request->room)
		return 0;
	else
		request->segment[request->block.count++] = piece;
	return piece.bytes;
}

/* What goes to or comes from the disk: pieces of memory, one after the other. */
struct pieces {
	const pfn_t *frames; /* NULL: start */
	paddr_t start;
	uint64_t bytes;
};

static struct block_segment piece_at(const struct pieces *pieces, uint64_t at)
{
	uint64_t left = pieces->bytes - at;

	if (pieces->frames == NULL)
		return (struct block_segment){ PADDR(pieces->start.v + at), (uint32_t)MIN(left, UINT64_C(1) << 30) };
	return (struct block_segment){ PADDR(pfn_paddr(pieces->frames[at >> PAGE_SHIFT]).v + (at & PAGE_MASK)),
				       (uint32_t)MIN(left, PAGE_SIZE - (at & PAGE_MASK)) };
}

static int check(const struct block_device *device, enum block_op op, uint64_t sector, uint64_t bytes)
{
	if (((sector * SECTOR_BYTES) | bytes) % device->block_bytes != 0 || sector > device->sectors ||
	    bytes / SECTOR_BYTES > device->sectors - sector)
		return -EINVAL;
	return op == BLOCK_WRITE && device->read_only ? -EROFS : 0;
}

static int batch_add(struct disk_batch *batch, enum block_op op, uint64_t sector, const struct pieces *pieces)
{
	int error = check(batch->device, op, sector, pieces->bytes);
	uint64_t at = 0;

	while (error == 0 && at < pieces->bytes) {
		struct disk_request *request = request_create(batch, op, sector + at / SECTOR_BYTES);
		uint64_t used = 0;
		uint32_t took = 1;

		while (took != 0 && at + used < pieces->bytes) {
			took = request_extend(batch->device, request, used, piece_at(pieces, at + used));
			used += took;
		}
		at += used;
		request_submit(batch, request);
	}
	if (error != 0)
		batch_fail(batch, error);
	return error;
}

int disk_batch_add(struct disk_batch *batch, enum block_op op, uint64_t sector, paddr_t start, uint64_t bytes)
{
	struct pieces pieces = { .start = start, .bytes = bytes };

	return batch_add(batch, op, sector, &pieces);
}

int disk_batch_frames(struct disk_batch *batch, enum block_op op, uint64_t sector, const pfn_t *frames, uint64_t count)
{
	struct pieces pieces = { .frames = frames, .bytes = count << PAGE_SHIFT };

	return batch_add(batch, op, sector, &pieces);
}

int disk_batch_wait(struct disk_batch *batch)
{
	struct wait_queue *queue = queue_of(batch);
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(queue, &waiter);
		/* acquire: see the top */
		if (atomic_load_explicit(&batch->pending, memory_order_acquire) == 0)
			break;
		wait_block_always();
	}
	wait_finish(queue, &waiter);
	return atomic_exchange_explicit(&batch->error, 0, memory_order_relaxed);
}

/* ---- One at a time. */

static int transfer(struct block_device *device, enum block_op op, uint64_t sector, const struct pieces *pieces)
{
	struct disk_batch batch;

	disk_batch_init(&batch, device);
	(void)batch_add(&batch, op, sector, pieces);
	return disk_batch_wait(&batch);
}

int disk_read(struct block_device *device, uint64_t sector, void *buffer, uint64_t bytes)
{
	struct pieces pieces = { .start = hw_paddr(buffer), .bytes = bytes };

	return transfer(device, BLOCK_READ, sector, &pieces);
}

int disk_write(struct block_device *device, uint64_t sector, const void *buffer, uint64_t bytes)
{
	struct pieces pieces = { .start = hw_paddr(buffer), .bytes = bytes };

	return transfer(device, BLOCK_WRITE, sector, &pieces);
}

int disk_read_frames(struct block_device *device, uint64_t sector, const pfn_t *frames, uint64_t count)
{
	struct pieces pieces = { .frames = frames, .bytes = count << PAGE_SHIFT };

	return transfer(device, BLOCK_READ, sector, &pieces);
}

int disk_write_frames(struct block_device *device, uint64_t sector, const pfn_t *frames, uint64_t count)
{
	struct pieces pieces = { .frames = frames, .bytes = count << PAGE_SHIFT };

	return transfer(device, BLOCK_WRITE, sector, &pieces);
}

int disk_flush(struct block_device *device)
{
	struct disk_request *request;
	struct disk_batch batch;

	disk_batch_init(&batch, device);
	request = request_create(&batch, BLOCK_FLUSH, 0);
	request_submit(&batch, request);
	return disk_batch_wait(&batch);
}

/* ---- What drivers need. */

static void watch_fires(struct timer *timer)
{
	struct disk_watch *watch = container_of(timer, struct disk_watch, timer);

	if (block_watch(watch->device))
		timer_again(timer, time_ns() + BLOCK_TICK_NS);
}

/* The device was idle: its timer is not armed, though fire() may be just returning. */
static void watch_start(struct block_device *device)
{
	struct disk_watch *watch = disks.watches;

	while (watch->device != device)
		watch = watch->next;
	timer_cancel(&watch->timer);
	timer_arm(&watch->timer, time_ns() + BLOCK_TICK_NS, watch_fires);
}

/* One count more than those who know of them: the frames never become free. */
static void keep(paddr_t start, uint64_t bytes)
{
	for (uint64_t page = start.v >> PAGE_SHIFT; page <= (start.v + bytes - 1) >> PAGE_SHIFT; page++)
		if (frame_exists(PFN(page)) && !frame_get(PFN(page)))
			klog("a disk may still write to page %lx", (unsigned long)page);
}

static void *memory(uint64_t bytes)
{
	unsigned order = 0;
	pfn_t pfn;

	while ((PAGE_SIZE << order) < bytes)
		order++;
	if (frame_alloc_block(FRAME_KERNEL, order, &pfn) != 0)
		return NULL;
	memset(frame_data(pfn), 0, PAGE_SIZE << order);
	return frame_data(pfn);
}

static void make_reserve(void)
{
	wait_queue_init(&disks.reserve_back);
	disks.reserved = kalloc(sizeof(*disks.reserved) + RESERVE_SEGMENTS * sizeof(struct block_segment));
	CHECK(disks.reserved != NULL);
	atomic_init(&disks.reserve, disks.reserved);
}

static void make_watches(void)
{
	for (struct block_device *device = block_next(NULL); device != NULL; device = block_next(device)) {
		struct disk_watch *watch = kalloc(sizeof(*watch));

		CHECK(watch != NULL);
		watch->device = device;
		watch->next = disks.watches;
		disks.watches = watch;
	}
}

/* ---- Boot arguments. */

/* A decimal number; *end: what stands behind it. 0 also where there is none, or one too long. */
static uint64_t number(const char *text, const char **end)
{
	uint64_t value = 0;
	unsigned digits = 0;

	for (; *text >= '0' && *text <= '9'; text++, digits++)
		value = value * 10 + (uint64_t)(*text - '0');
	*end = text;
	return digits > 15 ? 0 : value;
}

/* A number with K, M or G behind it, or nothing. */
static uint64_t size(const char *text, const char **end)
{
	uint64_t value = number(text, end);
	unsigned shift = **end == 'K' ? 10 : **end == 'M' ? 20 : **end == 'G' ? 30 : 0;

	*end += shift != 0;
	return value >> (60 - shift) != 0 ? 0 : value << shift;
}

/* A file in the initramfs, whose name is the n bytes at path, behind a slash; the last one of that name. */
static bool find_image(struct cpio cpio, const char *path, size_t n, struct cpio_entry *out)
{
	struct cpio_entry entry;
	bool found = false;

	while (cpio_next(&cpio, &entry) > 0) {
		const char *name = entry.name + (strncmp(entry.name, "./", 2) == 0 ? 2 : entry.name[0] == '/');

		if (strlen(name) == n && memcmp(name, path, n) == 0 && entry.bytes != 0) {
			*out = entry;
			found = true;
		}
	}
	return found;
}

static int make_ramdisk(const char *words, const char *word, const struct cpio *archive, const char **end)
{
	struct cpio_entry image = { 0 };
	uint64_t bytes;

	if (*word != '/') {
		bytes = size(word, end);
		if ((**end != '\0' && **end != ',') || bytes == 0 || bytes % PAGE_SIZE != 0)
			boot_fail(
				"boot argument ramdisk=%s: must be sizes in pages of 4K, like 64M or 16M,1G, or files",
				words);
		return ramdisk_create(bytes, NULL, memory);
	}
	*end = word + strcspn(word, ",");
	if (!find_image(*archive, word + 1, (size_t)(*end - word - 1), &image))
		boot_fail("boot argument ramdisk=%s: no such file in the initramfs, or an empty one", words);
	return ramdisk_create(image.bytes, image.data, memory);
}

/* ramdisk=WORD[,WORD...]: a size, or the path of an image in the initramfs. */
static void make_ramdisks(const char *words, const struct cpio *archive)
{
	const char *word = words;
	const char *end;

	while (word != NULL) {
		if (make_ramdisk(words, word, archive, &end) != 0)
			boot_fail("boot argument ramdisk=%s: not enough memory", words);
		word = *end == ',' ? end + 1 : NULL;
	}
}

static void set_timeout(const char *text)
{
	const char *end;
	uint64_t seconds;

	if (text == NULL)
		return;
	seconds = number(text, &end);
	if (*end != '\0' || seconds == 0 || seconds > TIMEOUT_MAX)
		boot_fail("boot argument disk-timeout=%s: must be 1 to %u seconds", text, TIMEOUT_MAX);
	virtio_blk_set_patience((uint32_t)seconds);
}

void disk_init(const void *fdt, const void *initrd, uint64_t initrd_bytes)
{
	static const struct block_hooks hooks = { .watch = watch_start, .keep = keep, .now = time_ns };
	struct cpio archive;

	cpio_init(&archive, initrd, initrd_bytes);
	for (unsigned i = 0; i < QUEUES; i++)
		wait_queue_init(&disks.queue[i]);
	set_timeout(boot_arg("disk-timeout"));
	block_set_hooks(&hooks);
	virtio_probe(fdt, memory);
	sd_probe(fdt, &driver_events, memory);
	make_ramdisks(boot_arg("ramdisk"), &archive);
	make_reserve();
	make_watches();
}
