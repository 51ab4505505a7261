/* System calls on names: making, removing and reading them, and where a process stands among them. */
#include <string.h>

#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "kernel/volume.h"
#include "mm/slab.h"
#include "mm/space.h"

#define RENAME_NOREPLACE 1U
#define MODE_BITS	 07777U
#define PATH_SHORT	 128U

/* Most are short, and what is allocated is cleared. */
static int64_t read_path(uint64_t address, uint64_t bytes, char **out)
{
	char *path = kalloc(bytes);
	int64_t n;

	if (path == NULL)
		return -ENOMEM;
	n = user_read_string(current_space(), path, VADDR(address), bytes);
	if (n < 0)
		kfree(path);
	else
		*out = path;
	return n;
}

int user_path(uint64_t address, bool empty, char **out)
{
	int64_t n = read_path(address, PATH_SHORT, out);

	if (n == -ENAMETOOLONG)
		n = read_path(address, PATH_MAX, out);
	if (n == 0 && !empty) {
		kfree(*out);
		n = -ENOENT;
	}
	return n < 0 ? (int)n : 0;
}

int path_start(int dirfd, const char *path, struct node **out)
{
	struct file *file;
	int error;

	if (path[0] == '/' || dirfd == AT_FDCWD) {
		*out = path[0] == '/' ? node_root() : node_cwd();
		return 0;
	}
	error = file_get(dirfd, &file);
	if (error != 0)
		return error;
	if (file->node == NULL || !node_is(file->node, S_IFDIR)) {
		error = -ENOTDIR;
	} else {
		*out = file->node;
		node_get(*out);
	}
	file_put(file);
	return error;
}

static int user_walk(int dirfd, uint64_t address, unsigned flags, struct walk *out)
{
	struct node *from;
	char *path;
	int error = user_path(address, false, &path);

	if (error != 0)
		return error;
	error = path_start(dirfd, path, &from);
	if (error == 0) {
		error = path_walk(from, path, flags, out);
		node_put(from);
	}
	kfree(path);
	return error;
}

int user_lookup(int dirfd, uint64_t address, unsigned flags, struct node **out)
{
	struct walk walk;
	int error = user_walk(dirfd, address, flags & ~WALK_CREATE, &walk);

	if (error != 0)
		return error;
	node_put(walk.parent);
	*out = walk.node;
	return 0;
}

unsigned mode_masked(uint64_t mode)
{
	struct process *process = current_process();
	uint32_t mask;

	spin_lock(&process->lock, RANK_PROCESS);
	mask = process->umask;
	spin_unlock(&process->lock, RANK_PROCESS);
	return (unsigned)mode & MODE_BITS & ~mask;
}

int64_t sys_umask(const uint64_t *a)
{
	return share_set_umask((uint32_t)a[0] & 0777U);
}

/* ---- Making names */

/* Gives a new node the name that the path asks for. The caller's count of it goes on. */
/* refused: why it may have no other name, 0 if it may; said only where the name would do. */
static int name_node(int dirfd, uint64_t address, struct node *node, int refused)
{
	struct walk walk;
	int error = user_walk(dirfd, address, WALK_CREATE, &walk);

	if (error != 0)
		return error;
	if (walk.node != NULL) {
		error = -EEXIST;
	} else if (walk.slash && !node_is(node, S_IFDIR)) {
		error = -ENOENT;
	} else if (refused != 0) {
		error = refused;
	} else if (node->links != 0 && node->volume != walk.parent->volume && !node_is(node, S_IFDIR)) {
		error = -EXDEV;
	} else if (node->volume != NULL) {
		error = -EPERM;
	} else {
		error = walk_add(&walk, node);
	}
	walk_done(&walk);
	return error;
}

static int64_t make_node(int dirfd, uint64_t address, unsigned mode, uint64_t rdev)
{
	struct node *node;
	int error = node_create(mode, &node);

	if (error != 0)
		return error;
	node->rdev = rdev;
	error = name_node(dirfd, address, node, 0);
	node_put(node);
	return error;
}

int64_t sys_mkdirat(const uint64_t *a)
{
	return make_node((int)a[0], a[1], S_IFDIR | (mode_masked(a[2]) & 01777U), 0);
}

int64_t sys_mknodat(const uint64_t *a)
{
	unsigned type = (unsigned)a[2] & S_IFMT;

	if (type == 0)
		type = S_IFREG;
	if (type == S_IFDIR)
		return -EPERM;
	if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	return make_node((int)a[0], a[1], type | mode_masked(a[2]),
			 type == S_IFCHR || type == S_IFBLK ? (uint32_t)a[3] : 0);
}

