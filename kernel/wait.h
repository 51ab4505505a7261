/*
 * Wait queues: how a thread sleeps until something has changed.
 *
 *	struct waiter waiter = { 0 };
 *	int error = 0;
 *
 *	for (;;) {
 *		wait_prepare(&queue, &waiter);
 *		if (condition)			(under whatever lock guards it; let go of it before wait_block)
 *			break;
 *		error = wait_block(deadline_ns);
 *		if (error != 0)
 *			break;
 *	}
 *	wait_finish(&queue, &waiter);
 *
 * Whoever makes the condition true does so first and calls wake_one or wake_all after that. wait_block may also return
 * 0 for no reason: always look at the condition again, and prepare again first. A thread can be on several queues at
 * once (poll): one waiter for each, all prepared, one wait_block, all finished.
 *
 * Why no wake-up is lost. A wake (1) takes the waiter off its queue under the queue's lock, and (2) leaves a token with
 * the thread (thread.park, by atomic exchange), which wait_block consumes instead of blocking, or which makes it
 * runnable when it has blocked already. A thread looks at its condition only after wait_prepare: a change before that is
 * seen by the look (the queue's lock orders them when the waker came first), a change after it finds the waiter queued
 * and leaves a token. A second wake before the token is consumed is merged with it; the consuming exchange reads the
 * second one's release, so the look that follows sees both changes. A waker that saw an earlier waiter of the same thread
 * leaves at worst a token too many: a return for no reason.
 *
 * Why wake_one is not lost with a thread that leaves for another reason (signal, time-out): wait_finish finds that a wake
 * took the waiter off since the last wait_prepare and hands that wake to the next in the queue. (A thread whose wake led
 * it to its condition has prepared again before it looked.)
 *
 * A waiter lives on its thread's stack. The thread cannot end or leave the frame while a waker still touches either:
 * wakers do all of it under the queue's lock, which wait_finish takes.
 *
 * Locks: the queue's own (RANK_WAIT). wait_prepare, wait_finish and the wakes may be called with any lower rank held,
 * and from interrupt dispatch; wait_block with no lock held.
 */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include "lib/list.h"
#include "lib/lock.h"

struct thread;

struct wait_queue {
	struct spinlock lock; /* RANK_WAIT */
	struct list waiters;  /* oldest first [lock] */
};

/* All zero before the first wait_prepare. */
struct waiter {
	struct list link;      /* an empty list of its own while it is not queued [queue's lock] */
	struct thread *thread; /* NULL: never prepared */
};

#define WAIT_FOREVER UINT64_MAX

void wait_queue_init(struct wait_queue *queue);

/* Queues the calling thread, at the end, if waiter is not queued: from now on a wake makes wait_block return. */
void wait_prepare(struct wait_queue *queue, struct waiter *waiter);

/*
 * Blocks until a wake. deadline_ns: in time_ns(), WAIT_FOREVER: none. 0: woken, perhaps for nothing; -EINTR: a signal is
 * to be handled, or the thread is being killed; -ETIMEDOUT. System calls return -EINTR as it is: kernel/signal.c
 * decides whether the call is restarted.
 */
int wait_block(uint64_t deadline_ns) MUST_CHECK;

/* Whether wait_block would be interrupted now. */
bool wait_interrupted(void);

/* The same, but only being killed interrupts it. */
int wait_block_killable(uint64_t deadline_ns) MUST_CHECK;

/* The same, but nothing else interrupts it: for waits that end by themselves (a disk's), in which others use our memory. */
void wait_block_always(void);

/* Takes waiter off the queue. */
void wait_finish(struct wait_queue *queue, struct waiter *waiter);

void wake_one(struct wait_queue *queue);
void wake_all(struct wait_queue *queue);

/*
 * wake_all for who holds the lock under which the condition has changed, or held it since, where all that wait look at it under that
 * lock: without the queue's lock where nobody waits. A waiter whose look came before the change had queued itself before that, and so
 * is seen: the lock orders them.
 */
static inline void wake_waiting(struct wait_queue *queue)
{
	if (__atomic_load_n(&queue->waiters.next, __ATOMIC_RELAXED) != &queue->waiters)
		wake_all(queue);
}

#endif
