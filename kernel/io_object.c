/*
 * Moving bytes between an object and the ranges that a read or write names: frame to frame where those are a program's.
 *
 * What is missing is read in, and then it is tried again. A write to a file on a device claims the page (cache.h), so that no read of
 * the device is under way that would be behind; as nothing may be touched meanwhile, what is missing on the program's side is
 * touched in between. No state, no locks of its own.
 */
#include "kernel/cache.h"
#include "kernel/file.h"
#include "kernel/touch.h"
#include "lib/errno.h"

/*
 * A page of the object's or of the program's is missing. n: of the object, how many bytes are wanted from offset on. -EAGAIN: look
 * again; 0: the object has ended meanwhile.
 */
static int get_page(struct object *object, uint64_t offset, uint64_t n, struct io *io, vaddr_t at, enum access access)
{
	uint64_t pages = ((offset + n - 1) >> PAGE_SHIFT) - (offset >> PAGE_SHIFT) + 1;
	int error = 0;

	if (!object_has(object, offset >> PAGE_SHIFT)) {
		error = cache_read_pages(object_store(object), offset >> PAGE_SHIFT, pages,
					 (enum cache_advice)io->advice);
		if (error == -EFAULT)
			return 0;
	} else if (io->space != NULL) {
		error = touch(io->space, at, access);
	}
	return error != 0 ? error : -EAGAIN;
}

/* At most n bytes, in one page, of `left` that are wanted. How many; 0: the object has ended; -EAGAIN: look again. */
static int64_t put_some(struct object *object, uint64_t offset, struct io *io, vaddr_t at, uint64_t n, uint64_t left)
{
	int64_t moved;

	if (io->space == NULL)
		moved = object_read(object, offset, (void *)(uintptr_t)at.v, n);
	else
		moved = object_to_user(object, offset, io->space, at, n);
	if (moved == -EAGAIN)
		return get_page(object, offset, left, io, at, ACCESS_WRITE);
	return moved == -ENOMEM && cache_reclaim() ? -EAGAIN : moved;
}

static int64_t write_kernel(struct object *object, uint64_t offset, const void *from, uint64_t n)
{
	struct store *store = object_store(object);
	struct cache_claim claim;
	int64_t moved;

	int error = object_extend(object, offset + n);

	if (error != 0)
		return error;
	if (store != NULL) {
		error = cache_claim(store, offset >> PAGE_SHIFT, &claim);
		if (error != 0)
			return error;
	}
	moved = object_write(object, offset, from, n);
	if (store != NULL)
		cache_unclaim(store, &claim);
	return moved;
}

static int64_t write_user(struct object *object, uint64_t offset, struct io *io, vaddr_t at, uint64_t n, uint64_t limit)
{
	struct store *store = object_store(object);
	struct cache_claim claim;
	int64_t moved;
	int error;

	if (store == NULL)
		return user_to_object(object, offset, io->space, at, n, limit);
	error = cache_claim(store, offset >> PAGE_SHIFT, &claim);
	if (error != 0)
		return error;
	touch_forbid();
	moved = user_to_object(object, offset, io->space, at, n, limit);
	touch_allow();
	cache_unclaim(store, &claim);
	if (moved != -EWANTED)
		return moved;
	error = touch(io->space, at, ACCESS_READ);
	return error != 0 ? error : -EAGAIN;
}

static int64_t take_some(struct object *object, uint64_t offset, struct io *io, vaddr_t at, uint64_t n, uint64_t limit)
{
	int64_t moved;

	n = MIN(n, PAGE_SIZE - (offset & PAGE_MASK));
	if (io->space == NULL)
		moved = write_kernel(object, offset, (const void *)(uintptr_t)at.v, n);
	else
		moved = write_user(object, offset, io, at, n, limit);
	if (moved == -EAGAIN)
		return get_page(object, offset, n, io, at, ACCESS_READ);
	return moved == -ENOMEM && cache_reclaim() ? -EAGAIN : moved;
}

struct object_io {
	struct object *object;
	uint64_t limit;
	bool takes;
};

static uint64_t move_all(struct io *io, const struct object_io *with, uint64_t offset, uint64_t n)
{
	uint64_t done = 0;

	io->error = 0;
	n = MIN(n, io->left);
	while (done < n) {
		vaddr_t at;
		uint64_t piece = io_next(io, n - done, &at);
		int64_t moved = with->takes ? take_some(with->object, offset + done, io, at, piece, with->limit)
					    : put_some(with->object, offset + done, io, at, piece, n - done);

		if (moved <= 0 && moved != -EAGAIN) {
			io->error = (int)moved;
			break;
		}
		moved = MAX(moved, 0);
		done += (uint64_t)moved;
		if (!io_advance(io, (uint64_t)moved))
			break;
		io_yield(io);
	}
	return done;
}

uint64_t io_put_object(struct io *io, struct object *object, uint64_t offset, uint64_t n)
{
	struct object_io with = { .object = object };

	return move_all(io, &with, offset, n);
}

uint64_t io_take_object(struct io *io, struct object *object, uint64_t offset, uint64_t n, uint64_t limit)
{
	struct object_io with = { .object = object, .takes = true, .limit = limit };

	return move_all(io, &with, offset, n);
}