int64_t sys_symlinkat(const uint64_t *a)
{
	struct node *node;
	char *target;
	int error = user_path(a[0], false, &target);

	if (error != 0)
		return error;
	error = node_create_link(target, strlen(target), &node);
	kfree(target);
	if (error != 0)
		return error;
	error = name_node((int)a[1], a[2], node, 0);
	node_put(node);
	return error;
}

int64_t sys_linkat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[4];
	struct node *node;
	int error;

	if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	error = user_lookup_at((int)a[0], a[1],
			       (flags & AT_EMPTY_PATH) | ((flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW),
			       &node);
	if (error != 0)
		return error;
	error = name_node((int)a[2], a[3], node, node_is(node, S_IFDIR) ? -EPERM : node->fixed ? -EXDEV : 0);
	node_put(node);
	return error;
}

/* ---- Removing and moving them */

/* "." and "..", which have no name of their own to remove. */
static int no_name(const struct walk *walk, bool directory)
{
	if (!directory)
		return -EISDIR;
	if (strcmp(walk->name, ".") == 0)
		return -EINVAL;
	return walk->name_bytes == 0 ? -EBUSY : -ENOTEMPTY;
}

/* The name may lead elsewhere by now: what counts is what it leads to under the lock. */
static int remove_locked(const struct walk *walk, bool directory, struct node **node)
{
	struct entry *entry = tree_find_locked(walk->parent, walk->name, walk->name_bytes);

	if (entry == NULL)
		return -ENOENT;
	if (directory && !node_is(entry->node, S_IFDIR))
		return -ENOTDIR;
	if (!directory && node_is(entry->node, S_IFDIR))
		return -EISDIR;
	if (entry->node->fixed)
		return directory ? -EBUSY : -EPERM;
	if (directory && entry->node->directory.count != 0)
		return -ENOTEMPTY;
	*node = tree_remove_locked(entry);
	return 0;
}

int64_t sys_unlinkat(const uint64_t *a)
{
	bool directory = ((uint32_t)a[2] & AT_REMOVEDIR) != 0;
	struct node *node = NULL;
	struct walk walk;
	int error;

	if (((uint32_t)a[2] & ~AT_REMOVEDIR) != 0)
		return -EINVAL;
	error = user_walk((int)a[0], a[1], 0, &walk);
	if (error != 0)
		return error;
	if (walk.parent == NULL) {
		error = no_name(&walk, directory);
	} else if (walk.parent->volume != NULL && walk.node->entry == NULL) {
		error = volume_remove(walk.parent, walk.name, walk.name_bytes, directory);
	} else {
		tree_enter();
		error = remove_locked(&walk, directory, &node);
		tree_leave();
	}
	walk_done(&walk);
	node_put(node);
	return error;
}

/* Whether `node` is `above` or lies below it. */
static bool is_below_locked(struct node *node, const struct node *above)
{
	while (node != above) {
		struct node *up = node->directory.parent;

		if (up == node)
			return false;
		node = up;
	}
	return true;
}

static int rename_allowed_locked(const struct entry *from, const struct walk *to, unsigned flags)
{
	struct entry *there = tree_find_locked(to->parent, to->name, to->name_bytes);
	bool directory = node_is(from->node, S_IFDIR);

	if (there != NULL && (flags & RENAME_NOREPLACE) != 0)
		return -EEXIST;
	if (from->node->fixed || (there != NULL && there->node->fixed))
		return directory ? -EBUSY : -EPERM;
	if (to->parent->closed)
		return -EPERM;
	if (directory && is_below_locked(to->parent, from->node))
		return -EINVAL;
	if (!directory && to->slash)
		return -ENOTDIR;
	if (there == NULL)
		return 0;
	if (node_is(there->node, S_IFDIR) && is_below_locked(from->directory, there->node))
		return -ENOTEMPTY;
	if (directory && !node_is(there->node, S_IFDIR))
		return -ENOTDIR;
	if (!directory && node_is(there->node, S_IFDIR))
		return -EISDIR;
	return directory && there->node != from->node && there->node->directory.count != 0 ? -ENOTEMPTY : 0;
}

