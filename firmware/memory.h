/*
 * Memory before there is an allocator, and the kernel's page tables.
 *
 * The order of the boot: banks_find, early_alloc as needed, kmap_init, early_seal; then nothing is taken but by mm/.
 */
#ifndef FIRMWARE_MEMORY_H
#define FIRMWARE_MEMORY_H

#include "firmware/boot.h"
#include "lib/types.h"

/* From the linker script; in the direct map. */
extern char kernel_start[], text_end[], rodata_end[], kernel_end[];

/* Finds the largest free range of RAM for early_alloc, then lists the banks. Ends in boot_fail where there is none. */
void banks_find(void);
/* Ends in boot_fail where there is no memory that can be read, and at the range's end written. */
void banks_probe(struct phys_range range);
/* RAM, sorted, merged, page-aligned inward, within the direct map. */
const struct phys_range *banks_ram(size_t *count);
/* What may not be mapped, the kernel image among it (it is mapped apart), sorted, page-aligned. */
const struct phys_range *banks_holes(size_t *count);

/* Zeroed memory that is never given back. align: a power of two. Ends in boot_fail when there is no more. */
void *early_alloc(uint64_t bytes, uint64_t align);
/* The same from the far end of the range, at an address that is `skew` modulo align; not cleared. For the coremap. */
paddr_t early_alloc_top(uint64_t bytes, uint64_t align, uint64_t skew);
/* No more early_alloc. Lists what is reserved, early allocations included. */
const struct phys_range *early_seal(size_t *count);

/* The real page tables, and the coremap's backing. Leaves this hart on them. */
void kmap_init(void);
/*
 * Maps device registers at their place in the direct map, readable and writable, and reads the one at `at`, of `width` bytes (1 or 4), which is to
 * be one that may be read without an effect. NULL: out of reach, RAM, no memory; or, with a line of it, nothing answers there.
 */
void *kmap_device(paddr_t pa, uint64_t bytes, uint64_t at, unsigned width) MUST_CHECK;
/* Whether 8 bytes at this kernel address can be read: for the backtrace, which follows anything. */
bool kmap_readable(uint64_t va);
/* Debug builds: whether it lies in the guard page below a stack (stacks.h). */
bool kmap_is_guard(uint64_t va);
/* The root table, and satp for it. */
pfn_t kmap_root(void);
uint64_t kmap_satp(void);

#endif
