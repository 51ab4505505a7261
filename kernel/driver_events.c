/*
 * Events of drivers, on wait queues, and their threads. Contract: drivers/event.h.
 *
 * These threads go on when the last process has gone, as disks are written to after that: they are not kthreads, which end
 * then.
 *
 * Memory order: `signalled` is set with release and taken with acquire: who waited sees what was written before the signal.
 */
#include "kernel/driver_events.h"

#include <stdatomic.h>
#include <string.h>

#include "firmware/trap.h"
#include "kernel/sched.h"
#include "kernel/wait.h"
#include "mm/slab.h"

struct event {
	struct wait_queue queue;
	_Atomic uint32_t signalled;
};

static void *event_create(void)
{
	struct event *event = kalloc(sizeof(*event));

	if (event != NULL) {
		wait_queue_init(&event->queue);
		atomic_init(&event->signalled, 0);
	}
	return event;
}

static void event_wait(void *arg, uint64_t ns)
{
	struct event *event = arg;
	struct waiter waiter = { 0 };
	uint64_t now = time_ns(), until = ns < WAIT_FOREVER - now ? now + ns : WAIT_FOREVER;

	for (;;) {
		wait_prepare(&event->queue, &waiter);
		/* acquire: see the top */
		if (atomic_exchange_explicit(&event->signalled, 0, memory_order_acquire) != 0)
			break;
		if (wait_block_killable(until) != 0)
			break;
	}
	wait_finish(&event->queue, &waiter);
}

static void event_signal(void *arg)
{
	struct event *event = arg;

	/* release: see the top */
	atomic_store_explicit(&event->signalled, 1, memory_order_release);
	wake_one(&event->queue);
}

static int event_thread(void (*fn)(void *), void *arg, const char *name)
{
	struct thread *thread;
	int error = thread_create_kernel(fn, arg, &thread);

	if (error != 0)
		return error;
	sched_leave_out();
	strncpy(thread->name, name, sizeof(thread->name) - 1);
	sched_start(thread);
	return 0;
}

const struct event_ops driver_events = {
	.create = event_create, .wait = event_wait, .signal = event_signal, .now = time_ns, .thread = event_thread
};
