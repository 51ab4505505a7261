/*
 * System calls that move bytes, or say where. Each takes a count of the open file for as long as it runs, so that close in
 * another thread only takes the descriptor. Lengths are cut to IO_MAX as Linux cuts them; addresses are checked before anything happens.
 */
#include "kernel/cache.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys_file.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/space.h"

#define IO_MAX	    UINT64_C(0x7ffff000)
#define RANGES_FEW  8U
#define SEND_BREATH (UINT64_C(64) << 10)

enum io_way { IO_READ, IO_WRITE };

/* file_get for one that must be readable or writable; positioned: and must have positions, which Linux asks first. */
static int io_file(int fd, enum io_way way, bool positioned, struct file **out)
{
	int error = file_get(fd, out);

	if (error != 0)
		return error;
	if (positioned && (*out)->ops->seek == NULL && (file_flags(*out) & O_PATH) == 0)
		error = -ESPIPE;
	else if (way == IO_READ ? !file_may_read(*out) : !file_may_write(*out))
		error = -EBADF;
	if (error != 0)
		file_put(*out);
	return error;
}

static bool io_possible(const struct file *file, enum io_way way)
{
	return (way == IO_READ ? file->ops->read : file->ops->write) != NULL;
}

static int64_t io_run(struct file *file, enum io_way way, struct io *io, const uint64_t *at)
{
	if (!io_possible(file, way))
		return -EINVAL;
	return way == IO_READ ? file->ops->read(file, io, at) : file->ops->write(file, io, at);
}

/* Whether n bytes from there on end behind where files can: of any file that has positions. */
static bool io_too_far(const struct file *file, uint64_t n, const uint64_t *at)
{
	/* relaxed: another thread that moves it now is before or after */
	uint64_t start = at != NULL ? *at : __atomic_load_n(&file->position, __ATOMIC_RELAXED);

	return n > (uint64_t)INT64_MAX - start;
}

static int64_t io_single(struct file *file, enum io_way way, const uint64_t *a, const uint64_t *at)
{
	struct io_range range = { VADDR(a[1]), MIN(a[2], IO_MAX) };
	struct io io;

	if (!user_range_ok(a[1], a[2]))
		return -EFAULT;
	if (io_too_far(file, a[2], at))
		return -EINVAL;
	io_init(&io, current_space(), &range, range.bytes);
	return io_run(file, way, &io, at);
}

_Static_assert(sizeof(struct io_range) == 16, "a struct iovec of the program's");

int user_ranges(struct io_range *range, uint64_t address, uint64_t count, uint64_t *bytes)
{
	int error = user_read(current_space(), range, VADDR(address), count * sizeof(*range));

	*bytes = 0;
	for (uint64_t i = 0; i < count && error == 0; i++) /* of all of them, before any address: as on Linux */
		error = (int64_t)range[i].bytes < 0 ? -EINVAL : 0;
	if (count == 1 && error == 0) /* also this: one that is too long is cut before it is looked at */
		range[0].bytes = MIN(range[0].bytes, IO_MAX);
	for (uint64_t i = 0; i < count && error == 0; i++) {
		if (!user_range_ok(range[i].base.v, range[i].bytes))
			error = -EFAULT;
		else
			*bytes += MIN(range[i].bytes, IO_MAX - *bytes);
	}
	return error;
}

static int64_t io_ranges_as(struct file *file, enum io_way way, const uint64_t *a, const uint64_t *at, unsigned flags)
{
	struct io_range few[RANGES_FEW];
	struct io_range *range = few;
	uint64_t bytes;
	int64_t result;
	struct io io;

	if (a[2] > RANGES_MAX)
		return -EINVAL;
	if (a[2] > RANGES_FEW)
		range = kalloc(a[2] * sizeof(*range));
	if (range == NULL)
		return -ENOMEM;
	result = user_ranges(range, a[1], a[2], &bytes);
	if (result == 0 && io_too_far(file, bytes, at))
		result = -EINVAL;
	if (result == 0 && bytes != 0) { /* none: 0, whatever the file is, as on Linux */
		io_init(&io, current_space(), range, bytes);
		io.flags = flags;
		result = io_run(file, way, &io, at);
	}
	if (range != few)
		kfree(range);
	return result;
}

static int64_t io_ranges(struct file *file, enum io_way way, const uint64_t *a, const uint64_t *at)
{
	return io_ranges_as(file, way, a, at, 0);
}

static int64_t io_ranges_flags(struct file *file, enum io_way way, const uint64_t *a, const uint64_t *at)
{
	return io_ranges_as(file, way, a, at, (uint32_t)a[5]);
}

/* What all of these do: `move` is io_single or io_ranges; positioned: at the offset that is the fourth argument. */
static int64_t io_call(const uint64_t *a, enum io_way way, bool positioned,
		       int64_t (*move)(struct file *, enum io_way, const uint64_t *, const uint64_t *))
{
	struct file *file;
	int64_t result;

	if (positioned && (int64_t)a[3] < 0)
		return -EINVAL;
	result = io_file((int)a[0], way, positioned, &file);
	if (result != 0)
		return result;
	result = io_possible(file, way) ? move(file, way, a, positioned ? &a[3] : NULL) : -EINVAL;
	file_put(file);
	return result;
}

