/*
 * Fault-around. Contract: around.h.
 *
 * The entries are those of an aligned group that holds the page: so they are in one leaf table, and in one cache line or two. Only
 * those that are the same reservation become pages: so they are of one region, with the same permissions.
 * Invariants: as fault.c's. Of an object's pages none is made, read or waited for. What wants to know of writes (object_asks) is not
 * given W, so nothing becomes dirty by being mapped. Of backed objects the pages have no A, so that eviction sees which
 * were used; one that starts read-ahead is left out, so that whoever comes to it faults.
 * Locks: the leaf's, held from before the size and the index are read until the entries are there (remove.c).
 */
#include "mm/around.h"

#include "mm/object_core.h"
#include "mm/tlb.h"
#include "mm/walk.h"

static unsigned object_group = 1;

void space_set_fault_around(unsigned object, unsigned anon)
{
	object_group = object;
	for (unsigned h = 0; h < hw_harts(); h++)
		mm_harts[h].anon_group = anon;
}

static bool starts_reading(const struct index_node *leaf, uint64_t page)
{
	return (atomic_load_explicit(&leaf->ahead, memory_order_relaxed) >> node_slot(leaf, page) & 1) != 0;
}

/* The page's entry, with a count of its frame; none where it is not there. In a look-up epoch. */
static pte_t neighbour(const struct index_node *leaf, uint64_t page, uint64_t bits)
{
	uintptr_t slot = slot_load(&leaf->slot[node_slot(leaf, page)]);

	if (!slot_has_frame(slot) || starts_reading(leaf, page) || frame_try_get(slot_pfn(slot)) != 0)
		return PTE(0);
	return pte_leaf(slot_pfn(slot), bits);
}

/* Entries for those of the group that are still `was`: how many are not none. */
static unsigned gather(const _Atomic uint64_t *group, unsigned own, pte_t was, uint64_t page, pte_t *found)
{
	const struct mapping *mapping = pte_mapping(was);
	struct object *object = mapping->object;
	uint64_t end = bytes_pages(object_bytes(object));
	uint64_t bits = page_bits(was.v);
	const struct index_node *leaf;
	unsigned n = 0;

	if (mapping->shared && (bits & PTE_MAYWRITE) != 0 && !object_asks(object))
		bits |= PTE_W;
	look_enter();
	leaf = index_node_of(&object->index, page);
	for (unsigned i = 0; i < object_group; i++) {
		uint64_t at = page + i - own;

		found[i] = PTE(0);
		if (leaf == NULL || at / INDEX_SLOTS != page / INDEX_SLOTS || at >= end ||
		    pte_load(&group[i]).v != was.v)
			continue;
		found[i] = neighbour(leaf, at, bits);
		if (object->store != NULL)
			found[i].v &= ~PTE_A;
		n += !pte_is_none(found[i]);
	}
	look_exit();
	return n;
}

void around_object(struct space *space, _Atomic uint64_t *slot, pte_t was, vaddr_t va)
{
	unsigned own = pt_index(va, 0) % object_group;
	_Atomic uint64_t *group = slot - own;
	pte_t found[FAULT_AROUND_MAX];
	unsigned n;

	if (object_group == 1)
		return;
	n = gather(group, own, was, mapping_index(pte_mapping(was), va), found);
	if (n == 0)
		return;
	if ((was.v & PTE_X) != 0)
		tlb_sync_icache(space);
	for (unsigned i = 0; i < object_group; i++)
		if (!pte_is_none(found[i]))
			pte_store(&group[i], found[i]);
	mm_count_add(MM_AROUND, n);
}

void around_anon(struct mm_hart *mine, _Atomic uint64_t *slot, pte_t was, vaddr_t va)
{
	_Atomic uint64_t *group = slot - pt_index(va, 0) % mine->anon_group;
	pfn_t pfn;

	for (unsigned i = 0; i < mine->anon_group; i++) {
		if (pte_load(&group[i]).v != was.v)
			continue;
		if (frame_alloc(FRAME_ANON, &pfn) != 0)
			return;
		hw_page_clear(frame_data(pfn));
		pte_store(&group[i], pte_leaf(pfn, page_bits(was.v) | PTE_W));
		mm_count_here(mine, MM_AROUND, 1);
	}
}
