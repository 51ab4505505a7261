/*
 * Opening what a path names, making it where that was asked for; and what execve opens.
 *
 * Two that create the same name at once: the tree's lock lets one win; the other's tree_add_locked says EEXIST, and it opens what the
 * first one made, unless it insisted on O_EXCL.
 */
#include <string.h>

#include "kernel/blockdev.h"
#include "kernel/cache.h"
#include "kernel/pipe.h"
#include "kernel/process.h"
#include "kernel/tree.h"
#include "kernel/tty.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/object.h"

#define MODE_BITS	07777U
#define MODE_EXECUTABLE 0111U

const struct file_ops path_ops = { 0 };

struct node *node_cwd(void)
{
	struct process *process = current_process();
	struct node *node;

	if (process == NULL)
		return node_root();
	spin_lock(&process->lock, RANK_PROCESS);
	node = process->cwd;
	if (node != NULL)
		node_get(node);
	spin_unlock(&process->lock, RANK_PROCESS);
	return node != NULL ? node : node_root();
}

static int node_open_regular(struct node *node, unsigned flags, struct file **out)
{
	enum node_use use = (flags & O_ACCMODE) != O_RDONLY ? NODE_WRITE : NODE_READ;
	struct object *object;
	int error = 0;

	if ((flags & O_TRUNC) != 0)
		error = node_truncate(node);
	if (error == 0)
		error = node_object(node, use, &object);
	if (error != 0)
		return error;
	error = file_create(&regular_ops, flags, node, object, out);
	if (error != 0) {
		node_done(node, use);
		object_put(object);
	} else if (object_store(object) != NULL) {
		atomic_init(&(*out)->error_seen, cache_error_sample(object_store(object)));
	}
	return error;
}

static int node_open_kind(struct node *node, unsigned flags, struct file **out)
{
	const struct file_ops *ops = node->ops;

	if ((flags & O_PATH) != 0)
		ops = &path_ops;
	else if (node_is(node, S_IFREG) && ops == NULL)
		return node_open_regular(node, flags, out);
	else if (node_is(node, S_IFIFO))
		return fifo_open(node, flags, out);
	else if (node_is(node, S_IFDIR))
		ops = &directory_ops;
	else if (node_is(node, S_IFCHR) && ops == NULL)
		ops = dev_ops(node->rdev);
	else if (node_is(node, S_IFBLK) && ops == NULL)
		return blockdev_open(node, flags, out);
	if (ops == NULL || (ops == &tty_ops && node->rdev == DEVICE(5, 0) && !tty_is_controlling()))
		return -ENXIO;
	return file_create(ops, flags, node, NULL, out);
}

int node_open(struct node *node, unsigned flags, struct file **out)
{
	int error;

	if ((flags & O_DIRECTORY) != 0 && !node_is(node, S_IFDIR))
		return -ENOTDIR;
	if (node_is(node, S_IFLNK) && (flags & O_PATH) == 0)
		return -ELOOP;
	if (node_is(node, S_IFDIR) && (flags & O_PATH) == 0 && (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != 0)
		return -EISDIR;
	if (node->volume != NULL && node->volume->read_only && node_is(node, S_IFREG) && (flags & O_PATH) == 0 &&
	    (flags & (O_ACCMODE | O_TRUNC)) != 0)
		return -EROFS;
	node_get(node);
	error = node_open_kind(node, (flags & O_PATH) != 0 ? flags : flags | O_LARGEFILE, out);
	if (error != 0)
		node_put(node);
	return error;
}

static int path_create(struct walk *walk, unsigned mode)
{
	struct node *node;
	int error;

	if (walk->slash)
		return -EISDIR;
	if (walk->parent->volume != NULL)
		return volume_create(walk->parent, walk->name, walk->name_bytes, S_IFREG, &walk->node);
	error = node_create(S_IFREG | (mode & MODE_BITS), &node);
	if (error != 0)
		return error;
	tree_enter();
	error = tree_add_locked(walk->parent, walk->name, walk->name_bytes, node);
	tree_leave();
	if (error != 0)
		node_put(node);
	else
		walk->node = node;
	return error;
}

/* O_TMPFILE: a file without a name, in the file system of a directory. */
static int path_open_nameless(struct node *from, const char *path, unsigned flags, unsigned mode, struct file **out)
{
	struct node *directory, *node;
	int error;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	error = path_lookup(from, path, WALK_FOLLOW, &directory);
	if (error != 0)
		return error;
	if (!node_is(directory, S_IFDIR))
		error = -ENOTDIR;
	else
		error = directory->volume != NULL ? -EOPNOTSUPP : node_create(S_IFREG | (mode & MODE_BITS), &node);
	node_put(directory);
	if (error != 0)
		return error;
	error = node_open(node, flags & ~O_TMPFILE, out);
	node_put(node);
	return error;
}

static int path_open_once(struct node *from, const char *path, unsigned flags, unsigned mode, struct file **out)
{
	bool create = (flags & O_CREAT) != 0;
	bool follow = (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct walk walk;
	int error = path_walk(from, path, (create ? WALK_CREATE : 0) | (follow ? WALK_FOLLOW : 0), &walk);

	if (error != 0)
		return error;
	if (walk.node != NULL) {
		if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
			error = -EEXIST;
		else
			error = node_open(walk.node, flags, out);
	} else {
		error = path_create(&walk, mode);
		CHECK(error != 0 || walk.node != NULL);
		if (error == 0)
			error = node_open(walk.node, flags & ~O_TRUNC, out);
		else
			error = error == -EEXIST && (flags & O_EXCL) == 0 ? -EAGAIN : error;
	}
	walk_done(&walk);
	return error;
}

int path_open(struct node *from, const char *path, unsigned flags, unsigned mode, struct file **out)
{
	int error;

	if ((flags & O_PATH) != 0)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return path_open_nameless(from, path, flags, mode, out);
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	do {
		error = path_open_once(from, path, flags, mode, out);
	} while (error == -EAGAIN);
	return error;
}

static void exec_release(struct file *file)
{
	node_done(file->node, NODE_RUN);
}

static const struct file_ops exec_ops = { .release = exec_release };

/* Takes over the caller's count of node when it succeeds. */
static int node_open_exec(struct node *node, struct object **out, struct file **exe)
{
	int error;

	if (!node_is(node, S_IFREG) || node->ops != NULL || (node->mode & MODE_EXECUTABLE) == 0)
		return -EACCES;
	error = node_object(node, NODE_RUN, out);
	if (error != 0)
		return error;
	error = file_create(&exec_ops, O_PATH, node, NULL, exe);
	if (error != 0) {
		node_done(node, NODE_RUN);
		object_put(*out);
	}
	return error;
}

int file_open_exec(const char *path, struct object **out, struct file **exe)
{
	struct node *cwd = node_cwd();
	struct node *node;
	int error = path_lookup(cwd, path, WALK_FOLLOW, &node);

	node_put(cwd);
	if (error != 0)
		return error;
	error = node_open_exec(node, out, exe);
	if (error != 0)
		node_put(node);
	return error;
}
