/* The parts of replacing what is in a leaf table: first leaf_park, then a shootdown where that says so, then leaf_sweep. Private to mm/. */
#ifndef MM_REPLACE_H
#define MM_REPLACE_H

#include "mm/walk.h"

/* Makes pages unreachable without forgetting them. Whether a hart may hold one of them. Table locked. */
bool leaf_park(pfn_t table, unsigned first, unsigned last);

/* Puts what the entries name, and clears them. Descriptors that nothing names any more get onto *gone. Table locked. */
void leaf_sweep(pfn_t table, unsigned first, unsigned last, struct mapping **gone);

/* The table is empty, and this is the first to say so since empty ones were last taken out. Table locked. */
static inline bool table_was_emptied(struct frame *frame)
{
	if (LIKELY(frame->table.used != 0 || frame->emptied))
		return false;
	frame->emptied = true;
	return true;
}

#endif
