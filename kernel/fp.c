/*
 * Programs' FP registers: kept and loaded by whole sets, when they differ.
 *
 * Invariants
 * - thread->fp has the contents that thread->fp_stamp names, but while the thread runs and its registers are dirty (sstatus.FS).
 * - A hart's registers have the contents that queue->fp_stamp names, but while they are dirty.
 * - Two places with the same stamp have the same contents: a stamp is given once, to what was just stored or is about to be loaded, and
 *   goes where that is copied.
 * The kernel itself uses no FP register.
 * Locks: none. A hart's stamp is its own; a thread's is its own, or that of who makes it.
 */
#include "kernel/fp.h"

#include <string.h>

#include "firmware/csr.h"
#include "firmware/trap.h"
#include "kernel/runqueue.h"
#include "kernel/thread.h"
#include "lib/hw.h"

/* Nothing that a thread has. */
#define FP_UNKNOWN UINT64_MAX

static bool is_dirty(void)
{
	return (csr_read(sstatus) & SSTATUS_FS) == SSTATUS_FS_DIRTY;
}

static void is_clean(void)
{
	csr_clear(sstatus, SSTATUS_FS);
	csr_set(sstatus, SSTATUS_FS_CLEAN);
}

/* Never FP_ZERO, and no other hart's. */
static uint64_t new_stamp(struct runqueue *queue)
{
	return ++queue->fp_stamps * HW_MAX_HARTS + hw_hart();
}

static void store(struct runqueue *queue, struct thread *thread)
{
	fp_save(&thread->fp);
	thread->fp_stamp = new_stamp(queue);
	queue->fp_stamp = thread->fp_stamp;
	is_clean();
}

void fp_init(struct runqueue *queue)
{
	queue->fp_stamp = FP_UNKNOWN;
}

void fp_leave(struct runqueue *queue, struct thread *thread)
{
	if (!is_dirty())
		return;
	/* Of one that has ended nobody wants them. */
	if (thread->process == NULL)
		queue->fp_stamp = FP_UNKNOWN;
	else
		store(queue, thread);
}

void fp_enter(struct runqueue *queue, struct thread *next)
{
	if (next->process == NULL || queue->fp_stamp == next->fp_stamp)
		return;
	fp_restore(&next->fp);
	queue->fp_stamp = next->fp_stamp;
}

void fp_store(struct thread *thread)
{
	if (is_dirty())
		store(my_queue(), thread);
}

void fp_load(struct thread *thread)
{
	struct runqueue *queue = my_queue();

	fp_restore(&thread->fp);
	thread->fp_stamp = new_stamp(queue);
	queue->fp_stamp = thread->fp_stamp;
	is_clean();
}

void fp_clear(struct thread *thread)
{
	struct runqueue *queue = my_queue();

	if (thread->fp_stamp != FP_ZERO)
		memset(&thread->fp, 0, sizeof(thread->fp));
	thread->fp_stamp = FP_ZERO;
	if (queue->fp_stamp != FP_ZERO || is_dirty())
		fp_restore(&thread->fp);
	queue->fp_stamp = FP_ZERO;
	is_clean();
}

void fp_inherit(struct thread *parent, struct thread *child)
{
	fp_store(parent);
	if (child->fp_stamp == parent->fp_stamp)
		return;
	child->fp = parent->fp;
	child->fp_stamp = parent->fp_stamp;
}
