/*
 * Included before everything in TSan builds. TSan does not know fences: a fence stays one for the processor but orders
 * nothing in TSan's eyes, and the one place that relies on an acquire fence for more than a flag, the last put of a
 * count, gets its acquire with the subtraction instead. Nor does it know address dependencies, by which a walk that loads
 * an entry, relaxed, sees the table behind it filled (as RVWMO has it): entries are loaded with acquire here.
 */
#ifndef FAKES_TSAN_FENCE_H
#define FAKES_TSAN_FENCE_H

#include <stdatomic.h>

#undef atomic_thread_fence
#define atomic_thread_fence(order) __asm__ volatile("mfence" ::: "memory")
#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(at, value, order) atomic_fetch_sub(at, value)

#include "mm/mapping.h"

#define pte_load pte_load_relaxed
#include "mm/pte.h"
#undef pte_load

static inline pte_t pte_load(const _Atomic uint64_t *slot)
{
	return PTE(atomic_load_explicit(slot, memory_order_acquire));
}

#endif
