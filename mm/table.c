/*
 * Page tables as such: made, filled, freed, and what their pages belong to. Contract: walk.h, share.h.
 *
 * Invariants: `used` counts the entries that are not zero. A table in a hart's stock has no entry, but for a root's of the kernel, and is
 * a free frame like any other. A side page that several tables have does not change.
 * Locks: a table's lock guards its entries, but for the A and D bits, and its part of the coremap. Each stock has one, which
 * only who finds no memory at all takes of another hart's.
 */
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/fail.h"
#include "mm/cleared.h"
#include "mm/hart.h"
#include "mm/mapping.h"
#include "mm/walk.h"

/* ---- Clean tables, put by. */

static uint64_t tables_kept(void)
{
	uint64_t n = 0;

	/* relaxed: exact when nothing allocates meanwhile */
	for (unsigned h = 0; h < hw_harts(); h++)
		for (unsigned kind = 0; kind < STOCK_KINDS; kind++)
			n += atomic_load_explicit(&mm_harts[h].tables[kind].n, memory_order_relaxed);
	return n;
}

/* One of the stock, which is locked, as nobody's frame but with count 1; false: there is none. */
static inline bool take_locked(struct table_stock *stock, pfn_t *out)
{
	/* relaxed: guarded by the lock; atomic for tables_kept */
	uint32_t n = atomic_load_explicit(&stock->n, memory_order_relaxed);
	struct frame *frame;

	if (n == 0)
		return false;
	*out = stock->table[n - 1];
	store_relaxed_u32(&stock->n, n - 1);
	frame = frame_of(*out);
	frame->kind = FRAME_TABLE;
	/* relaxed: as in coremap.c's frame_init */
	store_relaxed_u32(&frame->count, 1);
	return true;
}

static struct table_stock *stock_of(unsigned level)
{
	return &mm_this_hart()->tables[level == PT_ROOT ? STOCK_ROOT : STOCK_LOWER];
}

/* Of this hart's. Where the lock is taken somebody is short of memory: then there is none. */
static inline bool stock_take(struct table_stock *stock, pfn_t *out)
{
	bool good;

	if (UNLIKELY(!spin_trylock(&stock->lock, RANK_MAGAZINE)))
		return false;
	good = take_locked(stock, out);
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	return good;
}

/* Likewise. What the frame of a table there says is that it is free. */
static inline bool stock_give(struct table_stock *stock, pfn_t table, struct frame *frame)
{
	uint32_t n;

	if (UNLIKELY(!spin_trylock(&stock->lock, RANK_MAGAZINE)))
		return false;
	n = atomic_load_explicit(&stock->n, memory_order_relaxed);
	if (LIKELY(n != STOCK_TABLES)) {
		frame->kind = FRAME_FREE;
		store_relaxed_u32(&frame->count, 0);
		stock->table[n] = table;
		store_relaxed_u32(&stock->n, n + 1);
	}
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	return n != STOCK_TABLES;
}

static void stock_empty(struct table_stock *stock)
{
	bool more;

	do {
		pfn_t table;

		spin_lock(&stock->lock, RANK_MAGAZINE);
		more = take_locked(stock, &table);
		spin_unlock(&stock->lock, RANK_MAGAZINE);
		if (more)
			frame_put(table);
	} while (more);
}

static void tables_give_back(void)
{
	for (unsigned h = 0; h < hw_harts(); h++)
		for (unsigned kind = 0; kind < STOCK_KINDS; kind++)
			stock_empty(&mm_harts[h].tables[kind]);
}

/* With those that are cleared ahead, which are put by in the same sense. */
static uint64_t kept(void)
{
	return tables_kept() + cleared_frames();
}

static void give_back(void)
{
	tables_give_back();
	cleared_drain();
}

void tables_init(void)
{
	frames_set_keeper(kept, give_back);
}

/* ---- Making and freeing. */

static void fill_with(pfn_t table, pte_t fill)
{
	uint64_t *entry = frame_data(table);

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		entry[i] = fill.v;
	mapping_get(pte_mapping(fill), PT_ENTRIES);
}

static __attribute__((noinline)) int table_alloc(unsigned level, pte_t fill, pfn_t *out)
{
	int err;

	if (fill.v != 0) {
		err = frame_alloc(FRAME_TABLE, out);
		if (err == 0)
			fill_with(*out, fill);
		return err;
	}
	err = frame_alloc_zeroed(FRAME_TABLE, out);
	if (err == 0 && level == PT_ROOT)
		hw_init_root(*out);
	return err;
}

static inline void table_init(struct frame *frame, unsigned level, pte_t fill)
{
	frame->level = (uint8_t)level;
	spin_init(&frame->table.lock);
	frame->emptied = false;
	frame->table.stale = false;
	frame->table.shared = false;
	frame->table.used = fill.v == 0 ? 0 : PT_ENTRIES;
	frame->table.groups = fill.v == 0 ? 0 : UINT64_MAX;
	frame->table.mapping = NULL;
	frame->table.side = NULL;
	frame->table.next_dead = PFN(0);
	frame->table.harts = 0;
}

