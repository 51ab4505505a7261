/* Entries of page tables, and what says which entries of a table there are: mm/pte.h, mm/walk.h, lib/bits.h. For all values. */
#include "tests/proofs/proof.h"

#include "mm/walk.h"

#include "lib/runtime.c"

PROOF_ENVIRONMENT

#define FRAMES (UINT64_C(1) << 44)
#define PA_MAX (UINT64_C(1) << 38) /* what the direct map may hold, and more */

static unsigned kinds(pte_t pte)
{
	return (unsigned)pte_is_none(pte) + pte_is_table(pte) + pte_is_page(pte) + pte_is_reservation(pte) +
	       pte_is_detached(pte);
}

static uint64_t any_perm(void)
{
	return any() & PERM_RWX;
}

PROOF(tables, 2)
{
	pfn_t pfn = PFN(any_below(FRAMES));
	pte_t table = pte_table(pfn), detached = pte_detached(pfn);

	PROVE(pte_is_table(table) && pte_leads(table) && pte_is_valid(table) && kinds(table) == 1);
	PROVE(pte_is_detached(detached) && pte_leads(detached) && !pte_is_valid(detached) && kinds(detached) == 1);
	PROVE(pte_pfn(table).v == pfn.v && pte_pfn(detached).v == pfn.v);
	PROVE(table.v >> 54 == 0 && (table.v & (PTE_A | PTE_D | PTE_U)) == 0);
}

PROOF(leaves, 2)
{
	pfn_t pfn = PFN(any_below(FRAMES));
	uint64_t perm = any_perm();
	bool written = any() & 1;
	pte_t pte;

	ASSUME((perm & (PERM_R | PERM_X)) != 0);
	pte = pte_leaf(pfn, page_bits(perm) | (written && (perm & PERM_W) != 0 ? PTE_W : 0));
	PROVE(pte_is_page(pte) && pte_is_valid(pte) && !pte_leads(pte) && kinds(pte) == 1);
	PROVE(pte_pfn(pte).v == pfn.v && page_perm(pte) == perm && pte.v >> 54 == 0);
	PROVE((pte.v & PTE_G) == 0 && (pte.v & PTE_A) != 0 &&
	      ((pte.v & PTE_W) == 0 || (pte.v & (PTE_D | PTE_MAYWRITE)) == (PTE_D | PTE_MAYWRITE)));
	/* Parked: the same page, and what it may, without a hart that could come by. */
	pte.v &= ~PTE_V;
	PROVE(pte_is_page(pte) && !pte_is_valid(pte) && !pte_leads(pte) && kinds(pte) == 1);
	PROVE(pte_pfn(pte).v == pfn.v && page_perm(pte) == perm);
}

PROOF(reservations, 2)
{
	uint64_t pa = any_below(PA_MAX), perm = any_perm();
	struct mapping *mapping = hw_direct(PADDR(ALIGN_DOWN(pa, 64)));
	pte_t pte = pte_reservation(mapping, perm);

	PROVE(pte_is_reservation(pte) && !pte_is_valid(pte) && !pte_leads(pte) && kinds(pte) == 1);
	PROVE((uintptr_t)pte_mapping(pte) == (uintptr_t)mapping && (pte.v & PERM_RWX) == perm);
}

/* The hardware's view of any entry at all: what is valid is a table, a page, or none that we make. */
PROOF(kinds_are_apart, 2)
{
	pte_t pte = PTE(any());

	PROVE(!(pte_is_table(pte) && pte_is_detached(pte)) && !(pte_is_reservation(pte) && pte_is_detached(pte)));
	PROVE(!(pte_is_reservation(pte) && pte_is_page(pte)) && !(pte_is_detached(pte) && pte_is_page(pte)));
	PROVE(!(pte_is_reservation(pte) && pte_is_valid(pte)) && !(pte_is_detached(pte) && pte_is_valid(pte)));
	PROVE(!pte_is_none(pte) || kinds(pte) == 1);
}

PROOF(indices, 2)
{
	vaddr_t va = VADDR(any_below(USER_END));
	uint64_t sum = va.v & PAGE_MASK;

	for (unsigned level = 0; level < 1; level++)
		PROVE(pt_index(va, PT_ROOT) < PT_ENTRIES / 2);
	sum += pt_index(va, 0) * pt_span(0) + pt_index(va, 1) * pt_span(1) + pt_index(va, 2) * pt_span(2);
	PROVE(sum == va.v && pt_index(va, 0) < PT_ENTRIES && pt_index(va, 1) < PT_ENTRIES);
	PROVE(pt_span(0) == PAGE_SIZE && pt_span(1) == PT_ENTRIES * pt_span(0) &&
	      pt_span(2) == PT_ENTRIES * pt_span(1));
}

/* Which groups are noted: all with an entry of first .. last - 1, and no other; taken back: only such as lie wholly within. */
PROOF(groups, 2)
{
	struct frame frame = { .count = 0 };
	unsigned last = 1 + (unsigned)any_below(PT_ENTRIES), first = (unsigned)any_below(last);
	unsigned index = (unsigned)any_below(PT_ENTRIES);
	uint64_t before = frame.table.groups = any();
	bool had = (before >> index / PT_GROUP & 1) != 0, within;

	frame.table.used = 1;
	table_note(&frame, first, last);
	PROVE(table_has_group(&frame, index) ==
	      (had || (index / PT_GROUP >= first / PT_GROUP && index / PT_GROUP <= (last - 1) / PT_GROUP)));
	frame.table.groups = before;
	table_note_none(&frame, first, last);
	within = index / PT_GROUP * PT_GROUP >= first && (index / PT_GROUP + 1) * PT_GROUP <= last;
	PROVE(table_has_group(&frame, index) == (had && !within));
	PROVE(group_end(index, last) <= last || index >= last);
	PROVE(index >= last ||
	      (group_end(index, last) > index && group_end(index, last) <= (index / PT_GROUP + 1) * PT_GROUP));
}

/* The de Bruijn way, which the target has, against the compiler's. */
PROOF(lowest_bit, 7)
{
	uint64_t x = any();
	unsigned ones = 0;

	ASSUME(x != 0);
	PROVE(__ctzdi2(x) == __builtin_ctzll(x));
	PROVE((x >> __ctzdi2(x) & 1) == 1 && x << (63 - __ctzdi2(x)) << 1 >> 1 << 1 == (UINT64_C(0)));
	PROVE(__clzdi2(x) == __builtin_clzll(x) && __ffsdi2(x) == __ctzdi2(x) + 1);
	(void)ones;
}
