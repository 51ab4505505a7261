/*
 * mprotect: under a locked range; or, for one page, straight under its leaf table's lock, as a fault goes.
 *
 * Invariants and locks: as edit.c's, fault.c's.
 */
#include "lib/errno.h"
#include "mm/object_core.h"
#include "mm/range.h"
#include "mm/rules.h"
#include "mm/tlb.h"
#include "mm/walk.h"

struct protect {
	uint64_t perm;
	bool revoked; /* some page lost a permission */
	bool grant;   /* some page was given one */
	bool exec;    /* some page became executable */
};

/* Shared pages need no fault to become writable, unless somebody wants to know of it. Under the table's lock. */
static bool mapping_writes_at_once(const struct mapping *mapping)
{
	return mapping->shared && !object_asks(mapping->object);
}

/* The page's entry with these permissions. A page that nobody else has needs no fault to become writable again. */
static ALWAYS_INLINE pte_t page_with(pte_t pte, uint64_t perm, bool at_once)
{
	uint64_t bits = pte.v & ~(PTE_V | PTE_RWX | PTE_MAYWRITE);
	pfn_t pfn = pte_pfn(pte);

	if (perm == 0)
		return PTE(bits);
	bits |= PTE_V | PTE_A | page_bits(perm);
	if ((perm & PERM_W) != 0 && (at_once || (frame_of(pfn)->kind == FRAME_ANON && frame_is_sole(pfn))))
		bits |= PTE_W | PTE_D;
	return PTE(bits);
}

static ALWAYS_INLINE void protect_page(struct protect *protect, _Atomic uint64_t *slot, pte_t old,
				       const struct mapping *mapping)
{
	pte_t new = page_with(old, protect->perm, mapping_writes_at_once(mapping));
	uint64_t expect = old.v;

	/* acq_rel: as every change of a live entry; repeated only when hardware set A or D meanwhile */
	while (!atomic_compare_exchange_weak_explicit(slot, &expect, new.v, memory_order_acq_rel, memory_order_relaxed))
		new.v |= expect &(PTE_A | PTE_D);
	/* A right to execute that no entry shows may stand in a TLB: fault.c, write_in_place. */
	if (pte_is_valid(old) && (old.v & ~new.v &(PTE_V | PTE_RWX)) != 0)
		protect->revoked = true;
	if ((new.v & ~old.v &PTE_RWX) != 0)
		protect->grant = true;
	if ((new.v & ~old.v &PTE_X) != 0)
		protect->exec = true;
}

static ALWAYS_INLINE int protect_entry(struct protect *protect, const struct space *space, const struct frame *frame,
				       _Atomic uint64_t *slot, unsigned index)
{
	pte_t pte = pte_load(slot);
	bool page = pte_is_page(pte);
	const struct mapping *mapping;

	if (pte_is_none(pte))
		return -ENOMEM;
	mapping = page ? table_mapping(frame, index) : pte_mapping(pte);
	if (perm_is_refused(protect->perm, mapping) ||
	    exec_is_refused(space, protect->perm, page ? page_perm(pte) : pte.v))
		return -EACCES;
	if (UNLIKELY(mapping->sealed))
		return -EPERM;
	if (page)
		protect_page(protect, slot, pte, mapping);
	else
		pte_store(slot, pte_reservation(mapping, protect->perm));
	return 0;
}

static int protect_run(struct range *range, const struct run *run, void *ctx)
{
	struct protect *protect = ctx;
	int err = 0;

	for (unsigned i = run->first; i < run->last && err == 0; i++)
		err = protect_entry(protect, range->space, frame_of(run->table), pt_slot(run->table, i), i);
	if (protect->revoked)
		range_revoke(range, run->table);
	return err;
}

static __attribute__((noinline)) int protect_range(struct space *space, vaddr_t start, uint64_t bytes, uint64_t perm)
{
	struct protect protect = { .perm = perm };
	struct range range;
	int err;

	range_lock(&range, space, start.v, start.v + bytes);
	err = range_split(&range, false);
	if (err == 0)
		err = range_own(&range);
	if (err == 0)
		err = range_each(&range, protect_run, &protect);
	/* Also when a part was refused: what came before it has changed. Mere grants are found out by the others' faults. */
	if (protect.grant && !protect.revoked)
		tlb_fence_local(space, start, bytes);
	range_shootdown(&range);
	range_unlock(&range);
	if (protect.exec)
		tlb_sync_icache(space);
	return err;
}

int space_protect(struct space *space, vaddr_t start, uint64_t bytes, uint64_t perm)
{
	struct protect protect = { .perm = perm_normal(perm) };
	struct mm_hart *mine = mm_this_hart();
	pfn_t table;
	int err;

	if (!range_is_sane(start, bytes))
		return -EINVAL;
	if (bytes != PAGE_SIZE || !walk_try_leaf(mine, space, space->root, start, &table))
		return protect_range(space, start, bytes, protect.perm);
	err = protect_entry(&protect, space, frame_of(table), pt_slot(table, pt_index(start, 0)), pt_index(start, 0));
	if (protect.revoked)
		tlb_shootdown_page(mine, space, frame_of(table), start);
	else if (protect.grant)
		tlb_fence_page(mine, space, start);
	table_unlock(table);
	if (UNLIKELY(protect.exec))
		tlb_sync_icache(space);
	return err;
}
