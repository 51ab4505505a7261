/*
 * Waits for other harts, watched: one that lasts is reported (kernel/watchdog.c) rather than going on in silence. A loop that waits has a
 * struct watch on its stack, calls watch_turn in place of hw_relax, and watch_end behind the loop. What is watched costs nothing but in
 * the loop itself: a count, and every WATCH_TURNS turns a look at the time.
 *
 * After each bound of waiting the wait is reported once more; the report may panic. Nobody is reported for waiting for the console's lock,
 * which the report itself needs.
 */
#ifndef LIB_WATCH_H
#define LIB_WATCH_H

#include "lib/atomic.h"
#include "lib/hw.h"
#include "lib/types.h"

#define WATCH_TURNS 1024

enum watch_for {
	WATCH_NOTHING,
	WATCH_LOCK,	 /* object: the lock; detail: its rank */
	WATCH_SHOOTDOWN, /* object: the set of harts that have not answered, a word; detail: where the range begins */
	WATCH_WALK,	 /* object: an epoch that does not end; detail: whose */
	WATCH_SWITCH,	 /* object: a thread whose hart does not leave its stack; detail: the hart */
	WATCH_TIMER,	 /* object: a timer that is firing */
	WATCH_STANDING,	 /* quiesce: harts that do not stand still */
};

struct watch {
	enum watch_for what;
	const void *object;
	uint64_t detail;
	uint32_t turns;
	uint32_t reports;
	uint64_t since; /* in ticks; 0: not looked at yet */
};

/* What a hart waits for, as others see it: a snapshot, whose parts may be of two waits. */
struct watch_seen {
	enum watch_for what;
	const void *object;
	uint64_t detail;
};

/* Waits that last longer than so many ticks are given to report; 0: none. Once, before there are other harts, or by tests. */
void watch_init(uint64_t bound_ticks, void (*report)(const struct watch *watch, uint64_t ticks));
struct watch_seen watch_of(unsigned hart);

void watch_look(struct watch *watch);
void watch_over(struct watch *watch);

static inline void watch_turn(struct watch *watch)
{
	hw_relax();
	if (UNLIKELY(++watch->turns % WATCH_TURNS == 0))
		watch_look(watch);
}

/* The wait is over. */
static inline void watch_end(struct watch *watch)
{
	if (UNLIKELY(watch->since != 0))
		watch_over(watch);
}

#endif
