/*
 * Regular files: a node, its object, and the file operations on it.
 *
 * The object is made when it is first wanted, from the bytes in the initramfs, which are copied page by page as they are
 * touched. While anyone has the file open or mapped, the node keeps the same object, so that read, write and every
 * mapping agree; its size is the file's. An open file holds a reference of its own in file->data.
 *
 * Locks: node->regular.mutex (kernel/mutex.h) over changes of the size, holes, clones, seals, appends and writes to what can be sealed: one
 * after the other in one file, and nobody else waits. Within it a program's memory is touched: that may wait for a disk, and never for
 * such a mutex. Two of them (reflink.c): the node of the lower address first. The tree's guards who opens and runs a file,
 * and which object it has. Positions move before bytes do: a read or write takes [position, position + n)
 * for itself under the file's lock and copies with no lock held; if it comes short, the rest is given back, unless someone
 * moved the position meanwhile. So two reads of one open file never return the same bytes, and no copy spins anybody.
 */
#include "kernel/cache.h"
#include "kernel/process.h"
#include "kernel/tree.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/object.h"

#define FILE_BYTES_MAX ((uint64_t)INT64_MAX)

#define SEEK_SET  0U
#define SEEK_CUR  1U
#define SEEK_END  2U
#define SEEK_DATA 3U
#define SEEK_HOLE 4U

static int node_object_locked(struct node *node)
{
	struct node_regular *regular = &node->regular;

	if (regular->object != NULL)
		return 0;
	return object_create(regular->bytes, regular->source, regular->bytes, &regular->object);
}

static int node_use_locked(struct node_regular *regular, enum node_use use)
{
	if ((use == NODE_WRITE && regular->runs != 0) || (use == NODE_RUN && regular->writers != 0))
		return -ETXTBSY;
	if (use == NODE_WRITE)
		regular->writers++;
	if (use == NODE_RUN)
		regular->runs++;
	return 0;
}

int node_object(struct node *node, enum node_use use, struct object **out)
{
	int error = node->volume == NULL ? 0 : volume_load(node);

	if (error != 0)
		return error;
	tree_enter();
	error = node_object_locked(node);
	if (error == 0)
		error = node_use_locked(&node->regular, use);
	if (error == 0) {
		*out = node->regular.object;
		object_get(*out);
	}
	tree_leave();
	return error;
}

void node_done(struct node *node, enum node_use use)
{
	tree_enter();
	if (use == NODE_WRITE)
		node->regular.writers--;
	if (use == NODE_RUN)
		node->regular.runs--;
	tree_leave();
}

static int truncate_stored(struct node *node)
{
	struct object *object;
	int error = node_object(node, NODE_WRITE, &object);

	if (error != 0)
		return error;
	error = cache_file_truncate(object_store(object), 0);
	volume_stamp(node);
	node_done(node, NODE_WRITE);
	object_put(object);
	return error;
}

/*
 * What nobody else has open or mapped is replaced: *old, to be put. Else *cut, counted, is to be cut off, and the file counts as being
 * written to until then. Seals of a file that nobody has open keep nobody out, as there are none. [mutex]
 */
static int truncate_begin(struct node *node, struct object **old, struct object **cut)
{
	struct node_regular *regular = &node->regular;
	uint64_t bytes = regular->object == NULL ? 0 : object_bytes(regular->object);
	int error = 0;

	tree_enter();
	error = seal_resize(node, bytes, 0);
	if (regular->runs != 0)
		error = -ETXTBSY;
	if (error == 0 && regular->object != NULL && !object_is_sole(regular->object)) {
		*cut = regular->object;
		object_get(*cut);
		regular->writers++;
	} else if (error == 0) {
		*old = regular->object;
		regular->object = NULL;
		regular->source = NULL;
		regular->bytes = 0;
	}
	tree_leave();
	return error;
}

static int truncate_end(struct node *node, struct object *cut)
{
	int error = object_resize(cut, 0);

	tree_enter();
	if (error == 0)
		node->regular.source = NULL;
	node->regular.writers--;
	tree_leave();
	object_put(cut);
	return error;
}

