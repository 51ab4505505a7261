/*
 * The trace: a ring of records for each hart, written by it alone, of what takes time in mm/ and is not counted in instructions one by
 * one. Off unless trace_start is called, which is once, before programs run; then what is not wanted costs a branch on a word
 * that nobody writes, in slow paths only: page faults are traced by another trap entry (kernel/trace.c).
 */
#ifndef MM_TRACE_H
#define MM_TRACE_H

#include "lib/hw.h"
#include "lib/types.h"

#define TRACE_FAULTS 1U
#define TRACE_FORKS  2U
#define TRACE_TLB    4U

enum trace_event {
	TRACE_FAULT,	 /* address, access, outcome (enum mm_counter; MM_COUNTERS: none of them) */
	TRACE_FORK,	 /* serial of the child's space, tables shared */
	TRACE_SHOOTDOWN, /* start, bytes (0: the whole space), the harts that were asked, serial among the hart's */
	TRACE_ANSWER,	 /* start, bytes, the hart that asked, serial among its */
	TRACE_EVENTS
};

#define TRACE_ARGUMENTS 4

struct trace_record {
	uint64_t begin, end; /* ticks */
	uint32_t event;
	uint32_t who; /* the thread's id; 0: mm/ does not know */
	uint64_t argument[TRACE_ARGUMENTS];
	uint64_t unused;
};

extern unsigned trace_wanted; /* written by trace_start alone */

static inline bool trace_wants(unsigned what)
{
	return UNLIKELY((trace_wanted & what) != 0);
}

/* From now on; each hart's ring holds so many records, a power of two. 0 or -ENOMEM. On a machine that stands still. */
int trace_start(unsigned wanted, uint64_t records) MUST_CHECK;

/* This hart's next record, which takes the place of its oldest. record->end is set here. */
void trace_put(const struct trace_record *record);

/*
 * Record number n (from 0 on) that the hart has written; false: there is none yet, or it has been written over. trace_written: how
 * many there were. From any hart at any time.
 */
bool trace_get(unsigned hart, uint64_t n, struct trace_record *out);
uint64_t trace_written(unsigned hart);
uint64_t trace_records(void); /* that a ring holds */

#endif