int64_t sys_read(const uint64_t *a)
{
	return io_call(a, IO_READ, false, io_single);
}

int64_t sys_write(const uint64_t *a)
{
	return io_call(a, IO_WRITE, false, io_single);
}

int64_t sys_pread64(const uint64_t *a)
{
	return io_call(a, IO_READ, true, io_single);
}

int64_t sys_pwrite64(const uint64_t *a)
{
	return io_call(a, IO_WRITE, true, io_single);
}

int64_t sys_readv(const uint64_t *a)
{
	return io_call(a, IO_READ, false, io_ranges);
}

int64_t sys_writev(const uint64_t *a)
{
	return io_call(a, IO_WRITE, false, io_ranges);
}

int64_t sys_preadv(const uint64_t *a)
{
	return io_call(a, IO_READ, true, io_ranges);
}

int64_t sys_pwritev(const uint64_t *a)
{
	return io_call(a, IO_WRITE, true, io_ranges);
}

/* a[3]: where, -1: at the position, which moves; a[5]: flags. NOWAIT can be asked of nothing here. */
static int64_t io_call_flags(const uint64_t *a, enum io_way way)
{
	if (((uint32_t)a[5] & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND)) != 0)
		return -EOPNOTSUPP;
	return io_call(a, way, a[3] != UINT64_MAX, io_ranges_flags);
}

int64_t sys_preadv2(const uint64_t *a)
{
	return io_call_flags(a, IO_READ);
}

int64_t sys_pwritev2(const uint64_t *a)
{
	return io_call_flags(a, IO_WRITE);
}

int64_t sys_lseek(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	if ((file_flags(file) & O_PATH) != 0)
		result = -EBADF;
	else if ((uint32_t)a[2] > 4)
		result = -EINVAL;
	else if (file->ops->seek == NULL)
		result = file->ops->takes_words ? 0 : -ESPIPE;
	else
		result = file->ops->seek(file, (int64_t)a[1], (uint32_t)a[2]);
	file_put(file);
	return result;
}

/* ---- sendfile: through a page of ours. */

/* One page's worth. What was read and could not be written is given back where the source has a position. */
static int64_t send_piece(struct file *out, struct file *in, char *page, uint64_t n, uint64_t *from)
{
	struct io_range range = { VADDR((uintptr_t)page), n };
	struct io io;
	int64_t got, put;

	io_init(&io, NULL, &range, n);
	got = io_run(in, IO_READ, &io, from);
	if (got <= 0)
		return got;
	range.bytes = (uint64_t)got;
	io_init(&io, NULL, &range, (uint64_t)got);
	put = io_run(out, IO_WRITE, &io, NULL);
	if (from != NULL && put > 0 && (in->node == NULL || !node_is(in->node, S_IFCHR)))
		*from += (uint64_t)put; /* devices have no other bytes there */
	else if (from == NULL && put < got && in->ops->seek != NULL)
		(void)in->ops->seek(in, MAX(put, 0) - got, 1);
	return put;
}

static int64_t send_all(struct file *out, struct file *in, uint64_t n, uint64_t *from)
{
	char *page = kalloc(PAGE_SIZE);
	int64_t moved = 0;
	uint64_t done = 0;

	if (page == NULL)
		return -ENOMEM;
	n = MIN(n, IO_MAX);
	while (done < n) {
		moved = send_piece(out, in, page, MIN(n - done, PAGE_SIZE), from);
		if (moved <= 0)
			break;
		done += (uint64_t)moved;
		if (done % SEND_BREATH == 0) {
			sched_breathe();
			sched_yield();
		}
		if (wait_interrupted())
			break;
	}
	kfree(page);
	return done != 0 ? (int64_t)done : moved;
}

static int64_t send_files(struct file *out, struct file *in, uint64_t n, uint64_t *from)
{
	if ((in->ops->object == NULL && in->ops->seek == NULL) ||
	    (n != 0 && (in->ops->gives_no_run || out->ops->takes_words)))
		return -EINVAL;
	return send_all(out, in, n, from);
}

/* from: where in the source; NULL: at its position. */
static int64_t send_fds(const uint64_t *a, uint64_t *from)
{
	struct file *in, *out;
	int64_t result = io_file((int)a[1], IO_READ, false, &in);

	if (result != 0)
		return result;
	if (from != NULL && in->ops->seek == NULL)
		result = -ESPIPE;
	else if (from != NULL && ((int64_t)*from < 0 || io_too_far(in, a[3], from)))
		result = -EINVAL;
	else
		result = io_file((int)a[0], IO_WRITE, false, &out);
	if (result == 0) {
		result = send_files(out, in, a[3], from);
		file_put(out);
	}
	file_put(in);
	return result;
}

