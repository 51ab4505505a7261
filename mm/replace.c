/*
 * What is in a locked range goes, and something else, or nothing, takes its place. Contract: range.h, replace.h.
 *
 * Locks: the range's. Pages are parked, shot down, and only then put: the tables themselves remember them meanwhile.
 */
#include "mm/replace.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/range.h"

/* ---- Parking. */

static bool park_group(pfn_t table, unsigned first, unsigned last)
{
	_Atomic uint64_t *slot = pt_slot(table, first), *end = pt_slot(table, last);
	bool parked = false;

	for (; slot < end; slot++) {
		if (pte_is_valid(pte_load(slot))) {
			pte_clear(slot, PTE_V);
			parked = true;
		}
	}
	return parked;
}

bool leaf_park(pfn_t table, unsigned first, unsigned last)
{
	bool parked = false;

	for (unsigned i = first, next; i < last; i = next) {
		next = group_end(i, last);
		if (table_has_group(frame_of(table), i))
			parked |= park_group(table, i, next);
	}
	return parked;
}

int range_park(struct range *range, const struct run *run, void *ctx)
{
	(void)ctx;
	if (run->level == 0 && leaf_park(run->table, run->first, run->last))
		range_revoke(range, run->table);
	return 0;
}

/* ---- Sweeping. */

struct sweep {
	/* Entries that went and named this descriptor since the last one that named another. */
	struct mapping *mapping;
	uint64_t named;
	struct mapping **gone;
	struct frame_batch frames;
};

static inline void drop_named(struct sweep *sweep)
{
	if (sweep->named != 0)
		mapping_drop_to(sweep->gone, sweep->mapping, sweep->named);
	sweep->named = 0;
}

static inline void unname(struct sweep *sweep, struct mapping *mapping)
{
	ASSERT(mapping != NULL);
	if (UNLIKELY(mapping != sweep->mapping)) {
		drop_named(sweep);
		sweep->mapping = mapping;
	}
	sweep->named++;
}

/* Entries first .. last - 1 of one group. How many there were. */
static inline unsigned sweep_group(struct sweep *sweep, pfn_t table, unsigned first, unsigned last)
{
	const struct frame *frame = frame_of(table);
	_Atomic uint64_t *slot = pt_slot(table, first);
	unsigned swept = 0;

	for (unsigned i = first; i < last; i++, slot++) {
		pte_t pte = pte_load(slot);

		if (pte_is_none(pte))
			continue;
		swept++;
		if (LIKELY(pte_is_page(pte))) {
			unname(sweep, table_mapping(frame, i));
			frame_batch_put(&sweep->frames, pte_pfn(pte));
		} else {
			unname(sweep, pte_mapping(pte));
		}
		pte_store_unseen(slot, PTE(0)); /* nothing that a hart could use stood here, nor does now */
	}
	return swept;
}

static inline void sweep_table(pfn_t table, unsigned first, unsigned last, struct mapping **gone)
{
	struct sweep sweep = { .gone = gone };
	struct frame *frame = frame_of(table);
	unsigned swept = 0;

	for (unsigned i = first, next; i < last; i = next) {
		next = group_end(i, last);
		if (table_has_group(frame, i))
			swept += sweep_group(&sweep, table, i, next);
	}
	frame->table.used = (uint16_t)(frame->table.used - swept);
	table_note_none(frame, first, last);
	drop_named(&sweep);
	frame_batch_end(&sweep.frames);
}

void leaf_sweep(pfn_t table, unsigned first, unsigned last, struct mapping **gone)
{
	sweep_table(table, first, last, gone);
}

/* Reservations above the leaves go the same way as what is in them. */
static int sweep_run(struct range *range, const struct run *run, void *ctx)
{
	(void)ctx;
	sweep_table(run->table, run->first, run->last, &range->gone);
	return 0;
}

/* ---- Filling. */

struct fill {
	pte_t pte;
	uint64_t filled; /* entries */
};

static int fill_run(struct range *range, const struct run *run, void *ctx)
{
	struct frame *frame = frame_of(run->table);
	struct fill *fill = ctx;

	(void)range;
	for (unsigned i = run->first; i < run->last; i++)
		pte_store(pt_slot(run->table, i), fill->pte);
	frame->table.used = (uint16_t)(frame->table.used + (run->last - run->first));
	table_note(frame, run->first, run->last);
	fill->filled += run->last - run->first;
	return 0;
}

static int find_used(struct range *range, const struct run *run, void *ctx)
{
	(void)range;
	(void)ctx;
	return table_next(run->table, run->first, run->last) < run->last ? -EEXIST : 0;
}

int range_is_free(struct range *range)
{
	return range_each(range, find_used, NULL);
}

void range_fill(struct range *range, pte_t with)
{
	uint64_t pages = (range->end - range->start) >> PAGE_SHIFT;
	struct fill fill = { .pte = with };
	int err;

	/* Counted ahead, so that no entry ever names a descriptor that does not know of it. */
	mapping_get(pte_mapping(with), pages);
	err = range_each(range, fill_run, &fill);
	mapping_put(pte_mapping(with), pages - fill.filled);
	CHECK(err == 0);
}

void range_replace(struct range *range, pte_t fill)
{
	int err;

	range_unlink(range, NULL);
	err = range_each(range, range_park, NULL);
	range_shootdown(range);
	err |= range_each(range, sweep_run, NULL);
	CHECK(err == 0);
	if (fill.v != 0)
		range_fill(range, fill);
}
