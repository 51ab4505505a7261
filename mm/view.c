/*
 * Views. Contract: view.h.
 *
 * Invariants: a view's entry names a leaf table only while the space's own tables lead there by private entries, and table.harts has
 * the hart, which may also stay in it longer. A hart is in space->viewed only while satp names its view, or nothing of the space,
 * and its TLB has nothing that it walked to from the space's own root.
 * Locks: entries that name a leaf table change under its lock. Only the hart itself adds any; it alone makes its tables.
 * Memory order: a link and fork's clearing, which has no leaf's lock, are a store, a fence and a load or a store on either side: fork
 * detaches, then clears; whoever links looks behind it whether the path is still there, and takes the link back if not. Nobody but
 * the hart itself could have walked there meanwhile. The fault path walks by views, too (walk_try_leaf), so fork says that it has
 * detached (walk_forks) when it has cleared them: who sees that finds no link of before.
 * Does not: shoot down. Who takes a table away does (range.c, fork.c).
 */
#include "mm/view.h"

#include "lib/bits.h"

static _Atomic uint64_t *entry_of(pfn_t table, uint64_t va, unsigned level)
{
	return pt_slot(table, pt_index(VADDR(va), level));
}

/* acquire: pairs with the release of the hart that made it */
static pfn_t root_of(const struct space *space, unsigned hart)
{
	return PFN(atomic_load_explicit(&space->hint[hart].view, memory_order_acquire));
}

/* Faults are looked up by what hardware walks: what other harts link is then not even read. */
static void walk_by(const struct space *space, pfn_t root)
{
	mm_this_hart()->root = root;
	hw_set_root(root, space->asid);
}

void space_threads(struct space *space)
{
	if (hw_harts() == 1 || space_has_views(space))
		return;
	/* relaxed: see space_has_views */
	atomic_store_explicit(&space->views, true, memory_order_relaxed);
	if (mm_this_hart()->space != space)
		return;
	/* Nothing of the space until the next fault, which makes a view; without an ASID, what is cached would be something. */
	hw_set_kernel_root();
	if (space->asid == 0) {
		hw_fence_asid(0);
		mm_count(MM_FENCES_LOCAL);
	}
}

/* This hart walks by its view. What it has from before it has not any more when it says so. */
static void begin(struct space *space, pfn_t root)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	walk_by(space, root);
	/* relaxed: our own bit */
	if ((atomic_load_explicit(&space->viewed, memory_order_relaxed) & me) != 0)
		return;
	hw_fence_asid(space->asid);
	mm_count(MM_FENCES_LOCAL);
	/* release: the fence is done; pairs with the load in tlb.c's targets */
	atomic_fetch_or_explicit(&space->viewed, me, memory_order_release);
}

/* No memory for a view: by the space's own root, and asked by everybody. */
static void end(struct space *space)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	/* seq_cst, before anything is walked: a shootdown that still sees the bit has changed its entries before */
	atomic_fetch_and_explicit(&space->viewed, ~me, memory_order_seq_cst);
	walk_by(space, space->root);
	hw_fence_asid(space->asid);
	mm_count(MM_FENCES_LOCAL);
}

void view_enter(struct space *space)
{
	pfn_t root;

	if (LIKELY(!space_has_views(space))) {
		walk_by(space, space->root);
		return;
	}
	root = root_of(space, hw_hart());
	if (root.v != 0) {
		begin(space, root);
		return;
	}
	mm_this_hart()->root = space->root;
	hw_set_kernel_root();
}

static bool make_table(unsigned level, pfn_t *out)
{
	return table_new(level, PTE(0), out) == 0;
}

/* This hart's root, or 0: no memory. */
static pfn_t own_root(struct space *space)
{
	unsigned hart = hw_hart();
	pfn_t root = root_of(space, hart);

	if (root.v != 0)
		return root;
	if (!make_table(PT_ROOT, &root))
		return PFN(0);
	/* release: whoever clears or unlinks finds it filled */
	atomic_store_explicit(&space->hint[hart].view, root.v, memory_order_release);
	return root;
}

/* An entry of this hart's view will be set. relaxed: whoever clears, and misses it, has a fence before that we see behind ours. */
static void note(const _Atomic uint64_t *slot)
{
	uint64_t at = (uint64_t)hw_paddr(slot).v;
	uint64_t bit = UINT64_C(1) << (at % PAGE_SIZE / sizeof(*slot) / PT_GROUP);
	_Atomic uint64_t *linked = &frame_of(paddr_pfn(PADDR(at)))->table.linked;

	if ((atomic_load_explicit(linked, memory_order_relaxed) & bit) == 0)
		atomic_fetch_or_explicit(linked, bit, memory_order_relaxed);
}

/* The table of this view that names leaf tables, or 0: no memory. */
static pfn_t upper_of(pfn_t root, uint64_t va)
{
	_Atomic uint64_t *slot = entry_of(root, va, PT_ROOT);
	pte_t pte = pte_load(slot);
	pfn_t upper;

	if (pte_is_table(pte))
		return pte_pfn(pte);
	if (!make_table(PT_ROOT - 1, &upper))
		return PFN(0);
	note(slot);
	pte_store(slot, pte_table(upper));
	return upper;
}

