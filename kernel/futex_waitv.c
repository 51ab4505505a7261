/*
 * futex_waitv: a thread that waits for any of several words, with a waiter on each one's queue.
 *
 * The words are looked at and queued on one by one, each under its own bucket's lock (futex.c): while the later ones are
 * queued, the earlier ones may be woken already, requeued, or woken after that. Nothing of it is lost: what a waker does to a
 * waiter is in the waiter, the token it leaves is the thread's (wait.h), and before the frame goes each waiter that was
 * queued is taken off again, which says whether it was woken. So a wake counts even where a later word does not have its value
 * or cannot be read: as on Linux the call then returns the index of the last one that was woken.
 *
 * Two wakes for one call: both wakers count a thread that they woke, as on Linux, which only tells of one of them.
 * Locks: one bucket's at a time, inside futex.c.
 */
#include "kernel/futex_queue.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define FUTEX2_SIZE_MASK 3U
#define FUTEX2_SIZE_U32	 2U
#define FUTEX2_PRIVATE	 128U
#define FUTEX_WAITV_MAX	 128U

#define CLOCK_REALTIME	0
#define CLOCK_MONOTONIC 1

struct futex_waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};

struct word {
	vaddr_t va;
	uint32_t value;
	bool private;
	struct futex_waiter waiter;
};

static int check_word(const struct futex_waitv *from)
{
	if ((from->flags & ~(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE)) != 0 || from->reserved != 0)
		return -EINVAL;
	if ((from->flags & FUTEX2_SIZE_MASK) != FUTEX2_SIZE_U32 || from->value > UINT32_MAX)
		return -EINVAL;
	return 0;
}

static int read_words(struct word *words, uint64_t count, uint64_t address)
{
	for (uint64_t i = 0; i < count; i++) {
		struct futex_waitv from;
		int error;

		if (user_read(current_space(), &from, VADDR(address + i * sizeof(from)), sizeof(from)) != 0)
			return -EFAULT;
		error = check_word(&from);
		if (error != 0)
			return error;
		words[i] = (struct word){
			.va = VADDR(from.address),
			.value = (uint32_t)from.value,
			.private = (from.flags & FUTEX2_PRIVATE) != 0,
			.waiter = { .bitset = UINT32_MAX, .thread = current_thread() },
		};
	}
	return 0;
}

/* What is wrong with an address is told before any word is compared. */
static int check_addresses(const struct word *words, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (words[i].va.v % sizeof(uint32_t) != 0)
			return -EINVAL;
		if (words[i].va.v >= USER_END)
			return -EFAULT;
	}
	return 0;
}

static bool any_woken(struct word *words, uint64_t count)
{
	/* acquire: pairs with the release in futex.c, wake_locked */
	for (uint64_t i = 0; i < count; i++)
		if (atomic_load_explicit(&words[i].waiter.woken, memory_order_acquire))
			return true;
	return false;
}

/* Takes all off their queues. The last that had been woken, or `otherwise`. */
static int64_t unqueue_all(struct word *words, uint64_t count, int64_t otherwise)
{
	int64_t result = otherwise;

	for (uint64_t i = 0; i < count; i++)
		if (futex_unqueue(&words[i].waiter))
			result = (int64_t)i;
	return result;
}

static int64_t wait_any(struct word *words, uint64_t count, uint64_t deadline_ns)
{
	int error = check_addresses(words, count);

	if (error != 0)
		return error;
	for (uint64_t i = 0; i < count; i++) {
		error = futex_queue(current_space(), words[i].va, words[i].private, words[i].value, &words[i].waiter);
		if (error != 0)
			return unqueue_all(words, i, error);
	}
	while (error == 0 && !any_woken(words, count))
		error = wait_block(deadline_ns);
	return unqueue_all(words, count, error);
}

int64_t sys_futex_waitv(const uint64_t *a)
{
	uint64_t count = (uint32_t)a[1], deadline = WAIT_FOREVER;
	int32_t clock = (int32_t)a[4];
	struct word *words;
	int64_t result = 0;

	if ((uint32_t)a[2] != 0 || count == 0 || count > FUTEX_WAITV_MAX || a[0] == 0)
		return -EINVAL;
	if (a[3] != 0) {
		if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
			return -EINVAL;
		result = user_timespec(a[3], &deadline);
		if (result == 0 && clock == CLOCK_REALTIME)
			deadline = time_from_realtime(deadline);
	}
	if (result != 0)
		return result;
	words = kalloc(count * sizeof(*words));
	if (words == NULL)
		return -ENOMEM;
	result = read_words(words, count, a[0]);
	if (result == 0)
		result = wait_any(words, count, deadline);
	kfree(words);
	return result;
}
