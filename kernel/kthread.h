/*
 * Threads of the kernel's own that live until power-off or until they are stopped: writers in the background, say. Scheduled
 * as all others; no process, no user space.
 *
 * fn must not run long without blocking or sched_breathe: the audit and shootdowns wait for its hart. It returns soon
 * after kthread_should_stop() has become true; kthread_stop wakes it from any wait for that (wait_block returns 0 for no
 * reason: look at kthread_should_stop as at the condition).
 */
#ifndef KERNEL_KTHREAD_H
#define KERNEL_KTHREAD_H

#include "lib/types.h"

struct kthread;

void kthread_init(void);

/* Starts fn(arg). *out (may be NULL): for kthread_stop. 0 or -ENOMEM. */
int kthread_create(void (*fn)(void *arg), void *arg, const char *name, struct kthread **out) MUST_CHECK;
/* In fn: whether it is to return. */
bool kthread_should_stop(void);
/* Tells the thread to stop, and waits until fn has returned. Once. Not from a kthread's own fn. */
void kthread_stop(struct kthread *kthread);
/* All that there are: when the last process has gone. The last-made first, as it may use what was made before it. */
void kthreads_stop(void);

#endif
