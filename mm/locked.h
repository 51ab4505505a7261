/*
 * Which ranges of a space are locked (mlock). Nothing is ever paged out, so a lock changes nothing but what is told of it:
 * limits, /proc, and whether pages are touched ahead. Private to mm/; kernel/ uses space.h.
 */
#ifndef MM_LOCKED_H
#define MM_LOCKED_H

#include "mm/space.h"

void locked_init(struct space *space);
/* The space goes. */
void locked_end(struct space *space);

/* [start, start + bytes) is unmapped or mapped anew: no lock stays. Where there is no memory to note a hole, all of the
 * range around it is forgotten. */
void locked_forget(struct space *space, uint64_t start, uint64_t bytes);
/* What was at `from` is at `to` now, and is as long as new_bytes. */
void locked_move(struct space *space, uint64_t from, uint64_t bytes, uint64_t to, uint64_t new_bytes);

/* Where the locked or unlocked stretch that `at` lies in ends, and which it is. */
uint64_t locked_until(struct space *space, uint64_t at, enum space_lock *lock);

#endif
