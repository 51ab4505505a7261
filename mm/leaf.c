/*
 * Ranges within one leaf table. Contract: leaf.h.
 *
 * Locks: the table's, as a fault has it. Pages are parked, shot down, and only then put, as everywhere (replace.c).
 */
#include "mm/leaf.h"

#include "lib/errno.h"
#include "mm/replace.h"
#include "mm/seal.h"
#include "mm/tlb.h"
#include "mm/walk.h"

/* Whether it is within one leaf table, by its addresses. */
static bool is_within(uint64_t start, uint64_t end)
{
	return (start ^ (end - 1)) < pt_span(1);
}

/* The table, locked, or 0. */
static inline pfn_t lock_leaf(struct space *space, uint64_t start)
{
	unsigned level;
	pfn_t table;

	if (LIKELY(walk_try_leaf(mm_this_hart(), space, space->root, VADDR(start), &table)))
		return table;
	table = walk_lock(space, VADDR(start), &level);
	if (level == 0)
		return table;
	table_unlock(table);
	return PFN(0);
}

static inline bool is_free(pfn_t table, unsigned first, unsigned last)
{
	const _Atomic uint64_t *slot = pt_slot(table, first), *end = pt_slot(table, last);

	if (last - first > PT_GROUP)
		return table_next(table, first, last) == last;
	for (; slot < end; slot++)
		if (!pte_is_none(pte_load(slot)))
			return false;
	return true;
}

static int fill_leaf(pfn_t table, unsigned first, unsigned last, pte_t fill)
{
	struct frame *frame = frame_of(table);

	if (!is_free(table, first, last))
		return -EEXIST;
	mapping_get(pte_mapping(fill), last - first);
	for (unsigned i = first; i < last; i++)
		pte_store(pt_slot(table, i), fill);
	frame->table.used = (uint16_t)(frame->table.used + (last - first));
	table_note(frame, first, last);
	return 0;
}

int leaf_map(struct space *space, uint64_t start, uint64_t end, pte_t fill)
{
	unsigned first = pt_index(VADDR(start), 0);
	pfn_t table;
	int err;

	if (!is_within(start, end))
		return -EAGAIN;
	table = lock_leaf(space, start);
	if (UNLIKELY(table.v == 0))
		return -EAGAIN;
	err = fill_leaf(table, first, first + (unsigned)((end - start) >> PAGE_SHIFT), fill);
	table_unlock(table);
	return err;
}

int leaf_unmap(struct space *space, uint64_t start, uint64_t end, bool *emptied)
{
	unsigned first = pt_index(VADDR(start), 0);
	unsigned last = first + (unsigned)((end - start) >> PAGE_SHIFT);
	struct mapping *gone = NULL;
	pfn_t table;

	if (!is_within(start, end))
		return -EAGAIN;
	table = lock_leaf(space, start);
	if (UNLIKELY(table.v == 0))
		return -EAGAIN;
	if (has_seals(space)) {
		table_unlock(table);
		return -EAGAIN;
	}
	if (leaf_park(table, first, last))
		tlb_shootdown(space, frame_of(table)->table.harts, VADDR(start), end - start);
	leaf_sweep(table, first, last, &gone);
	*emptied = table_was_emptied(frame_of(table));
	table_unlock(table);
	mappings_free(gone);
	return 0;
}
