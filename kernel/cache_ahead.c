/*
 * Reading ahead: what is read before anybody asks for it, and how much.
 *
 * Who misses a page that follows one that is in memory, or the file's first, is taken to go on: with the page come the next ones, and one
 * of them, the first that he has not asked for, is marked in the index. Whoever looks a marked page up (a read, a page fault;
 * mm/object.h) has the next window requested, twice as long as what he has yet before him, from 16 KiB to 128 KiB, whose first
 * page is marked in its turn. So while he goes through one window the next is being read, and a reader's place and speed are
 * kept in the pages alone: many may read one file. Who misses a page that follows nothing gets what he asked for. Of page faults, which
 * ask for one page, the first few that follow nothing get 16 KiB each; then, until one goes on, one page.
 *
 * A few threads do it, so several windows are being read at a time. A window that is being read is claimed (cache.c): who needs one of
 * its pages waits for it, or is told by his own read that it failed; what fails here is forgotten.
 *
 * Locks: ahead.lock (RANK_READ_AHEAD) guards what is to be read, and store->ahead. Taken under whatever locks the look-up has.
 */
#include "kernel/cache_parts.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "kernel/thread.h"
#include "lib/errno.h"

#define LEAST	4U /* pages: 16 KiB */
#define STRAYS	8U
#define THREADS 4U
#define WISHES	64U /* more are forgotten, or read by whoever wishes: they are hints */
#define NOBODY	UINT64_MAX

/* [first, end) is wanted; end 0: page `first` was marked, and has been reached. */
struct wish {
	struct store *store;
	uint64_t first, end;
};

static struct {
	struct spinlock lock;
	struct wish wish[WISHES]; /* from `oldest` on, around [lock] */
	unsigned oldest, n;	  /* [lock] */
	struct wait_queue queue;  /* the threads' */
	struct wait_queue idle;	  /* of whoever waits for them */
} ahead;

/* ---- How much. */

static uint64_t power_above(uint64_t n)
{
	uint64_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

/* How many pages just before it are in memory, up to a window. */
static uint64_t history(struct store *store, uint64_t index)
{
	uint64_t n = 0;

	while (n < MIN(index, CACHE_WINDOW_MOST) && object_has(store->object, index - n - 1))
		n++;
	return n;
}

/* A page fault that follows nothing. */
static uint64_t stray_window(struct store *store)
{
	uint32_t strays = atomic_load_explicit(&store->stray, memory_order_relaxed);

	if (strays >= STRAYS)
		return 1;
	atomic_store_explicit(&store->stray, strays + 1, memory_order_relaxed);
	return LEAST;
}

int cache_read_pages(struct store *store, uint64_t index, uint64_t pages, enum cache_advice advice)
{
	uint64_t end = cache_pages_of(store), before = history(store, index), want = MAX(pages, UINT64_C(1)), n = want;
	bool follows = index == 0 || before != 0;
	struct cache_window window = { .first = index, .mark = NOBODY };

	if (index >= end)
		return -EFAULT;
	if (advice == CACHE_SEQUENTIAL)
		n = CACHE_WINDOW_MOST;
	else if (advice != CACHE_RANDOM && follows)
		n = MAX(power_above(MIN(MAX(want, before), CACHE_WINDOW_MOST)) * 2, LEAST);
	else if (advice != CACHE_RANDOM && pages == 0)
		n = stray_window(store);
	n = MIN(n, CACHE_WINDOW_MOST);
	if (advice == CACHE_SEQUENTIAL || (advice != CACHE_RANDOM && follows)) {
		atomic_store_explicit(&store->stray, 0, memory_order_relaxed);
		window.mark = index + (want < n ? want : 1);
	}
	window.end = MIN(index + n, end);
	return cache_read_window(store, &window, true);
}

/* ---- What is to be read. */

/* False: too much is. */
static bool put_locked(struct wish wish)
{
	if (ahead.n == WISHES)
		return false;
	ahead.wish[(ahead.oldest + ahead.n++) % WISHES] = wish;
	return true;
}

static bool put(struct wish wish)
{
	bool done;

	spin_lock(&ahead.lock, RANK_READ_AHEAD);
	done = put_locked(wish);
	spin_unlock(&ahead.lock, RANK_READ_AHEAD);
	if (done)
		wake_one(&ahead.queue);
	return done;
}

/* The oldest, a window of it at most: the rest is for the other threads. */
static bool take(struct wish *out)
{
	bool any, more = false;

	spin_lock(&ahead.lock, RANK_READ_AHEAD);
	any = ahead.n != 0;
	if (any) {
		*out = ahead.wish[ahead.oldest];
		ahead.oldest = (ahead.oldest + 1) % WISHES;
		ahead.n--;
		out->store->ahead++;
		more = out->end > out->first + CACHE_WINDOW_MOST;
	}
	if (more) {
		struct wish rest = { out->store, out->first + CACHE_WINDOW_MOST, out->end };

		out->end = rest.first;
		(void)put_locked(rest);
	}
	spin_unlock(&ahead.lock, RANK_READ_AHEAD);
	if (more)
		wake_one(&ahead.queue);
	return any;
}

static void done_with(struct store *store)
{
	spin_lock(&ahead.lock, RANK_READ_AHEAD);
	store->ahead--;
	spin_unlock(&ahead.lock, RANK_READ_AHEAD);
	wake_all(&ahead.idle);
}

/* Whether nobody reads for it; nobody will. */
static bool take_out(const struct store *store)
{
	unsigned kept = 0;
	bool unused;

	spin_lock(&ahead.lock, RANK_READ_AHEAD);
	for (unsigned i = 0; i < ahead.n; i++) {
		struct wish wish = ahead.wish[(ahead.oldest + i) % WISHES];

		if (wish.store != store)
			ahead.wish[(ahead.oldest + kept++) % WISHES] = wish;
	}
	ahead.n = kept;
	unused = store->ahead == 0;
	spin_unlock(&ahead.lock, RANK_READ_AHEAD);
	return unused;
}

void cache_ahead_forget(struct store *store)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&ahead.idle, &waiter);
		if (take_out(store))
			break;
		wait_block_always();
	}
	wait_finish(&ahead.idle, &waiter);
}

