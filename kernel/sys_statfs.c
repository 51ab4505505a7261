/* statfs and fstatfs: what a file system has room for, and of what kind it is. */
#include "kernel/sys_file.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/space.h"
#include "kernel/process.h"

#define TMPFS_MAGIC 0x01021994
#define PROC_MAGIC  0x9fa0
#define MSDOS_MAGIC 0x4d44
#define FAT_NAMELEN 1530 /* what Linux says for names of 255 units */
#define ST_RDONLY   1
#define ST_VALID    0x20

struct user_statfs {
	int64_t type, bsize;
	uint64_t blocks, bfree, bavail, files, ffree;
	int32_t fsid[2];
	int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct user_statfs) == 120, "as Linux has it");

static int statfs_volume(struct node *node, struct user_statfs *out)
{
	struct fat_statfs statfs;
	int error = volume_statfs(node, &statfs);

	*out = (struct user_statfs){
		.type = MSDOS_MAGIC,
		.bsize = statfs.cluster_bytes,
		.blocks = statfs.clusters,
		.bfree = statfs.free,
		.bavail = statfs.free,
		.fsid = { (int32_t)volume_device(node->volume) },
		.namelen = FAT_NAMELEN,
		.frsize = statfs.cluster_bytes,
		.flags = ST_VALID | (node->volume->read_only ? ST_RDONLY : 0),
	};
	return error;
}

/* node: NULL for what is not in the tree. */
static int64_t statfs_put(struct node *node, uint64_t address)
{
	bool of_proc = node != NULL && (node->magic != NULL || node->ops == &proc_ops);
	struct user_statfs out = {
		.type = of_proc ? PROC_MAGIC : TMPFS_MAGIC,
		.bsize = (int64_t)PAGE_SIZE,
		.blocks = frames_total(),
		.bfree = frames_free(),
		.bavail = frames_free(),
		.namelen = NAME_MAX,
		.frsize = (int64_t)PAGE_SIZE,
	};
	int error = node == NULL || node->volume == NULL ? 0 : statfs_volume(node, &out);

	return error != 0 ? error : user_write(current_space(), VADDR(address), &out, sizeof(out));
}

int64_t sys_statfs(const uint64_t *a)
{
	struct node *node;
	int64_t result = user_lookup(AT_FDCWD, a[0], WALK_FOLLOW, &node);

	if (result != 0)
		return result;
	result = statfs_put(node, a[1]);
	node_put(node);
	return result;
}

int64_t sys_fstatfs(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	result = statfs_put(file->node, a[1]);
	file_put(file);
	return result;
}
