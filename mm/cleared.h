/*
 * Frames that are cleared ahead, by harts that have nothing else to do. Each hart clears for itself, so no line goes from hart to hart: a
 * program that starts, or goes on, on a hart that has been idle finds its first pages ready.
 */
#ifndef MM_CLEARED_H
#define MM_CLEARED_H

#include "mm/coremap.h"

/* zero=pool|demand. Off unless set. */
void cleared_enable(bool on);

/* Clears a frame for this hart, which is idle. False: it has enough, or memory is short. */
bool cleared_prepare(void);

/* ---- mm's own. All of them given back to the allocator; and how many there are. */
void cleared_drain(void);
uint64_t cleared_frames(void);

#endif
