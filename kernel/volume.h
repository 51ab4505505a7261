/*
 * Mounted volumes: FAT file systems as part of the file tree. fs/fat.h is below, kernel/tree.h beside, and the contents of
 * files are in the page cache (kernel/cache.h).
 *
 * A node of a volume is a struct vnode. The volume has one for each file that is or was in use, found by its fat_node, and
 * holds a count of it: so its pages stay in the cache after the last close. Nodes without names and other holders go soon,
 * others when there are too many.
 *
 * All of this may block: call it with no spin lock held. Nodes are counted by the caller.
 *
 * Locks, outer first: mounts' mutex (mount.c), a store's (cache.h), the volume's mutex, which is held over every call of
 * fs/, the tree's. Files' data goes from and to the disk without the volume's mutex (volume_file.c).
 */
#ifndef KERNEL_VOLUME_H
#define KERNEL_VOLUME_H

#include "fs/fat.h"
#include "kernel/cache.h"
#include "kernel/fsdisk.h"
#include "kernel/mutex.h"
#include "kernel/tree.h"
#include "lib/list.h"

#define VOLUME_BUCKETS 512U

struct vnode {
	struct node node;      /* node.volume: whose; first */
	struct fat_node *fat;  /* one reference of it */
	struct vnode *chain;   /* of the bucket [mutex] */
	struct list link;      /* in nodes or removed [mutex] */
	struct store store;    /* once node.regular.object is there */
	_Atomic int64_t stamp; /* written at this second, which fs/ has not been told; 0: not */
	bool counted;	       /* node.links is right [mutex] */
	bool writing;	       /* its data is on its way to the disk [mutex] */
};

struct volume {
	struct fsdisk disk;
	struct fat_volume *fat;
	struct mutex mutex;
	bool read_only;
	bool touched; /* since the last sync [mutex] */
	bool clean;   /* marked so, as far as we know [mutex] */
	bool ending;  /* what could not be written until now is given up [mutex] */
	struct vnode *root;
	struct vnode *bucket[VOLUME_BUCKETS]; /* those that have a name, by fat_node [mutex] */
	struct list nodes;		      /* the same, the last to be found at the end [mutex] */
	struct list removed;		      /* those that have none any more [mutex] */
	unsigned count;			      /* of nodes [mutex] */
	unsigned writing;		      /* nodes that are [mutex] */
	unsigned quiet;			      /* who waits until there are none, and wants none to begin [mutex] */
	unsigned reaping, reaped;	      /* who frees removed ones, and how many have done so [mutex] */
	struct wait_queue changed;	      /* one of these has become 0, or reaped another */
	_Atomic uint32_t error;		      /* of write-back of any of its files, for syncfs: cache.h */
};

static inline struct vnode *vnode_of(struct node *node)
{
	return container_of(node, struct vnode, node);
}

/* ---- Volumes: volume.c. */

/* *why: what is wrong, whenever this fails. *out: its root has one count. */
int volume_mount(struct block_device *device, bool read_only, struct volume **out, const char **why) MUST_CHECK;
/*
 * Writes all back and lets go of the nodes that nobody else has, so that then nobody counts the root. Files that cannot be
 * written stay, unless this is the end.
 */
void volume_settle(struct volume *volume, bool end);
/* After volume_settle, when nobody counts the root, and nothing leads there any more: marks it clean and frees it. The first error. */
int volume_unmount(struct volume *volume);
/* All that the volume knows is on the disk. */
int volume_sync(struct volume *volume) MUST_CHECK;
/* From time to time: frees what was removed; writes, and marks the volume clean when it is idle. */
void volume_tidy(struct volume *volume, bool sync);
/* Frees the files that were removed and that nobody has any more, or waits for who does. Whether there was any. */
bool volume_reap(struct volume *volume);
/* Lets go of nodes that nobody has, if there are too many. */
void volume_trim(struct volume *volume);

/* The vnode of a fat_node, whose reference is taken over in any case; counted for the caller. [mutex] */
int vnode_get(struct node *up, struct fat_node *fat, const char *name, size_t n, struct node **out) MUST_CHECK;
struct vnode *vnode_find(struct volume *volume, const struct fat_node *fat);
/* Its name is gone. [mutex] */
void vnode_remove(struct vnode *vnode);
/* fs/ is told the file's size and time. [mutex] */
int vnode_settle(struct vnode *vnode) MUST_CHECK;

/* Waits, letting go of the mutex, until no data of the volume's files is on its way to the disk; none goes until volume_resume. [mutex] */
void volume_quiet(struct volume *volume);
void volume_resume(struct volume *volume);
/* Around the writing of a file's data, which goes on without the mutex. Begin may wait, letting go of the mutex. [mutex] */
void vnode_write_begin(struct vnode *vnode);
void vnode_write_end(struct vnode *vnode);

/* A node that has no name was let go of: wakes whoever calls volume_tidy. Never blocks. */
void volumes_wake(void);

/* ---- Names: volume_names.c. As the tree's functions of the kind; n bytes at name. */

int volume_lookup(struct node *directory, const char *name, size_t n, struct node **out) MUST_CHECK;
/* mode: S_IFREG or S_IFDIR, others are -EPERM. out may be NULL. */
int volume_create(struct node *directory, const char *name, size_t n, unsigned mode, struct node **out) MUST_CHECK;
int volume_remove(struct node *directory, const char *name, size_t n, bool is_directory) MUST_CHECK;
/* Both in one volume. */
int volume_rename(const struct walk *from, const struct walk *to, bool no_replace) MUST_CHECK;
/* The next entry from *cursor on, 0: the first. 1, 0: there is none, -EIO. */
int volume_next(struct node *directory, uint32_t *cursor, struct fat_dirent *out) MUST_CHECK;

/* ---- What files are: volume_stat.c. */

void volume_stat(struct node *node, struct file_stat *out);
int volume_set_mode(struct node *node, unsigned mode) MUST_CHECK;
int volume_set_owner(struct node *node, uint32_t uid, uint32_t gid) MUST_CHECK;
/* Seconds; negative: as it is. */
int volume_set_times(struct node *node, int64_t modified, int64_t accessed) MUST_CHECK;
int volume_statfs(struct node *node, struct fat_statfs *out) MUST_CHECK;
uint64_t volume_device(const struct volume *volume);

/* ---- Their contents: volume_file.c. */

/* Makes node->regular.object, if it is not there yet. */
int volume_load(struct node *node) MUST_CHECK;
/* The file is about to be written by a call. */
void volume_stamp(struct node *node);
/* The same for what programs wrote through mappings since the last look; the object is there. */
void volume_note_writes(struct vnode *vnode);
/* The volume that a store's file is in; NULL: in none. */
struct volume *volume_of_store(const struct store *store);
/* fsync of a directory. */
int volume_sync_node(struct node *node) MUST_CHECK;

#endif
