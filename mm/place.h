/* Finding free addresses. Private to mm/. */
#ifndef MM_PLACE_H
#define MM_PLACE_H

#include "mm/space.h"

/*
 * A range of `bytes` in which nothing was mapped when it was looked at; whoever takes it must check again under lock and
 * may search once more. 0 or -ENOMEM: there is none.
 */
int place_find(struct space *space, uint64_t bytes, vaddr_t *out) MUST_CHECK;

/* [start, start + bytes) was taken, or given back: moves the calling hart's hint. */
void place_taken(struct space *space, vaddr_t start, uint64_t bytes);
void place_returned(struct space *space, vaddr_t start, uint64_t bytes);

#endif
