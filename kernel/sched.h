/*
 * The scheduler: one run queue a hart, round robin, tickless while nobody waits. Contract of sched.c; see there for the
 * protocol.
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include "kernel/thread.h"

/* After mm_init, on the boot hart, before anything is scheduled: what runs here becomes the thread "main". */
void sched_init(void);
/* The other harts' entry; becomes the idle thread of its hart. */
_Noreturn void sched_hart_main(void);

/* A new thread becomes runnable. */
void sched_start(struct thread *thread);

/* Leaves a token: wait_block returns. The caller knows the thread to be alive. */
void sched_wake(struct thread *thread);
/* Makes thread look at its work soon: interrupts it where it runs. The caller knows it to be alive. */
void sched_notify(struct thread *thread);

/* Consumes the calling thread's token: whether it had one. */
bool sched_take_token(struct thread *thread);
/* Blocks the calling thread until it has a token, or the deadline. */
void sched_block(uint64_t deadline_ns);

void sched_yield(void);
/*
 * For calls that take long: answers interrupts and other harts, and gives way when the time slice is over, as a return to
 * user mode would. No lock held, nothing in mm/ half done. Whether the thread is to end is for the caller to look at.
 */
void sched_breathe(void);
/* The calling thread never runs again; its stack and structure are freed by whoever runs next. */
_Noreturn void sched_exit(void);

/* Moves the calling thread away if it may no longer run here. */
void sched_set_affinity(struct thread *thread, uint64_t harts);

/* For a thread that goes on in user mode: arms the slice, or gives way. */
void sched_work(uint32_t work);

/* Ticks the thread has run. */
uint64_t sched_ran(const struct thread *thread);

/* Ended threads and their stacks that have not been freed yet, with those that live. main waits for 0. */
void sched_wait_all_gone(void);
/* Not those that go on until power-off: one thread is left out of the count; one counts again, before it ends. */
void sched_leave_out(void);
void sched_count_in(void);

/* Timer interrupt at the end of a slice. */
void sched_slice_over(void);

/* Harts that sched knows to run: those that came up. */
static inline uint64_t sched_harts(void)
{
	return harts_online();
}

#endif
