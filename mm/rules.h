/* Which permissions a range may be given. Private to mm/. */
#ifndef MM_RULES_H
#define MM_RULES_H

#include "mm/mapping.h"
#include "mm/space.h"

/* The specification reserves W without R. */
static inline uint64_t perm_normal(uint64_t perm)
{
	return (perm & PERM_W) != 0 ? perm | PERM_R : perm;
}

/* Whether the space's rules refuse these permissions, where there were others before. */
static inline bool exec_is_refused(const struct space *space, uint64_t perm, uint64_t before)
{
	if (LIKELY((perm & PERM_X) == 0))
		return false;
	/* relaxed: a thread that sets a rule now comes before or after */
	if ((atomic_load_explicit(&space->exec_rules, memory_order_relaxed) & SPACE_NO_EXEC_GAIN) == 0)
		return false;
	return (perm & PERM_W) != 0 || (before & PERM_X) == 0;
}

static inline bool perm_is_refused(uint64_t perm, const struct mapping *mapping)
{
	return (perm & ~mapping->max_perm) != 0;
}

#endif
