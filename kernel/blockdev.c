/*
 * Disks as files: /dev/vda and its like, through the page cache (blockstore.c), or, with O_DIRECT, past it: through pages of our
 * own, several of them at once. What is under a mounted file system is that one's, too, and in a cache of its own: whoever
 * writes here meanwhile spoils it, as elsewhere.
 *
 * Locks: the store's `writers` (a mutex) over a write: direct ones of parts of a block read, change and write it.
 */
#include "kernel/blockdev.h"

#include <stdio.h>
#include <string.h>

#include "kernel/disk.h"
#include "kernel/mutex.h"
#include "kernel/process.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/space.h"

#define PAGES 16U /* that one thread has under way */

#define BLKROGET     0x125eU
#define BLKGETSIZE   0x1260U
#define BLKFLSBUF    0x1261U
#define BLKSSZGET    0x1268U
#define BLKPBSZGET   0x127bU
#define BLKGETSIZE64 0x80081272U

/* A part of a transfer: from skip, within the first page, bytes; the pages stand for the disk from start on. */
struct chunk {
	struct block_device *device;
	uint64_t start, skip, bytes;
	unsigned pages;
	pfn_t page[PAGES];
	struct disk_batch batch[PAGES]; /* one a page, so that the pages before a bad one count */
};

static struct block_device *blockdev_of(const struct file *file)
{
	const struct blockdev *dev = file->data;

	return dev->device;
}

static uint64_t device_bytes(const struct block_device *device)
{
	return device->sectors * SECTOR_BYTES;
}

/* ---- Pages. */

static void chunk_free(struct chunk *chunk)
{
	while (chunk->pages != 0)
		frame_put(chunk->page[--chunk->pages]);
}

/* For the n bytes from `at` on, or as many as it has room for. At least a page, or -ENOMEM. */
static int chunk_init(struct chunk *chunk, struct block_device *device, uint64_t at, uint64_t n)
{
	chunk->device = device;
	chunk->start = at & ~PAGE_MASK;
	chunk->skip = at & PAGE_MASK;
	chunk->pages = 0;
	while (chunk->pages < PAGES && chunk->pages * PAGE_SIZE < chunk->skip + n &&
	       frame_alloc(FRAME_KERNEL, &chunk->page[chunk->pages]) == 0)
		chunk->pages++;
	chunk->bytes = MIN(n, chunk->pages * PAGE_SIZE - MIN(chunk->skip, chunk->pages * PAGE_SIZE));
	return chunk->pages != 0 ? 0 : -ENOMEM;
}

/* Within page i, in bytes: the blocks [*from, *to) that the chunk touches, and there ends what it stands for. */
static void blocks_of(const struct chunk *chunk, unsigned i, uint64_t *from, uint64_t *to)
{
	uint64_t unit = chunk->device->block_bytes;
	uint64_t first = MAX(chunk->skip, i * PAGE_SIZE) - i * PAGE_SIZE;
	uint64_t end = MIN(chunk->skip + chunk->bytes, (i + 1) * PAGE_SIZE) - i * PAGE_SIZE;

	*from = ALIGN_DOWN(first, unit);
	*to = ALIGN_UP(end, unit);
}

static void transfer_begin(struct chunk *chunk, enum block_op op, unsigned i)
{
	uint64_t from, to;

	blocks_of(chunk, i, &from, &to);
	disk_batch_init(&chunk->batch[i], chunk->device);
	(void)disk_batch_add(&chunk->batch[i], op, (chunk->start + i * PAGE_SIZE + from) / SECTOR_BYTES,
			     PADDR(pfn_paddr(chunk->page[i]).v + from), to - from);
}

/* How many of the bytes were moved before the first bad page, and the error of that. */
static uint64_t transfer_end(struct chunk *chunk, int *error)
{
	uint64_t good = chunk->skip + chunk->bytes;

	*error = 0;
	for (unsigned i = 0; i < chunk->pages; i++) {
		int failed = disk_batch_wait(&chunk->batch[i]);

		if (failed != 0 && *error == 0) {
			*error = failed;
			good = MAX(i * PAGE_SIZE, chunk->skip);
		}
	}
	return good - chunk->skip;
}

static uint64_t transfer(struct chunk *chunk, enum block_op op, int *error)
{
	for (unsigned i = 0; i < chunk->pages; i++)
		transfer_begin(chunk, op, i);
	return transfer_end(chunk, error);
}

/* ---- Reading and writing. */

static bool is_killed(void)
{
	/* relaxed: seen on the next turn if not on this one */
	return (atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & WORK_KILL) != 0;
}