static __attribute__((noinline)) int table_new_slow(unsigned level, pte_t fill, pfn_t *out)
{
	int err = table_alloc(level, fill, out);

	if (err == 0)
		table_init(frame_of(*out), level, fill);
	return err;
}

int table_new(unsigned level, pte_t fill, pfn_t *out)
{
	pfn_t table;

	if (fill.v == 0 && FAIL_HERE())
		return -ENOMEM;
	if (fill.v != 0 || !stock_take(stock_of(level), &table))
		return table_new_slow(level, fill, out);
	table_init(frame_of(table), level, PTE(0));
	*out = table;
	return 0;
}

static inline void free_side(struct frame *frame)
{
	if (UNLIKELY(frame->table.side != NULL))
		frame_put(paddr_pfn(hw_paddr(frame->table.side)));
}

void table_free(pfn_t table)
{
	free_side(frame_of(table));
	frame_put(table);
}

void table_free_clean(pfn_t table)
{
	struct frame *frame = frame_of(table);

	free_side(frame);
	shadow_note(SHADOW_FREE, table.v, 1, 0, 0);
	if (UNLIKELY(!stock_give(stock_of(frame->level), table, frame)))
		frame_put(table);
}

int table_split(pfn_t table, unsigned level, unsigned index, bool keep_locked)
{
	_Atomic uint64_t *slot = pt_slot(table, index);
	pte_t pte = pte_load(slot);
	pfn_t below;
	int err = table_new(level - 1, pte, &below);

	if (err != 0)
		return err;
	if (keep_locked)
		spin_lock(&frame_of(below)->table.lock, RANK_TABLE);
	pte_store(slot, pte_table(below));
	if (pte_is_none(pte)) {
		frame_of(table)->table.used++;
		table_note(frame_of(table), index, index + 1);
	} else {
		mapping_put(pte_mapping(pte), 1);
	}
	return 0;
}

unsigned table_next_slow(pfn_t table, unsigned index, unsigned end)
{
	const _Atomic uint64_t *slots = pt_slot(table, 0), *slot = slots + index, *stop;
	uint64_t groups;

	if (index >= end)
		return end;
	groups = frame_of(table)->table.groups >> (index / PT_GROUP);
	stop = slots + ALIGN_DOWN(index, PT_GROUP);
	while (groups != 0) {
		unsigned skip = bits_lowest(groups);

		if (skip != 0)
			slot = stop += skip * PT_GROUP;
		for (stop += PT_GROUP; slot < stop; slot++)
			if (pte_load(slot).v != 0)
				return MIN((unsigned)(slot - slots), end);
		groups = groups >> skip >> 1;
	}
	return end;
}

static bool has_pages(pfn_t table)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		if (pte_is_page(pte_load(pt_slot(table, i))))
			return true;
	return false;
}

static int side_new(struct frame *frame)
{
	pfn_t side;

	if (frame_alloc(FRAME_SIDE, &side) != 0)
		return -ENOMEM;

	struct mapping **of = frame_data(side);

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		of[i] = frame->table.mapping;
	frame->table.side = of;
	return 0;
}

/* Other tables have the side page, too: this one gets one of its own. */
static int side_copy(struct frame *frame, pfn_t shared)
{
	pfn_t side;

	if (frame_alloc(FRAME_SIDE, &side) != 0)
		return -ENOMEM;
	hw_page_copy(frame_data(side), frame->table.side);
	frame->table.side = frame_data(side);
	frame_put(shared);
	return 0;
}

int table_set_mapping_slow(pfn_t table, unsigned index, struct mapping *mapping)
{
	struct frame *frame = frame_of(table);
	int err = 0;

	if (frame->table.side == NULL) {
		/* A default that no page belongs to any more may be gone by now: it is only compared, never followed. */
		if (frame->table.mapping == NULL || !has_pages(table)) {
			frame->table.mapping = mapping;
			return 0;
		}
		err = side_new(frame);
	} else if (frame->table.side[index] != mapping) {
		pfn_t side = paddr_pfn(hw_paddr(frame->table.side));

		/* More come to have it only under the lock of a table that does; and if one lets go of it now, a copy is no harm. */
		err = frame_is_sole(side) ? 0 : side_copy(frame, side);
	} else {
		return 0;
	}
	if (err == 0)
		frame->table.side[index] = mapping;
	return err;
}

int table_share_side(const struct frame *from, struct frame *to)
{
	to->table.mapping = from->table.mapping;
	if (from->table.side == NULL)
		return 0;
	if (!frame_get(paddr_pfn(hw_paddr(from->table.side))))
		return -ENOMEM;
	to->table.side = from->table.side;
	return 0;
}
