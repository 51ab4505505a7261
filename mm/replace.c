/*
 * What is in a locked range goes, and something else, or nothing, takes its place. Contract: range.h.
 *
 * Locks: the range's. Pages are parked, shot down, and only then put: the tables themselves remember them meanwhile.
 */
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/range.h"
#include "mm/walk.h"

struct sweep {
	pte_t fill;	 /* what entries become; none: nothing */
	uint64_t filled; /* how many */
};

static int sweep_run(struct range *range, const struct run *run, void *ctx)
{
	struct sweep *sweep = ctx;
	struct frame *frame = frame_of(run->table);
	unsigned cleared = 0;

	for (unsigned i = run->first; i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);

		if (pte_is_none(pte)) {
			if (sweep->fill.v == 0)
				continue;
		} else {
			cleared++;
			if (pte_is_page(pte)) {
				range_drop_mapping(range, table_mapping(frame, i));
				frame_put(pte_pfn(pte));
			} else {
				range_drop_mapping(range, pte_mapping(pte));
			}
		}
		pte_store(slot, sweep->fill);
	}
	frame->table.used = (uint16_t)(frame->table.used - cleared);
	if (sweep->fill.v != 0) {
		frame->table.used = (uint16_t)(frame->table.used + (run->last - run->first));
		table_note(frame, run->first, run->last);
		sweep->filled += run->last - run->first;
	}
	return 0;
}

static int find_used(struct range *range, const struct run *run, void *ctx)
{
	(void)range;
	(void)ctx;
	for (unsigned i = run->first; i < run->last; i++)
		if (!pte_is_none(pte_load(pt_slot(run->table, i))))
			return -EEXIST;
	return 0;
}

int range_is_free(struct range *range)
{
	return range_each(range, find_used, NULL);
}

void range_replace(struct range *range, pte_t fill)
{
	struct sweep sweep = { .fill = fill };
	int err;

	range_unlink(range, NULL);
	err = range_each(range, range_park, NULL);
	range_shootdown(range);
	if (fill.v != 0) /* counted ahead, so that no entry ever names a descriptor that does not know of it */
		mapping_get(pte_mapping(fill), (range->end - range->start) >> PAGE_SHIFT);
	err |= range_each(range, sweep_run, &sweep);
	if (fill.v != 0)
		mapping_put(pte_mapping(fill), ((range->end - range->start) >> PAGE_SHIFT) - sweep.filled);
	CHECK(err == 0);
}
