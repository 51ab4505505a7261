/*
 * Mutexes: locks that are held over waits (a disk's), and whose waiters sleep.
 *
 * Never taken or waited for with a spin lock held (debug builds stop there); spin locks may be taken under one. A thread that
 * holds one always comes to release it: what it waits for meanwhile must end by itself. Not from interrupt dispatch. Not
 * recursive. Where a thread holds two, the file that has both says their order.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include <stdatomic.h>

#include "kernel/wait.h"

struct mutex {
	_Atomic(struct thread *) owner; /* NULL: free */
	struct wait_queue queue;
};

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_trylock(struct mutex *mutex) MUST_CHECK;
void mutex_unlock(struct mutex *mutex); /* by who locked it */
bool mutex_is_mine(const struct mutex *mutex);

#endif