/* Between the pages and the program: how many of n bytes. */
static uint64_t chunk_copy(struct chunk *chunk, struct io *io, bool in, uint64_t n)
{
	uint64_t done = 0;

	while (done < n && io->error == 0) {
		uint64_t at = chunk->skip + done;
		uint64_t piece = MIN(n - done, PAGE_SIZE - (at & PAGE_MASK));
		uint8_t *byte = (uint8_t *)frame_data(chunk->page[at >> PAGE_SHIFT]) + (at & PAGE_MASK);

		done += in ? io_take(io, byte, piece) : io_put(io, byte, piece);
	}
	return done;
}

static uint64_t read_bytes(struct block_device *device, struct io *io, uint64_t at, uint64_t n)
{
	uint64_t done = 0;

	io->error = 0;
	while (done < n && io->error == 0) {
		struct chunk chunk;
		uint64_t good;
		int error = is_killed() ? -EINTR : chunk_init(&chunk, device, at + done, n - done);

		if (error != 0) {
			io->error = error;
			break;
		}
		good = transfer(&chunk, BLOCK_READ, &error);
		done += chunk_copy(&chunk, io, false, good);
		if (io->error == 0)
			io->error = error;
		chunk_free(&chunk);
		io_yield(io);
	}
	return done;
}

/* The rest of a block that is written in part, from the disk: `at` in the chunk lies in it. spare: a page. */
static int keep_block(struct chunk *chunk, uint64_t at, uint8_t *spare)
{
	uint64_t unit = chunk->device->block_bytes;
	uint64_t block = ALIGN_DOWN(at, unit);
	uint8_t *to = (uint8_t *)frame_data(chunk->page[block >> PAGE_SHIFT]) + (block & PAGE_MASK);
	uint64_t end = chunk->skip + chunk->bytes;
	int error = disk_read(chunk->device, (chunk->start + block) / SECTOR_BYTES, spare, unit);

	if (error != 0)
		return error;
	if (block < chunk->skip)
		memcpy(to, spare, chunk->skip - block);
	if (end < block + unit)
		memcpy(to + (end - block), spare + (end - block), block + unit - end);
	return 0;
}

static int keep_edges(struct chunk *chunk)
{
	uint64_t unit = chunk->device->block_bytes;
	uint64_t end = chunk->skip + chunk->bytes;
	bool tail = end % unit != 0 && (chunk->skip % unit == 0 || end / unit != chunk->skip / unit);
	pfn_t spare;
	int error;

	if (chunk->skip % unit == 0 && end % unit == 0)
		return 0;
	error = frame_alloc(FRAME_KERNEL, &spare);
	if (error != 0)
		return error;
	if (chunk->skip % unit != 0)
		error = keep_block(chunk, chunk->skip, frame_data(spare));
	if (error == 0 && tail)
		error = keep_block(chunk, end, frame_data(spare));
	frame_put(spare);
	return error;
}

/* What the program gave: the chunk is as long as that. */
static uint64_t chunk_write(struct chunk *chunk, int *error)
{
	uint64_t good = 0;

	while (chunk->pages > 1 && (chunk->pages - 1) * PAGE_SIZE >= chunk->skip + chunk->bytes)
		frame_put(chunk->page[--chunk->pages]);
	*error = keep_edges(chunk);
	if (*error == 0)
		good = transfer(chunk, BLOCK_WRITE, error);
	return good;
}

static uint64_t write_bytes(struct block_device *device, struct io *io, uint64_t at, uint64_t n)
{
	uint64_t done = 0;

	io->error = 0;
	while (done < n && io->error == 0) {
		struct chunk chunk;
		int error = is_killed() ? -EINTR : chunk_init(&chunk, device, at + done, n - done);

		if (error != 0) {
			io->error = error;
			break;
		}
		chunk.bytes = chunk_copy(&chunk, io, true, chunk.bytes);
		if (chunk.bytes != 0)
			done += chunk_write(&chunk, &error);
		if (error != 0)
			io->error = error;
		chunk_free(&chunk);
		io_yield(io);
	}
	return done;
}

/* ---- The file operations. */

static bool is_direct(const struct file *file)
{
	return (file_flags(file) & O_DIRECT) != 0;
}

/* Past the cache, in whole blocks: what it has of them goes to the disk before, and out of it. */
static uint64_t direct(struct blockdev *dev, struct io *io, bool write, uint64_t at, uint64_t n)
{
	uint64_t first = at >> PAGE_SHIFT, last = (at + n + PAGE_MASK) >> PAGE_SHIFT;
	uint64_t done;

	io->error = (at | n) % dev->device->block_bytes != 0 ? -EINVAL : cache_write_back(&dev->store, first, last);
	if (io->error != 0)
		return 0;
	if (!write)
		return read_bytes(dev->device, io, at, n);
	done = write_bytes(dev->device, io, at, n);
	(void)object_evict(dev->store.object, first, last, last - first, EVICT_MAPPED | EVICT_USED);
	return done;
}

