/*
 * Processes and threads, put by for the next. Contract: spare.h.
 *
 * Invariants: each hart has a few of its own, which no other touches until spares_drain; nothing of a spare is used. What a process or
 * thread keeps when it is put by is the part of it that its end leaves as its beginning wants it (process.h, thread.h): so that part is
 * made once, for a new one, and looked at in debug builds for the others; what comes before is cleared. They are most of it.
 * Locks: none. The kernel runs with interrupts off, and nothing here waits.
 */
#include "kernel/spare.h"

#include <string.h>

#include "kernel/process.h"
#include "kernel/thread.h"
#include "lib/check.h"
#include "lib/hw.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define KEPT 3U

struct spares {
	unsigned processes, threads;
	struct process *process[KEPT];
	struct thread *thread[KEPT];
} CACHE_ALIGNED;

static struct spares *spares; /* hw_harts() of them */

void spares_init(void)
{
	spares = kalloc(hw_harts() * sizeof(*spares));
	CHECK(spares != NULL);
}

static struct spares *mine(void)
{
	return &spares[hw_hart()];
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
	struct spares *from = mine();
	struct process *process;

	if (from->processes != 0)
		return memset(from->process[--from->processes], 0, PROCESS_CLEARED_BYTES);
	process = kalloc(sizeof(*process));
	if (process != NULL)
		process_construct(process);
	return process;
}

void process_free(struct process *process)
{
	struct spares *to = mine();

	if (to->processes == KEPT) {
		kfree(process);
		return;
	}
	check_process(process);
	share_reset(process);
	job_reset(process);
	if (process->timers.used)
		ptimers_init(process);
	to->process[to->processes++] = process;
}

static struct thread *thread_new(void)
{
	struct thread *thread = kalloc(sizeof(*thread));

	if (thread == NULL)
		return NULL;
	if (frame_alloc_block(FRAME_KERNEL, THREAD_STACK_ORDER, &thread->stack) != 0) {
		kfree(thread);
		return NULL;
	}
	thread->stack_top = (uint64_t)frame_data(thread->stack) + THREAD_STACK_BYTES;
	thread_init(thread);
	return thread;
}

struct thread *thread_alloc(void)
{
	struct spares *from = mine();

	if (from->threads == 0)
		return thread_new();
	return memset(from->thread[--from->threads], 0, THREAD_CLEARED_BYTES);
}

static void thread_delete(struct thread *thread)
{
	frame_put(thread->stack);
	kfree(thread);
}

void thread_free(struct thread *thread)
{
	struct spares *to = mine();

	if (to->threads == KEPT) {
		thread_delete(thread);
		return;
	}
	ASSERT(list_empty(&thread->run_link) && list_empty(&thread->link) && list_empty(&thread->hash_link));
	check_pending(&thread->pending);
	to->thread[to->threads++] = thread;
}

void spares_drain(void)
{
	for (unsigned h = 0; h < hw_harts(); h++) {
		while (spares[h].processes != 0)
			kfree(spares[h].process[--spares[h].processes]);
		while (spares[h].threads != 0)
			thread_delete(spares[h].thread[--spares[h].threads]);
	}
}
