/*
 * Page-table entries: what the hardware says (privileged specification, "Sv39") and what Corral says in the bits that
 * are left to it.
 *
 *   V=1, R|X       leaf. RSW0 = MAYWRITE: writable by right, also while W is clear (copy-on-write).
 *                  RSW1 is free. Whether a page is of a shared mapping, its mapping says.
 *   V=1, R=W=X=0   pointer to the next table, which no other entry names.
 *   V=0, U=1       parked page: names a frame that no hart may reach: PROT_NONE, or on its way out of a range that is
 *                  being unmapped. R, W, X and RSW stand as they were for the latter, R=W=X=0 for the former.
 *   V=0, U=0, G=1  reservation: memory that was asked for and never touched. R, W, X: the permissions; bits 10-53: the
 *                  mapping descriptor's physical address >> 6. On level 1 and 2 it stands for the whole span below.
 *   V=0, U=0, G=0, RSW1=1  detached: names the next table, which other spaces' tables may name too. No hart can go
 *                  there (share.h). Above the leaves only.
 *   0              nothing mapped.
 *
 * The permissions of a page are in its own entry, not in the descriptor (docs/decisions/0002-permissions-in-entries.md),
 * so mprotect never allocates a descriptor, and all private anonymous memory shares one.
 */
#ifndef MM_PTE_H
#define MM_PTE_H

#include "lib/atomic.h"
#include "lib/hw.h"
#include "lib/types.h"

#define PTE_V	      (UINT64_C(1) << 0)
#define PTE_R	      (UINT64_C(1) << 1)
#define PTE_W	      (UINT64_C(1) << 2)
#define PTE_X	      (UINT64_C(1) << 3)
#define PTE_U	      (UINT64_C(1) << 4)
#define PTE_G	      (UINT64_C(1) << 5)
#define PTE_A	      (UINT64_C(1) << 6)
#define PTE_D	      (UINT64_C(1) << 7)
#define PTE_MAYWRITE  (UINT64_C(1) << 8)
#define PTE_DETACHED  (UINT64_C(1) << 9)
#define PTE_RWX	      (PTE_R | PTE_W | PTE_X)
#define PTE_PFN_SHIFT 10

/* Permissions, in the bits that PTEs have them in. */
#define PERM_R	 PTE_R
#define PERM_W	 PTE_W
#define PERM_X	 PTE_X
#define PERM_RWX PTE_RWX

#define PT_BITS	   9
#define PT_ENTRIES (1U << PT_BITS)
#define PT_GROUP   (PT_ENTRIES / 64) /* entries that one bit of struct frame.table.groups stands for */
#define PT_LEVELS  3
#define PT_ROOT	   (PT_LEVELS - 1)

/* User space is the lower half, and its last page is left out, so that an address one past the end is still canonical. */
#define USER_END (UINT64_C(0x4000000000) - PAGE_SIZE)

/* Bytes that one entry of a table on this level spans. */
static inline uint64_t pt_span(unsigned level)
{
	return UINT64_C(1) << (PAGE_SHIFT + PT_BITS * level);
}

/* Index of va's entry in a table on this level. */
static inline unsigned pt_index(vaddr_t va, unsigned level)
{
	return (va.v >> (PAGE_SHIFT + PT_BITS * level)) & (PT_ENTRIES - 1);
}

static inline bool pte_is_valid(pte_t pte)
{
	return (pte.v & PTE_V) != 0;
}

static inline bool pte_is_none(pte_t pte)
{
	return pte.v == 0;
}

static inline bool pte_is_table(pte_t pte)
{
	return (pte.v & (PTE_V | PTE_RWX)) == PTE_V;
}

/* Names a frame of user memory: present or parked. Not for entries that may point to tables. */
static inline bool pte_is_page(pte_t pte)
{
	return (pte.v & PTE_U) != 0;
}

static inline bool pte_is_reservation(pte_t pte)
{
	return (pte.v & (PTE_V | PTE_U | PTE_G)) == PTE_G;
}

static inline bool pte_is_detached(pte_t pte)
{
	return (pte.v & (PTE_V | PTE_U | PTE_G | PTE_DETACHED)) == PTE_DETACHED;
}

/* Names a table, whether a hart can follow or not. */
static inline bool pte_leads(pte_t pte)
{
	return pte_is_table(pte) || pte_is_detached(pte);
}

static inline pfn_t pte_pfn(pte_t pte)
{
	return PFN(pte.v >> PTE_PFN_SHIFT); /* no entry of ours has a bit above */
}

static inline pte_t pte_table(pfn_t table)
{
	return PTE((table.v << PTE_PFN_SHIFT) | PTE_V);
}

static inline pte_t pte_detached(pfn_t table)
{
	return PTE((table.v << PTE_PFN_SHIFT) | PTE_DETACHED);
}

/* A user leaf. bits: R, W, X, MAYWRITE. A and D are set at once where they are implied: harts may trap on them. */
static inline pte_t pte_leaf(pfn_t pfn, uint64_t bits)
{
	return PTE((pfn.v << PTE_PFN_SHIFT) | bits | PTE_V | PTE_U | PTE_A | ((bits & PTE_W) ? PTE_D : 0));
}

static inline pte_t pte_reservation(const struct mapping *mapping, uint64_t perm)
{
	return PTE(((hw_paddr(mapping).v >> 6) << PTE_PFN_SHIFT) | PTE_G | perm);
}

static inline struct mapping *pte_mapping(pte_t pte)
{
	return (struct mapping *)hw_direct(PADDR(pte.v >> PTE_PFN_SHIFT << 6));
}

static inline _Atomic uint64_t *pt_slot(pfn_t table, unsigned index)
{
	return (_Atomic uint64_t *)hw_direct(pfn_paddr(table)) + index;
}

/* relaxed: the value is only acted on under the table's lock, or by a walk that checks again under it. */
static inline pte_t pte_load(const _Atomic uint64_t *slot)
{
	return PTE(atomic_load_explicit(slot, memory_order_relaxed));
}

/*
 * Stores an entry where no valid one stands, so no hart can be setting A or D. release: whoever walks here, by hardware
 * or by pte_load, sees the page or table behind it filled.
 */
static inline void pte_store(_Atomic uint64_t *slot, pte_t pte)
{
	store_release_u64(slot, pte.v);
}

/*
 * Stores an entry of a table that nobody else can reach yet. relaxed: whatever makes the table reachable releases.
 */
static inline void pte_store_unseen(_Atomic uint64_t *slot, pte_t pte)
{
	store_relaxed_u64(slot, pte.v);
}

/* The only ways to change a valid entry: hardware may set A and D at any time. Each returns the entry as it was. */
static inline pte_t pte_set(_Atomic uint64_t *slot, uint64_t bits)
{
	return PTE(atomic_fetch_or_explicit(slot, bits, memory_order_acq_rel));
}

static inline pte_t pte_clear(_Atomic uint64_t *slot, uint64_t bits)
{
	return PTE(atomic_fetch_and_explicit(slot, ~bits, memory_order_acq_rel));
}

static inline pte_t pte_swap(_Atomic uint64_t *slot, pte_t pte)
{
	return PTE(atomic_exchange_explicit(slot, pte.v, memory_order_acq_rel));
}

#endif
