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
			n += atomic_load_explicit(&mm_harts[h].tables.n[kind], memory_order_relaxed);
	return n;
}

/* One of the stock, unlocked and as nobody's frame but with count 1; false: there is none. */
static bool stock_take(struct table_stock *stock, unsigned kind, pfn_t *out)
{
	spin_lock(&stock->lock, RANK_MAGAZINE);
	/* relaxed: guarded by the lock; atomic for tables_kept */
	uint32_t n = atomic_load_explicit(&stock->n[kind], memory_order_relaxed);

	if (n != 0) {
		*out = stock->tables[kind][n - 1];
		store_relaxed_u32(&stock->n[kind], n - 1);
	}
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	if (n == 0)
		return false;
	frame_of(*out)->kind = FRAME_TABLE;
	/* relaxed: as in coremap.c's frame_init */
	store_relaxed_u32(&frame_of(*out)->count, 1);
	return true;
}

static bool stock_give(struct table_stock *stock, unsigned kind, pfn_t table)
{
	spin_lock(&stock->lock, RANK_MAGAZINE);
	uint32_t n = atomic_load_explicit(&stock->n[kind], memory_order_relaxed);

	if (n != STOCK_TABLES) {
		stock->tables[kind][n] = table;
		store_relaxed_u32(&stock->n[kind], n + 1);
	}
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	return n != STOCK_TABLES;
}

static void tables_give_back(void)
{
	for (unsigned h = 0; h < hw_harts(); h++)
		for (unsigned kind = 0; kind < STOCK_KINDS; kind++)
			for (pfn_t table; stock_take(&mm_harts[h].tables, kind, &table);)
				frame_put(table);
}

/* With those that are cleared ahead, which are put by in the same sense. */
static uint64_t kept(void)
{
	return tables_kept() + cleared_frames();
}

static void give_back(void)
{
	tables_give_back();
	(void)cleared_drain();
}

void tables_init(void)
{
	frames_set_keeper(kept, give_back);
}

static unsigned stock_kind(unsigned level)
{
	return level == PT_ROOT ? STOCK_ROOT : STOCK_LOWER;
}

/* ---- Making and freeing. */

static void fill_with(pfn_t table, pte_t fill)
{
	uint64_t *entry = frame_data(table);

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		entry[i] = fill.v;
	mapping_get(pte_mapping(fill), PT_ENTRIES);
}

static int table_alloc(unsigned level, pte_t fill, pfn_t *out)
{
	int err;

	if (fill.v != 0) {
		err = frame_alloc(FRAME_TABLE, out);
		if (err == 0)
			fill_with(*out, fill);
		return err;
	}
	if (FAIL_HERE())
		return -ENOMEM;
	if (stock_take(&mm_this_hart()->tables, stock_kind(level), out))
		return 0;
	err = frame_alloc_zeroed(FRAME_TABLE, out);
	if (err == 0 && level == PT_ROOT)
		hw_init_root(*out);
	return err;
}

int table_new(unsigned level, pte_t fill, pfn_t *out)
{
	int err = table_alloc(level, fill, out);

	if (err != 0)
		return err;

	struct frame *frame = frame_of(*out);

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
	return 0;
}

static void free_side(struct frame *frame)
{
	if (frame->table.side != NULL)
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
	unsigned kind = stock_kind(frame->level);

	free_side(frame);
	shadow_note(SHADOW_FREE, table.v, 1, 0, 0);
	/* Not yet free: it is ours alone, and what the frame of a stocked table says is that it is. */
	frame->kind = FRAME_FREE;
	store_relaxed_u32(&frame->count, 0);
	if (stock_give(&mm_this_hart()->tables, kind, table))
		return;
	frame->kind = FRAME_TABLE;
	store_relaxed_u32(&frame->count, 1);
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
	uint64_t groups = frame_of(table)->table.groups;

	while (index < end) {
		uint64_t above = groups >> (index / PT_GROUP);

		if (above == 0)
			return end;
		if ((above & 1) == 0)
			index = ALIGN_DOWN(index, PT_GROUP) + PT_GROUP * bits_lowest(above);
		for (const _Atomic uint64_t *slot = pt_slot(table, index), *stop = slot + PT_GROUP - index % PT_GROUP;
		     slot < stop; slot++, index++)
			if (pte_load(slot).v != 0)
				return MIN(index, end);
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

	if (frame_alloc(FRAME_TABLE, &side) != 0)
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

	if (frame_alloc(FRAME_TABLE, &side) != 0)
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
