/*
 * Calls about what is on the device and what is only in memory: fsync and its kind, msync, hints about either.
 *
 * An error of write-back is told once to each open file (cache.h). A mapping does not know the open file that it was made with:
 * msync tells it once for all mappings of a file.
 */
#include "kernel/cache.h"
#include "kernel/memory.h"
#include "kernel/mount.h"
#include "kernel/pipe.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "kernel/volume.h"
#include "lib/errno.h"

#define MS_ASYNC      1U
#define MS_INVALIDATE 2U
#define MS_SYNC	      4U

#define SYNC_RANGE_ALL 7U /* WAIT_BEFORE, WRITE, WAIT_AFTER */

#define ADVICE_WILLNEED 3U
#define ADVICE_DONTNEED 4U
#define ADVICE_MAX	5U

/* The file behind fd, with a count, and what it is written back to: NULL: nothing. -EBADF, missing: it is of no such kind. */
static int sync_file(uint64_t fd, int missing, struct file **out, struct store **store)
{
	int error = file_get((int)fd, out);

	if (error != 0)
		return error;
	if ((file_flags(*out) & O_PATH) != 0)
		error = -EBADF;
	else if ((*out)->ops->store == NULL)
		error = missing;
	else
		*store = (*out)->ops->store(*out);
	if (error != 0)
		file_put(*out);
	return error;
}

int64_t sys_fsync(const uint64_t *a)
{
	struct store *store = NULL;
	struct file *file;
	int error = sync_file(a[0], -EINVAL, &file, &store);

	if (error != 0)
		return error;
	if (store != NULL)
		error = cache_sync(store, 0, UINT64_MAX, &file->error_seen);
	else if (file->node != NULL && file->node->volume != NULL)
		error = volume_sync_node(file->node);
	file_put(file);
	return error;
}

/* What a reader needs to find the data is written in either case: all that is left out elsewhere are times. */
int64_t sys_fdatasync(const uint64_t *a)
{
	return sys_fsync(a);
}

int64_t sys_sync(const uint64_t *a)
{
	(void)a;
	cache_sync_all();
	mounts_sync();
	return 0;
}

/* Any open file says which file system, and is told of an error of write-back of any file there: once, as by fsync of its own. */
int64_t sys_syncfs(const uint64_t *a)
{
	struct file *file;
	int error = file_get((int)a[0], &file);

	if (error != 0)
		return error;
	if ((file_flags(file) & O_PATH) != 0)
		error = -EBADF;
	else
		cache_sync_all();
	if (error == 0 && file->node != NULL && file->node->volume != NULL)
		error = volume_sync(file->node->volume);
	if (error == 0 && file->node != NULL && file->node->volume != NULL)
		error = cache_errors_take(&file->node->volume->error, &file->volume_error_seen);
	file_put(file);
	return error;
}

/* [first, last) of the pages of n bytes from `from` on, to the end where n is 0. */
static void page_range(uint64_t from, uint64_t n, uint64_t *first, uint64_t *last)
{
	*first = from >> PAGE_SHIFT;
	*last = n == 0 ? UINT64_MAX : (from + n + PAGE_MASK) >> PAGE_SHIFT;
}

int64_t sys_sync_file_range(const uint64_t *a)
{
	struct store *store = NULL;
	uint64_t first, last;
	struct file *file;
	int error;

	if ((a[3] & ~(uint64_t)SYNC_RANGE_ALL) != 0 || (int64_t)a[1] < 0 || (int64_t)a[2] < 0 ||
	    (int64_t)(a[1] + a[2]) < 0) {
		error = file_get((int)a[0], &file);
		if (error == 0)
			file_put(file);
		return error != 0 ? error : -EINVAL;
	}
	error = sync_file(a[0], -ESPIPE, &file, &store);
	if (error != 0)
		return error;
	page_range(a[1], a[2], &first, &last);
	/* Waiting alone is waiting for what is under way, which writing nothing does. */
	if (store != NULL && a[3] != 0) {
		(void)!cache_write_back(store, first, (a[3] & 2) != 0 ? last : first);
		error = cache_error_take(store, &file->error_seen);
	}
	file_put(file);
	return error;
}

int64_t sys_readahead(const uint64_t *a)
{
	struct store *store = NULL;
	uint64_t first, last;
	struct file *file;
	int error = sync_file(a[0], -EINVAL, &file, &store);

	if (error != 0)
		return error;
	if (!file_may_read(file))
		error = -EBADF;
	page_range(a[1], MAX(a[2], 1U), &first, &last);
	if (error == 0 && store != NULL && a[2] != 0)
		cache_read_ahead(store, first, last);
	file_put(file);
	return error;
}

static void advise(struct store *store, uint64_t from, uint64_t n, uint64_t advice)
{
	uint64_t first, last;

	page_range(from, n, &first, &last);
	if (advice == ADVICE_WILLNEED)
		cache_read_ahead(store, first, last);
	if (advice != ADVICE_DONTNEED)
		return;
	/* Whole pages; those that a program has mapped stay. */
	(void)!cache_write_back(store, first, last);
	(void)object_evict(store->object, ALIGN_UP(from, PAGE_SIZE) >> PAGE_SHIFT,
			   n == 0 ? UINT64_MAX : (from + n) >> PAGE_SHIFT, UINT64_MAX, EVICT_USED);
}