static int rename_locked(const struct walk *from, const struct walk *to, unsigned flags, struct node **old)
{
	struct entry *entry = tree_find_locked(from->parent, from->name, from->name_bytes);
	struct entry *there;
	int error;

	if (entry == NULL)
		return -ENOENT;
	error = rename_allowed_locked(entry, to, flags);
	if (error != 0)
		return error;
	there = tree_find_locked(to->parent, to->name, to->name_bytes);
	if (there != NULL && there->node == entry->node)
		return 0;
	return tree_rename_locked(entry, to->parent, to->name, to->name_bytes, old);
}

static int rename_on_volume(const struct walk *from, const struct walk *to, unsigned flags)
{
	bool directory = node_is(from->node, S_IFDIR);

	if (from->node->fixed || (to->node != NULL && to->node->fixed))
		return -EBUSY;
	if (!directory && to->slash)
		return -ENOTDIR;
	return volume_rename(from, to, (flags & RENAME_NOREPLACE) != 0);
}

/* Errors in Linux's order: of the ways to both names, of what kinds of names they are, of what is there. */
static int rename_walked(struct walk *from, const uint64_t *a)
{
	unsigned flags = (uint32_t)a[4];
	struct node *old = NULL;
	struct walk to;
	int error = user_walk((int)a[2], a[3], WALK_CREATE, &to);

	if (error != 0)
		return error;
	if (from->parent == NULL) {
		error = -EBUSY;
	} else if (to.parent == NULL) {
		error = (flags & RENAME_NOREPLACE) != 0 ? -EEXIST : -EBUSY;
	} else if (from->parent->volume != to.parent->volume) {
		error = -EXDEV;
	} else if (from->node == NULL) {
		error = -ENOENT;
	} else if (to.parent->volume != NULL) {
		error = rename_on_volume(from, &to, flags);
	} else {
		tree_enter();
		error = rename_locked(from, &to, flags, &old);
		tree_leave();
	}
	walk_done(&to);
	node_put(old);
	return error;
}

int64_t sys_renameat2(const uint64_t *a)
{
	struct walk from;
	int error;

	if (((uint32_t)a[4] & ~RENAME_NOREPLACE) != 0)
		return -EINVAL;
	error = user_walk((int)a[0], a[1], WALK_CREATE, &from);
	if (error != 0)
		return error;
	error = rename_walked(&from, a);
	walk_done(&from);
	return error;
}

/* ---- Reading them */

static int64_t link_read(struct node *node, uint64_t address, uint64_t bytes)
{
	char *target;
	int64_t n;
	int error;

	target = kalloc(PATH_MAX);
	if (target == NULL)
		return -ENOMEM;
	n = node_link_text(node, target, PATH_MAX);
	node_accessed(node);
	if (n >= 0) {
		n = MIN(n, (int64_t)bytes);
		error = user_write(current_space(), VADDR(address), target, (uint64_t)n);
		n = error != 0 ? error : n;
	}
	kfree(target);
	return n;
}

int64_t sys_readlinkat(const uint64_t *a)
{
	struct node *node;
	int64_t result;

	if ((int)a[3] <= 0)
		return -EINVAL;
	result = user_lookup_link((int)a[0], a[1], &node);
	if (result != 0)
		return result;
	result = link_read(node, a[2], (uint32_t)a[3]);
	node_put(node);
	return result;
}

int64_t sys_getcwd(const uint64_t *a)
{
	struct node *cwd = node_cwd();
	char *path = kalloc(PATH_MAX);
	int64_t n = path == NULL ? -ENOMEM : node_path(cwd, path, PATH_MAX);

	if (n == -ERANGE)
		n = -ENAMETOOLONG;
	if (n > 0 && (uint64_t)n > a[1])
		n = -ERANGE;
	if (n > 0) {
		int error = user_write(current_space(), VADDR(a[0]), path, (uint64_t)n);

		n = error != 0 ? error : n;
	}
	kfree(path);
	node_put(cwd);
	return n;
}

/* Takes over the caller's count. */
static int change_directory(struct node *node)
{
	if (!node_is(node, S_IFDIR)) {
		node_put(node);
		return -ENOTDIR;
	}
	share_set_cwd(node);
	return 0;
}

int64_t sys_chdir(const uint64_t *a)
{
	struct node *node;
	int error = user_lookup(AT_FDCWD, a[0], WALK_FOLLOW, &node);

	return error != 0 ? error : change_directory(node);
}

int64_t sys_fchdir(const uint64_t *a)
{
	struct file *file;
	struct node *node;
	int error = file_get((int)a[0], &file);

	if (error != 0)
		return error;
	node = file->node;
	if (node == NULL) {
		file_put(file);
		return -ENOTDIR;
	}
	node_get(node);
	file_put(file);
	return change_directory(node);
}
