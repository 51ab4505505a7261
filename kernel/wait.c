/* Wait queues. Contract and the argument that no wake-up is lost: wait.h. The token that a wake leaves: sched.c. */
#include "kernel/wait.h"

#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/thread.h"
#include "lib/errno.h"

void wait_queue_init(struct wait_queue *queue)
{
	spin_init(&queue->lock);
	list_init(&queue->waiters);
}

void wait_prepare(struct wait_queue *queue, struct waiter *waiter)
{
	if (waiter->thread == NULL) {
		waiter->thread = current_thread();
		list_init(&waiter->link);
	}
	spin_lock(&queue->lock, RANK_WAIT);
	if (list_empty(&waiter->link))
		list_add_tail(&queue->waiters, &waiter->link);
	spin_unlock(&queue->lock, RANK_WAIT);
}

/* Under the queue's lock, so that the waiter and its thread are there until all is done. */
static void wake_first_locked(struct wait_queue *queue)
{
	struct waiter *waiter = list_first(&queue->waiters, struct waiter, link);

	list_del(&waiter->link);
	sched_wake(waiter->thread);
}

void wake_one(struct wait_queue *queue)
{
	spin_lock(&queue->lock, RANK_WAIT);
	if (!list_empty(&queue->waiters))
		wake_first_locked(queue);
	spin_unlock(&queue->lock, RANK_WAIT);
}

void wake_all(struct wait_queue *queue)
{
	spin_lock(&queue->lock, RANK_WAIT);
	while (!list_empty(&queue->waiters))
		wake_first_locked(queue);
	spin_unlock(&queue->lock, RANK_WAIT);
}

void wait_finish(struct wait_queue *queue, struct waiter *waiter)
{
	if (waiter->thread == NULL)
		return;
	spin_lock(&queue->lock, RANK_WAIT);
	if (!list_empty(&waiter->link))
		list_del(&waiter->link);
	else if (!list_empty(&queue->waiters))
		wake_first_locked(queue);
	spin_unlock(&queue->lock, RANK_WAIT);
}

static bool interrupted(bool killed_only)
{
	struct thread *thread = current_thread();
	/* acquire: pairs with the release of whoever set the bit, so what it stands for is seen */
	uint32_t work = atomic_load_explicit(&thread->work, memory_order_acquire);

	return (work & (WORK_KILL | WORK_STARVED)) != 0 ||
	       (!killed_only && ((work & WORK_STOP) != 0 || ((work & WORK_SIGNAL) != 0 && signal_waiting(thread))));
}

bool wait_interrupted(void)
{
	return interrupted(false);
}

/*
 * The token first: a thread that was woken must look at its condition before it gives up for another reason. The checks
 * come before blocking only; who sets one of these reasons later leaves a token too.
 */
static int block(uint64_t deadline_ns, bool killable_only)
{
	if (sched_take_token(current_thread()))
		return 0;
	if (interrupted(killable_only))
		return -EINTR;
	if (deadline_ns != WAIT_FOREVER && time_ns() >= deadline_ns)
		return -ETIMEDOUT;
	sched_block(deadline_ns);
	return 0;
}

void wait_block_always(void)
{
	if (!sched_take_token(current_thread()))
		sched_block(WAIT_FOREVER);
}

int wait_block(uint64_t deadline_ns)
{
	return block(deadline_ns, false);
}

int wait_block_killable(uint64_t deadline_ns)
{
	return block(deadline_ns, true);
}
