/*
 * Open files: their counts, and what holds for every kind of them.
 *
 * Invariant: ops and node never change while the file lives. Locks: file->lock (RANK_FILE) guards position and nothing
 * else; ops with state of their own have their own lock of that rank, and never take both.
 */
#include "kernel/file.h"

#include "kernel/cache.h"
#include "kernel/file_lock.h"
#include "kernel/tree.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/slab.h"

int file_create(const struct file_ops *ops, unsigned flags, struct node *node, void *data, struct file **out)
{
	struct file *file = kalloc(sizeof(*file));

	if (file == NULL)
		return -ENOMEM;
	atomic_init(&file->count, 1);
	atomic_init(&file->flags, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC));
	spin_init(&file->lock);
	file->ops = ops;
	file->node = node;
	file->data = data;
	if (node != NULL && node->volume != NULL)
		atomic_init(&file->volume_error_seen, cache_errors_sample(&node->volume->error));
	*out = file;
	return 0;
}

void file_hold(struct file *file)
{
	/* relaxed: the caller has a count, or the lock of a table that does */
	uint32_t old = atomic_fetch_add_explicit(&file->count, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

static __attribute__((noinline)) void file_free(struct file *file)
{
	file_lock_release(file);
	if (file->ops->release != NULL)
		file->ops->release(file);
	node_put(file->node);
	kfree(file);
}

void file_put(struct file *file)
{
	const struct file_ops *ops = file->ops;
	/* acq_rel: what others did with the file before they let go of it is done */
	uint32_t old = atomic_fetch_sub_explicit(&file->count, 1, memory_order_acq_rel);

	CHECK(old != 0);
	if (old == 1)
		file_free(file);
	else if (ops->lost != NULL)
		ops->lost();
}

uint64_t file_position_take(struct file *file, uint64_t n, uint64_t end, uint64_t *start)
{
	spin_lock(&file->lock, RANK_FILE);
	*start = file->position;
	n = *start < end ? MIN(n, end - *start) : 0;
	file->position += n;
	spin_unlock(&file->lock, RANK_FILE);
	return n;
}

void file_position_return(struct file *file, uint64_t end, uint64_t unused)
{
	if (unused == 0)
		return;
	spin_lock(&file->lock, RANK_FILE);
	if (file->position == end)
		file->position = end - unused;
	spin_unlock(&file->lock, RANK_FILE);
}

int file_object(struct file *file, struct object **out)
{
	if ((file_flags(file) & O_PATH) != 0)
		return -EBADF;
	if (file->ops->object == NULL)
		return -ENODEV;
	return file->ops->object(file, out);
}
