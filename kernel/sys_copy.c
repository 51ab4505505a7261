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

static int side_start(struct side *side, uint64_t pointer)
{
	side->pointer = pointer;
	if (pointer != 0)
		return user_read(current_space(), &side->at, VADDR(pointer), sizeof(side->at));
	side->at = side->file->ops->seek == NULL ? 0 : (uint64_t)side->file->ops->seek(side->file, 0, 1);
	return 0;
}

static int check_side(const struct side *side)
{
	if (side->file->ops->getdents != NULL)
		return -EISDIR;
	return side->file->ops == &regular_ops ? 0 : -EINVAL;
}

/* As on Linux a memfd is on a file system of its own. */
static bool same_file_system(const struct node *one, const struct node *other)
{
	return one->volume == other->volume && (one->volume != NULL || (one->name == NULL) == (other->name == NULL));
}

/* Errors in Linux's order. */
static int check_sides(const struct side *in, const struct side *out)
{
	int in_error = check_side(in), out_error = check_side(out);

	if (in_error != 0 || out_error != 0)
		return in_error == -EISDIR || out_error == -EISDIR ? -EISDIR : -EINVAL;
	if (!file_may_read(in->file) || !file_may_write(out->file) || (file_flags(out->file) & O_APPEND) != 0)
		return -EBADF;
	return same_file_system(in->file->node, out->file->node) ? 0 : -EXDEV;
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
	if ((int64_t)in->at < 0 || (int64_t)out->at < 0)
		return -EINVAL;
	return n == 0 ? 0 : copy(in, out, n);
}

static int64_t copy_sides(struct side *in, struct side *out, const uint64_t *a)
{
	int64_t result = side_start(in, a[1]);

	if (result == 0)
		result = side_start(out, a[3]);
	if (result == 0 && (uint32_t)a[5] != 0)
		result = -EINVAL;
	if (result == 0)
		result = check_sides(in, out);
	if (result == 0)
		result = copy_checked(in, out, a[4]);
	if (result <= 0)
		return result;
	if (side_close(out, (uint64_t)result) != 0 || side_close(in, (uint64_t)result) != 0)
		return -EFAULT;
	return result;
}

static int side_open(struct side *side, uint64_t fd)
{
	int error = file_get((int)fd, &side->file);

	if (error == 0 && (file_flags(side->file) & O_PATH) != 0) {
		file_put(side->file);
		error = -EBADF;
	}
	return error;
}

int64_t sys_copy_file_range(const uint64_t *a)
{
	struct side in = { 0 }, out = { 0 };
	int64_t result = side_open(&in, a[0]);

	if (result != 0)
		return result;
	result = side_open(&out, a[2]);
	if (result == 0) {
		result = copy_sides(&in, &out, a);
		file_put(out.file);
	}
	file_put(in.file);
	return result;
}
