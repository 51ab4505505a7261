/*
 * What programs forbid themselves to do to their memory, for good; mm/ keeps it (space.h). mseal: a range stays as it is.
 * PR_SET_MDWE: memory that was writable does not become executable, a rule of the space; here is also who inherits it.
 */
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define MDWE_REFUSE_EXEC_GAIN 1U
#define MDWE_NO_INHERIT	      2U

_Static_assert(MDWE_REFUSE_EXEC_GAIN == SPACE_NO_EXEC_GAIN, "the rules are kept as the program says them");

int64_t prctl_set_mdwe(uint64_t rules)
{
	struct space *space = current_space();
	uint32_t old = 0;

	if ((rules & ~(uint64_t)(MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT)) != 0 || rules == MDWE_NO_INHERIT)
		return -EINVAL;
	/* relaxed: calls that other threads are in come before or after */
	if (!atomic_compare_exchange_strong_explicit(&space->exec_rules, &old, (uint32_t)rules, memory_order_relaxed,
						     memory_order_relaxed) &&
	    old != rules)
		return -EPERM;
	return 0;
}

int64_t prctl_get_mdwe(void)
{
	/* relaxed: as above */
	return atomic_load_explicit(&current_space()->exec_rules, memory_order_relaxed);
}

void memory_inherit(const struct space *from, struct space *to)
{
	/* relaxed: as above; nobody else has the new space yet */
	uint32_t rules = atomic_load_explicit(&from->exec_rules, memory_order_relaxed);

	atomic_store_explicit(&to->exec_rules, (rules & MDWE_NO_INHERIT) != 0 ? 0 : rules, memory_order_relaxed);
}

int64_t sys_mseal(const uint64_t *a)
{
	uint64_t bytes = ALIGN_UP(a[1], PAGE_SIZE);

	if (a[2] != 0 || (a[0] & PAGE_MASK) != 0 || bytes < a[1] || a[0] + bytes < a[0])
		return -EINVAL;
	if (bytes == 0)
		return 0;
	return a[0] + bytes > USER_END ? -ENOMEM : space_seal(current_space(), VADDR(a[0]), bytes);
}
