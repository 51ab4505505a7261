/*
 * What the compiler calls where the instruction set has no instruction for it: rv64imac has no Zbb, and no libgcc is
 * built for lp64. The names and types are GCC's. Pure functions.
 */
#include "lib/bits.h"
#include "lib/types.h"

int __ctzdi2(uint64_t x);
int __clzdi2(uint64_t x);
int __popcountdi2(uint64_t x);
int __ffsdi2(uint64_t x);

const uint8_t bits_index[64] = {
	0,  1,	2,  53, 3,  7,	54, 27, 4,  38, 41, 8,	34, 55, 48, 28, 62, 5,	39, 46, 44, 42,
	22, 9,	24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
	23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

int __ctzdi2(uint64_t x)
{
	return bits_index[(x & -x) * UINT64_C(0x022fdd63cc95386d) >> 58];
}

int __popcountdi2(uint64_t x)
{
	x -= x >> 1 & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (int)(x * UINT64_C(0x0101010101010101) >> 56);
}

/* Smears the highest bit downward and counts what is left above it. */
int __clzdi2(uint64_t x)
{
	for (unsigned by = 1; by < 64; by *= 2)
		x |= x >> by;
	return 64 - __popcountdi2(x);
}

int __ffsdi2(uint64_t x)
{
	return x == 0 ? 0 : __ctzdi2(x) + 1;
}
