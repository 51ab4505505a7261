/*
 * Mutexes. Contract: mutex.h.
 *
 * Free or owned: one word. Whoever finds it owned queues first and then tries again, so the owner's release, which comes
 * before its wake, is seen or wakes (wait.h). A woken thread competes with those that come: no order is kept.
 */
#include "kernel/mutex.h"

#include "kernel/thread.h"

#ifdef CORRAL_DEBUG
/* Before it is waited for: an order that is wrong is found where nobody happens to be in the way, too. */
static void check_order(const struct mutex *mutex)
{
	const uint8_t *held = current_thread()->mutexes;

	for (unsigned rank = mutex->rank; rank < MUTEX_RANKS; rank++)
		if (held[rank] != 0 && (rank != mutex->rank || rank != MUTEX_FILE))
			hw_panic("mutex order: %u taken while %u is held", (unsigned)mutex->rank, rank);
}

static void note(const struct mutex *mutex, int n)
{
	uint8_t *held = &current_thread()->mutexes[mutex->rank];

	*held = (uint8_t)(*held + n);
}
#else
static void check_order(const struct mutex *mutex)
{
	(void)mutex;
}

static void note(const struct mutex *mutex, int n)
{
	(void)mutex;
	(void)n;
}
#endif

void mutex_init(struct mutex *mutex, enum mutex_rank rank)
{
	mutex->rank = rank;
	atomic_init(&mutex->owner, NULL);
	wait_queue_init(&mutex->queue);
}

bool mutex_trylock(struct mutex *mutex)
{
	struct thread *none = NULL;

	/* acquire: pairs with the release in mutex_unlock */
	if (!atomic_compare_exchange_strong_explicit(&mutex->owner, &none, current_thread(), memory_order_acquire,
						     memory_order_relaxed))
		return false;
	note(mutex, 1);
	return true;
}

void mutex_lock(struct mutex *mutex)
{
	struct waiter waiter = { 0 };

	lock_assert_none();
	ASSERT(!mutex_is_mine(mutex));
	check_order(mutex);
	if (mutex_trylock(mutex))
		return;
	for (;;) {
		wait_prepare(&mutex->queue, &waiter);
		if (mutex_trylock(mutex))
			break;
		wait_block_always();
	}
	wait_finish(&mutex->queue, &waiter);
}

void mutex_unlock(struct mutex *mutex)
{
	ASSERT(mutex_is_mine(mutex));
	note(mutex, -1);
	/* release: pairs with the acquire in mutex_trylock */
	atomic_store_explicit(&mutex->owner, NULL, memory_order_release);
	wake_one(&mutex->queue);
}

bool mutex_is_mine(const struct mutex *mutex)
{
	/* relaxed: only the calling thread makes it true or false */
	return atomic_load_explicit(&mutex->owner, memory_order_relaxed) == current_thread();
}
