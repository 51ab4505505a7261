/* lib/hw.h's inline part for proofs: one hart, a coremap of a few frames, the direct map with the target's arithmetic. */
#ifndef PROOFS_HW_ARCH_H
#define PROOFS_HW_ARCH_H

#include "lib/types.h"

#define KERNEL_OFFSET UINT64_C(0xffffffc000000000)
#define DIRECT_BYTES  UINT64_C(0x2000000000)

struct frame;
struct mm_hart;

extern struct frame *proof_coremap;
extern struct mm_hart proof_hart;

#define HW_COREMAP proof_coremap

static inline unsigned hw_hart(void)
{
	return 0;
}

static inline void *hw_local(void)
{
	return &proof_hart;
}

static inline void *hw_direct(paddr_t pa)
{
	return (void *)(pa.v + KERNEL_OFFSET);
}

static inline paddr_t hw_paddr(const void *at)
{
	return PADDR((uintptr_t)at - KERNEL_OFFSET);
}

void hw_fence_page(vaddr_t va, uint16_t asid);

#endif
