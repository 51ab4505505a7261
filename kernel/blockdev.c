/*
 * Disks as files: /dev/vda and its like. Each read and write goes to the disk, through pages of our own, several of them
 * at once; nothing is kept, so O_DIRECT only asks for whole blocks. What is under a mounted file system is that one's, too:
 * whoever writes here meanwhile spoils it, as elsewhere.
 *
 * Locks: a mutex for each device (shared by some) is held over a write, as a part of a block is read, changed and written.
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

#define PAGES	16U /* that one thread has under way */
#define MUTEXES 8U

#define BLKROGET     0x125eU
#define BLKGETSIZE   0x1260U
#define BLKFLSBUF    0x1261U
#define BLKSSZGET    0x1268U
#define BLKPBSZGET   0x127bU
#define BLKGETSIZE64 0x80081272U

static struct mutex mutexes[MUTEXES];

/* A part of a transfer: from skip, within the first page, bytes; the pages stand for the disk from start on. */
struct chunk {
	struct block_device *device;
	uint64_t start, skip, bytes;
	unsigned pages;
	pfn_t page[PAGES];
	struct disk_batch batch[PAGES]; /* one a page, so that the pages before a bad one count */
};

static struct mutex *mutex_of(const struct block_device *device)
{
	return &mutexes[(device->major * 31 + device->minor) % MUTEXES];
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
	struct mutex *mutex = mutex_of(chunk->device);
	uint64_t good = 0;

	while (chunk->pages > 1 && (chunk->pages - 1) * PAGE_SIZE >= chunk->skip + chunk->bytes)
		frame_put(chunk->page[--chunk->pages]);
	mutex_lock(mutex);
	*error = keep_edges(chunk);
	if (*error == 0)
		good = transfer(chunk, BLOCK_WRITE, error);
	mutex_unlock(mutex);
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

static bool is_misaligned(const struct file *file, const struct block_device *device, uint64_t at, uint64_t n)
{
	return (file_flags(file) & O_DIRECT) != 0 && (at | n) % device->block_bytes != 0;
}

static int64_t blockdev_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct block_device *device = file->data;
	uint64_t end = device_bytes(device);
	uint64_t all = io->left;
	uint64_t start, n, done;

	if (at != NULL) {
		start = *at;
		n = start < end ? MIN(all, end - start) : 0;
	} else {
		n = file_position_take(file, all, end, &start);
	}
	if (is_misaligned(file, device, start, all)) {
		io->error = -EINVAL;
		done = 0;
	} else {
		done = read_bytes(device, io, start, n);
	}
	if (at == NULL)
		file_position_return(file, start + n, n - done);
	return io_result(io, done);
}

static int64_t blockdev_write(struct file *file, struct io *io, const uint64_t *at)
{
	struct block_device *device = file->data;
	uint64_t end = device_bytes(device);
	uint64_t all = io->left;
	uint64_t start, n, done = 0;
	int error = 0;

	if (device->read_only)
		return -EPERM;
	if (all == 0)
		return 0;
	if (at != NULL) {
		start = *at;
		n = start < end ? MIN(all, end - start) : 0;
	} else {
		n = file_position_take(file, all, end, &start);
	}
	if (n == 0)
		return -ENOSPC;
	io->error = is_misaligned(file, device, start, all) ? -EINVAL : 0;
	if (io->error == 0)
		done = write_bytes(device, io, start, n);
	if (at == NULL)
		file_position_return(file, start + n, n - done);
	if (done != 0 && (file_flags(file) & O_DSYNC) != 0)
		error = disk_flush(device);
	return error != 0 ? error : io_result(io, done);
}

static int64_t seek_base(const struct file *file, int64_t offset, unsigned whence)
{
	uint64_t end = device_bytes(file->data);

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
	int64_t result;

	spin_lock(&file->lock, RANK_FILE);
	result = seek_base(file, offset, whence);
	if (result >= 0 && (__builtin_add_overflow(result, offset, &result) || result < 0 ||
			    (uint64_t)result > device_bytes(file->data)))
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

static int64_t blockdev_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	struct block_device *device = file->data;

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
		return disk_flush(device);
	default:
		return -ENOTTY;
	}
}

static int blockdev_sync(struct file *file)
{
	return disk_flush(file->data);
}

static const struct file_ops blockdev_ops = {
	.read = blockdev_read,
	.write = blockdev_write,
	.seek = blockdev_seek,
	.ioctl = blockdev_ioctl,
	.sync = blockdev_sync,
};

int blockdev_open(struct node *node, unsigned flags, struct file **out)
{
	struct block_device *device = block_next(NULL);

	while (device != NULL && DEVICE(device->major, device->minor) != node->rdev)
		device = block_next(device);
	return device == NULL ? -ENXIO : file_create(&blockdev_ops, flags, node, device, out);
}

/* ---- Their nodes. */

int blockdev_add(const struct block_device *device)
{
	char path[sizeof("/dev/") + BLOCK_NAME_BYTES];
	struct node *node;
	int error = node_create(S_IFBLK | 0660U, &node);

	if (error != 0)
		return error;
	node->rdev = DEVICE(device->major, device->minor);
	node->fixed = true;
	snprintf(path, sizeof(path), "/dev/%s", device->name);
	error = tree_place(path, node);
	node_put(node);
	return error == -EEXIST ? 0 : error; /* the initramfs has one */
}

int blockdev_init(void)
{
	int error = 0;

	for (unsigned i = 0; i < MUTEXES; i++)
		mutex_init(&mutexes[i]);
	for (struct block_device *device = block_next(NULL); device != NULL && error == 0; device = block_next(device))
		error = blockdev_add(device);
	return error;
}
