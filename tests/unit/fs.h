/*
 * For the tests of fs/: disks in memory that log what is written and fail when told to, memory that fails when told to,
 * images made and checked by the host's tools, and a checker of our own that is quick (fs_check.c).
 */
#ifndef UNIT_FS_H
#define UNIT_FS_H

#include "tests/unit/unit.h"

#include "fs/disk.h"
#include "fs/fat.h"
#include "fs/fs.h"

enum fs_event { FS_WRITE, FS_FLUSH, FS_PROMISE, FS_RELEASE };

struct fs_log {
	enum fs_event event;
	uint64_t sector; /* FS_PROMISE, FS_RELEASE: whatever the test says */
	uint8_t *data;	 /* FS_WRITE: one sector */
};

struct fs_disk {
	struct disk disk;
	uint8_t *data;
	bool logging;
	struct fs_log *log;
	size_t events, room;
	uint64_t reads, writes, flushes;
	/* The n-th operation from now on fails, once (1: the next; 0: none). */
	uint64_t fail_in;
	bool failed;
};

struct fs_disk *fs_disk_new(uint64_t sectors, uint32_t sector_bytes);
void fs_disk_free(struct fs_disk *disk);
void fs_disk_event(struct fs_disk *disk, enum fs_event event, uint64_t what);
void fs_disk_forget_log(struct fs_disk *disk);
/* An image by mkfs.fat with these options. Skips the test where there is no mkfs.fat. */
struct fs_disk *fs_mkfs(uint64_t sectors, uint32_t sector_bytes, const char *options);

/* The n-th fs_alloc from now on fails, once. */
extern uint64_t fs_alloc_fail_in;
extern bool fs_alloc_failed;
extern int64_t fs_allocated; /* pieces */
extern unsigned fs_said;     /* lines */

/* A shell command with %s for a file that has the image; its output into out. Status. The image is read back. */
int fs_tool(struct fs_disk *disk, const char *command, char *out, size_t n);
/* fsck.fat -n finds nothing at all; or, lost: only lost clusters and what goes with a power cut. */
void fs_fsck(struct fs_disk *disk, bool lost);

struct fs_found {
	unsigned lost;	 /* clusters */
	unsigned longer; /* files whose chain is longer than their size */
	unsigned twice;	 /* clusters of two files: where `tolerant` */
	char problem[200];
};
/* Walks the image. False: found->problem says what is wrong. tolerant: two names may have the same first cluster. */
bool fs_check(const struct fs_disk *disk, bool tolerant, struct fs_found *found);

/* Mounts with a clock that stands still; each second time also small directories have an index. */
struct fat_volume *fs_mount(struct fs_disk *disk);
void fs_unmount(struct fat_volume *volume);
int64_t fs_now(void);
/* By path from the root, referenced; NULL with *error. */
struct fat_node *fs_open(struct fat_volume *volume, const char *path, int *error);

#endif
