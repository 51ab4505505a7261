/*
 * Programs' timers: setitimer's three and timer_create's. A timer that sends a signal waits, however often it should have
 * gone off meanwhile, until the signal is taken; what was missed is its overrun.
 */
#ifndef KERNEL_PTIMER_H
#define KERNEL_PTIMER_H

#include <stdatomic.h>

#include "kernel/timer.h"
#include "lib/list.h"

struct process;
struct siginfo;
struct thread;

/* A timer's name in its process: setitimer's number + 1, RLIMIT_CPU's, or PTIMER_FIRST + timer_create's id. */
#define PTIMER_ITIMERS 3
#define PTIMER_LIMIT   4U
#define PTIMER_FIRST   5U

enum ptimer_clock { PTIMER_MONOTONIC, PTIMER_REALTIME, PTIMER_CPU, PTIMER_THREAD };

enum { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 4 };

/* [process lock], but for what never changes and the timer, which has its own. */
struct ptimer {
	struct timer timer;
	struct list link; /* in ptimers.list */
	struct process *process;
	uint32_t key;
	enum ptimer_clock clock;
	int notify;
	int signo;
	uint32_t tid;	       /* SIGEV_THREAD_ID's */
	struct thread *thread; /* PTIMER_THREAD: whose running time it counts; NULL: it has left the process */
	uint64_t value;

	uint64_t expires; /* ns since the start, or of running time; 0: off */
	uint64_t interval;
	int32_t overrun; /* of the signal that was taken last */
	bool waits;	 /* its signal has not been taken yet */
	bool parked;	 /* it counts running time, and nobody whose time it counts runs */
};

struct ptimers {
	struct ptimer itimers[PTIMER_FIRST - 1]; /* and RLIMIT_CPU's */
	struct list list;			 /* timer_create's */
	uint32_t next_id;			 /* of these */
	bool used;				 /* any was ever set, or is to be [lock] */
	_Atomic uint32_t parked;		 /* some timer is: whoever runs next says WORK_ALARM */
};

/* All off, and never set. */
void ptimers_init(struct process *process);
/* RLIMIT_CPU has been set; a new process has inherited it. */
void ptimer_limit(struct process *process);
void ptimers_inherit(struct process *process);
/* The last thread ends, and process->ending has been set: all go. execve: timer_create's go. */
void ptimers_end(struct process *process);
void ptimers_exec(struct process *process);

/*
 * 0, and a new timer like this one (of which clock, notify, signo, tid and value count), with its id; or -errno. of: the thread
 * whose running time PTIMER_THREAD counts; -EINVAL: the process has none such.
 */
int ptimer_create(struct process *process, const struct ptimer *like, uint32_t of, int32_t *id) MUST_CHECK;
/* [process lock] A thread leaves: timers of its running time never go off. */
void ptimers_leave_locked(struct process *process, const struct thread *thread);
/* These give -EINVAL where there is no such timer, ptimer_set -ESRCH where the thread that it counts has ended. */
int ptimer_delete(struct process *process, uint32_t key) MUST_CHECK;
/* first_ns: from now, or by the clock if absolute; 0: off. *left, *interval: what it was before. */
int ptimer_set(struct process *process, uint32_t key, uint64_t first_ns, bool absolute, uint64_t *interval_ns,
	       uint64_t *left_ns) MUST_CHECK;
int ptimer_get(struct process *process, uint32_t key, uint64_t *interval_ns, uint64_t *left_ns) MUST_CHECK;
int ptimer_overrun(struct process *process, uint32_t key) MUST_CHECK;

/* [process lock] A timer's signal has been taken, or thrown away: the timer goes on, info learns its overrun. */
void ptimer_taken_locked(struct process *process, uint32_t key, struct siginfo *info);

/* For WORK_ALARM. */
void ptimers_resume(struct process *process);
#define ptimers_parked(process) (atomic_load_explicit(&(process)->timers.parked, memory_order_relaxed) != 0)

#endif