int node_truncate(struct node *node)
{
	struct object *old = NULL, *cut = NULL;
	int error;

	if (node->volume != NULL)
		return truncate_stored(node);
	mutex_lock(&node->regular.mutex);
	error = truncate_begin(node, &old, &cut);
	if (cut != NULL)
		error = truncate_end(node, cut);
	if (error == 0)
		node_stamp(node);
	mutex_unlock(&node->regular.mutex);
	if (old != NULL)
		object_put(old);
	return error;
}

static int64_t regular_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct object *object = file->data;
	uint64_t bytes = object_bytes(object);
	uint64_t start, n, done;

	if (at != NULL) {
		start = *at;
		n = start < bytes ? MIN(io->left, bytes - start) : 0;
	} else {
		n = file_position_take(file, io->left, bytes, &start);
	}
	io->advice = file_advice(file);
	done = io_put_object(io, object, start, n);
	if (file->node->volume == NULL && (file_flags(file) & O_NOATIME) == 0)
		node_accessed(file->node);
	if (at == NULL)
		file_position_return(file, start + n, n - done);
	return io_result(io, done);
}

/* RLIMIT_FSIZE: how long the calling process may make a file. */
static uint64_t size_limit(void)
{
	struct process *process = current_process();

	/* relaxed: another process may be setting it; the old one or the new one will do */
	return process == NULL ? UINT64_MAX : __atomic_load_n(&process->limits[RLIMIT_FSIZE].soft, __ATOMIC_RELAXED);
}

static int too_long(uint64_t start, uint64_t limit)
{
	if (start >= limit)
		signal_self(SIGXFSZ);
	return -EFBIG;
}

/* How many of n bytes at `at` may be written. As on Linux, a page that would make a sealed file longer is not written in part. [mutex] */
static uint64_t regular_room(struct file *file, uint64_t at, uint64_t n, uint64_t most, int *error)
{
	uint64_t bytes = object_bytes(file->data);

	*error = at >= most ? -EFBIG : 0;
	n = at < most ? MIN(n, most - at) : 0;
	if (n == 0 || seal_write(file->node, bytes, at + n) == 0)
		return n;
	bytes = seal_write(file->node, bytes, bytes) == 0 ? ALIGN_DOWN(bytes, PAGE_SIZE) : 0;
	if (bytes <= at)
		*error = -EPERM;
	return bytes <= at ? 0 : bytes - at;
}

/* Where the size, or a seal, has a say, and from the kernel's memory (kernel/file.h): with the mutex. */
static uint64_t regular_take_alone(struct file *file, struct io *io, bool append, uint64_t *at, uint64_t n,
				   uint64_t most)
{
	uint64_t done = 0;
	int error;

	mutex_lock(&file->node->regular.mutex);
	if (append)
		*at = object_bytes(file->data);
	n = regular_room(file, *at, n, most, &error);
	if (n == 0)
		io->error = error;
	else
		done = io_take_object(io, file->data, *at, n, most);
	mutex_unlock(&file->node->regular.mutex);
	return done;
}

/* Straight into the frames. */
static uint64_t regular_take(struct file *file, struct io *io, bool append, uint64_t *at, uint64_t n, uint64_t most)
{
	uint64_t done;

	if (append || file->node->regular.sealable || io->space == NULL)
		done = regular_take_alone(file, io, append, at, n, most);
	else
		done = io_take_object(io, file->data, *at, n, most);
	*at += done;
	node_stamp(file->node);
	return done;
}

static int64_t regular_write(struct file *file, struct io *io, const uint64_t *at)
{
	bool append = (file_flags(file) & O_APPEND) != 0 || (io->flags & RWF_APPEND) != 0;
	uint64_t limit = size_limit(), most = MIN(limit, FILE_BYTES_MAX);
	uint64_t start, n, done, place;

	if (object_store(file->data) != NULL) {
		volume_stamp(file->node);
		return cache_file_write(file, object_store(file->data), io, at, limit);
	}
	if (io->left == 0)
		return 0;
	if (at != NULL || append) {
		start = at != NULL ? *at : object_bytes(file->data);
		n = start < most ? MIN(io->left, most - start) : 0;
	} else {
		n = file_position_take(file, io->left, most, &start);
	}
	if (n == 0)
		return too_long(start, limit);
	place = start;
	done = regular_take(file, io, append, &place, n, most);
	if (at == NULL && append) {
		spin_lock(&file->lock, RANK_FILE);
		file->position = place;
		spin_unlock(&file->lock, RANK_FILE);
	} else if (at == NULL) {
		file_position_return(file, start + n, n - done);
	}
	return io_result(io, done);
}

