/*
 * Ranges under lock. Contract: range.h; the protocol is CortenMM's (SOSP 2025), with reservations in the entries.
 *
 * Invariants: every table below range.top that overlaps the range is locked by us, also those that we made ourselves.
 * Locks: tables parent before child and lower address before higher, so two ranges cannot wait for each other. Faults
 * hold one leaf table, or one above it while they split, and wait for no other table.
 * Memory order: unlinking stores before walk_wait's fence; see walk.h.
 * Does not: shoot down or free before its caller says so; nothing is freed while a hart can reach it.
 */
#include "mm/range.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/replace.h"
#include "mm/share.h"
#include "mm/tlb.h"
#include "mm/view.h"
#include "mm/walk.h"

bool range_is_sane(vaddr_t start, uint64_t bytes)
{
	return ((start.v | bytes) & PAGE_MASK) == 0 && bytes != 0 && start.v < USER_END && bytes <= USER_END - start.v;
}

/* Where the entry that holds `at` ends, or the range does. */
static uint64_t entry_end(uint64_t at, unsigned level, uint64_t end)
{
	return MIN(end, ALIGN_DOWN(at, pt_span(level)) + pt_span(level));
}

/* Whether the range's locks go further down there. */
static bool goes_on(const struct range *range, pte_t pte)
{
	return range->deep ? pte_leads(pte) : pte_is_table(pte);
}

/* Calls fn for each table that hangs below the entries of this one that overlap the range. */
static void each_child(const struct range *range, pfn_t table, unsigned level, uint64_t start, uint64_t end,
		       void (*fn)(const struct range *range, pfn_t child, unsigned level, uint64_t start, uint64_t end))
{
	unsigned i = pt_index(VADDR(start), level);
	unsigned last = pt_index(VADDR(end - 1), level) + 1;
	uint64_t base = start - (start & (pt_span(level + 1) - 1));

	for (i = table_next(table, i, last); i < last; i = table_next(table, i + 1, last)) {
		pte_t pte = pte_load(pt_slot(table, i));
		uint64_t at = base + i * pt_span(level);

		if (goes_on(range, pte))
			fn(range, pte_pfn(pte), level - 1, MAX(at, start), MIN(at + pt_span(level), end));
	}
}

static void lock_tree(const struct range *range, pfn_t table, unsigned level, uint64_t start, uint64_t end)
{
	spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
	if (level > 0)
		each_child(range, table, level, start, end, lock_tree);
}

static void unlock_tree(const struct range *range, pfn_t table, unsigned level, uint64_t start, uint64_t end)
{
	if (level > 0)
		each_child(range, table, level, start, end, unlock_tree);
	table_unlock(table);
}

/* The lowest level on which one table may cover the range. */
static unsigned covering_level(uint64_t start, uint64_t end)
{
	uint64_t differ = start ^ (end - 1);

	return differ < pt_span(1) ? 0 : differ < pt_span(2) ? 1 : PT_ROOT;
}

static void lock_range(struct range *range)
{
	const unsigned lowest = covering_level(range->start, range->end);
	const vaddr_t start = VADDR(range->start);

	ASSERT(range->start < range->end && range->end <= USER_END && ((range->start | range->end) & PAGE_MASK) == 0);
	for (;;) {
		pfn_t table = range->space->root;
		unsigned level = PT_ROOT;
		pte_t pte;

		walk_enter();
		uint32_t forks = walk_forks(range->space);

		for (; level > lowest; level--) {
			pte = pte_load(pt_slot(table, pt_index(start, level)));
			if (!pte_is_table(pte))
				break;
			table = pte_pfn(pte);
		}
		struct frame *frame = frame_of(table);

		spin_lock(&frame->table.lock, RANK_TABLE);
		/* Asked within the walk, as in walk_lock. */
		bool good = !frame->table.stale && walk_forks(range->space) == forks &&
			    (level == lowest || !pte_is_table(pte_load(pt_slot(table, pt_index(start, level)))));

		if (UNLIKELY(!good))
			table_unlock(table);
		walk_exit();
		if (LIKELY(good)) {
			range->top = table;
			range->level = level;
			if (level > 0)
				each_child(range, table, level, range->start, range->end, lock_tree);
			return;
		}
	}
}

