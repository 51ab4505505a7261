/*
 * ioctl(FICLONE) and FICLONERANGE: copy-on-write of files, checked in the order that Linux does (fs/remap_range.c). All regular files of the
 * tree are of one file system here, memfds too.
 *
 * Locks: both files' mutexes, so that neither gets shorter meanwhile (mm/object.h asks for that). Plain writes, which take none, may make
 * them longer: mm/ looks again where that matters, and the range is checked anew.
 */
#include "kernel/process.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/space.h"

/* Linux's struct file_clone_range. */
struct clone_range {
	int64_t src_fd;
	uint64_t src_offset, src_bytes, dst_offset;
};

struct reflink {
	struct file *src, *dst;
	uint64_t from, to, bytes;
};

static bool is_content(const struct file *file)
{
	return file->node != NULL && (file->ops == &regular_ops || file->ops == &directory_ops);
}

static int check_files(const struct reflink *link)
{
	if (!is_content(link->src) || !is_content(link->dst))
		return link->src->ops == link->dst->ops && link->src->node != NULL ? -EOPNOTSUPP : -EXDEV;
	if (link->src->ops == &directory_ops || link->dst->ops == &directory_ops)
		return -EISDIR;
	if (!file_may_read(link->src) || !file_may_write(link->dst) || (file_flags(link->dst) & O_APPEND) != 0)
		return -EBADF;
	if (link->src->node->volume != link->dst->node->volume)
		return -EXDEV;
	return link->src->node->volume != NULL ? -EOPNOTSUPP : 0;
}

/* What is left of it: 0 bytes is to the source's end. The end need not be aligned where it is the source's, and not within dst. */
static int check_range(struct reflink *link)
{
	uint64_t src = object_bytes(link->src->data), dst = object_bytes(link->dst->data);
	uint64_t whole;

	if ((int64_t)link->from < 0 || (int64_t)link->to < 0 || (int64_t)link->bytes < 0)
		return -EINVAL;
	if (link->bytes == 0 && link->from <= src)
		link->bytes = src - link->from;
	if (link->bytes == 0 && link->from == src)
		return 0;
	if (((link->from | link->to) & PAGE_MASK) != 0 || link->from >= src || link->bytes > src - link->from ||
	    (int64_t)(link->to + link->bytes) < 0)
		return -EINVAL;
	whole = link->bytes;
	if ((whole & PAGE_MASK) != 0) {
		if (link->from + whole != src || link->to + whole < dst)
			return -EINVAL;
		whole = ALIGN_UP(whole, PAGE_SIZE);
	}
	if (link->src->node == link->dst->node && link->from < link->to + whole && link->to < link->from + whole)
		return -EINVAL;
	return 0;
}

/* -EAGAIN: a write has made dst longer, and the end may be within it now. */
static int clone_range(const struct reflink *link)
{
	struct object *dst = link->dst->data;
	uint64_t old = object_bytes(dst), end = link->to + link->bytes;
	int error = seal_write(link->dst->node, old, end);

	if (error == 0)
		error = object_extend(dst, end);
	if (error != 0)
		return error;
	error = object_clone_within(link->src->data, link->from >> PAGE_SHIFT, dst, link->to >> PAGE_SHIFT,
				    ALIGN_UP(link->bytes, PAGE_SIZE) >> PAGE_SHIFT,
				    (link->bytes & PAGE_MASK) != 0 ? end : UINT64_MAX);
	node_stamp(link->dst->node);
	/* As long as it was, unless there is no memory for that either, or a write has made it longer. */
	if (error == -ENOMEM && end > old && object_bytes(dst) == end)
		(void)!object_resize(dst, old);
	return error;
}

static int clone_files(const struct reflink *link)
{
	struct reflink now;
	int error;

	do {
		now = *link;
		error = check_range(&now);
		if (error == 0 && now.bytes != 0)
			error = clone_range(&now);
	} while (error == -EAGAIN);
	return error;
}

static void reflink_lock(const struct reflink *link)
{
	struct node *first = link->src->node, *second = link->dst->node;

	mutex_lock(&MIN(first, second)->regular.mutex);
	if (first != second)
		mutex_lock(&MAX(first, second)->regular.mutex);
}

static void reflink_unlock(const struct reflink *link)
{
	mutex_unlock(&link->src->node->regular.mutex);
	if (link->src->node != link->dst->node)
		mutex_unlock(&link->dst->node->regular.mutex);
}

static int64_t reflink(const struct reflink *link)
{
	int error = check_files(link);

	if (error != 0)
		return error;
	reflink_lock(link);
	error = clone_files(link);
	reflink_unlock(link);
	return error;
}

int64_t file_clone(struct file *dst, uint64_t request, uint64_t argument)
{
	struct clone_range range = { .src_fd = (int64_t)argument };
	struct reflink link = { .dst = dst };
	int64_t result = 0;

	if (request == FICLONERANGE)
		result = user_read(current_space(), &range, VADDR(argument), sizeof(range));
	if (result == 0)
		result = file_get((int)range.src_fd, &link.src);
	if (result != 0)
		return result;
	link.from = range.src_offset;
	link.to = range.dst_offset;
	link.bytes = range.src_bytes;
	result = (file_flags(link.src) & O_PATH) != 0 ? -EBADF : reflink(&link);
	file_put(link.src);
	return result;
}
