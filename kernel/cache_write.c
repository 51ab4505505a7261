/*
 * Writing back: when the writer's thread does, when programs wait for it, and what becomes of errors.
 *
 * Dirty pages are written five seconds after the first of them was, or at once when there are more than `background`. Who makes a
 * page dirty while there are more than `limit` sleeps on its way to user mode (WORK_DIRTY) or in its write() until the writer has
 * caught up, or has been through all stores: where a device fails, nobody waits for ever.
 *
 * Invariants
 * - A page's mark is taken away before its frame is given to the device (mm/object.h), with store->writing held until the device
 *   has it. So whoever has had store->writing afterwards knows that what was clean then is written, or was marked again.
 * - Pages that could not be written keep their mark; the writer leaves their store alone for a while.
 *
 * Errors: store->error is Linux's errseq: an errno, whether anybody has seen it, and a count that goes on when one comes after an
 * older one was seen. Each open file keeps the value it last saw; a different one is an error that it has not been told of.
 *
 * Locks: store->writing (a mutex) over the device's I/O; the gate's lock (RANK_FILE) for a moment. The gate is shut while the audit
 * counts: frames under write-back have a count of ours.
 * Memory order: writer.wanted and passes are set with release and looked at with acquire, between wait_prepare and
 * wait_block; the limits are guesses, and relaxed.
 */
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/cache_parts.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "lib/errno.h"
#include "mm/coremap.h"

#define PAUSE_NS	   UINT64_C(5000000000)
#define PERCENT_BACKGROUND 10U
#define PERCENT_LIMIT	   20U

#define ERROR_NUMBER UINT32_C(0xfff)
#define ERROR_SEEN   UINT32_C(0x1000)
#define ERROR_COUNT  UINT32_C(0x2000)

static struct {
	uint64_t background, limit; /* frames */
	struct wait_queue queue;    /* the writer's */
	struct wait_queue progress; /* of whoever waits for it */
	_Atomic uint32_t wanted;    /* at once */
	_Atomic uint32_t armed;	    /* in a while */
	_Atomic uint64_t passes;    /* through all stores */
} writer;

static struct {
	struct spinlock lock; /* RANK_FILE */
	unsigned inside;      /* batches under way [lock] */
	unsigned shut;	      /* how often [lock] */
	struct wait_queue changed;
} gate;

/* ---- The gate. */

static bool gate_try(void)
{
	bool in;

	spin_lock(&gate.lock, RANK_FILE);
	in = gate.shut == 0;
	gate.inside += in ? 1 : 0;
	spin_unlock(&gate.lock, RANK_FILE);
	return in;
}

static void gate_enter(void)
{
	struct waiter waiter = { 0 };

	while (!gate_try()) {
		wait_prepare(&gate.changed, &waiter);
		if (gate_try())
			break;
		wait_block_always();
	}
	wait_finish(&gate.changed, &waiter);
}

static void gate_leave(void)
{
	spin_lock(&gate.lock, RANK_FILE);
	gate.inside--;
	spin_unlock(&gate.lock, RANK_FILE);
	wake_all(&gate.changed);
}

void cache_hold(void)
{
	struct waiter waiter = { 0 };
	bool empty;

	spin_lock(&gate.lock, RANK_FILE);
	gate.shut++;
	spin_unlock(&gate.lock, RANK_FILE);
	for (;;) {
		wait_prepare(&gate.changed, &waiter);
		spin_lock(&gate.lock, RANK_FILE);
		empty = gate.inside == 0;
		spin_unlock(&gate.lock, RANK_FILE);
		if (empty)
			break;
		wait_block_always();
	}
	wait_finish(&gate.changed, &waiter);
}

void cache_release(void)
{
	spin_lock(&gate.lock, RANK_FILE);
	gate.shut--;
	spin_unlock(&gate.lock, RANK_FILE);
	wake_all(&gate.changed);
}

/* ---- Errors. */