int64_t sys_fadvise64(const uint64_t *a)
{
	struct file *file;
	int error = file_get((int)a[0], &file);

	if (error != 0)
		return error;
	if (file_is_pipe(file))
		error = -ESPIPE;
	else if ((file_flags(file) & O_PATH) != 0)
		error = -EBADF;
	else if ((uint32_t)a[3] > ADVICE_MAX || (int64_t)a[2] < 0)
		error = -EINVAL;
	else if ((uint32_t)a[3] <= CACHE_SEQUENTIAL)
		atomic_store_explicit(&file->advice, (uint32_t)a[3], memory_order_relaxed);
	else if (file->ops->store != NULL && file->ops->store(file) != NULL)
		advise(file->ops->store(file), a[1], a[2], (uint32_t)a[3]);
	file_put(file);
	return error;
}

/* ---- Ranges of a program's memory. */

/* The pages of a file that stand at [start, end), which is part of a region: the object, counted; NULL: of no file on a device. */
static struct object *mapped_file(uint64_t start, uint64_t end, uint64_t *first, uint64_t *last)
{
	struct object *object;

	if (space_object_at(current_space(), VADDR(start), &object, first) != 0)
		return NULL;
	*last = *first + ((end - start) >> PAGE_SHIFT);
	if (object_store(object) != NULL)
		return object;
	object_put(object);
	return NULL;
}

static int sync_region(uint64_t start, uint64_t end)
{
	uint64_t first, last;
	struct object *object = mapped_file(start, end, &first, &last);
	struct store *store;
	int error;

	if (object == NULL)
		return 0;
	store = object_store(object);
	error = cache_sync(store, first, last, &store->error_seen);
	object_put(object);
	return error;
}

/* MS_ASYNC does nothing, as on Linux: the writer knows of the pages. MS_INVALIDATE, too: mappings and reads see the same frames. */
static int64_t sync_range(uint64_t start, uint64_t end, unsigned flags)
{
	struct space_region region;
	int64_t unmapped = 0;
	int error;

	for (uint64_t at = start; at < end; at = region.end.v) {
		if (!space_next_region(current_space(), VADDR(at), &region) || region.start.v >= end)
			return -ENOMEM;
		if (region.start.v > at)
			unmapped = -ENOMEM;
		if ((flags & MS_INVALIDATE) != 0 && region.lock != SPACE_UNLOCKED)
			return -EBUSY;
		if ((flags & MS_SYNC) == 0 || !region.shared)
			continue;
		error = sync_region(MAX(at, region.start.v), MIN(region.end.v, end));
		if (error != 0)
			return error;
		sched_breathe();
	}
	return unmapped;
}

int64_t sys_msync(const uint64_t *a)
{
	uint64_t bytes = a[1];
	int64_t result;

	if ((a[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || (a[0] & PAGE_MASK) != 0 ||
	    (a[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	bytes = ALIGN_UP(bytes, PAGE_SIZE); /* a length that is nothing then is nothing, as on Linux */
	if (a[0] + bytes < a[0] || (bytes != 0 && a[0] >= USER_END))
		return -ENOMEM;
	result = sync_range(a[0], MIN(a[0] + bytes, USER_END), (unsigned)a[2]);
	return result == 0 && a[0] + bytes > USER_END ? -ENOMEM : result;
}

/* What is mapped of [start, start + bytes), one descriptor's range after the other. */
static void each_mapping(uint64_t start, uint64_t bytes,
			 void (*fn)(uint64_t from, uint64_t to, enum cache_advice advice), enum cache_advice advice)
{
	struct space_region region;

	for (uint64_t at = start; at < start + bytes; at = region.end.v) {
		if (!space_next_region(current_space(), VADDR(at), &region) || region.start.v >= start + bytes)
			return;
		fn(MAX(at, region.start.v), MIN(region.end.v, start + bytes), advice);
	}
}

static void need_range(uint64_t from, uint64_t to, enum cache_advice unused)
{
	uint64_t first, last;
	struct object *object = mapped_file(from, to, &first, &last);

	(void)unused;
	if (object == NULL)
		return;
	cache_read_ahead(object_store(object), first, last);
	object_put(object);
}

void memory_will_need(uint64_t start, uint64_t bytes)
{
	each_mapping(start, bytes, need_range, CACHE_NORMAL);
}

/* Of the whole mapping, however little of it was named: it is a hint. */
static void advise_range(uint64_t from, uint64_t to, enum cache_advice advice)
{
	(void)to;
	space_advise(current_space(), VADDR(from), advice);
}

void memory_will_read(uint64_t start, uint64_t bytes, int advice)
{
	each_mapping(start, bytes, advise_range, (enum cache_advice)advice);
}
