/* What mseal forbids. Private to mm/. */
#ifndef MM_SEAL_H
#define MM_SEAL_H

#include "mm/range.h"

/* Whether there may be any. With the lock of what is to be changed. */
static inline bool has_seals(const struct space *space)
{
	/* relaxed: the table's lock orders it */
	return UNLIKELY(atomic_load_explicit(&space->seals, memory_order_relaxed));
}

/* Range locked. 0, or -EPERM where a part of it is sealed. Costs nothing in spaces without seals. */
int seal_check(struct range *range) MUST_CHECK;

/* Range locked. The first address in it of what is sealed and must not be discarded, or its end. */
uint64_t seal_discard_end(struct range *range);

/* Whether pages of a mapping with these permissions must not be discarded: anonymous, private, not writable, sealed. */
bool seal_keeps(const struct mapping *mapping, uint64_t perm);

#endif
