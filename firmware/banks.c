/*
 * RAM as the device tree gives it, what of it is taken, and memory before there is an allocator.
 *
 * No table of a fixed size: the largest free range is found by walking the tree once for each place where one could
 * begin; the lists then get their memory there. That range is handed out from both ends, small things from the bottom,
 * the coremap from the top, so that its alignment wastes nothing. Boot hart only, before the others run: no locks.
 *
 * What the tree calls memory is looked at before it is used: the first and the last word of each part that is free, and one in
 * each 2 MiB between; the last one has to keep what is written. A machine that faults where it has nothing is found out so; one that
 * answers all the same, from a cache or with another address's word, is not.
 */
#include <stdlib.h>
#include <string.h>

#include "firmware/harts.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/tree.h"
#include "lib/check.h"
#include "lib/hw.h"

struct list_of_ranges {
	struct phys_range *range;
	size_t count;
	size_t room;
};

#define PROBE_STEP (UINT64_C(2) << 20)

static struct {
	struct phys_range free; /* the part of the largest free range that is still free */
	struct phys_range whole;
	struct list_of_ranges ram, holes, reserved;
	bool sealed;
} banks;

struct gap_search {
	uint64_t at;
	uint64_t end; /* first byte behind the gap that begins at `at`; 0: no RAM there */
	struct phys_range best;
};

static uint64_t clip(uint64_t pa)
{
	return MIN(pa, DIRECT_BYTES);
}

static void gap_ram(void *ctx, struct phys_range ram, bool no_map)
{
	struct gap_search *gap = ctx;

	(void)no_map;
	if (ram.start.v <= gap->at && gap->at < clip(ram.end.v))
		gap->end = MAX(gap->end, ALIGN_DOWN(clip(ram.end.v), PAGE_SIZE));
}

static void gap_reserved(void *ctx, struct phys_range taken, bool no_map)
{
	struct gap_search *gap = ctx;

	(void)no_map;
	if (taken.start.v <= gap->at && gap->at < taken.end.v)
		gap->end = 0;
	else if (taken.start.v > gap->at)
		gap->end = MIN(gap->end, ALIGN_DOWN(taken.start.v, PAGE_SIZE));
}

static void gap_try(struct gap_search *gap, uint64_t start)
{
	gap->at = ALIGN_UP(start, PAGE_SIZE);
	gap->end = 0;
	tree_each_ram(gap_ram, gap);
	tree_each_reserved(gap_reserved, gap);
	if (gap->end > gap->at && gap->end - gap->at > gap->best.end.v - gap->best.start.v)
		gap->best = (struct phys_range){ PADDR(gap->at), PADDR(gap->end) };
}

static void gap_behind_start(void *ctx, struct phys_range ram, bool no_map)
{
	(void)no_map;
	gap_try(ctx, ram.start.v);
}

static void gap_behind_end(void *ctx, struct phys_range taken, bool no_map)
{
	(void)no_map;
	gap_try(ctx, taken.end.v);
}

static void count_one(void *ctx, struct phys_range range, bool no_map)
{
	(void)range, (void)no_map;
	++*(size_t *)ctx;
}

static void list_put(struct list_of_ranges *list, uint64_t start, uint64_t end)
{
	if (start < end && list->count < list->room)
		list->range[list->count++] = (struct phys_range){ PADDR(start), PADDR(end) };
}

static void ram_put(void *ctx, struct phys_range ram, bool no_map)
{
	(void)no_map;
	if (ram.end.v > DIRECT_BYTES)
		klog("memory 0x%lx to 0x%lx is beyond the direct map's 128 GiB and left out",
		     MAX(ram.start.v, DIRECT_BYTES), ram.end.v);
	list_put(ctx, ALIGN_UP(clip(ram.start.v), PAGE_SIZE), ALIGN_DOWN(clip(ram.end.v), PAGE_SIZE));
}

static void reserved_put(void *ctx, struct phys_range taken, bool no_map)
{
	(void)no_map;
	list_put(ctx, ALIGN_DOWN(clip(taken.start.v), PAGE_SIZE), ALIGN_UP(clip(taken.end.v), PAGE_SIZE));
}

static void hole_put(void *ctx, struct phys_range taken, bool no_map)
{
	if (no_map || taken.start.v == hw_paddr(kernel_start).v)
		reserved_put(ctx, taken, no_map);
}

static int range_compare(const void *a, const void *b)
{
	const struct phys_range *left = a, *right = b;

	return (left->start.v > right->start.v) - (left->start.v < right->start.v);
}

/* Sorts, and merges what overlaps or touches. */
static void list_tidy(struct list_of_ranges *list)
{
	size_t kept = 0;

	qsort(list->range, list->count, sizeof(list->range[0]), range_compare);
	for (size_t i = 1; i < list->count; i++) {
		if (list->range[i].start.v <= list->range[kept].end.v)
			list->range[kept].end.v = MAX(list->range[kept].end.v, list->range[i].end.v);
		else
			list->range[++kept] = list->range[i];
	}
	if (list->count != 0)
		list->count = kept + 1;
}

