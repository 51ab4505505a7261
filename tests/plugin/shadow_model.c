/*
 * The page tables as harts see them. Contract: shadow.h.
 *
 * An entry is known from when a hart first walked through it. What it said is kept, so that a store to it tells what was withdrawn; a
 * walk does not change that, because the store whose callback is still to come must find it.
 * A hart may hold an entry if it walked it and has not fenced since, or if its satp leads to it at this moment: a hart may walk ahead
 * of its program whenever it likes, so between a fence and a store that comes too late it holds the old entry again.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/shadow.h"

struct shadow shadow;

static bool is_leaf(uint64_t pte)
{
	return (pte & PTE_RWX) != 0;
}

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * level;
}

static uint64_t entry_at(uint64_t table, uint64_t va, unsigned level)
{
	return (table << 12) + 8 * (va >> shift_of(level) & (SHADOW_TABLE - 1));
}

struct slot *shadow_slot(uint64_t pa)
{
	struct shadow_table *table = frame_is_ram(pa >> 12) ? shadow.table[(pa - SHADOW_RAM) >> 12] : NULL;

	return table ? table->slot[pa >> 3 & (SHADOW_TABLE - 1)] : NULL;
}

static void *zeroed(size_t bytes)
{
	void *at = calloc(1, bytes);

	if (!at)
		abort();
	return at;
}

static struct slot *make_slot(uint64_t pa)
{
	struct shadow_table **table = &shadow.table[(pa - SHADOW_RAM) >> 12];
	struct slot **slot;

	if (!*table)
		*table = zeroed(sizeof(**table));
	slot = &(*table)->slot[pa >> 3 & (SHADOW_TABLE - 1)];
	if (!*slot)
		*slot = zeroed(sizeof(**slot));
	return *slot;
}

static void set_value(struct slot *slot, uint64_t pa, uint64_t value)
{
	slot->value = value;
	if (frame_is_ram(pte_frame(value)))
		shadow.named[pte_frame(value) - (SHADOW_RAM >> 12)] = pa;
}

/* The entry is one of va's, in this space; if it was of another it begins anew. */
static struct slot *note_slot(uint64_t pa, uint64_t va, unsigned level, uint16_t asid, uint64_t value)
{
	struct slot *slot = make_slot(pa);

	va = va >> shift_of(level) << shift_of(level);
	if (slot->asid != asid || slot->va != va || slot->level != level) {
		memset(slot, 0, sizeof(*slot));
		slot->asid = asid;
		slot->va = va;
		slot->level = (uint8_t)level;
	}
	if (!slot->value && (value & PTE_V))
		set_value(slot, pa, value);
	return slot;
}

void shadow_walk(unsigned hart, uint64_t va)
{
	struct shadow_hart *own = &shadow.hart[hart];
	uint64_t table = own->root;
	int level;

	shadow.count[COUNT_WALKS]++;
	for (level = SHADOW_ROOT_LEVEL; level >= 0 && table && frame_is_ram(table); level--) {
		uint64_t pa = entry_at(table, va, (unsigned)level), value = *(volatile uint64_t *)at_physical(pa);

		if (!(value & PTE_V))
			return;
		note_slot(pa, va, (unsigned)level, own->asid, value)->walked[hart] = ++shadow.now;
		if (is_leaf(value))
			return;
		table = pte_frame(value);
	}
}

bool shadow_leads(unsigned hart, uint64_t va, unsigned level, uint64_t pa)
{
	uint64_t table = shadow.hart[hart].root;
	unsigned at;

	for (at = SHADOW_ROOT_LEVEL; at > level; at--) {
		uint64_t value;

		if (!table || !frame_is_ram(table))
			return false;
		value = *(volatile uint64_t *)at_physical(entry_at(table, va, at));
		if (!(value & PTE_V) || is_leaf(value))
			return false;
		table = pte_frame(value);
	}
	return table && entry_at(table, va, level) == pa;
}

static bool withdraws(uint64_t before, uint64_t after)
{
	if (!(before & PTE_V))
		return false;
	return !(after & PTE_V) || pte_frame(before) != pte_frame(after) || is_leaf(before) != is_leaf(after) ||
	       (before & ~after & PTE_RIGHTS) != 0;
}

void shadow_stored(unsigned hart, uint64_t pa, uint64_t pc)
{
	uint64_t after = *(volatile uint64_t *)at_physical(pa);
	struct slot *slot = shadow_slot(pa);

	if (!slot || slot->value == after)
		return;
	++shadow.now;
	if (withdraws(slot->value, after))
		withdrawn_add(slot, pa, hart, pc);
	if (!(after & PTE_V)) {
		slot->value = 0;
		return;
	}
	if (shadow.held)
		withdrawn_regained(pa, after);
	set_value(slot, pa, after);
}

static void forget_table(struct shadow_table **table)
{
	unsigned i;

	for (i = 0; i < SHADOW_TABLE; i++)
		free((*table)->slot[i]);
	free(*table);
	*table = NULL;
}

static void check_named(unsigned hart, uint64_t frame)
{
	uint64_t pa = shadow.named[frame - (SHADOW_RAM >> 12)];
	const struct slot *slot = pa ? shadow_slot(pa) : NULL;
	uint64_t value;

	if (!slot || !slot->value || pte_frame(slot->value) != frame)
		return;
	value = *(volatile uint64_t *)at_physical(pa);
	if ((value & PTE_V) && pte_frame(value) == frame)
		withdrawn_still_named(slot, pa, hart);
}

void shadow_freed(unsigned hart, uint64_t frame, uint64_t frames)
{
	shadow.count[COUNT_FREES] += frames;
	for (; frames; frame++, frames--) {
		if (!frame_is_ram(frame))
			continue;
		withdrawn_frame_freed(hart, frame);
		check_named(hart, frame);
		if (shadow.table[frame - (SHADOW_RAM >> 12)])
			forget_table(&shadow.table[frame - (SHADOW_RAM >> 12)]);
	}
}

uint64_t shadow_fenced(unsigned hart, uint16_t asid)
{
	const struct shadow_hart *own = &shadow.hart[hart];

	return own->fenced[asid] > own->fenced_all ? own->fenced[asid] : own->fenced_all;
}
