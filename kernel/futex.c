/*
 * Futexes: threads that wait for a word of user memory to change.
 *
 * Invariants
 * - A waiter is on the list of the bucket that waiter->bucket names, from its look at the word until whoever wakes it, and
 *   says so in waiter->woken, or it itself takes it off.
 * - The word is looked at under its bucket's lock. A waker changes the word first, then takes the lock: so either the look
 *   sees the change, or the waker finds the waiter. No wake-up is lost.
 * - Words are told apart by user_futex_key: (object, offset) on shared mappings, (space, address) elsewhere.
 *
 * Races, and where they are prevented
 * - Requeue moves a waiter to another bucket while it gives up: bucket is written under both buckets' locks; futex_unqueue
 *   reads it without, takes that lock and looks again.
 * - A thread has several waiters (futex_waitv.c): wakers and requeue see one at a time, and need not know.
 * - A woken waiter's frame, or its thread, is gone while the waker still touches it: wakers do all of it under the bucket's
 *   lock, and the waiter takes that lock before it leaves, woken or not.
 * - The word's page is not there: nothing may fault under a lock. user_load_u32 says -EAGAIN, we let go, touch it, and
 *   start again.
 *
 * Locks: one per bucket (RANK_FUTEX); requeue takes two, the lower address first. mm's table locks inside.
 */
#include "kernel/futex.h"

#include "firmware/trap.h"
#include "kernel/futex_queue.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/syscall.h"
#include "kernel/touch.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define FUTEX_WAIT	     0U
#define FUTEX_WAKE	     1U
#define FUTEX_REQUEUE	     3U
#define FUTEX_CMP_REQUEUE    4U
#define FUTEX_WAKE_OP	     5U
#define FUTEX_WAIT_BITSET    9U
#define FUTEX_WAKE_BITSET    10U
#define FUTEX_PRIVATE	     128U
#define FUTEX_CLOCK_REALTIME 256U

struct futex_bucket {
	struct spinlock lock; /* RANK_FUTEX */
	struct list waiters;  /* oldest first [lock] */
} CACHE_ALIGNED;

static struct {
	struct futex_bucket *buckets;
	uint64_t mask;
} futex;

void futex_init(void)
{
	uint64_t buckets = 16;

	/* Linux's measure, 256 a hart, as far as a thousandth of memory allows it. */
	while (buckets < 256 * (uint64_t)hw_harts() &&
	       buckets * sizeof(struct futex_bucket) < frames_total() * PAGE_SIZE / 1024)
		buckets *= 2;
	futex.buckets = kalloc(buckets * sizeof(struct futex_bucket));
	CHECK(futex.buckets != NULL);
	futex.mask = buckets - 1;
	for (uint64_t i = 0; i < buckets; i++) {
		spin_init(&futex.buckets[i].lock);
		list_init(&futex.buckets[i].waiters);
	}
}

static bool key_equal(const struct user_key *a, const struct user_key *b)
{
	return a->of == b->of && a->offset == b->offset;
}

static struct futex_bucket *bucket_of(const struct user_key *key)
{
	uint64_t hash = ((uint64_t)key->of >> 6) * UINT64_C(0x9e3779b97f4a7c15) ^
			(key->offset >> 2) * UINT64_C(0xc2b2ae3d27d4eb4f);

	return &futex.buckets[(hash >> 32) & futex.mask];
}

/*
 * The key of a word that may not have been touched yet. private: of this process alone, as it says, so what is mapped there is not
 * looked at; where it is not shared, who does not say so gets the same key.
 */
static int find_key(struct space *space, vaddr_t va, bool private, struct user_key *key)
{
	if ((va.v & 3) != 0)
		return -EINVAL;
	if (private && va.v < USER_END) {
		*key = (struct user_key){ space, va.v };
		return 0;
	}
	return user_futex_key(space, va, key);
}

/* ---- Waking. */

/* [bucket's lock] */
static void wake_locked(struct futex_waiter *waiter)
{
	list_del(&waiter->link);
	/* release: pairs with the acquire in wait; before the token, so that the look that the token brings about sees it */
	atomic_store_explicit(&waiter->woken, true, memory_order_release);
	sched_wake(waiter->thread);
}

static uint32_t wake_matching_locked(struct futex_bucket *bucket, const struct user_key *key, uint32_t most,
				     uint32_t bitset)
{
	uint32_t woken = 0;

	list_for_each_safe (pos, next, &bucket->waiters) {
		struct futex_waiter *waiter = list_entry(pos, struct futex_waiter, link);

		if (woken == most)
			break;
		if (!key_equal(&waiter->key, key) || (waiter->bitset & bitset) == 0)
			continue;
		wake_locked(waiter);
		woken++;
	}
	return woken;
}

static int64_t wake(struct space *space, vaddr_t va, bool private, uint32_t most, uint32_t bitset)
{
	struct user_key key;
	struct futex_bucket *bucket;
	uint32_t woken;
	int error;

	if (bitset == 0)
		return -EINVAL;
	error = find_key(space, va, private, &key);
	if (error != 0)
		return error;
	bucket = bucket_of(&key);
	spin_lock(&bucket->lock, RANK_FUTEX);
	woken = wake_matching_locked(bucket, &key, most, bitset);
	spin_unlock(&bucket->lock, RANK_FUTEX);
	return woken;
}