/* mm's: a marked page is used. Any locks may be held. The reader gives way on its way to user mode, in case the thread is to run here. */
static void reached(struct object *object, uint64_t index)
{
	if (put((struct wish){ object_store(object), index, 0 }))
		atomic_fetch_or_explicit(&current_thread()->work, WORK_RESCHED, memory_order_relaxed);
}

/* ---- Reading. */

static void read_next(struct store *store, uint64_t reached)
{
	uint64_t first = object_next(store->object, reached, false), before = first - reached;
	struct cache_window window = { .first = first, .mark = first };

	if (first >= cache_pages_of(store) || before > CACHE_WINDOW_MOST)
		return;
	window.end = first + MIN(MAX(power_above(before) * 2, LEAST), CACHE_WINDOW_MOST);
	window.end = MIN(window.end, cache_pages_of(store));
	(void)!cache_read_window(store, &window, false);
}

static void read_range(struct store *store, uint64_t first, uint64_t end)
{
	end = MIN(end, cache_pages_of(store));
	while (!cache_is_short() && (first = object_next(store->object, first, false)) < end) {
		struct cache_window window = { first, MIN(first + CACHE_WINDOW_MOST, end), NOBODY };

		if (cache_read_window(store, &window, false) != 0)
			return;
		first++;
	}
}

void cache_read_ahead(struct store *store, uint64_t first, uint64_t last)
{
	last = MIN(last, cache_pages_of(store));
	if (first < last && !cache_is_short() && !put((struct wish){ store, first, last }))
		read_range(store, first, last);
}

static void carry_out(const struct wish *wish)
{
	if (wish->end == 0)
		read_next(wish->store, wish->first);
	else
		read_range(wish->store, wish->first, wish->end);
	done_with(wish->store);
}

static void thread_main(void *unused)
{
	struct waiter waiter = { 0 };
	struct wish wish;

	(void)unused;
	for (;;) {
		wait_prepare(&ahead.queue, &waiter);
		if (kthread_should_stop())
			break;
		if (!take(&wish)) {
			wait_block_always();
		} else {
			/* Not in the queue meanwhile: the next wish is to wake one who sleeps. */
			wait_finish(&ahead.queue, &waiter);
			carry_out(&wish);
		}
		sched_breathe();
	}
	wait_finish(&ahead.queue, &waiter);
}

void cache_ahead_init(void)
{
	spin_init(&ahead.lock);
	wait_queue_init(&ahead.queue);
	wait_queue_init(&ahead.idle);
	object_set_reached(reached);
}

int cache_ahead_start(void)
{
	int error = 0;

	for (unsigned i = 0; i < THREADS && error == 0; i++)
		error = kthread_create(thread_main, NULL, "readahead", NULL);
	return error;
}
