/*
 * Time: the `time` CSR, and this hart's timer interrupt by stimecmp (Sstc) or the SBI. Ticks become nanoseconds by one
 * multiplication with a 32.32 factor and back by a 0.64 one, corrected to round up. Set once, then only read.
 */
#include "firmware/time.h"

#include "firmware/csr.h"
#include "firmware/hart.h"
#include "firmware/sbi.h"
#include "firmware/trap.h"

#define NS_PER_S UINT64_C(1000000000)

__extension__ typedef unsigned __int128 uint128_t;

static struct {
	uint64_t ns_per_tick;  /* 32.32 */
	uint64_t ticks_per_ns; /* 0.64, rounded up */
	uint64_t whole_ticks;  /* ticks in a whole nanosecond, where there are any */
	bool sstc;
} timing;

/* part / whole as a 0.64 number, rounded up. part < whole < 2^63. Bit by bit, for want of a 128-bit division. */
static uint64_t fraction_64(uint64_t part, uint64_t whole)
{
	uint64_t fraction = 0;

	for (int bit = 0; bit < 64; bit++) {
		part <<= 1;
		fraction = fraction << 1 | (part >= whole);
		if (part >= whole)
			part -= whole;
	}
	return fraction + (part != 0);
}

void time_init(uint64_t hz, bool sstc)
{
	timing.ns_per_tick = (NS_PER_S << 32) / hz;
	timing.ticks_per_ns = fraction_64(hz % NS_PER_S, NS_PER_S);
	timing.whole_ticks = hz / NS_PER_S;
	timing.sstc = sstc;
}

uint64_t time_ticks(void)
{
	return csr_read(time);
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)((uint128_t)ticks * timing.ns_per_tick >> 32);
}

uint64_t time_ns(void)
{
	return ticks_to_ns(time_ticks());
}

uint64_t ns_to_ticks(uint64_t ns)
{
	uint64_t ticks, part = (uint64_t)((uint128_t)ns * timing.ticks_per_ns >> 64);

	if (__builtin_mul_overflow(ns, timing.whole_ticks, &ticks) || __builtin_add_overflow(ticks, part, &ticks))
		return UINT64_MAX;
	if (ticks != UINT64_MAX && ticks_to_ns(ticks) < ns)
		ticks++;
	return ticks;
}

void timer_set(uint64_t ticks)
{
	this_hart()->timer = ticks;
	if (timing.sstc)
		csr_write(0x14d, ticks);
	else
		sbi_set_timer(ticks);
}
