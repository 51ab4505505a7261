/*
 * Names on volumes. Contract: volume.h.
 *
 * The volume's mutex is held over each call: what it finds and what it does about it are one. A mount on a directory of the
 * volume is an entry in the tree (mount.c), and its node is fixed: it can be neither removed nor renamed.
 */
#include <string.h>

#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/slab.h"

static int find(struct node *directory, const char *name, size_t n, struct fat_node **out)
{
	int error = fat_lookup(vnode_of(directory)->fat, name, n, out);

	return error == -EINVAL ? -ENOENT : error; /* a name that FAT cannot have */
}

int volume_lookup(struct node *directory, const char *name, size_t n, struct node **out)
{
	struct volume *volume = directory->volume;
	struct fat_node *fat;
	int error;

	mutex_lock(&volume->mutex);
	error = find(directory, name, n, &fat);
	if (error == 0)
		error = vnode_get(directory, fat, name, n, out);
	mutex_unlock(&volume->mutex);
	volume_trim(volume);
	return error;
}

static int create_locked(struct node *directory, const char *name, size_t n, unsigned mode, struct node **out)
{
	struct fat_node *parent = vnode_of(directory)->fat;
	struct fat_node *fat;
	int error;

	error = (mode & S_IFMT) == S_IFDIR ? fat_mkdir(parent, name, n, &fat) : fat_create(parent, name, n, &fat);
	if (error != 0)
		return error;
	directory->volume->touched = true;
	if ((mode & S_IFMT) == S_IFDIR)
		vnode_of(directory)->counted = false;
	if (out != NULL)
		return vnode_get(directory, fat, name, n, out);
	fat_put(fat);
	return 0;
}

int volume_create(struct node *directory, const char *name, size_t n, unsigned mode, struct node **out)
{
	struct volume *volume = directory->volume;
	int error;

	if ((mode & S_IFMT) != S_IFDIR && (mode & S_IFMT) != S_IFREG)
		return -EPERM;
	do {
		mutex_lock(&volume->mutex);
		error = create_locked(directory, name, n, mode, out);
		mutex_unlock(&volume->mutex);
	} while (error == -ENOSPC && volume_reap(volume));
	volume_trim(volume);
	return error;
}

static int remove_locked(struct node *directory, const char *name, size_t n, bool is_directory)
{
	struct fat_node *parent = vnode_of(directory)->fat;
	struct fat_node *fat;
	struct vnode *vnode;
	int error = find(directory, name, n, &fat);

	if (error != 0)
		return error;
	vnode = vnode_find(directory->volume, fat);
	if (vnode != NULL && vnode->node.fixed)
		error = -EBUSY;
	else
		error = is_directory ? fat_rmdir(parent, name, n) : fat_unlink(parent, name, n);
	if (error == 0) {
		directory->volume->touched = true;
		if (is_directory)
			vnode_of(directory)->counted = false;
		if (vnode != NULL)
			vnode_remove(vnode);
	}
	fat_put(fat);
	return error;
}

int volume_remove(struct node *directory, const char *name, size_t n, bool is_directory)
{
	struct volume *volume = directory->volume;
	int error;

	mutex_lock(&volume->mutex);
	error = remove_locked(directory, name, n, is_directory);
	mutex_unlock(&volume->mutex);
	if (error == 0)
		(void)volume_reap(volume);
	return error;
}

/* The node has a new place. The old directory's count goes to the caller. */
static struct node *move(struct vnode *vnode, struct node *up, char *name)
{
	struct node *before = vnode->node.up;
	char *old = vnode->node.name;

	node_get(up);
	tree_enter();
	vnode->node.up = up;
	vnode->node.name = name;
	if (node_is(&vnode->node, S_IFDIR))
		vnode->node.directory.parent = up;
	tree_leave();
	kfree(old);
	return before;
}

/* What leads there, or NULL, with a reference of it in *fat. */
static int find_vnode(const struct walk *at, struct fat_node **fat, struct vnode **out)
{
	int error = find(at->parent, at->name, at->name_bytes, fat);

	*out = error == 0 ? vnode_find(at->parent->volume, *fat) : NULL;
	if (error != 0)
		*fat = NULL;
	return error == 0 && *out != NULL && (*out)->node.fixed ? -EBUSY : error;
}

/* name: a copy of the new one. Both are the caller's to give back: what is not needed any more. */
static int rename_locked(const struct walk *from, const struct walk *to, bool no_replace, char **name, struct node **up)
{
	struct fat_place old = { vnode_of(from->parent)->fat, from->name, from->name_bytes };
	struct fat_place new = { vnode_of(to->parent)->fat, to->name, to->name_bytes };
	struct fat_node *moved = NULL, *gone = NULL;
	struct vnode *vnode, *over = NULL;
	struct fat_attr attr;
	int error = find_vnode(from, &moved, &vnode);

	if (error == 0) {
		error = find_vnode(to, &gone, &over);
		error = error == -ENOENT ? 0 : error;
	}
	if (error == 0)
		error = fat_rename(&old, &new, no_replace);
	if (error == 0) {
		from->parent->volume->touched = true;
		fat_attr(moved, &attr);
		if (attr.directory)
			vnode_of(from->parent)->counted = vnode_of(to->parent)->counted = false;
		if (over != NULL && over != vnode)
			vnode_remove(over);
		if (vnode != NULL) {
			*up = move(vnode, to->parent, *name);
			*name = NULL;
		}
	}
	if (gone != NULL)
		fat_put(gone);
	if (moved != NULL)
		fat_put(moved);
	return error;
}

int volume_rename(const struct walk *from, const struct walk *to, bool no_replace)
{
	struct volume *volume = from->parent->volume;
	char *name = kalloc(to->name_bytes + 1);
	struct node *up = NULL;
	int error;

	if (name == NULL)
		return -ENOMEM;
	memcpy(name, to->name, to->name_bytes);
	do {
		mutex_lock(&volume->mutex);
		error = rename_locked(from, to, no_replace, &name, &up);
		mutex_unlock(&volume->mutex);
	} while (error == -ENOSPC && volume_reap(volume));
	node_put(up);
	kfree(name);
	if (error == 0)
		(void)volume_reap(volume);
	return error;
}

int volume_next(struct node *directory, uint32_t *cursor, struct fat_dirent *out)
{
	struct volume *volume = directory->volume;
	int error;

	mutex_lock(&volume->mutex);
	error = fat_readdir(vnode_of(directory)->fat, cursor, out);
	mutex_unlock(&volume->mutex);
	return error;
}
