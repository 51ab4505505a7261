/*
 * The one door from mm/ to the hardware. firmware/hw.c implements it on the target, tests/fakes/hw.c on the host, where
 * the fake TLB caches everything the specification lets a hart cache.
 *
 * A hart is named by its index here, 0 .. hw_harts() - 1, dense, in the order the device tree lists the usable ones;
 * the SBI's hart ids stay in firmware/. A set of harts is a uint64_t, bit i for index i; a machine with more than
 * HW_MAX_HARTS usable harts runs on the first HW_MAX_HARTS and says so at boot.
 */
#ifndef LIB_HW_H
#define LIB_HW_H

#include "lib/types.h"

#define HW_MAX_HARTS 64

/*
 * From the implementation's own header, found by include path (firmware/include or tests/fakes/include), inline:
 *   unsigned hw_hart(void)                  index of the calling hart
 *   void *hw_local(void)                    what hw_set_local gave the calling hart: mm's block of it
 *   void *hw_direct(paddr_t)                where the direct map has this physical address
 *   paddr_t hw_paddr(const void *)          the inverse; only for pointers into the direct map
 *   uint64_t hw_ticks(void)                 time: ticks since the machine started
 *   void hw_fence_page(vaddr_t, uint16_t asid)  see Fences below
 *   void hw_fence_io(void)                  orders accesses to memory and to devices, both ways (fence iorw, iorw)
 *   HW_COREMAP                              struct frame *, indexed by frame number; only RAM's part is backed
 */
#include <hw_arch.h>

/* Number of harts the machine runs, known before mm starts. */
unsigned hw_harts(void);

/* What hw_local() returns on that hart from now on. Before it runs anything that asks. */
void hw_set_local(unsigned hart, void *local);

/*
 * One turn of a loop that waits for another hart: answers what other harts ask of this one (tlb_serve and stop
 * requests, through the handler that kernel/ registers), then pauses. Takes no lock. Never switches threads.
 */
void hw_relax(void);

/* ---- Fences (privileged specification, "Supervisor Memory-Management Fence Instruction"). Errata choose a wider one. */

/* hw_fence_page(va, asid): this hart: leaf entries for the page of va in address space asid. Not enough after a non-leaf change. */
/* This hart: every level of address space asid. */
void hw_fence_asid(uint16_t asid);
/* This hart: everything, kernel and global entries included. */
void hw_fence_all(void);
/*
 * Other harts, by SBI RFENCE: [start, start + bytes) of asid; bytes == 0 is all of asid, every level. Returns when they
 * have fenced. It is a TLB fence and no more: a target may still be in the middle of a walk by software.
 */
void hw_remote_fence(uint64_t harts, vaddr_t start, uint64_t bytes, uint16_t asid);
/* Makes harts enter their IPI handler (SBI IPI). Orders everything before it before what the handler reads. */
void hw_send_ipi(uint64_t harts);

/* ---- Address spaces. */

/* Number of ASID bits that satp implements, the same on all harts (the least, where they differ). 0: none. */
unsigned hw_asid_bits(void);
/* Writes satp on this hart. Fences nothing. */
void hw_set_root(pfn_t root, uint16_t asid);
/* Installs the kernel's own root on this hart, so that it holds no user space. Fences nothing. */
void hw_set_kernel_root(void);
/* Copies the kernel half (entries 256-511) into a new root table. */
void hw_init_root(pfn_t root);

/* ---- Whole pages, through the direct map. Page-aligned. */
void hw_page_copy(void *dst, const void *src);
void hw_page_clear(void *page);
/* Orders instruction fetches of this hart after all stores it has seen (fence.i). */
void hw_fence_i(void);
/* The same on other harts, by SBI RFENCE; returns when they have. */
void hw_remote_fence_i(uint64_t harts);

#endif