/* Whether the space's own tables still lead to the leaf table. */
static bool is_linked(const struct space *space, pfn_t table, uint64_t va)
{
	pfn_t at = space->root;
	unsigned level = PT_ROOT;

	walk_enter();
	for (; level > 0; level--) {
		pte_t pte = pte_load(entry_of(at, va, level));

		if (!pte_is_table(pte))
			break;
		at = pte_pfn(pte);
	}
	walk_exit();
	return level == 0 && at.v == table.v;
}

static void link_leaf(struct space *space, pfn_t upper, pfn_t table, uint64_t va)
{
	_Atomic uint64_t *slot = entry_of(upper, va, 1);

	frame_of(table)->table.harts |= UINT64_C(1) << hw_hart();
	if (pte_load(slot).v == pte_table(table).v)
		return;
	note(slot);
	pte_store(slot, pte_table(table));
	/* pairs with the one in views_clear */
	atomic_thread_fence(memory_order_seq_cst);
	if (UNLIKELY(!is_linked(space, table, va))) {
		pte_store(slot, PTE(0));
		hw_fence_asid(space->asid);
		mm_count(MM_FENCES_LOCAL);
	}
}

void view_link(struct space *space, pfn_t table, vaddr_t va)
{
	pfn_t root, upper = PFN(0);

	/* On behalf of another process: its thread will fault. */
	if (mm_this_hart()->space != space)
		return;
	root = own_root(space);
	if (LIKELY(root.v != 0))
		upper = upper_of(root, va.v);
	if (UNLIKELY(upper.v == 0)) {
		end(space);
		return;
	}
	begin(space, root);
	link_leaf(space, upper, table, va.v);
}

void view_unlink(struct space *space, pfn_t table, uint64_t va)
{
	for (uint64_t left = frame_of(table)->table.harts; left != 0; left &= left - 1) {
		pfn_t root = root_of(space, (unsigned)__builtin_ctzll(left));
		pte_t pte = root.v == 0 ? PTE(0) : pte_load(entry_of(root, va, PT_ROOT));
		_Atomic uint64_t *slot;

		if (!pte_is_table(pte))
			continue;
		slot = entry_of(pte_pfn(pte), va, 1);
		if (pte_load(slot).v == pte_table(table).v)
			pte_swap(slot, PTE(0));
	}
}

/* Calls fn for each upper table of each view. */
static void each_upper(struct space *space, void (*fn)(void *ctx, unsigned hart, pfn_t upper, uint64_t va), void *ctx)
{
	for (unsigned hart = 0; hart < hw_harts(); hart++) {
		pfn_t root = root_of(space, hart);
		/* relaxed: see note */
		uint64_t linked =
			root.v == 0 ? 0 : atomic_load_explicit(&frame_of(root)->table.linked, memory_order_relaxed);

		for (; linked != 0; linked &= linked - 1) {
			unsigned first = PT_GROUP * bits_lowest(linked);

			for (unsigned i = first; i < first + PT_GROUP; i++) {
				pte_t pte = pte_load(pt_slot(root, i));

				if (pte_is_table(pte) && i < PT_ENTRIES / 2)
					fn(ctx, hart, pte_pfn(pte), i * pt_span(PT_ROOT));
			}
		}
	}
}

static void clear_upper(void *ctx, unsigned hart, pfn_t upper, uint64_t va)
{
	/* relaxed: see note */
	uint64_t linked = atomic_exchange_explicit(&frame_of(upper)->table.linked, 0, memory_order_relaxed);

	(void)ctx;
	(void)hart;
	(void)va;
	for (; linked != 0; linked &= linked - 1) {
		unsigned first = PT_GROUP * bits_lowest(linked);

		for (unsigned i = first; i < first + PT_GROUP; i++)
			pte_store_unseen(pt_slot(upper, i), PTE(0));
	}
}

void views_clear(struct space *space)
{
	/* what was detached before what is cleared: pairs with the one in link_leaf */
	atomic_thread_fence(memory_order_seq_cst);
	each_upper(space, clear_upper, NULL);
}

static void free_upper(void *ctx, unsigned hart, pfn_t upper, uint64_t va)
{
	(void)ctx;
	(void)hart;
	(void)va;
	frame_put(upper);
}

void views_free(struct space *space)
{
	if (LIKELY(!space_has_views(space)))
		return;
	each_upper(space, free_upper, NULL);
	for (unsigned hart = 0; hart < hw_harts(); hart++)
		if (root_of(space, hart).v != 0)
			frame_put(root_of(space, hart));
}

struct visit {
	view_fn *fn;
	void *ctx;
};

static void visit_upper(void *ctx, unsigned hart, pfn_t upper, uint64_t va)
{
	const struct visit *visit = ctx;

	visit->fn(visit->ctx, hart, upper, PT_ROOT - 1, va);
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		pte_t pte = pte_load(pt_slot(upper, i));

		if (!pte_is_none(pte))
			visit->fn(visit->ctx, hart, pte_pfn(pte), 0, va + i * pt_span(1));
	}
}

void views_visit(struct space *space, view_fn *fn, void *ctx)
{
	struct visit visit = { fn, ctx };

	for (unsigned hart = 0; hart < hw_harts(); hart++)
		if (root_of(space, hart).v != 0)
			fn(ctx, hart, root_of(space, hart), PT_ROOT, 0);
	each_upper(space, visit_upper, &visit);
}