void range_lock(struct range *range, struct space *space, uint64_t start, uint64_t end)
{
	*range = (struct range){ .space = space, .start = start, .end = end, .low = start, .high = end };
	lock_range(range);
}

void range_lock_deep(struct range *range, struct space *space, uint64_t start, uint64_t end)
{
	*range = (struct range){ .space = space, .start = start, .end = end, .low = start, .high = end, .deep = true };
	lock_range(range);
}

/* ---- Making private. */

/* Entry `index`, at va, is detached. What is below it and private gets locked then, as all of the range is. */
static int own_entry(struct range *range, pfn_t table, unsigned level, uint64_t va)
{
	_Atomic uint64_t *slot = pt_slot(table, pt_index(VADDR(va), level));
	uint64_t base = ALIGN_DOWN(va, pt_span(level));
	int err = table_own(table, level, pt_index(VADDR(va), level), true);

	/*
	 * Out of order where the range goes on behind it. But who has a lock below here without the one above wants none that is not
	 * below here, and we have the one above.
	 */
	if (err == 0 && level > 1)
		each_child(range, pte_pfn(pte_load(slot)), level - 1, MAX(base, range->low),
			   MIN(base + pt_span(level), range->high), lock_tree);
	return err;
}

static int own_below(struct range *range, pfn_t table, unsigned level, uint64_t start, uint64_t end)
{
	uint64_t base = start - (start & (pt_span(level + 1) - 1));
	unsigned last = pt_index(VADDR(end - 1), level) + 1;
	int err = 0;

	for (unsigned i = table_next(table, pt_index(VADDR(start), level), last); level > 0 && err == 0 && i < last;
	     i = table_next(table, i + 1, last)) {
		uint64_t from = MAX(base + i * pt_span(level), start);
		uint64_t to = MIN(base + (i + 1) * pt_span(level), end);
		pte_t pte = pte_load(pt_slot(table, i));

		if (pte_is_detached(pte)) {
			err = own_entry(range, table, level, from);
			pte = pte_load(pt_slot(table, i));
		}
		if (err == 0 && pte_is_table(pte))
			err = own_below(range, pte_pfn(pte), level - 1, from, to);
	}
	return err;
}

int range_own(struct range *range)
{
	return LIKELY(range->level == 0) ? 0 : own_below(range, range->top, range->level, range->start, range->end);
}

/* Below one entry of a table of the range there is a private table, unless it is none and is to stay so. */
static int split_entry(struct range *range, pfn_t table, unsigned level, uint64_t va, bool create)
{
	unsigned index = pt_index(VADDR(va), level);
	pte_t pte = pte_load(pt_slot(table, index));

	if (pte_is_table(pte) || (pte_is_none(pte) && !create))
		return 0;
	if (pte_is_detached(pte))
		return own_entry(range, table, level, va);
	return table_split(table, level, index, true);
}

static int split_at(struct range *range, uint64_t va, bool create)
{
	pfn_t table = range->top;

	for (unsigned level = range->level; level > 0 && (va & (pt_span(level) - 1)) != 0; level--) {
		int err = split_entry(range, table, level, va, create);
		pte_t pte = pte_load(pt_slot(table, pt_index(VADDR(va), level)));

		if (err != 0 || !pte_is_table(pte))
			return err;
		table = pte_pfn(pte);
	}
	return 0;
}

int range_split(struct range *range, bool create)
{
	int err;

	if (LIKELY(range->level == 0))
		return 0;
	err = split_at(range, range->start, create);
	return err != 0 ? err : split_at(range, range->end, create);
}

struct each {
	struct range *range;
	range_fn *fn;
	void *ctx;
};

static int each_leaf(const struct each *each, pfn_t table, uint64_t start, uint64_t end)
{
	unsigned first = pt_index(VADDR(start), 0);
	const struct run run = {
		.table = table, .first = first, .last = first + (unsigned)((end - start) >> PAGE_SHIFT), .va = start
	};

	return each->fn(each->range, &run, each->ctx);
}

