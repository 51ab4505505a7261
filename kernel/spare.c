/*
 * Processes and threads, put by for the next. Contract: spare.h.
 *
 * Invariants: each hart has a few of its own, which no other touches until spares_drain; nothing of a spare is used. A spare process has no
 * action that is not zero, so only what comes before them is cleared: they are most of it.
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

_Static_assert(offsetof(struct process, action) + sizeof(((struct process *)0)->action) == sizeof(struct process),
	       "the actions are what a process ends with");

struct process *process_alloc(void)
{
	struct spares *from = mine();
	struct process *process;

	if (from->processes == 0)
		return kalloc(sizeof(*process));
	process = from->process[--from->processes];
	return memset(process, 0, offsetof(struct process, action));
}

void process_free(struct process *process)
{
	struct spares *to = mine();

	if (to->processes == KEPT) {
		kfree(process);
		return;
	}
	for (uint64_t set = process->actions_set; set != 0; set &= set - 1)
		process->action[__builtin_ctzll(set)] = (struct sigaction_kernel){ 0 };
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
	return thread;
}

struct thread *thread_alloc(void)
{
	struct spares *from = mine();
	struct thread *thread;
	uint64_t stack_top;
	pfn_t stack;

	if (from->threads == 0)
		return thread_new();
	thread = from->thread[--from->threads];
	stack = thread->stack;
	stack_top = thread->stack_top;
	memset(thread, 0, sizeof(*thread));
	thread->stack = stack;
	thread->stack_top = stack_top;
	return thread;
}

static void thread_delete(struct thread *thread)
{
	frame_put(thread->stack);
	kfree(thread);
}

void thread_free(struct thread *thread)
{
	struct spares *to = mine();

	if (to->threads == KEPT)
		thread_delete(thread);
	else
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
