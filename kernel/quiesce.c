/*
 * Standing still. One hart at a time owns the quiesce (quiesce.owned); while it does, every other hart stands in
 * quiesce_stand as soon as it would return to user mode, or from idle; a hart stands nowhere else, so none is in mm/ and
 * none holds a lock.
 *
 * Nobody waits for ever: the owner and whoever waits to become it count as standing; standing harts serve IPIs
 * (hw_relax). A hart that switches threads meanwhile carries WORK_QUIESCE over (switch_to in sched.c).
 *
 * Memory order: the owner's store to wanted (seq_cst, then an IPI) pairs with the looks of quiesce_wanted. A hart's
 * increment of standing (release) pairs with the owner's acquire: what the hart did in mm/ is visible to the audit. The
 * owner's store of wanted = 0 (release) pairs with the acquire of those who stand.
 */
#include "kernel/quiesce.h"

#include "firmware/hart.h"
#include "kernel/sched.h"
#include "lib/hw.h"
#include "lib/watch.h"

struct quiesce quiesce;

void quiesce_stand(void)
{
	if (atomic_load_explicit(&quiesce.wanted, memory_order_acquire) == 0)
		return;
	atomic_fetch_add_explicit(&quiesce.standing, 1, memory_order_release);
	while (atomic_load_explicit(&quiesce.wanted, memory_order_acquire) != 0)
		hw_relax();
	/* release: the next owner waits for 0 before it begins, so nobody is counted for two of them */
	atomic_fetch_sub_explicit(&quiesce.standing, 1, memory_order_release);
}

void quiesce_begin(void)
{
	uint64_t others = sched_harts() & ~(UINT64_C(1) << hw_hart());
	unsigned count = (unsigned)__builtin_popcountll(others);
	struct watch watch = { .what = WATCH_STANDING, .object = &quiesce };

	/* acquire: pairs with the release in quiesce_end */
	while (atomic_exchange_explicit(&quiesce.owned, 1, memory_order_acquire) != 0)
		quiesce_stand();
	while (atomic_load_explicit(&quiesce.standing, memory_order_acquire) != 0)
		watch_turn(&watch);
	atomic_store_explicit(&quiesce.wanted, 1, memory_order_seq_cst);
	if (others != 0)
		hw_send_ipi(others);
	while (atomic_load_explicit(&quiesce.standing, memory_order_acquire) != count)
		watch_turn(&watch);
	watch_end(&watch);
}

void quiesce_end(void)
{
	atomic_store_explicit(&quiesce.wanted, 0, memory_order_release);
	atomic_store_explicit(&quiesce.owned, 0, memory_order_release);
}
