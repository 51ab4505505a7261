/* Disks: the range checks in front of every operation, and partitions. Keeps no state of its own; see disk.h. */
#include "fs/disk.h"

static struct disk_part *part_of(struct disk *disk)
{
	return container_of(disk, struct disk_part, disk);
}

static int part_read(struct disk *disk, uint64_t sector, void *buf, uint32_t n)
{
	return fs_read(part_of(disk)->whole, part_of(disk)->first + sector, buf, n);
}

static int part_write(struct disk *disk, uint64_t sector, const void *buf, uint32_t n)
{
	return fs_write(part_of(disk)->whole, part_of(disk)->first + sector, buf, n);
}

static int part_flush(struct disk *disk)
{
	return fs_flush(part_of(disk)->whole);
}

static const struct disk_ops part_ops = { .read = part_read, .write = part_write, .flush = part_flush };

static bool within(const struct disk *disk, uint64_t sector, uint64_t n)
{
	return sector <= disk->sectors && n <= disk->sectors - sector;
}

int fs_part_init(struct disk_part *part, struct disk *whole, uint64_t first, uint64_t sectors)
{
	if (sectors == 0 || !within(whole, first, sectors))
		return -EINVAL;
	part->disk = *whole;
	part->disk.ops = &part_ops;
	part->disk.sectors = sectors;
	part->whole = whole;
	part->first = first;
	return 0;
}

bool fs_disk_valid(const struct disk *disk)
{
	uint32_t bytes = disk->sector_bytes;

	return bytes >= DISK_SECTOR_MIN && bytes <= DISK_SECTOR_MAX && (bytes & (bytes - 1)) == 0 && disk->sectors != 0;
}

int fs_read(struct disk *disk, uint64_t sector, void *buf, uint32_t n)
{
	if (n == 0 || !within(disk, sector, n))
		return -EIO;
	return disk->ops->read(disk, sector, buf, n);
}

int fs_write(struct disk *disk, uint64_t sector, const void *buf, uint32_t n)
{
	if (n == 0 || !within(disk, sector, n))
		return -EIO;
	return disk->read_only ? -EROFS : disk->ops->write(disk, sector, buf, n);
}

int fs_flush(struct disk *disk)
{
	return disk->read_only ? 0 : disk->ops->flush(disk);
}