int64_t futex_wake(struct space *space, vaddr_t va, uint32_t most)
{
	return wake(space, va, false, most, UINT32_MAX);
}

/* ---- Waiting. */

bool futex_unqueue(struct futex_waiter *waiter)
{
	for (;;) {
		/* relaxed: looked at again under the lock */
		struct futex_bucket *bucket = atomic_load_explicit(&waiter->bucket, memory_order_relaxed);
		bool same, woken;

		spin_lock(&bucket->lock, RANK_FUTEX);
		same = atomic_load_explicit(&waiter->bucket, memory_order_relaxed) == bucket;
		woken = atomic_load_explicit(&waiter->woken, memory_order_relaxed);
		if (same && !woken)
			list_del(&waiter->link);
		spin_unlock(&bucket->lock, RANK_FUTEX);
		if (same)
			return woken;
	}
}

int futex_queue(struct space *space, vaddr_t va, bool private, uint32_t value, struct futex_waiter *waiter)
{
	for (;;) {
		int error = find_key(space, va, private, &waiter->key);
		struct futex_bucket *bucket;
		uint32_t found = 0;

		if (error != 0)
			return error;
		bucket = bucket_of(&waiter->key);
		spin_lock(&bucket->lock, RANK_FUTEX);
		error = user_load_u32(space, va, &found);
		if (error == 0 && found == value) {
			/* relaxed: the lock orders it */
			atomic_store_explicit(&waiter->bucket, bucket, memory_order_relaxed);
			list_add_tail(&bucket->waiters, &waiter->link);
		}
		spin_unlock(&bucket->lock, RANK_FUTEX);
		if (error == 0)
			return found == value ? 0 : -EAGAIN;
		if (error != -EAGAIN)
			return error;
		error = touch(space, va, ACCESS_READ);
		if (error != 0)
			return error;
	}
}

static int64_t wait(struct space *space, vaddr_t va, bool private, uint32_t value, uint64_t deadline_ns,
		    uint32_t bitset)
{
	struct futex_waiter waiter = { .bitset = bitset, .thread = current_thread() };
	int error;

	if (bitset == 0)
		return -EINVAL;
	error = futex_queue(space, va, private, value, &waiter);
	if (error != 0)
		return error;
	/* acquire: pairs with the release in wake_locked */
	while (error == 0 && !atomic_load_explicit(&waiter.woken, memory_order_acquire))
		error = wait_block(deadline_ns);
	return futex_unqueue(&waiter) ? 0 : error;
}

/* ---- Requeue. */

static void lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_lock(a < b ? &a->lock : &b->lock, RANK_FUTEX);
	if (a != b)
		spin_lock(a < b ? &b->lock : &a->lock, RANK_FUTEX);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	if (a != b)
		spin_unlock(&b->lock, RANK_FUTEX);
	spin_unlock(&a->lock, RANK_FUTEX);
}

struct requeue {
	vaddr_t from, to;
	uint32_t wake, move;
	bool compare, private;
	uint32_t value;
};

static int64_t move_locked(struct futex_bucket *from, struct futex_bucket *to, const struct user_key *key,
			   const struct user_key *to_key, const struct requeue *request)
{
	int64_t woken = wake_matching_locked(from, key, request->wake, UINT32_MAX);
	uint32_t moved = 0;

	if (key_equal(key, to_key))
		return woken;
	list_for_each_safe (pos, next, &from->waiters) {
		struct futex_waiter *waiter = list_entry(pos, struct futex_waiter, link);

		if (moved == request->move)
			break;
		if (!key_equal(&waiter->key, key))
			continue;
		list_del(&waiter->link);
		waiter->key = *to_key;
		list_add_tail(&to->waiters, &waiter->link);
		/* relaxed: both locks are held; see futex_unqueue */
		atomic_store_explicit(&waiter->bucket, to, memory_order_relaxed);
		moved++;
	}
	return woken + moved;
}

static int64_t requeue(struct space *space, const struct requeue *request)
{
	for (;;) {
		struct user_key key, to_key;
		struct futex_bucket *from, *to;
		uint32_t found = request->value;
		int64_t result = 0;
		int error = find_key(space, request->from, request->private, &key);

		if (error == 0)
			error = find_key(space, request->to, request->private, &to_key);
		if (error != 0)
			return error;
		from = bucket_of(&key);
		to = bucket_of(&to_key);
		lock_two(from, to);
		if (request->compare)
			error = user_load_u32(space, request->from, &found);
		if (error == 0 && found == request->value)
			result = move_locked(from, to, &key, &to_key, request);
		else if (error == 0)
			result = -EAGAIN;
		unlock_two(from, to);
		if (error == 0)
			return result;
		if (error == -EAGAIN)
			error = touch(space, request->from, ACCESS_READ);
		if (error != 0)
			return error;
	}
}

