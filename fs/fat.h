/*
 * FAT32 volumes with long names. docs/disks.md says what is written in which order, and why that is safe.
 *
 * Everything here is called with the volume's mutex held (the caller's) and may block. Names are UTF-8, `n` bytes without
 * a terminator, one component each. Errors are negative errnos: EIO for what the disk or a damaged volume denies, ENOSPC
 * and ENOMEM with everything as it was, EROFS, EINVAL for names that FAT cannot hold, ENAMETOOLONG.
 *
 * Data passes by here: whoever caches a file's pages asks fat_map where they are and reads and writes the disk itself.
 */
#ifndef FS_FAT_H
#define FS_FAT_H

#include "fs/disk.h"

#define FAT_NAME_MAX 765 /* bytes: 255 units of UTF-16, 3 bytes each at most */
#define FAT_SIZE_MAX UINT64_C(0xffffffff)

#define FAT_READ_ONLY 0x01
#define FAT_HIDDEN    0x02
#define FAT_SYSTEM    0x04
#define FAT_ARCHIVE   0x20

struct fat_volume;
struct fat_node;

struct fat_options {
	bool read_only;
	int64_t (*now)(void); /* seconds since 1970 */
	uint32_t index_least; /* directories with room for so many entries get an index; 0: as is best */
};

/*
 * Mounts the volume that fills the disk, which must stay as long. -EINVAL: it is no FAT32 volume, or a damaged one; *why
 * says what is wrong, a constant string, whenever this fails.
 */
int fat_mount(struct disk *disk, const struct fat_options *options, struct fat_volume **out, const char **why)
	MUST_CHECK;
/* All nodes but the root's must have been put: -EBUSY. The volume is gone afterwards, whatever else this returns. */
int fat_unmount(struct fat_volume *volume) MUST_CHECK;

/* Everything that the caller has written so far, and what the volume knows, is on the disk when this returns 0. */
int fat_sync(struct fat_volume *volume) MUST_CHECK;
/* The same, and the volume is marked clean until the next change. For when it is idle. */
int fat_clean(struct fat_volume *volume) MUST_CHECK;
/* The file's data that the caller has written, and all that is needed to find it again. */
int fat_sync_node(struct fat_node *node) MUST_CHECK;

struct fat_statfs {
	uint32_t cluster_bytes;
	uint32_t clusters, free;
	uint32_t id; /* the volume's serial number */
};
int fat_statfs(struct fat_volume *volume, struct fat_statfs *out) MUST_CHECK;

/* ---- Nodes: one a file, however often it is looked up. References are the caller's to put. */

/* The volume's own: not counted, valid until fat_unmount; fat_get and fat_put are harmless. */
struct fat_node *fat_root(struct fat_volume *volume);
void fat_get(struct fat_node *node);
/* The last one of an unlinked file frees its clusters. */
void fat_put(struct fat_node *node);

struct fat_attr {
	uint64_t ino; /* the node's own, as long as it is in memory */
	uint64_t bytes;
	uint64_t allocated;		     /* bytes; of files whose clusters were not looked at, what bytes needs */
	int64_t modified, accessed, created; /* seconds since 1970: of 2 s, of a day, of 2 s */
	uint8_t flags;			     /* FAT_READ_ONLY ... */
	bool directory;
};
void fat_attr(const struct fat_node *node, struct fat_attr *out);
/* Times before 1980 and after 2107 become those. The root has neither times nor flags: does nothing. */
int fat_set_times(struct fat_node *node, int64_t modified, int64_t accessed) MUST_CHECK;
int fat_set_flags(struct fat_node *node, uint8_t flags) MUST_CHECK;

/* ---- Directories. */

/* "." and ".." work, too. -ENOENT. */
int fat_lookup(struct fat_node *dir, const char *name, size_t n, struct fat_node **out) MUST_CHECK;

struct fat_dirent {
	char name[FAT_NAME_MAX + 1]; /* terminated */
	uint32_t name_bytes;
	uint64_t ino; /* as fat_attr says for a node in memory; else a number that no other entry has at the time */
	bool directory;
};
/*
 * The next entry from *cursor (0: the first) on, which moves behind it; "." and ".." are left out. 1: there is one, 0: the
 * end. What is neither created nor removed meanwhile is found exactly once.
 */
int fat_readdir(struct fat_node *dir, uint32_t *cursor, struct fat_dirent *out) MUST_CHECK;

/* out may be NULL. -EEXIST. */
int fat_create(struct fat_node *dir, const char *name, size_t n, struct fat_node **out) MUST_CHECK;
int fat_mkdir(struct fat_node *dir, const char *name, size_t n, struct fat_node **out) MUST_CHECK;
int fat_unlink(struct fat_node *dir, const char *name, size_t n) MUST_CHECK; /* -EISDIR */
int fat_rmdir(struct fat_node *dir, const char *name, size_t n) MUST_CHECK;  /* -ENOTDIR, -ENOTEMPTY */

/* As rename(2): over an existing file, or an empty directory by a directory. */
struct fat_place {
	struct fat_node *dir;
	const char *name;
	size_t n;
};
int fat_rename(const struct fat_place *from, const struct fat_place *to, bool no_replace) MUST_CHECK;

/* ---- Files. Size: what programs see. Written: how much of that has ever been written to the disk; the rest reads as 0. */

/* Clusters for this many bytes, at least; the size stays. -EFBIG, -ENOSPC. */
int fat_extend(struct fat_node *node, uint64_t bytes) MUST_CHECK;
/* Longer: as after fat_extend, and what is new reads as 0. Shorter: clusters behind are free after the next sync. */
int fat_truncate(struct fat_node *node, uint64_t size) MUST_CHECK;

struct fat_run {
	uint64_t sector;  /* of the volume's disk */
	uint32_t bytes;	  /* a multiple of sectors */
	uint32_t content; /* bytes of it that were ever written; what is behind reads as 0, whatever the disk says */
	bool zero;	  /* nothing was ever written there: reads as 0, and is not to be read */
};
/* Where the file's bytes from offset (a multiple of a sector) on lie, as far as they lie together. Behind them: -ENXIO. */
int fat_map(struct fat_node *node, uint64_t offset, struct fat_run *out) MUST_CHECK;
/*
 * The same before writing: what lies before offset and was never written becomes 0 on the disk. fat_extend goes before. -EAGAIN: a
 * part of it did, a megabyte or so; once more. Until fat_wrote the caller keeps others from fat_sync, fat_clean and fat_sync_node of
 * the file, which fill gaps, too.
 */
int fat_map_write(struct fat_node *node, uint64_t offset, struct fat_run *out) MUST_CHECK;
/* The caller has written up to this offset, as fat_map_write said. */
void fat_wrote(struct fat_node *node, uint64_t end);

/* For those without a page cache: bytes anywhere. Reading: *done < n at the end. Writing: extends as needed, all or an error. */
int fat_read(struct fat_node *node, uint64_t offset, void *buf, size_t n, size_t *done) MUST_CHECK;
int fat_write(struct fat_node *node, uint64_t offset, const void *buf, size_t n) MUST_CHECK;

#endif
