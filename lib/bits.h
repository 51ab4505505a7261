/* Where a bit is, in a few instructions also without Zbb: __ctzdi2, which the compiler would call, in line. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include <stdint.h>

/* Where the top six bits of a de Bruijn sequence, multiplied by an isolated bit, say that the bit is. In runtime.c. */
extern const uint8_t bits_index[64];

/* The lowest bit that is set of x, which is not 0. */
#if defined(__riscv) && !defined(__riscv_zbb)
static inline unsigned bits_lowest(uint64_t x)
{
	return bits_index[(x & -x) * UINT64_C(0x022fdd63cc95386d) >> 58];
}
#else
static inline unsigned bits_lowest(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}
#endif

#endif
