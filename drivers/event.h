/*
 * How a driver's own thread sleeps, as far as kernel/ must provide it. An event is signalled or not; waiting for it takes the
 * signal, so that one which came before the wait is not lost. It may be signalled for nothing: look at the condition.
 */
#ifndef DRIVERS_EVENT_H
#define DRIVERS_EVENT_H

#include "lib/types.h"

struct event_ops {
	/* At boot; it is never freed. NULL: no memory. */
	void *(*create)(void);
	/* Sleeps until the event is signalled, or for so many nanoseconds (UINT64_MAX: for ever). No lock held; one thread. */
	void (*wait)(void *event, uint64_t ns);
	/* From anywhere, with any lock of rank lower than RANK_WAIT. What was written before it, who waited sees. */
	void (*signal)(void *event);
	/* Nanoseconds since some moment. */
	uint64_t (*now)(void);
	/* Starts a thread that never ends; it may call wait. -ENOMEM. At boot. */
	int (*thread)(void (*fn)(void *arg), void *arg, const char *name);
};

#endif