static int each_below(const struct each *each, pfn_t table, unsigned level, uint64_t start, uint64_t end)
{
	struct run run = { .table = table, .level = level };
	int err = 0;

	if (level == 0)
		return each_leaf(each, table, start, end);
	for (uint64_t at = start; at < end && err == 0;) {
		pte_t pte = pte_load(pt_slot(table, pt_index(VADDR(at), level)));
		uint64_t next = entry_end(at, level, end);

		if (goes_on(each->range, pte)) {
			err = each_below(each, pte_pfn(pte), level - 1, at, next);
			at = next;
			continue;
		}
		run.first = pt_index(VADDR(at), level);
		run.last = run.first;
		run.va = at;
		while (at < end && !goes_on(each->range, pte_load(pt_slot(table, pt_index(VADDR(at), level))))) {
			run.last++;
			at = entry_end(at, level, end);
		}
		err = each->fn(each->range, &run, each->ctx);
	}
	return err;
}

int range_each(struct range *range, range_fn *fn, void *ctx)
{
	const struct each each = { range, fn, ctx };

	if (LIKELY(range->level == 0))
		return each_leaf(&each, range->top, range->start, range->end);
	return each_below(&each, range->top, range->level, range->start, range->end);
}

/* The table and those below it go on the dead list: marked stale, then unlocked for those who wait to find out. */
static void bury(struct range *range, pfn_t table, unsigned level, uint64_t va)
{
	struct frame *frame = frame_of(table);

	for (unsigned i = 0; level > 0 && i < PT_ENTRIES; i++) {
		pte_t pte = pte_load(pt_slot(table, i));

		if (pte_is_table(pte))
			bury(range, pte_pfn(pte), level - 1, va + i * pt_span(level));
	}
	if (UNLIKELY(frame->table.harts != 0)) {
		view_unlink(range->space, table, va);
		range->holders |= frame->table.harts;
	}
	if (frame->emptied && range->space->hint[hw_hart()].emptied != 0)
		range->space->hint[hw_hart()].emptied--; /* a guess: another hart may have counted it */
	frame->table.stale = true;
	frame->table.next_dead = range->dead;
	range->dead = table;
	range->unlinked = true;
	mm_count(MM_TABLES_FREED);
	table_unlock(table);
}

/* A table that the range covers, and others may share. The last one that names it unlinks it like a private one. */
static void unlink_detached(struct range *range, pfn_t table, unsigned level, uint64_t va)
{
	bool last;

	spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
	last = frame_is_sole(table);
	if (last && level > 0)
		each_child(range, table, level, 0, pt_span(level + 1), lock_tree);
	if (last) {
		bury(range, table, level, va);
		return;
	}
	frame_put(table);
	table_unlock(table);
}

static void unlink_below(struct range *range, pte_t (*keep)(pfn_t table), pfn_t table, unsigned level, uint64_t start,
			 uint64_t end)
{
	uint64_t next;

	for (uint64_t at = start; level > 0 && at < end; at = next) {
		_Atomic uint64_t *slot = pt_slot(table, pt_index(VADDR(at), level));
		pte_t pte = pte_load(slot);
		pte_t instead = PTE(0);
		bool go;

		next = entry_end(at, level, end);
		if (!pte_leads(pte))
			continue;
		go = next - at == pt_span(level);
		if (go && keep != NULL) {
			if (level == 1)
				instead = keep(pte_pfn(pte));
			go = instead.v != 0;
		}
		if (!go) {
			ASSERT(pte_is_table(pte)); /* range_split, or range_own */
			unlink_below(range, keep, pte_pfn(pte), level - 1, at, next);
			continue;
		}
		pte_swap(slot, instead);
		if (pte_is_none(instead))
			frame_of(table)->table.used--;
		else
			mapping_get(pte_mapping(instead), 1);
		if (pte_is_detached(pte))
			unlink_detached(range, pte_pfn(pte), level - 1, at);
		else
			bury(range, pte_pfn(pte), level - 1, at);
	}
}

void range_unlink(struct range *range, pte_t (*keep)(pfn_t table))
{
	if (UNLIKELY(range->level != 0))
		unlink_below(range, keep, range->top, range->level, range->start, range->end);
}