static void list_room(struct list_of_ranges *list, size_t room)
{
	list->range = early_alloc(room * sizeof(list->range[0]), 16);
	list->room = room;
}

static void note_kernel(void *ctx, struct phys_range ram, bool no_map)
{
	(void)no_map;
	if (ram.start.v <= hw_paddr(kernel_start).v && hw_paddr(kernel_end).v <= ram.end.v)
		*(bool *)ctx = true;
}

/* A tree that does not even have the memory that this is read from is another machine's. */
static void check_memory(void)
{
	bool found = false;
	size_t nram = 0;

	tree_each_ram(count_one, &nram);
	if (nram == 0)
		boot_fail("device tree: no memory");
	tree_each_ram(note_kernel, &found);
	if (!found)
		boot_fail("device tree: no memory where the kernel is, 0x%lx to 0x%lx", hw_paddr(kernel_start).v,
			  hw_paddr(kernel_end).v);
	if (!tree_reserves_firmware())
		klog("the device tree reserves nothing for the firmware: the 2 MiB below the kernel are left alone");
}

static void probe(uint64_t pa, bool write)
{
	if (trap_probe_memory(hw_direct(PADDR(pa)), write) == 0)
		boot_fail("device tree: no memory at 0x%lx, where it says that there is some", pa);
}

void banks_probe(struct phys_range range)
{
	if (range.start.v >= range.end.v)
		return;
	for (uint64_t pa = range.start.v; pa < range.end.v; pa = ALIGN_DOWN(pa, PROBE_STEP) + PROBE_STEP)
		probe(ALIGN_UP(pa, sizeof(uint64_t)), false);
	probe(ALIGN_DOWN(range.end.v, PAGE_SIZE) - sizeof(uint64_t), true);
}

/* A bank without what is taken of it: firmware may have that locked. */
static void probe_bank(struct phys_range bank)
{
	uint64_t start = bank.start.v;

	for (size_t i = 0; i < banks.reserved.count; i++) {
		struct phys_range taken = banks.reserved.range[i];
		banks_probe((struct phys_range){ PADDR(start), PADDR(MIN(taken.start.v, bank.end.v)) });
		start = MAX(start, taken.end.v);
	}
	banks_probe((struct phys_range){ PADDR(start), bank.end });
}

void banks_find(void)
{
	struct gap_search gap = { 0 };
	size_t nram = 0, nreserved = 0;

	check_memory();
	tree_each_ram(count_one, &nram);
	tree_each_reserved(count_one, &nreserved);
	tree_each_ram(gap_behind_start, &gap);
	tree_each_reserved(gap_behind_end, &gap);
	if (gap.best.end.v == 0)
		boot_fail("device tree: no free memory");
	banks_probe(gap.best); /* the lists will be there */
	banks.free = banks.whole = gap.best;
	list_room(&banks.ram, nram);
	list_room(&banks.holes, nreserved);
	/*
	 * What early_alloc has used is two ranges more than there are coremap parts, which are no more than the
	 * banks.
	 */
	list_room(&banks.reserved, nreserved + nram + 2);
	tree_each_ram(ram_put, &banks.ram);
	tree_each_reserved(hole_put, &banks.holes);
	tree_each_reserved(reserved_put, &banks.reserved);
	list_tidy(&banks.ram);
	list_tidy(&banks.holes);
	list_tidy(&banks.reserved);
	for (size_t i = 0; i < banks.ram.count; i++)
		probe_bank(banks.ram.range[i]);
}

const struct phys_range *banks_ram(size_t *count)
{
	*count = banks.ram.count;
	return banks.ram.range;
}

const struct phys_range *banks_holes(size_t *count)
{
	*count = banks.holes.count;
	return banks.holes.range;
}

void *early_alloc(uint64_t bytes, uint64_t align)
{
	uint64_t start = ALIGN_UP(banks.free.start.v, align);

	CHECK(!banks.sealed);
	if (start + bytes > banks.free.end.v || start + bytes < start)
		boot_fail("not enough memory: %lu bytes more are needed to start", bytes);
	banks.free.start = PADDR(start + bytes);
	return memset(hw_direct(PADDR(start)), 0, bytes);
}

paddr_t early_alloc_top(uint64_t bytes, uint64_t align, uint64_t skew)
{
	uint64_t start = ALIGN_DOWN(banks.free.end.v - bytes - skew, align) + skew;

	CHECK(!banks.sealed);
	if (bytes + skew > banks.free.end.v || start < banks.free.start.v)
		boot_fail("not enough memory: %lu bytes more are needed for the coremap", bytes);
	list_put(&banks.reserved, start, start + bytes);
	banks.free.end = PADDR(start);
	return PADDR(start);
}

const struct phys_range *early_seal(size_t *count)
{
	banks.sealed = true;
	list_put(&banks.reserved, banks.whole.start.v, ALIGN_UP(banks.free.start.v, PAGE_SIZE));
	list_tidy(&banks.reserved);
	*count = banks.reserved.count;
	return banks.reserved.range;
}
