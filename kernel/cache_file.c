/*
 * Open files and the page cache: what follows a write, and regular files that a store is behind.
 *
 * Locks: store->writers over a write and a change of the size, so that those of one file come one after the other; store->writing
 * within it where room is made. Programs' memory is copied under the first: a fault there reads other pages in, which takes
 * neither, or waits for the writer, which takes the second.
 */
#include "kernel/cache.h"
#include "kernel/file.h"
#include "kernel/process.h"
#include "lib/errno.h"

#define PART (UINT64_C(256) << 10)

/* Too much is dirty: the writer first. With no spin lock held. */
static void slow_down(void)
{
	struct thread *thread = current_thread();

	/* relaxed: set by the thread itself */
	if ((atomic_load_explicit(&thread->work, memory_order_relaxed) & WORK_DIRTY) == 0)
		return;
	atomic_fetch_and_explicit(&thread->work, ~WORK_DIRTY, memory_order_relaxed);
	cache_throttle();
}

int64_t cache_written(struct file *file, struct store *store, const struct io *io, uint64_t start, uint64_t done)
{
	bool sync = (file_flags(file) & O_DSYNC) != 0 || (io->flags & (RWF_DSYNC | RWF_SYNC)) != 0;
	int error = 0;

	if (done != 0 && sync)
		error = cache_sync(store, start >> PAGE_SHIFT, (start + done + PAGE_MASK) >> PAGE_SHIFT,
				   &file->error_seen);
	slow_down();
	return error != 0 ? error : io_result(io, done);
}

static bool relieve(struct store *store)
{
	return store->ops->relieve != NULL && store->ops->relieve(store);
}

/* Room for a write that ends at `end`. What is given back for it may be other stores, whose `writing` is taken: ours is not held. */
static int make_room(struct store *store, uint64_t end)
{
	int error;

	if (end <= object_bytes(store->object))
		return 0;
	do {
		error = 0;
		mutex_lock(&store->writing);
		if (end > object_bytes(store->object))
			error = store->ops->resize == NULL ? -ENOSPC : store->ops->resize(store, end);
		mutex_unlock(&store->writing);
	} while (error == -ENOSPC && relieve(store));
	return error;
}

uint64_t cache_write_parts(struct store *store, struct io *io, uint64_t start, uint64_t n)
{
	uint64_t done = 0, most = PART;

	io->error = 0;
	while (done < n && io->error == 0) {
		uint64_t part = MIN(n - done, most);
		int error = make_room(store, start + done + part);

		/* where the device has no room for all of it, as much as goes */
		for (; error == -ENOSPC && part > 1; error = make_room(store, start + done + part))
			most = part /= 2;
		if (error != 0) {
			io->error = error;
			break;
		}
		done += io_take_object(io, store->object, start + done, part, start + done + part);
		slow_down();
	}
	return done;
}

int64_t cache_file_write(struct file *file, struct store *store, struct io *io, const uint64_t *at, uint64_t limit)
{
	uint64_t most = MIN(limit, store->bytes_max);
	bool append = (file_flags(file) & O_APPEND) != 0 || (io->flags & RWF_APPEND) != 0;
	uint64_t start, n, done = 0;

	if (io->left == 0)
		return 0;
	mutex_lock(&store->writers);
	start = append ? object_bytes(store->object) : at != NULL ? *at : file->position;
	n = start < most ? MIN(io->left, most - start) : 0;
	if (n == 0)
		io->error = -EFBIG;
	else
		done = cache_write_parts(store, io, start, n);
	if (at == NULL && done != 0) {
		spin_lock(&file->lock, RANK_FILE);
		file->position = start + done;
		spin_unlock(&file->lock, RANK_FILE);
	}
	mutex_unlock(&store->writers);
	if (start >= limit)
		signal_self(SIGXFSZ);
	return cache_written(file, store, io, start, done);
}

int cache_file_truncate(struct store *store, uint64_t bytes)
{
	uint64_t before;
	int error;

	if (bytes > store->bytes_max)
		return -EFBIG;
	if (store->ops->resize == NULL)
		return -EINVAL;
	mutex_lock(&store->writers);
	error = make_room(store, bytes);
	mutex_lock(&store->writing);
	before = object_bytes(store->object);
	if (error == 0)
		error = object_resize(store->object, bytes);
	if (error == 0 && bytes < before)
		error = store->ops->resize(store, bytes);
	mutex_unlock(&store->writing);
	mutex_unlock(&store->writers);
	return error;
}

int cache_file_reserve(struct store *store, uint64_t bytes)
{
	if (bytes > store->bytes_max)
		return -EFBIG;
	return make_room(store, bytes);
}
