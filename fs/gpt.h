/*
 * What is on a disk: a GUID partition table (UEFI specification, chapter 5), a PC's partition table (its four primary
 * entries), or one FAT volume without a table. Reads only; keeps nothing.
 */
#ifndef FS_GPT_H
#define FS_GPT_H

#include "fs/disk.h"

#define GPT_PARTS_MAX 64 /* of used entries; what a table has beyond these is not looked at */

enum gpt_kind { GPT_NONE, GPT_GPT, GPT_MBR, GPT_WHOLE };

struct gpt_part {
	uint64_t first; /* sector */
	uint64_t sectors;
	uint8_t guid[16]; /* GPT: the type, as it stands on the disk; else 0 */
	uint32_t number;  /* 1 is the first entry of the table, used or not, as Linux counts; whole disk: 0 */
	uint8_t type;	  /* MBR: the type; else 0 */
	bool fat;	  /* the type is one that FAT volumes have */
};

/* 3 KiB: from fs_alloc, not on a stack. */
struct gpt_table {
	enum gpt_kind kind;
	unsigned count;
	bool backup; /* the first GPT was bad, this is the second */
	struct gpt_part part[GPT_PARTS_MAX];
};

/*
 * Reads the table. 0, or -EINVAL with *why saying what is wrong with it (a constant string), or what reading or fs_alloc
 * said (*why is set then, too). GPT: the backup is used when the first is bad, and what *why says is of the first.
 */
int gpt_read(struct disk *disk, struct gpt_table *table, const char **why) MUST_CHECK;

/* The partition of that number; number 0: the first with a type of FAT, or the whole disk. NULL: none. */
const struct gpt_part *gpt_find(const struct gpt_table *table, uint32_t number);

/* gpt_read, gpt_find and fs_part_init in one. No such partition: -ENXIO. */
int gpt_open(struct disk *disk, uint32_t number, struct disk_part *part, const char **why) MUST_CHECK;

#endif