/* Whether the leaf table there is empty, and was not found so before. */
static bool leaf_was_emptied(const struct range *range, uint64_t va)
{
	pfn_t table = range->top;

	for (unsigned level = range->level; level > 0; level--) {
		pte_t pte = pte_load(pt_slot(table, pt_index(VADDR(va), level)));

		if (!pte_is_table(pte))
			return false;
		table = pte_pfn(pte);
	}
	return table_was_emptied(frame_of(table));
}

unsigned range_emptied_ends(const struct range *range)
{
	uint64_t last = range->end - 1;
	unsigned emptied = leaf_was_emptied(range, range->start);

	if (UNLIKELY(range->start / pt_span(1) != last / pt_span(1)))
		emptied += leaf_was_emptied(range, last);
	return emptied;
}

static unsigned unlink_empty(struct range *range, pfn_t table, unsigned level, uint64_t va)
{
	unsigned end = level == PT_ROOT ? PT_ENTRIES / 2 : PT_ENTRIES;
	unsigned seen = 1;

	for (unsigned i = table_next(table, 0, end); level > 0 && i < end; i = table_next(table, i + 1, end)) {
		_Atomic uint64_t *slot = pt_slot(table, i);
		uint64_t at = va + i * pt_span(level);
		pte_t pte = pte_load(slot);

		if (!pte_is_table(pte))
			continue;
		seen += unlink_empty(range, pte_pfn(pte), level - 1, at);
		frame_of(pte_pfn(pte))->emptied = false;
		if (frame_of(pte_pfn(pte))->table.used != 0)
			continue;
		pte_swap(slot, PTE(0));
		frame_of(table)->table.used--;
		bury(range, pte_pfn(pte), level - 1, at);
	}
	return seen;
}

unsigned range_unlink_empty(struct range *range)
{
	ASSERT(range->level == PT_ROOT && range->start == 0 && range->end == USER_END);
	return unlink_empty(range, range->top, range->level, 0);
}

void range_shootdown(struct range *range)
{
	if (range->unlinked)
		tlb_shootdown(range->space, range->holders, VADDR(range->start), 0);
	else if (range->revoked)
		tlb_shootdown(range->space, range->holders, VADDR(range->start), range->end - range->start);
	range->revoked = false;
	range->unlinked = false;
}

/* What an unlinked table names, but for private tables, which are on the list themselves. Nobody can reach it any more. */
static void empty_dead(pfn_t table, pfn_t *dead)
{
	struct frame_batch batch = { .first = NULL };
	struct frame *frame = frame_of(table);

	for (unsigned i = table_next(table, 0, PT_ENTRIES); i < PT_ENTRIES; i = table_next(table, i + 1, PT_ENTRIES)) {
		pte_t pte = pte_load(pt_slot(table, i));

		if (frame->level == 0 && pte_is_page(pte)) {
			mapping_put(table_mapping(frame, i), 1);
			frame_batch_put(&batch, pte_pfn(pte));
		} else if (pte_is_reservation(pte)) {
			mapping_put(pte_mapping(pte), 1);
		} else if (pte_is_detached(pte)) {
			table_drop(pte_pfn(pte), frame->level - 1U, dead);
		}
	}
	frame_batch_end(&batch);
}

void range_unlock(struct range *range)
{
	if (LIKELY(range->level == 0))
		table_unlock(range->top);
	else
		unlock_tree(range, range->top, range->level, range->low, range->high);
	if (UNLIKELY(range->gone != NULL || range->dead.v != 0))
		range_finish(range);
}

void range_finish(struct range *range)
{
	pfn_t dead = PFN(0);

	mappings_free(range->gone);
	range->gone = NULL;
	if (range->dead.v == 0)
		return;
	ASSERT(!range->unlinked);
	/* Walkers may still be on their way through these, or waiting for the lock of one. */
	walk_wait();
	while (range->dead.v != 0) {
		pfn_t table = range->dead;

		range->dead = frame_of(table)->table.next_dead;
		empty_dead(table, &dead);
		table_free(table);
	}
	tables_free(dead);
}
