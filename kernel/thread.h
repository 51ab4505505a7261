/*
 * Threads: what the scheduler switches between.
 *
 * A thread is freed by the thread that runs after it on its last hart (sched.c). Until it has left its process
 * (process.c, thread_exit) whoever holds the process's lock and finds it in process->threads may touch it.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <stdatomic.h>

#include "firmware/hart.h"
#include "firmware/stacks.h"
#include "firmware/trap.h"
#include "kernel/mutex.h"
#include "kernel/signal.h"
#include "kernel/timer.h"
#include "lib/list.h"
#include "lib/types.h"

struct process;

/* thread.work: why a thread must not simply go on in user mode. Set by anyone (atomic or), cleared by the thread. */
#define WORK_SIGNAL  1U	  /* a signal may have to be handled */
#define WORK_KILL    2U	  /* the thread must end; never cleared */
#define WORK_RESCHED 4U	  /* its time slice is over */
#define WORK_SLICE   8U	  /* others wait for this hart: the slice must be timed */
#define WORK_QUIESCE 16U  /* quiesce.c wants this hart to stand still */
#define WORK_ALARM   64U  /* timers of the process count its running time again (ptimer.c) */
#define WORK_DIRTY   256U /* it made pages dirty faster than they are written: it must wait (cache.h) */
#define WORK_STOP    128U /* the process stops: the thread must stand (job.c) */
#define WORK_STARVED 32U  /* the kernel found no memory for a page of the program's: the process must end */

#define THREAD_STACK_ORDER 2
#define THREAD_STACK_BYTES (PAGE_SIZE << THREAD_STACK_ORDER)
_Static_assert(THREAD_STACK_BYTES == KERNEL_STACK_BYTES, "threads' stacks may be stack_take's");
#define THREAD_NAME_BYTES 16

struct thread {
	/* What the trap's fast paths read. */
	_Atomic uint32_t work;
	uint32_t tid;
	struct process *process;  /* NULL: a thread of the kernel's own (idle, main) */
	uint64_t faults;	  /* page faults taken; written by the thread */
	uint64_t starved;	  /* WORK_STARVED: the address */
	uint32_t touch_forbidden; /* touch.h; the thread's own */

	/* Scheduling: sched.c. */
	uint64_t saved_sp;	   /* while it does not run */
	_Atomic uint32_t park;	   /* see wait.h, sched.c */
	_Atomic uint32_t on_hart;  /* 1 while a hart runs on its stack */
	_Atomic uint64_t affinity; /* harts it may run on */
	_Atomic uint32_t hart;	   /* where it runs, waits to run, or ran last */
	bool dead;		   /* never to run again; set by itself */
	uint64_t started;	   /* tick at which it was switched to */
	uint64_t ran;		   /* ticks before that */

	/* Its process: process.c. */
	uint64_t clear_child_tid; /* user address; 0: none */
	uint64_t robust_list;	  /* user address; 0: none */
	char name[THREAD_NAME_BYTES];
	_Atomic int nice;    /* with the next two: what programs said last */
	_Atomic int policy;  /* and its priority: sys_policy.c */
	uint64_t timerslack; /* 0: the default */

	/* Signals: signal.c [process lock; blocked is written by the thread only]. */
	uint64_t blocked;
	uint64_t saved_blocked; /* what rt_sigsuspend and ppoll put back, while restore_blocked */
	bool restore_blocked;
	uint64_t sigwait; /* what rt_sigtimedwait waits for: accepted although blocked */
	struct {
		int signo; /* 0: none */
		int code;
		uint64_t addr;
	} fault; /* the thread's own, not yet delivered */
	struct sigaltstack altstack;

	/* A call that is restarted with no handler run in between goes on with the deadline it had (syscall.h). */
	bool restarting;
	uint64_t restart_deadline;

	uint8_t mutexes[MUTEX_RANKS]; /* held, of each rank; debug builds: mutex.c */

	struct list *dropping; /* socket_rights.c: messages it is dropping; NULL: none */
	bool drop_again;       /* sockets lost counts meanwhile */

	/*
	 * All above is zero in a new thread. What follows one that was put by keeps, as the next wants it (spare.c): on no list, no timer
	 * armed, nothing pending.
	 */
	struct list run_link;	   /* [the run queue's lock] */
	struct list link;	   /* in process->threads [process lock] */
	struct list hash_link;	   /* in the table of tids [tree lock] */
	struct sigpending pending; /* [process lock] */
	struct timer timer;	   /* wait_block's */
	pfn_t stack;		   /* block of THREAD_STACK_ORDER; 0: none, or one by stack_take */
	uint64_t stack_top;	   /* its trap frame ends here */
	uint64_t fp_stamp;	   /* which contents fp has: fp.h */
	struct fp_state fp;
};

#define THREAD_CLEARED_BYTES offsetof(struct thread, run_link)

/* The lists and what else is not zero in a thread that is. */
void thread_init(struct thread *thread);

static inline struct thread *current_thread(void)
{
	struct thread *thread;

	/* One load, and volatile: after a switch the same thread may be on another hart, with another tp. */
	__asm__ volatile("ld %0, %1(tp)" : "=r"(thread) : "i"(offsetof(struct hart, thread)) : "memory");
	return thread;
}

static inline struct trap_frame *thread_frame(const struct thread *thread)
{
	return (struct trap_frame *)thread->stack_top - 1;
}

/* A thread that will start in user mode with the frame that the caller then fills; not yet runnable. 0 or -ENOMEM. */
int thread_create(struct thread **out) MUST_CHECK;
/* A thread of the kernel's own, which calls fn(arg) and ends; it must not stay long without hw_relax or blocking. */
int thread_create_kernel(void (*fn)(void *), void *arg, struct thread **out) MUST_CHECK;
/* For one that never ran. */
void thread_destroy(struct thread *thread);

#endif
