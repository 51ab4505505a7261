/*
 * Processes, threads and descriptor tables (of whose memory fdtable.c knows more), put by for the next. Contract: spare.h.
 *
 * Invariants: each hart has a few of its own, which no other touches until spares_drain; nothing of a spare is used. What a process or
 * thread keeps when it is put by is the part of it that its end leaves as its beginning wants it (process.h, thread.h): so that part is
 * made once, for a new one, and looked at in debug builds for the others; what comes before is cleared. They are most of it.
 * Locks: none. The kernel runs with interrupts off, and nothing here waits.
 */
#include "kernel/spare.h"

#include <string.h>

#include "firmware/stacks.h"
#include "kernel/process.h"
#include "kernel/thread.h"
#include "lib/check.h"
#include "lib/fail.h"
#include "lib/hw.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define KEPT 3U

struct spares {
	struct {
		unsigned n;
		void *one[KEPT];
	} of[SPARE_KINDS];
} CACHE_ALIGNED;

static struct spares *spares; /* hw_harts() of them */

void spares_init(void)
{
	spares = kalloc(hw_harts() * sizeof(*spares));
	CHECK(spares != NULL);
}

void *spare_take(enum spare kind)
{
	struct spares *from = &spares[hw_hart()];

	return from->of[kind].n == 0 || FAIL_HERE() ? NULL : from->of[kind].one[--from->of[kind].n];
}

bool spare_put(enum spare kind, void *object)
{
	struct spares *to = &spares[hw_hart()];

	if (to->of[kind].n == KEPT)
		return false;
	to->of[kind].one[to->of[kind].n++] = object;
	return true;
}

static void check_queue(const struct wait_queue *queue)
{
	ASSERT(list_empty(&queue->waiters) && !spin_is_held(&queue->lock));
}

static void check_pending(const struct sigpending *pending)
{
	ASSERT(pending->set == 0 && list_empty(&pending->queue));
}

static void check_process(const struct process *process)
{
	ASSERT(list_empty(&process->threads) && list_empty(&process->children) && list_empty(&process->sibling));
	ASSERT(list_empty(&process->link) && list_empty(&process->hash_link));
	ASSERT(list_empty(&process->sharing.actions) && list_empty(&process->sharing.fs));
	check_queue(&process->threads_gone);
	check_queue(&process->ended);
	check_queue(&process->vfork_done);
	check_queue(&process->child_wait);
	check_queue(&process->job.queue);
	check_pending(&process->pending);
}

static void process_construct(struct process *process)
{
	list_init(&process->threads);
	list_init(&process->children);
	list_init(&process->sibling);
	list_init(&process->link);
	list_init(&process->hash_link);
	share_init(process);
	wait_queue_init(&process->threads_gone);
	wait_queue_init(&process->ended);
	wait_queue_init(&process->vfork_done);
	wait_queue_init(&process->child_wait);
	job_init(process);
	sigpending_init(&process->pending);
	ptimers_init(process);
}

struct process *process_alloc(void)
{
	struct process *process = spare_take(SPARE_PROCESS);

	if (process != NULL)
		return memset(process, 0, PROCESS_CLEARED_BYTES);
	process = kalloc(sizeof(*process));
	if (process != NULL)
		process_construct(process);
	return process;
}

void process_free(struct process *process)
{
	check_process(process);
	share_reset(process);
	job_reset(process);
	if (process->timers.used)
		ptimers_init(process);
	if (!spare_put(SPARE_PROCESS, process))
		kfree(process);
}

bool thread_stack_alloc(struct thread *thread)
{
	if (FAIL_HERE())
		return false;
	thread->stack_top = stack_take();
	if (thread->stack_top != 0) {
		thread->stack = PFN(0);
		return true;
	}
	if (frame_alloc_block(FRAME_KERNEL, THREAD_STACK_ORDER, &thread->stack) != 0)
		return false;
	thread->stack_top = (uint64_t)frame_data(thread->stack) + THREAD_STACK_BYTES;
	return true;
}

static struct thread *thread_new(void)
{
	struct thread *thread = kalloc(sizeof(*thread));

	if (thread == NULL)
		return NULL;
	if (!thread_stack_alloc(thread)) {
		kfree(thread);
		return NULL;
	}
	thread_init(thread);
	return thread;
}

struct thread *thread_alloc(void)
{
	struct thread *thread = spare_take(SPARE_THREAD);

	return thread == NULL ? thread_new() : memset(thread, 0, THREAD_CLEARED_BYTES);
}

static void thread_delete(struct thread *thread)
{
	if (!stack_give(thread->stack_top))
		frame_put(thread->stack);
	kfree(thread);
}

void thread_free(struct thread *thread)
{
	FAIL_FORGET(thread->stack_top);
	ASSERT(list_empty(&thread->run_link) && list_empty(&thread->link) && list_empty(&thread->hash_link));
	check_pending(&thread->pending);
	if (!spare_put(SPARE_THREAD, thread))
		thread_delete(thread);
}

static void drain(unsigned hart)
{
	for (enum spare kind = 0; kind < SPARE_KINDS; kind++) {
		while (spares[hart].of[kind].n != 0) {
			void *one = spares[hart].of[kind].one[--spares[hart].of[kind].n];

			if (kind == SPARE_THREAD)
				thread_delete(one);
			else
				kfree(one);
		}
	}
}

void spares_drain(void)
{
	for (unsigned h = 0; h < hw_harts(); h++)
		drain(h);
}