int64_t sys_sendfile(const uint64_t *a)
{
	uint64_t from;
	int64_t result;

	if (a[2] == 0)
		return send_fds(a, NULL);
	result = user_read(current_space(), &from, VADDR(a[2]), sizeof(from));
	if (result != 0)
		return result;
	result = send_fds(a, &from);
	return user_write(current_space(), VADDR(a[2]), &from, sizeof(from)) != 0 ? -EFAULT : result;
}

int64_t sys_getdents64(const uint64_t *a)
{
	struct io_range range = { VADDR(a[1]), (uint32_t)a[2] };
	struct file *file;
	struct io io;
	int64_t result = io_file((int)a[0], IO_READ, false, &file);

	if (result != 0)
		return result;
	io_init(&io, current_space(), &range, range.bytes);
	if (file->ops->getdents == NULL)
		result = -ENOTDIR;
	else
		result = user_range_ok(a[1], range.bytes) ? file->ops->getdents(file, &io) : -EFAULT;
	file_put(file);
	return result;
}

static int file_truncate(struct file *file, uint64_t bytes)
{
	if (!file_may_write(file) || file->ops->truncate == NULL)
		return -EINVAL;
	return file->ops->truncate(file, bytes);
}

int64_t sys_ftruncate(const uint64_t *a)
{
	struct file *file;
	int64_t result;

	if ((int64_t)a[1] < 0)
		return -EINVAL;
	result = file_get((int)a[0], &file);
	if (result != 0)
		return result;
	result = (file_flags(file) & O_PATH) != 0 ? -EBADF : file_truncate(file, a[1]);
	file_put(file);
	return result;
}

int64_t sys_truncate(const uint64_t *a)
{
	struct node *node;
	struct file *file;
	int64_t result;

	if ((int64_t)a[1] < 0)
		return -EINVAL;
	result = user_lookup(AT_FDCWD, a[0], WALK_FOLLOW, &node);
	if (result != 0)
		return result;
	if (!node_is(node, S_IFREG))
		result = node_is(node, S_IFDIR) ? -EISDIR : -EINVAL;
	else
		result = node_open(node, O_RDWR, &file);
	node_put(node);
	if (result != 0)
		return result;
	result = file_truncate(file, a[1]);
	file_put(file);
	return result;
}

#define FALLOC_FL_KEEP_SIZE  0x01U
#define FALLOC_FL_PUNCH_HOLE 0x02U
#define FALLOC_FL_MODES	     0x7aU /* one or none: punch hole, collapse, zero, insert and unshare range */

/* Whether there is such a mode, of any kind of file. */
static bool falloc_mode_known(uint32_t mode)
{
	uint32_t what = mode & FALLOC_FL_MODES;
	bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;

	if ((mode & ~(FALLOC_FL_MODES | FALLOC_FL_KEEP_SIZE)) != 0 || (what & (what - 1)) != 0)
		return false;
	if (what == FALLOC_FL_PUNCH_HOLE)
		return keeps;
	return (what != 0x08U && what != 0x20U) || !keeps; /* collapse, insert: they change the size */
}

/* Pages come when they are touched; what a program can see of it is the size. */
static int64_t file_allocate(struct file *file, uint32_t mode, uint64_t start, uint64_t end)
{
	struct object *object;
	uint64_t bytes;
	int error;

	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) && file->ops == &regular_ops)
		return regular_punch(file, start, end - start);
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0)
		return -EOPNOTSUPP;
	error = file_object(file, &object);
	if (error != 0)
		return error;
	bytes = object_bytes(object);
	if (end > bytes && (mode & FALLOC_FL_KEEP_SIZE) != 0 && object_store(object) != NULL)
		error = cache_file_reserve(object_store(object), end);
	object_put(object);
	return end <= bytes || (mode & FALLOC_FL_KEEP_SIZE) != 0 ? error : file->ops->truncate(file, end);
}

static int not_allocated(const struct file *file)
{
	if (file->ops == &directory_ops)
		return -EISDIR;
	return file->node != NULL && node_is(file->node, S_IFIFO) ? -ESPIPE : -ENODEV;
}

/* Errors in Linux's order: what is asked for, rights, what the file is, where its end would be. */
static int64_t file_allocate_checked(struct file *file, const uint64_t *a)
{
	int64_t end;

	if ((file_flags(file) & O_PATH) != 0)
		return -EBADF;
	if ((int64_t)a[2] < 0 || (int64_t)a[3] <= 0)
		return -EINVAL;
	if (!falloc_mode_known((uint32_t)a[1]))
		return -EOPNOTSUPP;
	if (!file_may_write(file))
		return -EBADF;
	if (file->ops->truncate == NULL)
		return not_allocated(file);
	if (__builtin_add_overflow((int64_t)a[2], (int64_t)a[3], &end))
		return -EFBIG;
	return file_allocate(file, (uint32_t)a[1], a[2], (uint64_t)end);
}

int64_t sys_fallocate(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	result = file_allocate_checked(file, a);
	file_put(file);
	return result;
}
