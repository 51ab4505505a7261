/*
 * The page cache: files whose pages a device has. mm/object.h is the index of what is in memory; this is what moves pages
 * between it and the device, and decides when.
 *
 * A struct store is the kernel's side of one backed object: a block device, or a file in a file system. Whoever makes one fills
 * its ops, which know where its pages lie.
 *
 * Everything here may block, unless it says otherwise: call it with no spin lock held.
 */
#ifndef KERNEL_CACHE_H
#define KERNEL_CACHE_H

#include <stdatomic.h>

#include "kernel/mutex.h"
#include "kernel/wait.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "mm/object.h"
#include "mm/space.h"

struct store;
struct file;
struct io;

struct store_ops {
	/*
	 * Pages `index` (n of them, rising, not always adjacent) to or from their frames, of which reading fills all: zeros behind the
	 * file's end. Called by many threads at once, but writing under store->writing. 0, -EIO, -ENOMEM; for writing also -ENOSPC.
	 */
	int (*read)(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n);
	int (*write)(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n);
	/* All that write has written, and what else a reader after a power cut needs, is on the medium. [store->writing] */
	int (*sync)(struct store *store);
	/*
	 * Room for `bytes` before a write makes the file longer (the object's size is still the old one), or the file is cut to them
	 * after the object was. -ENOSPC... Absent: it stays as long as it is. [store->writing]
	 */
	int (*resize)(struct store *store, uint64_t bytes);
	/* resize said -ENOSPC: frees what nobody needs any more, perhaps other stores. Whether there was any. Absent: never. */
	bool (*relieve)(struct store *store);
	/* An error of write-back was noted. Absent: nobody else wants to know. [store->writing] */
	void (*failed)(struct store *store, int error);
};

struct store {
	/* Set before cache_add, then only read. */
	const struct store_ops *ops;
	struct object *object; /* one reference */
	char name[24];	       /* for the log */
	uint64_t bytes_max;    /* a file cannot be longer */
	bool read_only;	       /* nobody may write, nor map it so that writes reach it */

	struct mutex writers;	     /* write() and truncate, one after the other; outer */
	struct mutex writing;	     /* write-back and changes of the size, inner */
	_Atomic uint32_t error;	     /* of write-back: cache_write.c */
	_Atomic uint32_t error_seen; /* by msync */
	uint64_t retry_ns;	     /* the writer leaves it alone until then [writing] */

	struct spinlock lock;	     /* RANK_FILE */
	struct list claims;	     /* [lock] */
	struct wait_queue unclaimed; /* whenever one has gone */
	_Atomic uint32_t stray;	     /* page faults lately that followed nothing: a guess, relaxed. cache_ahead.c */
	unsigned ahead;		     /* threads that read ahead for it [their lock] */

	struct list link; /* [cache's lock] */
	unsigned used;	  /* by whoever goes through all of them [cache's lock] */
};

/* After mm_init and sched_init, before there are stores. */
void cache_init(void);
/* A store of `bytes`, whose ops and name are set; makes its object. The first one at boot. 0 or -ENOMEM. */
int cache_add(struct store *store, uint64_t bytes) MUST_CHECK;
/* Writes back, and takes it out. Nobody else uses its object any more. What write-back said: it is out in any case. */
int cache_remove(struct store *store);

/* Pages of all stores that are in memory. */
uint64_t cache_pages(void);

/* ---- Reading: cache.c, cache_ahead.c */

/* What a program has said of how it will go through a file; Linux's numbers, of MADV_ and POSIX_FADV_. */
enum cache_advice { CACHE_NORMAL, CACHE_RANDOM, CACHE_SEQUENTIAL };

/*
 * Page `index` of store is in memory, or was: look again. With it come those behind it that the caller wants, too, of `pages`, and
 * what he will want if he goes on so; pages 0: a page fault's. -EIO, -ENOMEM, -EINTR: the thread is being killed; -EFAULT: behind the
 * end. An error is that of the page itself.
 */
int cache_read_pages(struct store *store, uint64_t index, uint64_t pages, enum cache_advice advice) MUST_CHECK;

MUST_CHECK static inline int cache_read_in(struct store *store, uint64_t index)
{
	return cache_read_pages(store, index, 0, CACHE_NORMAL);
}

