/*
 * lib/hw.h's inline part on the host. A physical address is a place in an arena that starts at FAKE_RAM_BASE; static
 * objects of the program get (wrapped, 50-bit) physical addresses too, as the kernel image's do on the target, so that
 * an entry can name a static descriptor.
 */
#ifndef FAKES_HW_ARCH_H
#define FAKES_HW_ARCH_H

#include "lib/types.h"

#define FAKE_RAM_BASE UINT64_C(0x80000000)
#define FAKE_PA_BITS  50
#define DIRECT_BYTES  UINT64_C(0x2000000000) /* as on the target */

struct frame;

extern _Thread_local unsigned fake_hart_index;
extern uintptr_t fake_direct_offset;	 /* host address of physical address 0, modulo 2^64 */
extern struct frame *fake_coremap_array; /* biased: [pfn] is frame pfn's entry */

#define HW_COREMAP fake_coremap_array

static inline unsigned hw_hart(void)
{
	return fake_hart_index;
}

extern uint64_t fake_ticks; /* set by the test */

static inline uint64_t hw_ticks(void)
{
	return fake_ticks;
}

static inline void hw_fence_io(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void hw_fence_page(vaddr_t va, uint16_t asid);

extern void *fake_local[]; /* by hart */

static inline void *hw_local(void)
{
	return fake_local[fake_hart_index];
}

/* Counts down to a moment in the middle of whatever mm/ is doing, a software walk say, at which another hart comes first. */
extern _Thread_local unsigned fake_direct_countdown;
void fake_direct_pause(void);

static inline void *hw_direct(paddr_t pa)
{
	if (UNLIKELY(fake_direct_countdown != 0) && --fake_direct_countdown == 0)
		fake_direct_pause();

	unsigned unused = 64 - FAKE_PA_BITS;
	uintptr_t place = (uintptr_t)((int64_t)(pa.v << unused) >> unused);

	return (void *)(place + fake_direct_offset);
}

static inline paddr_t hw_paddr(const void *at)
{
	return PADDR(((uintptr_t)at - fake_direct_offset) & ((UINT64_C(1) << FAKE_PA_BITS) - 1));
}

#endif