bool cache_errors_note(_Atomic uint32_t *word, int error)
{
	/* relaxed: only the word itself counts */
	uint32_t old = atomic_load_explicit(word, memory_order_relaxed);
	uint32_t new;

	do {
		new = (old & ~(ERROR_NUMBER | ERROR_SEEN)) | (uint32_t)-error;
		if ((old & ERROR_SEEN) != 0)
			new += ERROR_COUNT;
	} while (!atomic_compare_exchange_weak_explicit(word, &old, new, memory_order_relaxed, memory_order_relaxed));
	return (old & ERROR_NUMBER) == 0 || (old & ERROR_SEEN) != 0;
}

static void error_note(struct store *store, int error)
{
	if (store->ops->failed != NULL)
		store->ops->failed(store, error);
	if (cache_errors_note(&store->error, error))
		klog("%s: writing back failed (error %d)", store->name, -error);
	store->retry_ns = time_ns() + PAUSE_NS;
}

uint32_t cache_errors_sample(const _Atomic uint32_t *word)
{
	uint32_t now = atomic_load_explicit(word, memory_order_relaxed);

	return (now & ERROR_SEEN) != 0 ? now : 0; /* one that nobody has seen is told to the next who asks */
}

int cache_errors_take(_Atomic uint32_t *word, _Atomic uint32_t *seen)
{
	uint32_t now = atomic_load_explicit(word, memory_order_relaxed);

	if (now == atomic_load_explicit(seen, memory_order_relaxed))
		return 0;
	(void)atomic_compare_exchange_strong_explicit(word, &now, now | ERROR_SEEN, memory_order_relaxed,
						      memory_order_relaxed);
	now |= ERROR_SEEN;
	if (atomic_exchange_explicit(seen, now, memory_order_relaxed) == now)
		return 0;
	return -(int)(now & ERROR_NUMBER);
}

/* ---- Writing back. */

struct batch {
	unsigned n;
	pfn_t frames[OBJECT_BATCH];
	uint64_t index[OBJECT_BATCH];
};

/* Together; where that fails one by one, so that one bad page keeps no other from being written. */
static int write_batch(struct store *store, const struct batch *batch)
{
	int error, result = 0;

	ASSERT(mutex_is_mine(&store->writing));
	object_clear_tail(store->object, batch->index[batch->n - 1], batch->frames[batch->n - 1]);
	error = store->ops->write(store, batch->index, batch->frames, batch->n);
	if (error == 0 || batch->n == 1) {
		object_clean_end(store->object, batch->frames, batch->index, batch->n, error != 0);
		return error;
	}
	for (unsigned i = 0; i < batch->n; i++) {
		error = store->ops->write(store, &batch->index[i], &batch->frames[i], 1);
		object_clean_end(store->object, &batch->frames[i], &batch->index[i], 1, error != 0);
		result = error != 0 ? error : result;
	}
	return result;
}

static int write_some(struct store *store, uint64_t *first, uint64_t last, bool *more)
{
	struct batch batch;
	int error = 0;

	mutex_lock(&store->writing);
	gate_enter();
	batch.n = object_clean_begin(store->object, *first, last, OBJECT_BATCH, batch.frames, batch.index);
	if (batch.n != 0)
		error = write_batch(store, &batch);
	gate_leave();
	if (error != 0 && error != -ENOMEM) /* that one passes: nothing is lost, and the caller is told */
		error_note(store, error);
	mutex_unlock(&store->writing);
	*more = batch.n == OBJECT_BATCH;
	if (*more)
		*first = batch.index[batch.n - 1] + 1;
	if (batch.n != 0)
		wake_all(&writer.progress);
	return error;
}

int cache_write_back(struct store *store, uint64_t first, uint64_t last)
{
	int result = 0;
	bool more = true;

	while (more && first < last) {
		int error = write_some(store, &first, last, &more);

		result = error != 0 ? error : result;
	}
	return result;
}

int cache_sync(struct store *store, uint64_t first, uint64_t last, _Atomic uint32_t *seen)
{
	int result = cache_write_back(store, first, last);
	int error;

	mutex_lock(&store->writing);
	error = store->ops->sync == NULL ? 0 : store->ops->sync(store);
	if (error == -ENOMEM)
		result = error;
	else if (error != 0)
		error_note(store, error);
	mutex_unlock(&store->writing);
	if (seen != NULL && result != -ENOMEM)
		return cache_error_take(store, seen);
	return result != 0 ? result : error;
}

