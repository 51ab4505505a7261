/*
 * RAM disks. Contract: ramdisk.h, block.h.
 *
 * Pages from anywhere, found through a table of tables. Requests are carried out one at a time, by whoever came first, who also
 * does those of others that come meanwhile: so a done() that submits the next one does not go deeper each time.
 *
 * Locks: ramdisk->lock (RANK_BLOCK) guards waiting and busy; bytes are copied without it.
 */
#include "drivers/ramdisk.h"

#include <stdio.h>
#include <string.h>

#include "drivers/block.h"
#include "firmware/log.h"
#include "lib/errno.h"
#include "lib/lock.h"

#define RAM_MAJOR    1U
#define MINORS	     16U
#define POINTERS     (PAGE_SIZE / sizeof(void *))
#define SEGMENTS_MAX 256U
#define SECTORS_MAX  2048U

struct ramdisk {
	struct block_device block;
	struct spinlock lock;
	struct list waiting;
	bool busy;
	uint8_t ***tables;
};

static unsigned made;

static uint8_t *byte_at(const struct ramdisk *ramdisk, uint64_t at)
{
	uint64_t page = at >> PAGE_SHIFT;

	return &ramdisk->tables[page / POINTERS][page % POINTERS][at & PAGE_MASK];
}

static void copy(const struct ramdisk *ramdisk, bool write, uint64_t at, uint8_t *memory, uint64_t bytes)
{
	while (bytes != 0) {
		uint64_t n = MIN(bytes, PAGE_SIZE - (at & PAGE_MASK));

		if (write)
			memcpy(byte_at(ramdisk, at), memory, n);
		else
			memcpy(memory, byte_at(ramdisk, at), n);
		at += n;
		memory += n;
		bytes -= n;
		hw_relax();
	}
}

static void carry_out(const struct ramdisk *ramdisk, struct block_request *request)
{
	uint64_t at = request->sector * SECTOR_BYTES;

	for (uint32_t i = 0; i < request->count; i++) {
		const struct block_segment *segment = &request->segments[i];

		copy(ramdisk, request->op == BLOCK_WRITE, at, hw_direct(segment->start), segment->bytes);
		at += segment->bytes;
	}
	block_done(request, 0);
}

static struct block_request *next(struct ramdisk *ramdisk)
{
	struct block_request *request = NULL;

	spin_lock(&ramdisk->lock, RANK_BLOCK);
	if (list_empty(&ramdisk->waiting)) {
		ramdisk->busy = false;
	} else {
		request = list_first(&ramdisk->waiting, struct block_request, link);
		list_del(&request->link);
	}
	spin_unlock(&ramdisk->lock, RANK_BLOCK);
	return request;
}

static void ramdisk_submit(struct block_device *device, struct block_request *request)
{
	struct ramdisk *ramdisk = container_of(device, struct ramdisk, block);
	bool busy;

	spin_lock(&ramdisk->lock, RANK_BLOCK);
	list_add_tail(&ramdisk->waiting, &request->link);
	busy = ramdisk->busy;
	ramdisk->busy = true;
	spin_unlock(&ramdisk->lock, RANK_BLOCK);
	while (!busy && (request = next(ramdisk)) != NULL)
		carry_out(ramdisk, request);
}

static const struct block_ops ramdisk_ops = { .submit = ramdisk_submit };

/* Kept when it fails: the machine ends then. */
static int make_tables(struct ramdisk *ramdisk, uint64_t pages, ramdisk_memory *memory)
{
	uint64_t tables = (pages + POINTERS - 1) / POINTERS;

	ramdisk->tables = memory(tables * sizeof(uint8_t **));
	for (uint64_t i = 0; ramdisk->tables != NULL && i < tables; i++) {
		ramdisk->tables[i] = memory(PAGE_SIZE);
		if (ramdisk->tables[i] == NULL)
			return -ENOMEM;
		for (uint64_t j = 0; j < POINTERS && i * POINTERS + j < pages; j++) {
			ramdisk->tables[i][j] = memory(PAGE_SIZE);
			if (ramdisk->tables[i][j] == NULL)
				return -ENOMEM;
		}
	}
	return ramdisk->tables == NULL ? -ENOMEM : 0;
}

static void fill(struct ramdisk *ramdisk, const uint8_t *content, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
		memcpy(byte_at(ramdisk, at), content + at, MIN(bytes - at, PAGE_SIZE));
}

int ramdisk_create(uint64_t bytes, const void *content, ramdisk_memory *memory)
{
	struct ramdisk *ramdisk = memory(sizeof(*ramdisk));
	struct block_device *block;

	if (ramdisk == NULL || make_tables(ramdisk, (bytes + PAGE_MASK) >> PAGE_SHIFT, memory) != 0)
		return -ENOMEM;
	if (content != NULL)
		fill(ramdisk, content, bytes);
	spin_init(&ramdisk->lock);
	list_init(&ramdisk->waiting);
	block = &ramdisk->block;
	snprintf(block->name, sizeof(block->name), "ram%u", made);
	block->major = RAM_MAJOR;
	block->minor = made++ * MINORS;
	block->ops = &ramdisk_ops;
	block->sectors = (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
	block->blank = content == NULL;
	block->block_bytes = SECTOR_BYTES;
	block->physical_bytes = PAGE_SIZE;
	block->max_segments = SEGMENTS_MAX;
	block->max_sectors = SECTORS_MAX;
	block_register(block);
	klog("%s: %lu KiB of memory", block->name, (unsigned long)(bytes >> 10));
	return 0;
}
