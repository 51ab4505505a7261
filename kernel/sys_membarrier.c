/*
 * membarrier: what other threads did before, they have done; what they do from now on comes after.
 *
 * The expedited ones of a process interrupt the harts that run in its space (mm/tlb.c, space_barrier); a hart that comes to run in
 * it later orders that itself (space_switch). The global ones bring all harts to a standstill for a moment: whatever runs
 * on them is interrupted, and the orders of quiesce.c are those that are asked for.
 */
#include "kernel/process.h"
#include "kernel/quiesce.h"
#include "kernel/sys.h"
#include "lib/errno.h"

enum {
	GLOBAL = 1,
	GLOBAL_EXPEDITED = 2,
	REGISTER_GLOBAL_EXPEDITED = 4,
	PRIVATE_EXPEDITED = 8,
	REGISTER_PRIVATE_EXPEDITED = 16,
	PRIVATE_EXPEDITED_SYNC_CORE = 32,
	REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64,
	GET_REGISTRATIONS = 512,
};
#define COMMANDS                                                                                                       \
	(GLOBAL | GLOBAL_EXPEDITED | REGISTER_GLOBAL_EXPEDITED | PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED |      \
	 PRIVATE_EXPEDITED_SYNC_CORE | REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | GET_REGISTRATIONS)

static int64_t barrier_global(void)
{
	quiesce_begin();
	quiesce_end();
	return 0;
}

/* Each is registered for by the command that is the next bit. */
static int64_t barrier_private(uint32_t registered, uint32_t command)
{
	if ((registered & command << 1) == 0)
		return -EPERM;
	space_barrier(current_space(), command == PRIVATE_EXPEDITED_SYNC_CORE);
	return 0;
}

int64_t sys_membarrier(const uint64_t *a)
{
	_Atomic uint32_t *mine = &current_process()->barriers;
	/* relaxed: it orders nothing; a thread that was told of the registration sees it */
	uint32_t registered = atomic_load_explicit(mine, memory_order_relaxed);
	uint32_t command = (uint32_t)a[0];

	if ((uint32_t)a[1] != 0)
		return -EINVAL;
	switch (command) {
	case 0:
		return COMMANDS;
	case GLOBAL:
	case GLOBAL_EXPEDITED:
		return barrier_global();
	case PRIVATE_EXPEDITED:
	case PRIVATE_EXPEDITED_SYNC_CORE:
		return barrier_private(registered, command);
	case REGISTER_GLOBAL_EXPEDITED:
	case REGISTER_PRIVATE_EXPEDITED:
	case REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		/* relaxed: as above */
		atomic_fetch_or_explicit(mine, command, memory_order_relaxed);
		return 0;
	case GET_REGISTRATIONS:
		/* As Linux tells it. */
		if ((registered & REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) != 0)
			registered |= REGISTER_PRIVATE_EXPEDITED;
		return registered;
	default:
		return -EINVAL;
	}
}
