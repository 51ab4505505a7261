/*
 * The kernel's page tables: Sv39, the upper half of every address space.
 *
 * The direct map has all of RAM but what may not be mapped, by the largest leaves that fit, readable and writable and
 * never executable; the kernel image in the middle of it has its parts' own permissions, and no other mapping; device
 * registers are added as drivers find them. The coremap's entries for RAM are backed by memory taken from the largest
 * free range. All of it is global, with A and D set, for harts that trap instead of setting them.
 *
 * A space's root copies entries 256-511 once, when it is made, so an entry of the root must not change after the
 * first copy: the tables behind the low 4 GiB, where boards have their devices, are made in advance, and kmap_device
 * refuses to make others. Written by the boot hart before the others start; later only by kmap_device, from
 * kernel_main: no locks.
 */
#include "firmware/memory.h"

#include "firmware/harts.h"
#include "firmware/log.h"
#include "firmware/stacks.h"
#include "lib/check.h"
#include "lib/errno.h"
#include "lib/hw.h"

#define PTE_V	  0x01UL
#define PTE_R	  0x02UL
#define PTE_W	  0x04UL
#define PTE_X	  0x08UL
#define PTE_G	  0x20UL
#define PTE_A	  0x40UL
#define PTE_D	  0x80UL
#define KERNEL_R  (PTE_V | PTE_G | PTE_A | PTE_D | PTE_R)
#define KERNEL_RW (KERNEL_R | PTE_W)
#define KERNEL_RX (KERNEL_R | PTE_X)

/* Of a page below a stack: not valid, and not nothing. */
#define GUARD 0x100UL

#define ENTRIES	     512
#define KERNEL_HALF  256
#define FRAME_BYTES  64UL
#define SPARE_TABLES 16
#define MEGAPAGE     (UINT64_C(1) << 21)
#define GIGABYTE     (UINT64_C(1) << 30)
#define SATP_SV39    (UINT64_C(8) << 60)

static struct {
	uint64_t *root;
	uint64_t *spare[SPARE_TABLES]; /* for kmap_device after early_seal */
	unsigned spares;
	bool live;   /* the harts use it: no more early memory, and changes need a fence */
	bool copied; /* hw_init_root has copied the root */
} kmap;

/* start.S gives it to the other harts. */
uint64_t kernel_root_physical;

static uint64_t span_of(unsigned level)
{
	return PAGE_SIZE << (9 * level);
}

static unsigned index_of(uint64_t va, unsigned level)
{
	return (va >> (PAGE_SHIFT + 9 * level)) % ENTRIES;
}

static uint64_t *table_of(uint64_t pte)
{
	return hw_direct(PADDR(pte >> 10 << PAGE_SHIFT));
}

static uint64_t *table_new(void)
{
	if (!kmap.live)
		return early_alloc(PAGE_SIZE, PAGE_SIZE);
	return kmap.spares == 0 ? NULL : kmap.spare[--kmap.spares];
}

/* The table below *entry, made where there is none. NULL: no memory, or it may not be made, or a leaf stands there. */
static uint64_t *table_below(uint64_t *entry, unsigned level)
{
	if (*entry == 0) {
		if (kmap.copied && level == 2)
			return NULL;
		uint64_t *table = table_new();
		if (table == NULL)
			return NULL;
		*entry = hw_paddr(table).v >> PAGE_SHIFT << 10 | PTE_V;
	}
	return (*entry & PTE_R) != 0 ? NULL : table_of(*entry);
}

/* One leaf, the largest that va, pa and bytes allow. Its size, or 0. */
static uint64_t map_leaf(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t bits)
{
	uint64_t *table = kmap.root;
	unsigned level = 2;

	while (level > 0 && ((va | pa) % span_of(level) != 0 || bytes < span_of(level))) {
		table = table_below(&table[index_of(va, level)], level);
		if (table == NULL)
			return 0;
		level--;
	}
	uint64_t *entry = &table[index_of(va, level)];
	if (*entry != 0 && (*entry & PTE_R) == 0)
		return 0;
	*entry = pa >> PAGE_SHIFT << 10 | bits;
	return span_of(level);
}

static int map_range(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t bits)
{
	while (bytes != 0) {
		uint64_t done = map_leaf(va, pa, bytes, bits);
		if (done == 0)
			return -ENOMEM;
		va += done;
		pa += done;
		bytes -= done;
	}
	return 0;
}

static void map_direct(uint64_t start, uint64_t end, uint64_t bits)
{
	if (start < end)
		CHECK(map_range(start + KERNEL_OFFSET, start, end - start, bits) == 0);
}

/* A bank without the holes in it. */
static void map_bank(struct phys_range bank)
{
	size_t count;
	const struct phys_range *hole = banks_holes(&count);
	uint64_t start = bank.start.v;

	for (size_t i = 0; i < count && start < bank.end.v; i++) {
		if (hole[i].end.v <= start)
			continue;
		map_direct(start, MIN(hole[i].start.v, bank.end.v), KERNEL_RW);
		start = MAX(start, hole[i].end.v);
	}
	map_direct(start, bank.end.v, KERNEL_RW);
}

static void map_kernel(void)
{
	uint64_t text = hw_paddr(text_end).v, rodata = hw_paddr(rodata_end).v;

	map_direct(hw_paddr(kernel_start).v, text, KERNEL_RX);
	map_direct(text, rodata, KERNEL_R);
	map_direct(rodata, hw_paddr(kernel_end).v, KERNEL_RW);
}

