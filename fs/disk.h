/*
 * The door downwards: what fs/ takes for a disk. kernel/ implements it over drivers/block.h, the tests by memory. A
 * partition is a disk that lies within another.
 *
 * Operations are synchronous, may block, and return 0 or a negative errno. A write of one sector either happens or does
 * not; several sectors, and several writes between two flushes, may reach the disk in any order or not at all when the
 * power goes. What was written before a flush that returned 0 is on the disk.
 */
#ifndef FS_DISK_H
#define FS_DISK_H

#include "lib/errno.h"
#include "lib/types.h"

#define DISK_SECTOR_MIN 512
#define DISK_SECTOR_MAX 4096

struct disk;

struct disk_ops {
	/* n > 0 sectors from `sector` on, all within the disk. */
	int (*read)(struct disk *disk, uint64_t sector, void *buf, uint32_t n);
	int (*write)(struct disk *disk, uint64_t sector, const void *buf, uint32_t n);
	int (*flush)(struct disk *disk);
};

struct disk {
	const struct disk_ops *ops;
	uint64_t sectors;
	uint32_t sector_bytes; /* a power of two, DISK_SECTOR_MIN .. DISK_SECTOR_MAX */
	bool read_only;
};

/* [first, first + disk.sectors) of `whole`, which must live as long. Made by fs_part_init; &part->disk is the disk. */
struct disk_part {
	struct disk disk;
	struct disk *whole;
	uint64_t first;
};

/* The range must lie within whole: -EINVAL. */
int fs_part_init(struct disk_part *part, struct disk *whole, uint64_t first, uint64_t sectors) MUST_CHECK;

/* Whether the disk says of itself what fs/ can work with. */
bool fs_disk_valid(const struct disk *disk);

/* A range that is not within the disk: -EIO, and nothing is read or written. Writing on a read-only disk: -EROFS. */
int fs_read(struct disk *disk, uint64_t sector, void *buf, uint32_t n) MUST_CHECK;
int fs_write(struct disk *disk, uint64_t sector, const void *buf, uint32_t n) MUST_CHECK;
int fs_flush(struct disk *disk) MUST_CHECK;

#endif
