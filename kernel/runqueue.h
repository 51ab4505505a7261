/* Run queues, for sched.c alone: see runqueue.c. */
#ifndef KERNEL_RUNQUEUE_H
#define KERNEL_RUNQUEUE_H

#include "kernel/thread.h"
#include "lib/lock.h"

struct runqueue {
	struct spinlock lock;	/* RANK_RUNQUEUE */
	bool slicing;		/* the running thread's slice is timed, or it has been told to [lock] */
	_Atomic uint32_t count; /* ready threads; written under the lock */
	struct list ready;	/* thread.run_link, oldest first [lock] */
	struct thread *current; /* [lock] */
	/* This hart only. */
	struct thread *previous; /* who ran before, until finish_switch has dealt with it */
	struct thread *giving_way;
	uint64_t fp_stamp, fp_stamps; /* fp.c: what the FP registers have; how many it has given */
	struct thread idle;
} CACHE_ALIGNED;

extern struct runqueue *runqueues; /* hw_harts() of them */

static inline struct runqueue *my_queue(void)
{
	return &runqueues[hw_hart()];
}

void runqueue_init(void);

/* A thread that is on no hart and no list becomes ready: on an idle hart, its last one if that is idle, or where it ran. */
void runqueue_make_ready(struct thread *thread);

/* Takes the next thread for this hart off its list, or off another's; NULL: none. */
struct thread *runqueue_pick(unsigned me);

/* Whether somebody waits for this hart. */
bool runqueue_contended(struct runqueue *queue);

/* This hart has nothing to run: it must look (runqueue_pick) after it has said so; or has again. */
void runqueue_idle(bool idle);

#endif
