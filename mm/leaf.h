/*
 * Mapping and unmapping where it is all within one leaf table that is there already, as most of it is: one lock, no tree. What
 * does not fit, edit.c does with a range. Private to mm/.
 */
#ifndef MM_LEAF_H
#define MM_LEAF_H

#include "mm/space.h"

/* 0; -EEXIST: something is there; -EAGAIN: there is no such table, or something that only a range can do, and nothing was done. */
int leaf_map(struct space *space, uint64_t start, uint64_t end, pte_t fill) MUST_CHECK;

/* 0 or -EAGAIN; *emptied: the table has nothing in it any more, which was not said before. */
int leaf_unmap(struct space *space, uint64_t start, uint64_t end, bool *emptied) MUST_CHECK;

#endif