/*
 * The next data, or hole, at or behind the offset, less the offset. Behind the end is a hole. What comes from the initramfs is
 * data, and all on a volume: there a page that is not in memory is on the disk.
 */
static int64_t seek_content(struct file *file, int64_t offset, bool data)
{
	uint64_t bytes = object_bytes(file->data);
	uint64_t page = (uint64_t)offset >> PAGE_SHIFT, at;

	if (offset < 0 || (uint64_t)offset >= bytes)
		return -ENXIO;
	if (file->node->regular.source != NULL || object_store(file->data) != NULL)
		return data ? 0 : (int64_t)bytes - offset;
	at = object_next(file->data, page, data);
	if (at == page)
		return 0;
	if (at >= (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT)
		return data ? -ENXIO : (int64_t)bytes - offset;
	return (int64_t)(at << PAGE_SHIFT) - offset;
}

static int64_t seek_base(struct file *file, int64_t offset, unsigned whence)
{
	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		return (int64_t)file->position;
	case SEEK_END:
		return (int64_t)object_bytes(file->data);
	case SEEK_DATA:
	case SEEK_HOLE:
		return seek_content(file, offset, whence == SEEK_DATA);
	default:
		return -EINVAL;
	}
}

static int64_t regular_seek(struct file *file, int64_t offset, unsigned whence)
{
	int64_t result;

	spin_lock(&file->lock, RANK_FILE);
	result = seek_base(file, offset, whence);
	if (result >= 0 && (__builtin_add_overflow(result, offset, &result) || result < 0))
		result = -EINVAL;
	if (result >= 0)
		file->position = (uint64_t)result;
	spin_unlock(&file->lock, RANK_FILE);
	return result;
}

static int regular_object(struct file *file, struct object **out)
{
	*out = file->data;
	object_get(*out);
	if (file->node->volume == NULL && (file_flags(file) & O_NOATIME) == 0)
		node_accessed(file->node);
	return 0;
}

static int regular_truncate(struct file *file, uint64_t bytes)
{
	int error;

	if (bytes > object_bytes(file->data) && bytes > size_limit())
		return too_long(bytes, bytes);
	if (object_store(file->data) != NULL) {
		error = cache_file_truncate(object_store(file->data), bytes);
		volume_stamp(file->node);
		return error;
	}
	if (bytes > FILE_BYTES_MAX)
		return -EFBIG;
	mutex_lock(&file->node->regular.mutex);
	error = seal_resize(file->node, object_bytes(file->data), bytes);
	if (error == 0)
		error = object_resize(file->data, bytes);
	if (error == 0)
		node_stamp(file->node);
	mutex_unlock(&file->node->regular.mutex);
	return error;
}

int regular_punch(struct file *file, uint64_t offset, uint64_t bytes)
{
	int error;

	if (object_store(file->data) != NULL)
		return -EOPNOTSUPP; /* as Linux's vfat */
	mutex_lock(&file->node->regular.mutex);
	error = seal_write(file->node, UINT64_MAX, 0);
	if (error == 0)
		error = object_punch(file->data, offset, bytes);
	if (error == 0)
		node_stamp(file->node);
	mutex_unlock(&file->node->regular.mutex);
	return error;
}

static void regular_release(struct file *file)
{
	if ((file_flags(file) & O_ACCMODE) != O_RDONLY)
		node_done(file->node, NODE_WRITE);
	object_put(file->data);
}

static struct store *regular_store(struct file *file)
{
	return object_store(file->data);
}

const struct file_ops regular_ops = {
	.store = regular_store,
	.read = regular_read,
	.write = regular_write,
	.seek = regular_seek,
	.object = regular_object,
	.truncate = regular_truncate,
	.release = regular_release,
};