void cache_sync_all(void)
{
	for (struct store *store = cache_next(NULL); store != NULL; store = cache_next(store))
		(void)!cache_sync(store, 0, UINT64_MAX, NULL);
}

/* ---- The writer. */

static void set_wanted(_Atomic uint32_t *flag)
{
	/*
	 * The fence pairs with the writer's in writer_main: either this sees the flag that was cleared there, or the pass that follows
	 * sees the page. relaxed look: a set flag is looked at before the writer sleeps. release: pairs with its acquire.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(flag, memory_order_relaxed) == 0 &&
	    atomic_exchange_explicit(flag, 1, memory_order_release) == 0)
		wake_all(&writer.queue);
}

void cache_write_soon(void)
{
	set_wanted(&writer.wanted);
}

/* mm's: a page became dirty. Any locks may be held. */
static void dirtied(struct object *object)
{
	uint64_t dirty = objects_dirty();

	(void)object;
	if (dirty > writer.limit)
		atomic_fetch_or_explicit(&current_thread()->work, WORK_DIRTY, memory_order_relaxed);
	set_wanted(dirty > writer.background ? &writer.wanted : &writer.armed);
}

static bool flag(const _Atomic uint32_t *which)
{
	return atomic_load_explicit(which, memory_order_acquire) != 0;
}

/* Until there is something to be written. */
static void writer_wait(void)
{
	struct waiter waiter = { 0 };
	uint64_t due = WAIT_FOREVER;

	for (;;) {
		wait_prepare(&writer.queue, &waiter);
		if (flag(&writer.wanted) || kthread_should_stop())
			break;
		if (due == WAIT_FOREVER && flag(&writer.armed))
			due = time_ns() + PAUSE_NS;
		if (wait_block_killable(due) == -ETIMEDOUT)
			break;
	}
	wait_finish(&writer.queue, &waiter);
}

static void writer_pass(void)
{
	for (struct store *store = cache_next(NULL); store != NULL; store = cache_next(store)) {
		if (object_dirty_pages(store->object) != 0 && time_ns() >= store->retry_ns)
			(void)!cache_write_back(store, 0, UINT64_MAX);
		sched_breathe();
	}
}

static void writer_main(void *unused)
{
	(void)unused;
	for (;;) {
		writer_wait();
		if (kthread_should_stop())
			return;
		/* before the pass: who makes a page dirty behind its back wants another one */
		atomic_store_explicit(&writer.wanted, 0, memory_order_relaxed);
		atomic_store_explicit(&writer.armed, 0, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in set_wanted */
		writer_pass();
		if (objects_dirty() != 0)
			atomic_store_explicit(&writer.armed, 1, memory_order_relaxed);
		/* release: pairs with the acquire in wait_passes */
		atomic_fetch_add_explicit(&writer.passes, 1, memory_order_release);
		wake_all(&writer.progress);
	}
}

/* Two passes: the one that is under way may have been here already. */
static int wait_passes(uint64_t enough)
{
	uint64_t before = atomic_load_explicit(&writer.passes, memory_order_acquire);
	struct waiter waiter = { 0 };
	int error = 0;

	while (error == 0) {
		wait_prepare(&writer.progress, &waiter);
		if (objects_dirty() <= enough ||
		    atomic_load_explicit(&writer.passes, memory_order_acquire) - before >= 2)
			break;
		cache_write_soon();
		error = wait_block_killable(WAIT_FOREVER);
	}
	wait_finish(&writer.progress, &waiter);
	return error;
}

void cache_throttle(void)
{
	(void)!wait_passes(writer.limit);
}

int cache_writer_pass(void)
{
	return wait_passes(0);
}

void cache_writer_init(void)
{
	spin_init(&gate.lock);
	wait_queue_init(&gate.changed);
	wait_queue_init(&writer.queue);
	wait_queue_init(&writer.progress);
	writer.background = frames_total() * PERCENT_BACKGROUND / 100;
	writer.limit = frames_total() * PERCENT_LIMIT / 100;
	object_set_dirtied(dirtied);
}

int cache_writer_start(void)
{
	return kthread_create(writer_main, NULL, "writeback", NULL);
}
