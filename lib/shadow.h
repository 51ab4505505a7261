/*
 * What a debug kernel tells tests/plugin/shadow.c (docs/reliability.md): which root and ASID a hart has, what a fence is of, which frames
 * are free. A note is `slti x0, x0, EVENT`, which does nothing on any machine, and four stores to the stack behind it, which the
 * plugin reads as they are made. Interrupts are off in the kernel, so that nothing comes between. Other kernels say nothing.
 */
#ifndef LIB_SHADOW_H
#define LIB_SHADOW_H

#include <stdint.h>

enum shadow_event {
	SHADOW_ROOT = 0x5b0, /* satp has been written: root's frame number, ASID */
	SHADOW_FENCE =
		0x5b1, /* the fence that comes next on this hart: address, ASID. What it leaves out the instruction says */
	SHADOW_REMOTE = 0x5b2, /* the firmware is asked for a fence: harts, start, bytes (0: all), ASID */
	SHADOW_FREE = 0x5b3,   /* frames may be used anew from here on: frame number, how many */
};
#define SHADOW_WORDS 4

#if defined(CORRAL_DEBUG) && defined(__riscv)
static inline __attribute__((always_inline)) void shadow_note(enum shadow_event event, uint64_t a, uint64_t b,
							      uint64_t c, uint64_t d)
{
	uint64_t words[SHADOW_WORDS];

	__asm__ volatile(
		"slti x0, x0, %[event]\n\tsd %[a], 0(%[at])\n\tsd %[b], 8(%[at])\n\tsd %[c], 16(%[at])\n\tsd %[d], 24(%[at])"
		:
		: [event] "i"(event), [at] "r"(words), [a] "r"(a), [b] "r"(b), [c] "r"(c), [d] "r"(d)
		: "memory");
}
#else
static inline void shadow_note(enum shadow_event event, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	(void)event;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
}
#endif

#endif