/* ---- WAKE_OP: changes the second word, wakes on the first, and on the second if what it was compares. */

static int new_word(uint32_t operation, uint32_t word, uint32_t *out)
{
	uint32_t argument = (uint32_t)((int32_t)(operation << 8) >> 20);

	if ((operation >> 28 & 8) != 0)
		argument = 1U << (argument & 31);
	switch (operation >> 28 & 7) {
	case 0:
		*out = argument;
		return 0;
	case 1:
		*out = word + argument;
		return 0;
	case 2:
		*out = word | argument;
		return 0;
	case 3:
		*out = word & ~argument;
		return 0;
	case 4:
		*out = word ^ argument;
		return 0;
	default:
		return -ENOSYS;
	}
}

static int compares(uint32_t operation, uint32_t word)
{
	int32_t with = (int32_t)(operation << 20) >> 20;
	int32_t old = (int32_t)word;
	const bool results[] = { old == with, old != with, old<with, old <= with, old> with, old >= with };
	uint32_t which = operation >> 24 & 15;

	return which < sizeof(results) ? results[which] : -ENOSYS;
}

static int change_word(struct space *space, vaddr_t va, uint32_t operation, uint32_t *old)
{
	uint32_t value = 0, new;
	int error = user_load_u32(space, va, &value);

	while (error == 0) {
		error = new_word(operation, value, &new);
		if (error == 0)
			error = user_cmpxchg_u32(space, va, value, new, old);
		if (error != 0 || *old == value)
			break;
		value = *old;
	}
	return error;
}

static int64_t wake_op(struct space *space, const struct requeue *request)
{
	for (;;) {
		struct user_key key, other_key;
		struct futex_bucket *first, *second;
		uint32_t old = 0;
		int64_t result = 0;
		int error = find_key(space, request->from, request->private, &key);

		if (error == 0)
			error = find_key(space, request->to, request->private, &other_key);
		if (error != 0)
			return error;
		first = bucket_of(&key);
		second = bucket_of(&other_key);
		lock_two(first, second);
		error = change_word(space, request->to, request->value, &old);
		if (error == 0)
			error = compares(request->value, old);
		if (error >= 0)
			result = wake_matching_locked(first, &key, request->wake, UINT32_MAX);
		if (error > 0)
			result += wake_matching_locked(second, &other_key, request->move, UINT32_MAX);
		unlock_two(first, second);
		if (error >= 0)
			return result;
		if (error == -EAGAIN)
			error = touch(space, request->to, ACCESS_WRITE);
		if (error != 0)
			return error;
	}
}

/* ---- The call. */

/* WAIT's time-out is relative, WAIT_BITSET's absolute. */
static int futex_deadline(uint32_t operation, uint64_t address, bool realtime, uint64_t *deadline)
{
	uint64_t ns;
	int error;

	*deadline = WAIT_FOREVER;
	if (address == 0)
		return 0;
	error = user_timespec(address, &ns);
	if (error != 0)
		return error;
	if (operation == FUTEX_WAIT)
		*deadline = deadline_after(ns);
	else
		*deadline = realtime ? time_from_realtime(ns) : ns;
	return 0;
}

static int64_t futex_wait_call(const uint64_t *a, uint32_t operation, bool realtime)
{
	uint64_t deadline;
	int error = futex_deadline(operation, a[3], realtime, &deadline);
	int64_t result;

	if (error != 0)
		return error;
	result = wait(current_space(), VADDR(a[0]), (a[1] & FUTEX_PRIVATE) != 0, (uint32_t)a[2], deadline,
		      operation == FUTEX_WAIT ? UINT32_MAX : (uint32_t)a[5]);
	if (result != -EINTR)
		deadline_done();
	return result;
}

int64_t sys_futex(const uint64_t *a)
{
	uint32_t operation = (uint32_t)a[1] & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME);
	bool realtime = (a[1] & FUTEX_CLOCK_REALTIME) != 0, private = (a[1] & FUTEX_PRIVATE) != 0;
	struct requeue request = {
		.from = VADDR(a[0]),
		.to = VADDR(a[4]),
		.wake = (uint32_t)a[2],
		.move = (uint32_t)a[3],
		.compare = operation == FUTEX_CMP_REQUEUE,
		.private = private,
		.value = (uint32_t)a[5],
	};

	if (realtime && operation != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (operation) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return futex_wait_call(a, operation, realtime);
	case FUTEX_WAKE:
		return wake(current_space(), VADDR(a[0]), private, MAX((uint32_t)a[2], 1U), UINT32_MAX);
	case FUTEX_WAKE_BITSET:
		return wake(current_space(), VADDR(a[0]), private, MAX((uint32_t)a[2], 1U), (uint32_t)a[5]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if ((int32_t)a[2] < 0 || (int32_t)a[3] < 0)
			return -EINVAL;
		return requeue(current_space(), &request);
	case FUTEX_WAKE_OP:
		request.wake = MAX(request.wake, 1U);
		request.move = MAX(request.move, 1U);
		return wake_op(current_space(), &request);
	default:
		return -ENOSYS;
	}
}
