/* Slow path of the spin locks, and the rank checker of debug builds. Contract: lib/lock.h. */
#include "lib/lock.h"

#include "lib/watch.h"

void spin_lock_slow(struct spinlock *lock, enum lock_rank rank)
{
	struct watch watch = { .what = rank == RANK_CONSOLE ? WATCH_NOTHING : WATCH_LOCK,
			       .object = lock,
			       .detail = rank };

	do {
		while (atomic_load_explicit(&lock->held, memory_order_relaxed) != 0) {
			if (UNLIKELY(watch.what == WATCH_NOTHING))
				hw_relax();
			else
				watch_turn(&watch);
		}
		/* acquire: pairs with the release in spin_unlock */
	} while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0);
	watch_end(&watch);
}

static const char *const rank_name[RANK_COUNT] = {
	[RANK_PROCESS_TREE] = "process-tree",
	[RANK_PROCESS] = "process",
	[RANK_FILES] = "files",
	[RANK_IN_FLIGHT] = "in-flight",
	[RANK_FILE] = "file",
	[RANK_FUTEX] = "futex",
	[RANK_KTHREADS] = "kthreads",
	[RANK_REVERSE_WALK] = "reverse-walk",
	[RANK_REVERSE] = "reverse",
	[RANK_ATTACHED] = "attached",
	[RANK_SPACES] = "spaces",
	[RANK_TABLE] = "table",
	[RANK_SHM] = "shm",
	[RANK_OBJECT] = "object",
	[RANK_OBJECT_LIST] = "object-list",
	[RANK_LOCKED] = "locked",
	[RANK_ASID] = "asid",
	[RANK_BLOCK] = "block",
	[RANK_READ_AHEAD] = "read-ahead",
	[RANK_WAIT] = "wait",
	[RANK_RUNQUEUE] = "runqueue",
	[RANK_TIMER] = "timer",
	[RANK_SLAB] = "slab",
	[RANK_MAGAZINE] = "magazine",
	[RANK_BUDDY] = "buddy",
	[RANK_CONSOLE] = "console",
};

const char *lock_rank_name(enum lock_rank rank)
{
	return rank_name[rank];
}

#ifdef CORRAL_DEBUG
static const bool rank_nests[RANK_COUNT] = {
	[RANK_FUTEX] = true,
	[RANK_TABLE] = true,
};

/* Written by its own hart only. */
static struct held {
	uint32_t count[RANK_COUNT];
} CACHE_ALIGNED held[HW_MAX_HARTS];

void lock_rank_take(enum lock_rank rank)
{
	uint32_t *count = held[hw_hart()].count;

	for (unsigned r = rank_nests[rank] ? rank + 1 : rank; r < RANK_COUNT; r++)
		if (count[r] != 0)
			hw_panic("lock order: %s taken while %s is held", rank_name[rank], rank_name[r]);
	count[rank]++;
}

void lock_rank_drop(enum lock_rank rank)
{
	uint32_t *count = held[hw_hart()].count;

	if (count[rank]-- == 0)
		hw_panic("lock order: %s released but not held", rank_name[rank]);
}

unsigned lock_rank_held(enum lock_rank rank)
{
	return held[hw_hart()].count[rank];
}

unsigned lock_rank_held_by(unsigned hart, enum lock_rank rank)
{
	return __atomic_load_n(&held[hart].count[rank], __ATOMIC_RELAXED);
}

void lock_assert_none(void)
{
	for (unsigned rank = 0; rank < RANK_COUNT; rank++)
		if (held[hw_hart()].count[rank] != 0)
			hw_panic("lock order: %s is held by a thread that may sleep", rank_name[rank]);
}
#endif
