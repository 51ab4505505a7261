/* Where a bit is, in a few instructions also without Zbb: __ctzdi2, which the compiler would call, in line. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include <stdint.h>

/* The lowest bit that is set of x, which is not 0. */
#if defined(__riscv) && !defined(__riscv_zbb)
/* Index of each bit's de Bruijn sequence: multiplied by an isolated bit, its top six bits name the bit. In runtime.c. */
extern const uint8_t bits_index[64];

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
