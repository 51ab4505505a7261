/*
 * Spin locks with ranks.
 *
 * The kernel runs with interrupts off, always (docs/locking.md), so a lock needs no interrupt-saving form. While a
 * lock is waited for, the hart serves the requests that other harts make of it (hw_relax), so waiting for a lock never
 * keeps a shootdown waiting. Test-and-test-and-set rather than tickets: under an emulator harts are preempted, and a
 * fair lock would wait for the one that is not running (docs/decisions/0004-locks.md).
 *
 * The rank is given where the lock is taken, not stored, so that a lock is four bytes and fits a coremap entry. Debug
 * builds count what each hart holds of each rank and stop with both names when a lock is taken out of order: every
 * rank held must be lower than the one being taken, or equal where the rank is marked as nesting.
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include "lib/atomic.h"
#include "lib/check.h"
#include "lib/hw.h"
#include "lib/types.h"

/* Lowest first: outer locks before inner ones. docs/locking.md explains each. Names in lib/lock.c. */
enum lock_rank {
	RANK_PROCESS_TREE, /* kernel: parents, children, groups, ids */
	RANK_PROCESS,	   /* kernel: one process: threads, signals, limits, cwd, brk */
	RANK_FILES,	   /* kernel: one descriptor table */
	RANK_IN_FLIGHT,	   /* kernel: which open files are in sockets' messages */
	RANK_FILE,	   /* kernel: one open file, pipe or tty */
	RANK_FUTEX,	   /* kernel: one futex bucket (nests: requeue takes two, by address) */
	RANK_KTHREADS,	   /* kernel: the list of the kernel's own threads */
	RANK_REVERSE_WALK, /* mm: a walk through all mappings of one memory object */
	RANK_REVERSE,	   /* mm: who maps one memory object */
	RANK_ATTACHED,	   /* mm: which objects one space maps */
	RANK_SPACES,	   /* mm: the list of all spaces */
	RANK_TABLE,	   /* mm: page tables (nests: parent before child, lower address before higher) */
	RANK_SHM,	   /* kernel: the System V shared memory segments */
	RANK_OBJECT,	   /* mm: one memory object's index */
	RANK_OBJECT_LIST,  /* mm: the list of all objects */
	RANK_LOCKED,	   /* mm: which ranges of a space are locked */
	RANK_ASID,	   /* mm: the ASID bitmap */
	RANK_BLOCK,	   /* drivers: one block device's requests */
	RANK_READ_AHEAD,   /* kernel: what is to be read ahead */
	RANK_WAIT,	   /* kernel: one wait queue */
	RANK_RUNQUEUE,	   /* kernel: one hart's run queue */
	RANK_TIMER,	   /* kernel: one hart's timers */
	RANK_SLAB,	   /* mm: one size class of small kernel objects */
	RANK_MAGAZINE,	   /* mm: one hart's frame magazine */
	RANK_BUDDY,	   /* mm: the buddy allocator */
	RANK_CONSOLE,	   /* drivers: the console's output ring */
	RANK_COUNT
};

struct spinlock {
	_Atomic uint32_t held; /* 0 free, 1 held */
};

#ifdef CORRAL_DEBUG
void lock_rank_take(enum lock_rank rank);
void lock_rank_drop(enum lock_rank rank);
unsigned lock_rank_held(enum lock_rank rank); /* how many of this rank the calling hart holds, or waits for */
unsigned lock_rank_held_by(unsigned hart, enum lock_rank rank); /* a hint, of another hart */
void lock_assert_none(void);					/* the calling hart holds none: the thread may sleep */
#else
static inline unsigned lock_rank_held(enum lock_rank rank)
{
	(void)rank;
	return 0;
}
static inline void lock_assert_none(void)
{
}
static inline void lock_rank_take(enum lock_rank rank)
{
	(void)rank;
}
static inline void lock_rank_drop(enum lock_rank rank)
{
	(void)rank;
}
#endif

void spin_lock_slow(struct spinlock *lock, enum lock_rank rank);
const char *lock_rank_name(enum lock_rank rank);

static inline void spin_init(struct spinlock *lock)
{
	atomic_init(&lock->held, 0);
}

static inline bool spin_trylock(struct spinlock *lock, enum lock_rank rank)
{
	/* acquire: pairs with the release in spin_unlock */
	if (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0)
		return false;
	lock_rank_take(rank);
	return true;
}

static inline void spin_lock(struct spinlock *lock, enum lock_rank rank)
{
	lock_rank_take(rank);
	/* acquire: pairs with the release in spin_unlock */
	if (UNLIKELY(atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0))
		spin_lock_slow(lock, rank);
}

static inline void spin_unlock(struct spinlock *lock, enum lock_rank rank)
{
	lock_rank_drop(rank);
	/* release: pairs with the acquire in spin_lock and spin_trylock */
	store_release_u32(&lock->held, 0);
}

static inline bool spin_is_held(const struct spinlock *lock)
{
	return atomic_load_explicit(&lock->held, memory_order_relaxed) != 0;
}

#endif
