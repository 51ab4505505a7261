/* copy_file_range, through a page of the kernel's. */
#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/space.h"

#define COPY_MAX UINT64_C(0x7ffff000)

/* One side of a copy: where it is. */
struct side {
	struct file *file;
	uint64_t pointer; /* the program's offset; 0: the file's own position */
	uint64_t at;
};

static int side_open(struct side *side, uint64_t fd, uint64_t pointer, bool write)
{
	int error = file_get((int)fd, &side->file);

	if (error != 0)
		return error;
	side->pointer = pointer;
	if ((file_flags(side->file) & O_PATH) != 0)
		error = -EBADF;
	else if (side->file->ops != &regular_ops)
		error = side->file->ops->getdents != NULL ? -EISDIR : -EINVAL;
	else if (write ? !file_may_write(side->file) || (file_flags(side->file) & O_APPEND) != 0
		       : !file_may_read(side->file))
		error = -EBADF;
	else if (pointer != 0)
		error = user_read(current_space(), &side->at, VADDR(pointer), sizeof(side->at));
	else
		side->at = (uint64_t)side->file->ops->seek(side->file, 0, 1);
	if (error == 0 && (int64_t)side->at < 0)
		error = -EINVAL;
	if (error != 0)
		file_put(side->file);
	return error;
}

/* The offset behind what was copied, to where it came from. */
static int side_close(struct side *side, uint64_t done)
{
	int error = 0;

	side->at += done;
	if (done != 0 && side->pointer != 0)
		error = user_write(current_space(), VADDR(side->pointer), &side->at, sizeof(side->at));
	else if (done != 0)
		(void)side->file->ops->seek(side->file, (int64_t)side->at, 0);
	file_put(side->file);
	return error;
}

static int64_t move(const struct file_ops *ops, struct side *side, char *page, uint64_t n, uint64_t at, bool write)
{
	struct io_range range = { VADDR((uint64_t)(uintptr_t)page), n };
	struct io io;

	io_init(&io, NULL, &range, n);
	return write ? ops->write(side->file, &io, &at) : ops->read(side->file, &io, &at);
}

static int64_t copy(struct side *in, struct side *out, uint64_t n)
{
	char *page = kalloc(PAGE_SIZE);
	uint64_t done = 0;
	int64_t moved = page == NULL ? -ENOMEM : 1;

	while (moved > 0 && done < n) {
		moved = move(&regular_ops, in, page, MIN(n - done, PAGE_SIZE), in->at + done, false);
		if (moved > 0)
			moved = move(&regular_ops, out, page, (uint64_t)moved, out->at + done, true);
		if (moved > 0)
			done += (uint64_t)moved;
	}
	kfree(page);
	return done != 0 ? (int64_t)done : moved;
}

static int64_t copy_checked(struct side *in, struct side *out, uint64_t bytes)
{
	uint64_t size = object_bytes(in->file->data);
	uint64_t n = MIN(bytes, COPY_MAX);

	if (in->at + bytes < in->at || out->at + bytes < out->at)
		return -EOVERFLOW;
	n = in->at < size ? MIN(n, size - in->at) : 0;
	if (in->file->node == out->file->node && in->at < out->at + n && out->at < in->at + n)
		return -EINVAL;
	return n == 0 ? 0 : copy(in, out, n);
}

int64_t sys_copy_file_range(const uint64_t *a)
{
	struct side in = { 0 }, out = { 0 };
	int64_t result;
	int error;

	if ((uint32_t)a[5] != 0)
		return -EINVAL;
	error = side_open(&in, a[0], a[1], false);
	if (error != 0)
		return error;
	error = side_open(&out, a[2], a[3], true);
	if (error != 0) {
		file_put(in.file);
		return error;
	}
	result = copy_checked(&in, &out, a[4]);
	error = side_close(&out, result > 0 ? (uint64_t)result : 0);
	if (side_close(&in, result > 0 ? (uint64_t)result : 0) != 0 || error != 0)
		return -EFAULT;
	return result;
}
