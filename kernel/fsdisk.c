/* Between fs/ and the disks. Contract: fsdisk.h, fs/disk.h, fs/fs.h. No state but a count. */
#include "kernel/fsdisk.h"

#include <stdarg.h>
#include <stdio.h>

#include "firmware/log.h"
#include "fs/fs.h"
#include "fs/gpt.h"
#include "kernel/disk.h"
#include "mm/slab.h"

#define LINE_BYTES     192U
#define PARTITIONS_MAX 15U /* that have numbers of their own: 16 minors a disk */

/* relaxed: a number to be shown, and each thread's sums are its own */
static _Atomic uint64_t bytes_kept;

void *fs_alloc(size_t bytes)
{
	void *ptr = kalloc(bytes);

	if (ptr != NULL)
		atomic_fetch_add_explicit(&bytes_kept, kalloc_bytes(ptr), memory_order_relaxed);
	return ptr;
}

void fs_free(void *ptr)
{
	if (ptr != NULL)
		atomic_fetch_sub_explicit(&bytes_kept, kalloc_bytes(ptr), memory_order_relaxed);
	kfree(ptr);
}

uint64_t fsdisk_bytes(void)
{
	return atomic_load_explicit(&bytes_kept, memory_order_relaxed);
}

void fs_say(const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	klog("%s", line);
}

static struct block_device *device_of(const struct disk *disk)
{
	return container_of(disk, const struct fsdisk, disk)->device;
}

static uint64_t first_of(const struct disk *disk, uint64_t sector)
{
	return sector * (disk->sector_bytes / SECTOR_BYTES);
}

static int fsdisk_read(struct disk *disk, uint64_t sector, void *buf, uint32_t n)
{
	return disk_read(device_of(disk), first_of(disk, sector), buf, (uint64_t)n * disk->sector_bytes);
}

static int fsdisk_write(struct disk *disk, uint64_t sector, const void *buf, uint32_t n)
{
	return disk_write(device_of(disk), first_of(disk, sector), buf, (uint64_t)n * disk->sector_bytes);
}

static int fsdisk_flush(struct disk *disk)
{
	return disk_flush(device_of(disk));
}

void fsdisk_init(struct fsdisk *fsdisk, struct block_device *device)
{
	static const struct disk_ops ops = { .read = fsdisk_read, .write = fsdisk_write, .flush = fsdisk_flush };

	fsdisk->device = device;
	fsdisk->disk = (struct disk){
		.ops = &ops,
		.sectors = device->sectors / (device->block_bytes / SECTOR_BYTES),
		.sector_bytes = device->block_bytes,
		.read_only = device->read_only,
	};
}

/* ---- Partitions. */

static void add_partition(struct block_device *disk, const struct gpt_part *found)
{
	uint64_t unit = disk->block_bytes / SECTOR_BYTES;
	struct block_device *part = kalloc(sizeof(*part));

	if (part == NULL || found->number > PARTITIONS_MAX ||
	    block_partition(part, disk, found->number, found->first * unit, found->sectors * unit) != 0) {
		klog("%s: partition %u is left out", disk->name, (unsigned)found->number);
		kfree(part);
		return;
	}
	part->fat = found->fat;
	block_register(part);
	klog("%s: %lu MiB%s", part->name, (unsigned long)(part->sectors >> 11), found->fat ? ", FAT" : "");
}

static void find_partitions(struct block_device *disk, struct gpt_table *table)
{
	struct fsdisk fsdisk;
	const char *why = "";
	int error;

	if (disk->blank)
		return;
	fsdisk_init(&fsdisk, disk);
	error = gpt_read(&fsdisk.disk, table, &why);
	disk->table_error = error != 0 ? why : NULL;
	if (why[0] != '\0')
		klog("%s: %s%s", disk->name, why,
		     table->backup && error == 0 ? "; its copy at the disk's end is used (sgdisk -e writes both)" : "");
	for (unsigned i = 0; error == 0 && (table->kind == GPT_GPT || table->kind == GPT_MBR) && i < table->count; i++)
		add_partition(disk, &table->part[i]);
}

void fsdisk_partitions(void)
{
	struct gpt_table *table = kalloc(sizeof(*table));
	struct block_device *last = NULL;

	for (struct block_device *disk = block_next(NULL); disk != NULL; disk = block_next(disk))
		last = disk;
	/* those that are found come behind the last one */
	for (struct block_device *disk = block_next(NULL); table != NULL && disk != NULL;
	     disk = disk == last ? NULL : block_next(disk))
		find_partitions(disk, table);
	kfree(table);
}