/* The pages of [first, last) that are not there, as far as memory is free: a hint. Does not wait for them. */
void cache_read_ahead(struct store *store, uint64_t first, uint64_t last);
/* object_read of any object: reads in what is missing. */
int64_t cache_read(struct object *object, uint64_t offset, void *dst, uint64_t n) MUST_CHECK;
/* After object_to_user or user_to_object said -EAGAIN of this page. 0: try again. */
int cache_missing(struct object *object, uint64_t index, struct space *space, vaddr_t va, enum access access)
	MUST_CHECK;

/*
 * Pages that the caller fills, reading or writing them as a whole: nobody else reads them from the device meanwhile. Short, and
 * nothing that may touch a page of any file is done meanwhile. -EINTR: the thread is being killed.
 */
struct cache_claim {
	struct list link; /* [store->lock] */
	uint64_t first, end;
};
int cache_claim(struct store *store, uint64_t index, struct cache_claim *claim) MUST_CHECK;
void cache_unclaim(struct store *store, struct cache_claim *claim);

/*
 * ---- Open files: cache_file.c.
 *
 * After a write of `done` bytes from `start` on: O_DSYNC and its like, slowing down; what the call returns.
 */
int64_t cache_written(struct file *file, struct store *store, const struct io *io, uint64_t start, uint64_t done);
/* Bytes into the cache, part by part, so that a large write is slowed down on its way. How many. [store->writers] */
uint64_t cache_write_parts(struct store *store, struct io *io, uint64_t start, uint64_t n);
/* The file operations write and truncate of a regular file that has a store. limit: RLIMIT_FSIZE. */
int64_t cache_file_write(struct file *file, struct store *store, struct io *io, const uint64_t *at, uint64_t limit);
int cache_file_truncate(struct store *store, uint64_t bytes) MUST_CHECK;
/* Room for bytes, as long as the file is in use: its size stays. */
int cache_file_reserve(struct store *store, uint64_t bytes) MUST_CHECK;

/* ---- Writing back: cache_write.c */

/* What of [first, last) is dirty goes to the device: when it returns, what was written before is in its hands. 0, -EIO, -ENOSPC... */
int cache_write_back(struct store *store, uint64_t first, uint64_t last) MUST_CHECK;
/* The same, and it is on the medium. *seen is the open file's: an error of write-back that it has not seen yet is returned, once. */
int cache_sync(struct store *store, uint64_t first, uint64_t last, _Atomic uint32_t *seen) MUST_CHECK;
/* Of all stores. */
void cache_sync_all(void);
/* What an open file has seen when it is opened; and the error it has not seen, which it then has. word: of a store, or of many. */
uint32_t cache_errors_sample(const _Atomic uint32_t *word);
int cache_errors_take(_Atomic uint32_t *word, _Atomic uint32_t *seen) MUST_CHECK;
/* Whether there was none that nobody has seen. */
bool cache_errors_note(_Atomic uint32_t *word, int error);

static inline uint32_t cache_error_sample(const struct store *store)
{
	return cache_errors_sample(&store->error);
}

MUST_CHECK static inline int cache_error_take(struct store *store, _Atomic uint32_t *seen)
{
	return cache_errors_take(&store->error, seen);
}

/* Too much is dirty (WORK_DIRTY, trap.c): waits until the writer has caught up. */
void cache_throttle(void);
/* Wakes the writer, and does not wait. */
void cache_write_soon(void);

/* ---- Memory: cache_reclaim.c */

/* No frame was to be had: gives clean pages back, after writing dirty ones if it must. False: there is nothing to be got. */
bool cache_reclaim(void) MUST_CHECK;
/*
 * A call that changed nothing has failed for want of memory: whether to try it again. Each further attempt (0, 1, 2 ...) gives twice
 * as many pages back, however many frames are free: what was wanted may be frames that lie side by side.
 */
bool cache_relieve(unsigned attempt) MUST_CHECK;
/* Below the low mark: gives clean pages back. Does not block. */
void cache_make_room(void);

/* ---- For the parts of the cache. */

/* The next store behind `store` (NULL: the first), kept from being removed; store is let go of. NULL: there are no more. */
struct store *cache_next(struct store *store) MUST_CHECK;
void cache_done(struct store *store);

/* While the audit counts frames nothing may be under write-back. */
void cache_hold(void);
void cache_release(void);

#endif
