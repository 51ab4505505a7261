/*
 * How a thread gets on a futex's queue and off it: between futex.c, which explains it, and futex_waitv.c. A thread may be on
 * several queues, with a waiter for each.
 */
#ifndef KERNEL_FUTEX_QUEUE_H
#define KERNEL_FUTEX_QUEUE_H

#include <stdatomic.h>

#include "lib/list.h"
#include "mm/space.h"

struct futex_bucket;
struct thread;

/* bitset and thread are set by its owner before it queues; woken is false. */
struct futex_waiter {
	struct list link;		       /* [bucket's lock] */
	_Atomic(struct futex_bucket *) bucket; /* whose list it is, or was, on */
	_Atomic bool woken;
	struct user_key key; /* [bucket's lock] */
	uint32_t bitset;
	struct thread *thread;
};

/*
 * Looks at the word and queues if it has the value. 0: it is on the queue, or woken already. -EAGAIN: it has another value;
 * -EINVAL: not aligned; -EFAULT, -ENOMEM: then it is on no queue. No lock held.
 */
int futex_queue(struct space *space, vaddr_t va, bool private, uint32_t value, struct futex_waiter *waiter) MUST_CHECK;

/* Takes a waiter that was queued off its list unless it has been woken: whether it had been. Then nobody else has it any more. */
bool futex_unqueue(struct futex_waiter *waiter);

#endif
