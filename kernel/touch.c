/*
 * Touching user memory where that may have to wait. Contract: touch.h. No state of its own, no locks.
 *
 * The way a fault goes: mm/ holds the leaf table's lock while it looks, so it can neither read a device nor give memory back. It
 * lets go of everything and says what is missing; touch_settle gets it; then mm/ looks again, and finds whatever is true by then.
 */
#include "kernel/touch.h"

#include "kernel/cache.h"
#include "kernel/process.h"
#include "kernel/trap.h"
#include "lib/errno.h"

static enum fault read_in(struct space *space, vaddr_t va)
{
	struct object *object;
	uint64_t index;
	int error;

	if (space_object_at(space, va, &object, &index) != 0)
		return FAULT_OK; /* unmapped meanwhile: the next look says so */
	error = object_store(object) == NULL
			? 0
			: cache_read_pages(object_store(object), index, 0, (enum cache_advice)space_advice(space, va));
	object_put(object);
	switch (error) {
	case 0:
	case -EFAULT: /* behind the end, which the next look finds */
	case -EINTR:  /* the thread is being killed */
		return FAULT_OK;
	case -ENOMEM:
		return FAULT_OOM;
	default: /* whatever it was, another look would find the same */
		return FAULT_BUS;
	}
}

enum fault touch_settle(struct space *space, vaddr_t va, enum access access, enum fault fault)
{
	(void)access;
	lock_assert_none();
	if (fault == FAULT_READ)
		return read_in(space, va);
	return fault == FAULT_OOM && cache_reclaim() ? FAULT_OK : fault;
}

static bool killed(void)
{
	/* relaxed: acted upon when the call returns */
	return (atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & WORK_KILL) != 0;
}

enum fault touch_fault(struct space *space, vaddr_t va, enum access access)
{
	enum fault fault;

	do {
		fault = space_fault(space, va, access);
		if (fault == FAULT_OK)
			return FAULT_OK;
		fault = touch_settle(space, va, access, fault);
	} while (fault == FAULT_OK && !killed());
	return fault;
}

static int touch_errno(struct space *space, vaddr_t va, enum fault fault)
{
	if (fault == FAULT_OK)
		return 0;
	if (fault != FAULT_OOM)
		return -EFAULT;
	trap_starved(space, va);
	return -ENOMEM;
}

/* A thread that is being killed still gets what is there: on its way out it wakes who waits for it. */
int touch(struct space *space, vaddr_t va, enum access access)
{
	enum fault fault = touch_fault(space, va, access);

	if (fault == FAULT_OK && killed() && space_fault(space, va, access) != FAULT_OK)
		return -EINTR;
	return touch_errno(space, va, fault);
}

/* What mm/ calls in the middle of a copy. */
static int help(struct space *space, vaddr_t va, enum access access, enum fault fault)
{
	if (current_thread()->touch_forbidden != 0)
		return -EWANTED;
	fault = touch_settle(space, va, access, fault);
	return fault == FAULT_OK && killed() ? -EINTR : touch_errno(space, va, fault);
}

void touch_init(void)
{
	user_set_helper(help);
}
