/*
 * The inline part of lib/hw.h on the target (see there). The kernel is linked into the direct map: kernel virtual
 * address = physical address + KERNEL_OFFSET, for RAM, the kernel image and device registers alike.
 */
#ifndef HW_ARCH_H
#define HW_ARCH_H

#include "lib/shadow.h"
#include "lib/types.h"

struct frame;

#define KERNEL_OFFSET UINT64_C(0xffffffc000000000)
/* What the direct map can hold: 128 GiB, up to where the coremap begins. */
#define DIRECT_BYTES UINT64_C(0x2000000000)
#define HW_COREMAP   ((struct frame *)UINT64_C(0xffffffe000000000))

/* offsetof(struct hart, index), (fence_global) and (local); firmware/hart.c asserts them. */
#define HW_HART_INDEX_OFFSET 32
#define HW_HART_FENCE_OFFSET 36
#define HW_HART_LOCAL_OFFSET 40

/* volatile: a thread may be on another hart after context_switch, so the compiler must not keep an old answer. */
static inline unsigned hw_hart(void)
{
	unsigned index;
	__asm__ volatile("lw %0, %1(tp)" : "=r"(index) : "i"(HW_HART_INDEX_OFFSET));
	return index;
}

static inline void *hw_local(void)
{
	void *local;
	__asm__ volatile("ld %0, %1(tp)" : "=r"(local) : "i"(HW_HART_LOCAL_OFFSET));
	return local;
}

/* Ticks of the machine's counter; firmware/trap.h has what they are in ns. */
static inline uint64_t hw_ticks(void)
{
	uint64_t ticks;
	__asm__ volatile("csrr %0, time" : "=r"(ticks));
	return ticks;
}

/* Errata may make each fence a global one. */
static inline void hw_fence_page(vaddr_t va, uint16_t asid)
{
	uint32_t global;

	shadow_note(SHADOW_FENCE, va.v, asid, 0, 0);
	__asm__("lw %0, %1(tp)" : "=r"(global) : "i"(HW_HART_FENCE_OFFSET));
	if (UNLIKELY(global != 0))
		__asm__ volatile("sfence.vma" : : : "memory");
	else
		__asm__ volatile("sfence.vma %0, %1" : : "r"(va.v), "r"((uint64_t)asid) : "memory");
}

/* Orders memory and device accesses, both ways: between what a driver says to a device and what the device does in memory. */
static inline void hw_fence_io(void)
{
	__asm__ volatile("fence iorw, iorw" ::: "memory");
}

static inline void *hw_direct(paddr_t pa)
{
	return (void *)(pa.v + KERNEL_OFFSET);
}

static inline paddr_t hw_paddr(const void *ptr)
{
	return PADDR((uint64_t)ptr - KERNEL_OFFSET);
}

#endif
