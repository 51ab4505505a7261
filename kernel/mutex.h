/*
 * Mutexes: locks that are held over waits (a disk's), and whose waiters sleep.
 *
 * Never taken or waited for with a spin lock held (debug builds stop there); spin locks may be taken under one. A thread that
 * holds one always comes to release it: what it waits for meanwhile must end by itself. Not from interrupt dispatch. Not
 * recursive. Where a thread holds two, the outer one is of the lower rank; debug builds stop where it is not.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include <stdatomic.h>

#include "kernel/wait.h"

/* Outer ones first: docs/locking.md. */
enum mutex_rank {
	MUTEX_MOUNTS,  /* mount.c */
	MUTEX_FILE,    /* a file in memory's, regular.c; two, by address */
	MUTEX_WRITERS, /* a store's: cache.h */
	MUTEX_WRITING,
	MUTEX_VOLUME, /* volume.h */
	MUTEX_RANKS
};

struct mutex {
	_Atomic(struct thread *) owner; /* NULL: free */
	enum mutex_rank rank;
	struct wait_queue queue;
};

void mutex_init(struct mutex *mutex, enum mutex_rank rank);
void mutex_lock(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex) MUST_CHECK;
void mutex_unlock(struct mutex *mutex); /* by who locked it */
bool mutex_is_mine(const struct mutex *mutex);

#endif
