/*
 * What files on volumes are, as Linux's vfat tells it: they belong to root, may be read and executed by everybody, and
 * written by their owner unless FAT's read-only flag is set. chmod sets that flag; modes that FAT cannot have are ignored.
 */
#include "kernel/volume.h"
#include "lib/errno.h"

#define NS_PER_SEC    UINT64_C(1000000000)
#define MODE_READ_RUN 0555U
#define MODE_WRITE    0200U
#define MODE_ALL      0777U

uint64_t volume_device(const struct volume *volume)
{
	return DEVICE(volume->disk.device->major, volume->disk.device->minor);
}

/* 2, and one for each directory in it. [mutex] */
static void count_links(struct vnode *directory)
{
	struct fat_dirent entry;
	uint32_t cursor = 0, links = 2;

	while (fat_readdir(directory->fat, &cursor, &entry) == 1)
		links += entry.directory;
	directory->node.links = links;
	directory->counted = true;
}

/* What the cache knows is newer than what fs/ does. */
static void stat_file(struct vnode *vnode, struct fat_attr *attr)
{
	struct object *object = vnode->node.regular.object;
	int64_t stamp;

	if (object != NULL) {
		attr->bytes = object_bytes(object);
		volume_note_writes(vnode);
	}
	stamp = atomic_load_explicit(&vnode->stamp, memory_order_relaxed);
	if (stamp != 0)
		attr->modified = stamp;
}

void volume_stat(struct node *node, struct file_stat *out)
{
	struct volume *volume = node->volume;
	struct vnode *vnode = vnode_of(node);
	struct fat_statfs statfs = { 0 };
	struct fat_attr attr;

	mutex_lock(&volume->mutex);
	if (!vnode->counted && node_is(node, S_IFDIR))
		count_links(vnode);
	fat_attr(vnode->fat, &attr);
	if (node_is(node, S_IFREG))
		stat_file(vnode, &attr);
	if (fat_statfs(volume->fat, &statfs) != 0)
		statfs.cluster_bytes = PAGE_SIZE;
	*out = (struct file_stat){
		.device = volume_device(volume),
		.inode = node->inode,
		.mode = node->mode,
		.links = node->links,
		.bytes = attr.directory ? attr.allocated : attr.bytes,
		.blocks = MAX(attr.allocated, ALIGN_UP(attr.bytes, (uint64_t)statfs.cluster_bytes)) / 512,
		.block_size = statfs.cluster_bytes,
		.accessed_ns = (uint64_t)(attr.accessed != 0 ? attr.accessed : attr.modified) * NS_PER_SEC,
		.modified_ns = (uint64_t)attr.modified * NS_PER_SEC,
		.changed_ns = (uint64_t)attr.modified * NS_PER_SEC,
	};
	mutex_unlock(&volume->mutex);
}

int volume_set_mode(struct node *node, unsigned mode)
{
	struct volume *volume = node->volume;
	struct fat_attr attr;
	int error;

	if (volume->read_only)
		return -EROFS;
	if ((mode & ~MODE_ALL) != 0)
		return -EPERM;
	if (!node_is(node, S_IFREG) || (mode & MODE_READ_RUN) != MODE_READ_RUN)
		return 0;
	mutex_lock(&volume->mutex);
	fat_attr(vnode_of(node)->fat, &attr);
	attr.flags = (uint8_t)((attr.flags & ~FAT_READ_ONLY) | ((mode & MODE_WRITE) != 0 ? 0 : FAT_READ_ONLY));
	error = fat_set_flags(vnode_of(node)->fat, attr.flags);
	if (error == 0) {
		volume->touched = true;
		tree_enter();
		node->mode = S_IFREG | MODE_READ_RUN | (mode & MODE_WRITE);
		tree_leave();
	}
	mutex_unlock(&volume->mutex);
	return error;
}

int volume_set_owner(struct node *node, uint32_t uid, uint32_t gid)
{
	if (node->volume->read_only)
		return -EROFS;
	return (uid != 0 && uid != UINT32_MAX) || (gid != 0 && gid != UINT32_MAX) ? -EPERM : 0;
}

int volume_set_times(struct node *node, int64_t modified, int64_t accessed)
{
	struct volume *volume = node->volume;
	struct fat_attr attr;
	int error;

	if (volume->read_only)
		return -EROFS;
	mutex_lock(&volume->mutex);
	error = vnode_settle(vnode_of(node));
	fat_attr(vnode_of(node)->fat, &attr);
	if (error == 0)
		error = fat_set_times(vnode_of(node)->fat, modified < 0 ? attr.modified : modified,
				      accessed < 0 ? attr.accessed : accessed);
	volume->touched = true;
	mutex_unlock(&volume->mutex);
	return error;
}

int volume_statfs(struct node *node, struct fat_statfs *out)
{
	struct volume *volume = node->volume;
	int error;

	(void)volume_reap(volume);
	mutex_lock(&volume->mutex);
	error = fat_statfs(volume->fat, out);
	mutex_unlock(&volume->mutex);
	return error;
}
