/*
 * Walks, walk epochs, and page tables as such. Contract: walk.h.
 *
 * Invariants: a table is reachable from a root exactly while it is not stale; both change under
 * its lock and the one above it, and stale is never cleared. `used` counts the entries that are not zero.
 * Locks: a table's lock guards its entries, but for the A and D bits, and its part of the coremap.
 */
#include "mm/walk.h"

#include "mm/mapping.h"

static void epochs_wait(size_t which)
{
	unsigned me = hw_hart();

	/* pairs with the fence in epoch_enter */
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned h = 0; h < hw_harts(); h++) {
		_Atomic uint32_t *epoch = (_Atomic uint32_t *)((char *)&mm_harts[h] + which);
		uint32_t seen = atomic_load_explicit(epoch, memory_order_acquire);

		if (h == me || seen % 2 == 0)
			continue;
		/* acquire: pairs with the release in epoch_exit */
		while (atomic_load_explicit(epoch, memory_order_acquire) == seen)
			hw_relax();
	}
}

void walk_wait(void)
{
	epochs_wait(offsetof(struct mm_hart, epoch));
}

void look_wait(void)
{
	epochs_wait(offsetof(struct mm_hart, look));
}

int table_new(unsigned level, pte_t fill, pfn_t *out)
{
	pfn_t table;
	int err = fill.v == 0 ? frame_alloc_zeroed(FRAME_TABLE, &table) : frame_alloc(FRAME_TABLE, &table);

	if (err != 0)
		return err;

	struct frame *frame = frame_of(table);

	if (fill.v != 0) {
		uint64_t *entry = frame_data(table);

		for (unsigned i = 0; i < PT_ENTRIES; i++)
			entry[i] = fill.v;
		mapping_get(pte_mapping(fill), PT_ENTRIES);
	}
	frame->level = (uint8_t)level;
	spin_init(&frame->table.lock);
	frame->table.stale = false;
	frame->table.shared = false;
	frame->table.used = fill.v == 0 ? 0 : PT_ENTRIES;
	frame->table.groups = fill.v == 0 ? 0 : UINT64_MAX;
	frame->table.mapping = NULL;
	frame->table.side = NULL;
	frame->table.next_dead = PFN(0);
	*out = table;
	return 0;
}

void table_free(pfn_t table)
{
	struct mapping **side = frame_of(table)->table.side;

	if (side != NULL)
		frame_put(paddr_pfn(hw_paddr(side)));
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
	const _Atomic uint64_t *slot = pt_slot(table, 0);

	while (index < end) {
		uint64_t above = groups >> (index / PT_GROUP);

		if (above == 0)
			return end;
		if ((above & 1) == 0) {
			index = ALIGN_DOWN(index, PT_GROUP) + PT_GROUP * (unsigned)__builtin_ctzll(above);
			continue;
		}
		do {
			if (pte_load(&slot[index]).v != 0)
				return index;
			index++;
		} while (index % PT_GROUP != 0 && index < end);
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

int table_set_mapping_slow(pfn_t table, unsigned index, struct mapping *mapping)
{
	struct frame *frame = frame_of(table);

	if (frame->table.side == NULL) {
		pfn_t side;

		/* A default that no page belongs to any more may be gone by now: it is only compared, never followed. */
		if (frame->table.mapping == NULL || !has_pages(table)) {
			frame->table.mapping = mapping;
			return 0;
		}
		if (frame_alloc(FRAME_TABLE, &side) != 0)
			return -ENOMEM;

		struct mapping **of = frame_data(side);

		for (unsigned i = 0; i < PT_ENTRIES; i++)
			of[i] = frame->table.mapping;
		frame->table.side = of;
	}
	frame->table.side[index] = mapping;
	return 0;
}

static pfn_t lowest(struct space *space, vaddr_t va, unsigned *level, uint64_t *places)
{
	pfn_t table = space->root;

	*places = 1;
	for (*level = PT_ROOT; *level > 0; --*level) {
		pte_t pte = pte_load(pt_slot(table, pt_index(va, *level)));

		if (!pte_leads(pte))
			break;
		table = pte_pfn(pte);
		/* relaxed: true at some moment */
		*places *= atomic_load_explicit(&frame_of(table)->count, memory_order_relaxed);
	}
	return table;
}

pfn_t walk_read(struct space *space, vaddr_t va, unsigned *level, uint32_t *places)
{
	for (;;) {
		unsigned now;
		uint64_t n;

		walk_enter();
		pfn_t table = lowest(space, va, level, &n);

		spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
		/* On the path still? Who takes a table off it, or makes one that is shared a private one, has its lock. */
		bool good = lowest(space, va, &now, &n).v == table.v && now == *level;

		if (UNLIKELY(!good))
			table_unlock(table);
		walk_exit();
		if (places != NULL)
			*places = (uint32_t)MIN(n, UINT32_MAX);
		if (LIKELY(good))
			return table;
	}
}

struct mapping *walk_mapping(struct space *space, vaddr_t va, uint64_t *perm)
{
	struct mapping *mapping = NULL;
	unsigned level;
	pfn_t table = walk_read(space, va, &level, NULL);
	unsigned index = pt_index(va, level);
	pte_t pte = pte_load(pt_slot(table, index));

	*perm = pte_is_page(pte) ? page_perm(pte) : pte.v & PERM_RWX;
	if (!pte_is_none(pte)) {
		mapping = pte_is_page(pte) ? table_mapping(frame_of(table), index) : pte_mapping(pte);
		mapping_get(mapping, 1);
	}
	table_unlock(table);
	return mapping;
}