/* Backs the coremap's entries for one bank, from *mapped on: banks may share a page of it. */
static void back_bank(struct phys_range bank, uint64_t *mapped)
{
	uint64_t base = (uint64_t)HW_COREMAP;
	uint64_t start = base + (bank.start.v >> PAGE_SHIFT) * FRAME_BYTES;
	uint64_t end = ALIGN_UP(base + (bank.end.v >> PAGE_SHIFT) * FRAME_BYTES, PAGE_SIZE);

	start = MAX(ALIGN_DOWN(start, PAGE_SIZE), *mapped);
	if (start >= end)
		return;
	*mapped = end;
	uint64_t align = end - start >= MEGAPAGE ? MEGAPAGE : PAGE_SIZE;
	paddr_t pa = early_alloc_top(end - start, align, start % align);
	for (uint64_t at = 0; at < end - start; at += PAGE_SIZE)
		hw_page_clear(hw_direct(PADDR(pa.v + at)));
	CHECK(map_range(start, pa.v, end - start, KERNEL_RW) == 0);
}

#ifdef CORRAL_DEBUG
/* A leaf becomes a table of leaves that map the same. */
static void split(uint64_t *entry, unsigned level)
{
	uint64_t *table = table_new();

	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = *entry + (i * span_of(level - 1) >> PAGE_SHIFT << 10);
	*entry = hw_paddr(table).v >> PAGE_SHIFT << 10 | PTE_V;
}

static void make_guard(uint64_t va)
{
	uint64_t *table = kmap.root;

	for (unsigned level = 2; level > 0; level--) {
		uint64_t *entry = &table[index_of(va, level)];
		if ((*entry & PTE_R) != 0)
			split(entry, level);
		table = table_of(*entry);
	}
	table[index_of(va, 0)] = GUARD;
}

bool kmap_is_guard(uint64_t va)
{
	const uint64_t *table = kmap.root;
	uint64_t entry;

	if (!kmap.live || va < KERNEL_OFFSET)
		return false;
	for (unsigned level = 2;; level--) {
		entry = table[index_of(va, level)];
		if ((entry & PTE_V) == 0 || (entry & PTE_R) != 0)
			return entry == GUARD;
		table = table_of(entry);
	}
}
#endif

void kmap_init(void)
{
	size_t count;
	const struct phys_range *bank = banks_ram(&count);
	uint64_t mapped = 0;

	kmap.root = table_new();
	map_kernel();
	for (size_t i = 0; i < count; i++)
		map_bank(bank[i]);
	for (size_t i = 0; i < count; i++)
		back_bank(bank[i], &mapped);
#ifdef CORRAL_DEBUG
	stacks_guard(make_guard);
#endif
	for (uint64_t pa = 0; pa < 4 * GIGABYTE; pa += GIGABYTE)
		table_below(&kmap.root[index_of(pa + KERNEL_OFFSET, 2)], 2);
	for (; kmap.spares < SPARE_TABLES; kmap.spares++)
		kmap.spare[kmap.spares] = table_new();
	kernel_root_physical = hw_paddr(kmap.root).v;
	kmap.live = true;
	hw_set_kernel_root();
	hw_fence_all();
}

static bool is_ram(uint64_t start, uint64_t end)
{
	size_t count;
	const struct phys_range *bank = banks_ram(&count);

	for (size_t i = 0; i < count; i++)
		if (start < bank[i].end.v && bank[i].start.v < end)
			return true;
	return false;
}

void *kmap_device(paddr_t pa, uint64_t bytes, uint64_t at, unsigned width)
{
	uint64_t start = ALIGN_DOWN(pa.v, PAGE_SIZE), end = ALIGN_UP(pa.v + bytes, PAGE_SIZE);

	if (bytes == 0 || end <= start || end > DIRECT_BYTES || is_ram(start, end) ||
	    map_range(start + KERNEL_OFFSET, start, end - start, KERNEL_RW) != 0)
		return NULL;
	hw_fence_all();
	if (trap_probe_device((char *)hw_direct(pa) + at, width) == 0) {
		klog("device tree: nothing answers at 0x%lx, where it says that there are registers", pa.v);
		return NULL;
	}
	return hw_direct(pa);
}

bool kmap_readable(uint64_t va)
{
	const uint64_t *table = kmap.root;

	if (table == NULL || va % 8 != 0 || va < KERNEL_OFFSET)
		return false;
	for (unsigned level = 2;; level--) {
		uint64_t entry = table[index_of(va, level)];
		if ((entry & PTE_V) == 0 || (entry & PTE_R) != 0 || level == 0)
			return (entry & (PTE_V | PTE_R)) == (PTE_V | PTE_R);
		table = table_of(entry);
	}
}

pfn_t kmap_root(void)
{
	return paddr_pfn(hw_paddr(kmap.root));
}

uint64_t kmap_satp(void)
{
	return SATP_SV39 | kmap_root().v;
}

void hw_init_root(pfn_t root)
{
	uint64_t *to = hw_direct(pfn_paddr(root));

	kmap.copied = true;
	for (unsigned i = KERNEL_HALF; i < ENTRIES; i++)
		to[i] = kmap.root[i];
}
