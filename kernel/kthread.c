/*
 * The kernel's own threads. Contract: kthread.h.
 *
 * A struct kthread is freed by whoever stops it, after the thread has marked it as ended under the lock, the last thing it
 * does with it. The list keeps a thread that is being told to stop alive: it takes itself off before it exits.
 *
 * Locks: kthreads.lock (RANK_KTHREADS) guards the list and the kthreads' stop and ended.
 */
#include "kernel/kthread.h"

#include <string.h>

#include "kernel/sched.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "lib/lock.h"
#include "mm/slab.h"

struct kthread {
	struct list link;
	struct thread *thread; /* NULL: it has ended [lock] */
	void (*fn)(void *arg);
	void *arg;
	bool stop; /* [lock] */
};

static struct {
	struct spinlock lock;	 /* RANK_KTHREADS */
	struct list all;	 /* oldest first [lock] */
	struct wait_queue ended; /* somebody has */
} kthreads;

void kthread_init(void)
{
	spin_init(&kthreads.lock);
	list_init(&kthreads.all);
	wait_queue_init(&kthreads.ended);
}

static struct kthread *find_locked(const struct thread *thread)
{
	list_for_each (pos, &kthreads.all) {
		struct kthread *kthread = list_entry(pos, struct kthread, link);

		if (kthread->thread == thread)
			return kthread;
	}
	return NULL;
}

static void run(void *arg)
{
	struct kthread *kthread = arg;

	kthread->fn(kthread->arg);
	sched_count_in(); /* before anyone knows of the end, so that sched_wait_all_gone waits for the rest of it */
	spin_lock(&kthreads.lock, RANK_KTHREADS);
	kthread->thread = NULL;
	spin_unlock(&kthreads.lock, RANK_KTHREADS);
	wake_all(&kthreads.ended);
}

int kthread_create(void (*fn)(void *arg), void *arg, const char *name, struct kthread **out)
{
	struct kthread *kthread = kalloc(sizeof(*kthread));
	struct thread *thread;
	int error = kthread == NULL ? -ENOMEM : thread_create_kernel(run, kthread, &thread);

	if (error != 0) {
		kfree(kthread);
		return error;
	}
	sched_leave_out();
	strncpy(thread->name, name, sizeof(thread->name) - 1);
	kthread->fn = fn;
	kthread->arg = arg;
	kthread->thread = thread;
	spin_lock(&kthreads.lock, RANK_KTHREADS);
	list_add_tail(&kthreads.all, &kthread->link);
	spin_unlock(&kthreads.lock, RANK_KTHREADS);
	if (out != NULL)
		*out = kthread;
	sched_start(thread);
	return 0;
}

bool kthread_should_stop(void)
{
	struct kthread *kthread;
	bool stop; /* [lock] */

	spin_lock(&kthreads.lock, RANK_KTHREADS);
	kthread = find_locked(current_thread());
	stop = kthread != NULL && kthread->stop;
	spin_unlock(&kthreads.lock, RANK_KTHREADS);
	return stop;
}

/* Whether it has ended, and then it is off the list. */
static bool tell(struct kthread *kthread)
{
	bool ended;

	spin_lock(&kthreads.lock, RANK_KTHREADS);
	ended = kthread->thread == NULL;
	if (ended)
		list_del(&kthread->link);
	else if (!kthread->stop)
		sched_wake(kthread->thread);
	kthread->stop = true;
	spin_unlock(&kthreads.lock, RANK_KTHREADS);
	return ended;
}

void kthread_stop(struct kthread *kthread)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&kthreads.ended, &waiter);
		if (tell(kthread))
			break;
		wait_block_always();
	}
	wait_finish(&kthreads.ended, &waiter);
	kfree(kthread);
}

void kthreads_stop(void)
{
	for (;;) {
		struct kthread *last = NULL;

		spin_lock(&kthreads.lock, RANK_KTHREADS);
		if (!list_empty(&kthreads.all))
			last = list_entry(kthreads.all.prev, struct kthread, link);
		spin_unlock(&kthreads.lock, RANK_KTHREADS);
		if (last == NULL)
			return;
		kthread_stop(last);
	}
}
