/*
 * Walks and walk epochs. Contract: walk.h.
 *
 * Invariants: a table is reachable from a root exactly while it is not stale; both change under
 * its lock and the one above it, and stale is never cleared.
 */
#include "mm/walk.h"

#include "lib/watch.h"
#include "mm/mapping.h"

static __attribute__((noinline)) void epoch_await(_Atomic uint32_t *epoch, uint32_t seen, unsigned hart)
{
	struct watch watch = { .what = WATCH_WALK, .object = epoch, .detail = hart };

	/* acquire: pairs with the release in epoch_exit */
	while (atomic_load_explicit(epoch, memory_order_acquire) == seen)
		watch_turn(&watch);
	watch_end(&watch);
}

static void epochs_wait(size_t which)
{
	unsigned me = hw_hart();

	/* pairs with the fence in epoch_enter */
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned h = 0; h < hw_harts(); h++) {
		_Atomic uint32_t *epoch = (_Atomic uint32_t *)((char *)&mm_harts[h] + which);
		uint32_t seen = atomic_load_explicit(epoch, memory_order_acquire);

		if (h == me || seen % 2 == 0)
			continue;
		epoch_await(epoch, seen, h);
	}
}

void walk_wait(void)
{
	epochs_wait(offsetof(struct mm_hart, epoch));
}

void look_wait(void)
{
	/* Nobody who looks waits for these, but who waits for these would wait for all that look. */
	ASSERT(lock_rank_held(RANK_TABLE) == 0 && lock_rank_held(RANK_OBJECT) == 0);
	epochs_wait(offsetof(struct mm_hart, look));
}

static pfn_t lowest(struct space *space, vaddr_t va, unsigned *level, uint64_t *places)
{
	pfn_t table = space->root;

	*places = 1;
	for (*level = PT_ROOT; *level > 0; --*level) {
		pte_t pte = pte_load(pt_slot(table, pt_index(va, *level)));

		if (!pte_leads(pte))
			break;
		table = pte_pfn(pte);
		/* relaxed: true at some moment */
		*places *= atomic_load_explicit(&frame_of(table)->count, memory_order_relaxed);
	}
	return table;
}

pfn_t walk_read(struct space *space, vaddr_t va, unsigned *level, uint32_t *places)
{
	for (;;) {
		unsigned now;
		uint64_t n;

		walk_enter();
		pfn_t table = lowest(space, va, level, &n);

		spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
		/* On the path still? Who takes a table off it, or makes one that is shared a private one, has its lock. */
		bool good = lowest(space, va, &now, &n).v == table.v && now == *level;

		if (UNLIKELY(!good))
			table_unlock(table);
		walk_exit();
		if (places != NULL)
			*places = (uint32_t)MIN(n, UINT32_MAX);
		if (LIKELY(good))
			return table;
	}
}

struct mapping *walk_mapping(struct space *space, vaddr_t va, uint64_t *perm)
{
	struct mapping *mapping = NULL;
	unsigned level;
	pfn_t table = walk_read(space, va, &level, NULL);
	unsigned index = pt_index(va, level);
	pte_t pte = pte_load(pt_slot(table, index));

	*perm = pte_is_page(pte) ? page_perm(pte) : pte.v & PERM_RWX;
	if (!pte_is_none(pte)) {
		mapping = pte_is_page(pte) ? table_mapping(frame_of(table), index) : pte_mapping(pte);
		mapping_get(mapping, 1);
	}
	table_unlock(table);
	return mapping;
}