static int64_t blockdev_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct blockdev *dev = file->data;
	uint64_t end = device_bytes(dev->device);
	uint64_t start, n, done;

	if (at != NULL) {
		start = *at;
		n = start < end ? MIN(io->left, end - start) : 0;
	} else {
		n = file_position_take(file, io->left, end, &start);
	}
	io->advice = file_advice(file);
	if (is_direct(file))
		done = direct(dev, io, false, start, n);
	else
		done = io_put_object(io, dev->store.object, start, n);
	if (at == NULL)
		file_position_return(file, start + n, n - done);
	return io_result(io, done);
}

static int64_t blockdev_write(struct file *file, struct io *io, const uint64_t *at)
{
	struct blockdev *dev = file->data;
	uint64_t end = device_bytes(dev->device);
	uint64_t start, n, done;

	if (dev->device->read_only)
		return -EPERM;
	if (io->left == 0)
		return 0;
	if (at != NULL) {
		start = *at;
		n = start < end ? MIN(io->left, end - start) : 0;
	} else {
		n = file_position_take(file, io->left, end, &start);
	}
	if (n == 0)
		return -ENOSPC;
	mutex_lock(&dev->store.writers);
	done = is_direct(file) ? direct(dev, io, true, start, n) : cache_write_parts(&dev->store, io, start, n);
	mutex_unlock(&dev->store.writers);
	if (at == NULL)
		file_position_return(file, start + n, n - done);
	return cache_written(file, &dev->store, io, start, done);
}

static int64_t seek_base(const struct file *file, int64_t offset, unsigned whence)
{
	uint64_t end = device_bytes(blockdev_of(file));

	switch (whence) {
	case 0: /* SEEK_SET */
		return 0;
	case 1: /* SEEK_CUR */
		return (int64_t)file->position;
	case 2: /* SEEK_END */
		return (int64_t)end;
	default: /* SEEK_DATA: all of it is; SEEK_HOLE: its end is one */
		if (offset < 0 || (uint64_t)offset >= end)
			return -ENXIO;
		return whence == 3 ? 0 : (int64_t)end - offset;
	}
}

static int64_t blockdev_seek(struct file *file, int64_t offset, unsigned whence)
{
	uint64_t end = device_bytes(blockdev_of(file));
	int64_t result;

	spin_lock(&file->lock, RANK_FILE);
	result = seek_base(file, offset, whence);
	if (result >= 0 && (__builtin_add_overflow(result, offset, &result) || result < 0 || (uint64_t)result > end))
		result = -EINVAL;
	if (result >= 0)
		file->position = (uint64_t)result;
	spin_unlock(&file->lock, RANK_FILE);
	return result;
}

static int64_t put_number(uint64_t address, uint64_t value, uint64_t bytes)
{
	return user_write(current_space(), VADDR(address), &value, bytes);
}

/* BLKFLSBUF: what is dirty goes to the disk, and all that nobody maps out of the cache. */
static int64_t flush(struct blockdev *dev)
{
	int error = cache_sync(&dev->store, 0, UINT64_MAX, NULL);

	(void)object_evict(dev->store.object, 0, UINT64_MAX, UINT64_MAX, EVICT_USED);
	return error;
}

static int64_t blockdev_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	struct block_device *device = blockdev_of(file);

	switch (request) {
	case BLKROGET:
		return put_number(argument, device->read_only, sizeof(int32_t));
	case BLKGETSIZE:
		return put_number(argument, device->sectors, sizeof(uint64_t));
	case BLKGETSIZE64:
		return put_number(argument, device_bytes(device), sizeof(uint64_t));
	case BLKSSZGET:
		return put_number(argument, device->block_bytes, sizeof(int32_t));
	case BLKPBSZGET:
		return put_number(argument, device->physical_bytes, sizeof(int32_t));
	case BLKFLSBUF:
		return flush(file->data);
	default:
		return -ENOTTY;
	}
}

static int blockdev_object(struct file *file, struct object **out)
{
	struct blockdev *dev = file->data;

	*out = dev->store.object;
	object_get(*out);
	return 0;
}

static struct store *blockdev_store(struct file *file)
{
	struct blockdev *dev = file->data;

	return &dev->store;
}

static const struct file_ops blockdev_ops = {
	.read = blockdev_read,
	.write = blockdev_write,
	.seek = blockdev_seek,
	.ioctl = blockdev_ioctl,
	.object = blockdev_object,
	.store = blockdev_store,
};

int blockdev_open(struct node *node, unsigned flags, struct file **out)
{
	struct blockdev *dev = blockdev_find(node->rdev);
	int error = dev == NULL ? -ENXIO : file_create(&blockdev_ops, flags, node, dev, out);

	if (error == 0)
		atomic_init(&(*out)->error_seen, cache_error_sample(&dev->store));
	return error;
}
