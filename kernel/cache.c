/*
 * The page cache: its stores, and reading in. What is read before anybody asks for it: cache_ahead.c.
 *
 * Invariants
 * - A page that is filled as a whole, by a read from the device or by a program's write, is claimed meanwhile (store->claims) by
 *   whoever does it: so one read at most is under way, and none while a write makes the page. Who wants a claimed page waits.
 * - What is read goes into frames that nobody else knows. Only object_insert makes them visible, and refuses them where the file
 *   was cut short or punched since object_removals was asked.
 *
 * Races, and where they are prevented
 * - A page that is evicted while it is looked for is missing again: everybody who is told "look again" does so in a loop.
 * - A read is behind: its bytes are older than a write that was meanwhile written back and evicted. The page would have been made
 *   by a write while its read was under way, which the claim forbids.
 *
 * Locks: cache.lock (all stores) and store->lock (claims), both RANK_FILE, never together, never over anything that
 * blocks. Waiting for another's read ends when the thread is killed; waiting for the device does not: it owns the frames.
 */
#include "kernel/cache.h"

#include <string.h>

#include "kernel/cache_parts.h"
#include "kernel/touch.h"
#include "lib/errno.h"
#include "mm/coremap.h"

static struct {
	struct spinlock lock; /* RANK_FILE */
	struct list stores;   /* [lock] */
	struct wait_queue unused;
	bool has_writer; /* changes at boot only */
} cache;

/* ---- Stores. */

void cache_init(void)
{
	cache.has_writer = false; /* tests begin anew */
	spin_init(&cache.lock);
	list_init(&cache.stores);
	wait_queue_init(&cache.unused);
	cache_writer_init();
	cache_reclaim_init();
	cache_ahead_init();
}

/* The threads are started with the first one, which is a disk's: machines without disks have none. */
static int first_store(void)
{
	int error;

	if (cache.has_writer)
		return 0;
	error = cache_writer_start();
	if (error == 0)
		error = cache_reclaim_start();
	if (error == 0)
		error = cache_ahead_start();
	cache.has_writer = error == 0;
	return error;
}

int cache_add(struct store *store, uint64_t bytes)
{
	int error = first_store();

	if (error == 0)
		error = object_create_backed(bytes, store, &store->object);
	if (error != 0)
		return error;
	mutex_init(&store->writers, MUTEX_WRITERS);
	mutex_init(&store->writing, MUTEX_WRITING);
	atomic_init(&store->error, 0);
	spin_init(&store->lock);
	list_init(&store->claims);
	wait_queue_init(&store->unclaimed);
	spin_lock(&cache.lock, RANK_FILE);
	list_add_tail(&cache.stores, &store->link);
	spin_unlock(&cache.lock, RANK_FILE);
	return 0;
}

struct store *cache_next(struct store *store)
{
	struct list *at;
	struct store *next = NULL;

	spin_lock(&cache.lock, RANK_FILE);
	at = store == NULL ? cache.stores.next : store->link.next;
	if (at != &cache.stores) {
		next = list_entry(at, struct store, link);
		next->used++;
	}
	spin_unlock(&cache.lock, RANK_FILE);
	if (store != NULL)
		cache_done(store);
	return next;
}

uint64_t cache_pages(void)
{
	uint64_t pages = 0;

	for (struct store *store = cache_next(NULL); store != NULL; store = cache_next(store))
		pages += object_pages(store->object);
	return pages;
}

void cache_done(struct store *store)
{
	bool unused;

	spin_lock(&cache.lock, RANK_FILE);
	unused = --store->used == 0;
	spin_unlock(&cache.lock, RANK_FILE);
	if (unused)
		wake_all(&cache.unused);
}

/* Nobody who goes through all stores finds it any more, and nobody has it in hand. */
static void forget(struct store *store)
{
	struct waiter waiter = { 0 };
	bool used;

	for (;;) {
		wait_prepare(&cache.unused, &waiter);
		spin_lock(&cache.lock, RANK_FILE);
		used = store->used != 0;
		if (!used)
			list_del(&store->link);
		spin_unlock(&cache.lock, RANK_FILE);
		if (!used)
			break;
		wait_block_always();
	}
	wait_finish(&cache.unused, &waiter);
}

int cache_remove(struct store *store)
{
	int error = cache_write_back(store, 0, UINT64_MAX);

	cache_ahead_forget(store);
	forget(store);
	object_put(store->object);
	store->object = NULL;
	return error;
}

/* ---- Claims. */

enum claimed { CLAIM_MINE, CLAIM_THERE, CLAIM_BUSY };

static bool is_claimed_locked(const struct store *store, uint64_t index)
{
	list_for_each (pos, &store->claims) {
		const struct cache_claim *claim = list_entry(pos, struct cache_claim, link);

		if (index >= claim->first && index < claim->end)
			return true;
	}
	return false;
}

/* Takes `first` and what is missing behind it, up to `end`; to_read: if it is missing, too. */
static enum claimed claim_try(struct store *store, uint64_t first, uint64_t end, bool to_read,
			      struct cache_claim *claim)
{
	enum claimed result = CLAIM_MINE;

