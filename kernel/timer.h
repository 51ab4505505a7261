/*
 * Timers: one intrusive heap a hart, no fixed size. A timer fires on the hart that armed it.
 *
 * Locks: the hart's timer lock (RANK_TIMER), taken inside; fire() is called without it. Only the timer's owner arms and
 * cancels it, or fire() itself arms it again; where several may own it, a lock of theirs makes them one.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include "lib/types.h"

struct timer {
	/* The pairing heap's: first child, next sibling, and what points to us [hart's timer lock]. */
	struct timer *child;
	struct timer *next;
	struct timer **slot;
	uint64_t ticks;			   /* when */
	void (*fire)(struct timer *timer); /* in interrupt dispatch or idle, no lock held */
	uint32_t hart;			   /* whose heap */
	_Atomic uint32_t state;		   /* timer.c's */
};

void timers_init(void);

/* Arms it on this hart; it must not be armed. */
void timer_arm(struct timer *timer, uint64_t deadline_ns, void (*fire)(struct timer *timer));

/* From fire() only: arms the timer again, on this hart. */
void timer_again(struct timer *timer, uint64_t deadline_ns);

/* Disarms it unless fire() is running or about to: whether it is neither armed nor firing. */
bool timer_try_cancel(struct timer *timer) MUST_CHECK;

/* When it returns, the timer is not armed and fire() does not run. Harmless on one that was never armed. */
void timer_cancel(struct timer *timer);

/* This hart: fires what is due and arms the hart's interrupt anew. Whether a time slice has ended. */
bool timers_serve(void);

/* This hart: a time slice begins and ends that many ticks from now, unless one is under way. */
void timer_slice(uint64_t ticks);

#endif
