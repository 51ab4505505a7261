/* What memory is used for, and what sharing saves, counted frame by frame. */
#ifndef MM_TALLY_H
#define MM_TALLY_H

#include "mm/coremap.h"

struct mm_tally {
	uint64_t frames[FRAME_KINDS]; /* of each kind */
	/* What there would be more if nothing were shared: frames of private memory, frames of files and shared memory, page tables. */
	uint64_t saved_anon, saved_object, saved_tables;
};

/*
 * Looks at every frame of RAM, some ten million instructions for a GiB, and at every entry below each table that is shared: up to a million
 * for one of level 1. Each number was true when it was looked at. No lock held, and none taken; serves other harts meanwhile.
 */
void mm_tally(struct mm_tally *out);

#endif