	spin_lock(&store->lock, RANK_FILE);
	if (is_claimed_locked(store, first))
		result = CLAIM_BUSY;
	else if (to_read && object_has(store->object, first))
		result = CLAIM_THERE;
	claim->first = first;
	claim->end = first + 1;
	while (result == CLAIM_MINE && claim->end < end && !object_has(store->object, claim->end) &&
	       !is_claimed_locked(store, claim->end))
		claim->end++;
	if (result == CLAIM_MINE)
		list_add(&store->claims, &claim->link);
	spin_unlock(&store->lock, RANK_FILE);
	return result;
}

void cache_unclaim(struct store *store, struct cache_claim *claim)
{
	spin_lock(&store->lock, RANK_FILE);
	list_del(&claim->link);
	spin_unlock(&store->lock, RANK_FILE);
	wake_all(&store->unclaimed);
}

/* The same, waiting for whoever has it. -EINTR. */
static int claim_wait(struct store *store, uint64_t first, uint64_t end, bool to_read, struct cache_claim *claim,
		      enum claimed *out)
{
	struct waiter waiter = { 0 };
	int error = 0;

	for (;;) {
		wait_prepare(&store->unclaimed, &waiter);
		*out = claim_try(store, first, end, to_read, claim);
		if (*out != CLAIM_BUSY)
			break;
		error = wait_block_killable(WAIT_FOREVER);
		if (error != 0)
			break;
	}
	wait_finish(&store->unclaimed, &waiter);
	return error;
}

int cache_claim(struct store *store, uint64_t index, struct cache_claim *claim)
{
	enum claimed result;

	return claim_wait(store, index, index + 1, false, claim, &result);
}

/* ---- Reading. */

/* As many frames as there are; where somebody waits for the first, that one at least. */
static int get_frames(pfn_t *frames, unsigned *n, bool wanted)
{
	unsigned got = 0;

	cache_make_room();
	while (got < *n) {
		if (frame_alloc(FRAME_KERNEL, &frames[got]) == 0)
			got++;
		else if (got != 0 || !wanted || !cache_reclaim())
			break;
	}
	*n = got;
	return got == 0 ? -ENOMEM : 0;
}

/* The first page's failure is the call's; what comes behind it was not asked for. */
static int insert(struct object *object, const struct cache_window *window, const pfn_t *frames, unsigned n,
		  uint64_t seen)
{
	int result = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t index = window->first + i;
		int error = object_insert(object, index, frames[i], seen, index == window->mark);

		if (error != 0)
			frame_put(frames[i]);
		if (i == 0 && (error == -ENOMEM || error == -EFAULT))
			result = error;
	}
	return result;
}

/* Whatever a store says went wrong: a program gets EIO, or is ended for want of memory. */
static int read_frames(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	int error = store->ops->read(store, index, frames, n);

	return error == 0 || error == -ENOMEM ? error : -EIO;
}

static int read_claimed(struct store *store, const struct cache_window *window, bool wanted)
{
	uint64_t seen = object_removals(store->object);
	uint64_t index[CACHE_WINDOW_MOST];
	pfn_t frames[CACHE_WINDOW_MOST];
	unsigned got = (unsigned)(window->end - window->first);
	int error = get_frames(frames, &got, wanted);

	if (error != 0)
		return error;
	for (unsigned i = 0; i < got; i++)
		index[i] = window->first + i;
	error = read_frames(store, index, frames, got);
	if (error != 0 && got > 1 && wanted) /* it may be another page that cannot be read */
		error = read_frames(store, index, frames, 1);
	else if (error == 0)
		return insert(store->object, window, frames, got, seen);
	for (unsigned i = error == 0 ? 1 : 0; i < got; i++)
		frame_put(frames[i]);
	return error != 0 ? error : insert(store->object, window, frames, 1, seen);
}

uint64_t cache_pages_of(const struct store *store)
{
	return (object_bytes(store->object) + PAGE_MASK) >> PAGE_SHIFT;
}

int cache_read_window(struct store *store, const struct cache_window *window, bool wanted)
{
	struct cache_window mine = *window;
	struct cache_claim claim;
	enum claimed got = CLAIM_BUSY;
	int error = 0;

	if (wanted)
		error = claim_wait(store, window->first, window->end, true, &claim, &got);
	else
		got = claim_try(store, window->first, window->end, true, &claim);
	if (error != 0 || got != CLAIM_MINE)
		return error;
	mine.end = claim.end;
	error = read_claimed(store, &mine, wanted);
	cache_unclaim(store, &claim);
	return error;
}

int64_t cache_read(struct object *object, uint64_t offset, void *dst, uint64_t n)
{
	uint64_t done = 0;

	while (done < n) {
		int64_t part = object_read(object, offset + done, (char *)dst + done, n - done);

		if (part == -EAGAIN)
			part = cache_read_pages(object_store(object), (offset + done) >> PAGE_SHIFT,
						(n - done + PAGE_MASK) >> PAGE_SHIFT, CACHE_NORMAL);
		else if (part <= 0)
			return done == 0 ? part : (int64_t)done;
		if (part < 0)
			return part == -EFAULT ? (int64_t)done : part;
		done += (uint64_t)part;
	}
	return (int64_t)done;
}

int cache_missing(struct object *object, uint64_t index, struct space *space, vaddr_t va, enum access access)
{
	if (object_has(object, index))
		return touch(space, va, access);
	return cache_read_in(object_store(object), index);
}
