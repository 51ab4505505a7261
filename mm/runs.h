/* A space's page tables as they are: runs of neighbouring entries that say the same. */
#ifndef MM_RUNS_H
#define MM_RUNS_H

#include "mm/coremap.h"
#include "mm/space.h"

enum run_state {
	RUN_RESERVED, /* asked for, never touched */
	RUN_WRITABLE,
	RUN_COW,      /* writable by right; the next write faults, and copies or takes over */
	RUN_READONLY, /* or executable */
	RUN_PARKED,   /* there, and out of reach: PROT_NONE */
	RUN_STATES
};

struct space_run {
	vaddr_t start, end;
	unsigned level; /* of the table that has the entries: 0 for pages */
	bool detached; /* no hart can walk there: fork has left the tables on the way to several spaces, or to whoever asks first */
	uint32_t places; /* in how many places the tables on the way make these entries be */
	enum run_state state;
	enum frame_kind
		kind;	/* of the pages: FRAME_ANON, FRAME_OBJECT, FRAME_ZERO; of a reservation, what they would be */
	uint64_t perm;	/* by right */
	bool shared;	/* the mapping is: writes are seen by others */
	uint64_t pages; /* present or parked */
	uint64_t shared_pages; /* of these, such as are in more than one place, by one table or by several */
	uint64_t most; /* the most places that one of them is in; 0: there are none, or zeros, which nobody counts */
};

/* The run that contains or follows `from`. False: there is none. What it says was true of each table when it was looked at. No lock held. */
bool space_next_run(struct space *space, vaddr_t from, struct space_run *out);

#endif
