/*
 * Plain stores to atomic words, relaxed and release. C11 has them, but GCC 12 makes an AMO of each for RISC-V, which takes
 * the line and orders more than was asked; so on the target they are what the memory model's mapping says: a store, and
 * fence rw,w before it for release (RISC-V unprivileged specification, "Code Porting and Mapping Guidelines").
 */
#ifndef LIB_ATOMIC_H
#define LIB_ATOMIC_H

#include <stdatomic.h>

#include "lib/types.h"

#ifdef __riscv
static inline void store_relaxed_u32(_Atomic uint32_t *at, uint32_t value)
{
	__asm__ volatile("sw %z1, %0" : "=m"(*at) : "rJ"(value));
}

static inline void store_relaxed_u64(_Atomic uint64_t *at, uint64_t value)
{
	__asm__ volatile("sd %z1, %0" : "=m"(*at) : "rJ"(value));
}

static inline void store_release_u32(_Atomic uint32_t *at, uint32_t value)
{
	__asm__ volatile("fence rw, w\n\tsw %z1, %0" : "=m"(*at) : "rJ"(value) : "memory");
}

static inline void store_release_u64(_Atomic uint64_t *at, uint64_t value)
{
	__asm__ volatile("fence rw, w\n\tsd %z1, %0" : "=m"(*at) : "rJ"(value) : "memory");
}
#else
static inline void store_relaxed_u32(_Atomic uint32_t *at, uint32_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static inline void store_relaxed_u64(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static inline void store_release_u32(_Atomic uint32_t *at, uint32_t value)
{
	atomic_store_explicit(at, value, memory_order_release);
}

static inline void store_release_u64(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_release);
}
#endif

#endif
