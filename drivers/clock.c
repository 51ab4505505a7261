/*
 * Clocks. Contract: clock.h.
 *
 * Fixed ones are in the tree. SiFive's PRCI (FU540-C000 manual, chapter 7; FU740-C000 manual, chapter 7) is a controller whose
 * registers the firmware has set: they say what it made of the board's crystal. Nothing is changed here.
 */
#include "drivers/clock.h"

#include "drivers/dt.h"
#include "drivers/mmio.h"
#include "firmware/tree.h"
#include "lib/errno.h"

enum {
	CORE_PLL = 0x04,
	CORE_SELECT = 0x24,
	MUX_STATUS = 0x2c,
	DVFS_PLL = 0x38,
	CORE_PLL_SELECT = 0x40,
	PERIPHERAL_PLL = 0x50,
	PERIPHERAL_SELECT = 0x58,
	PERIPHERAL_DIVISOR = 0x5c,
};

#define USES_CRYSTAL 1U /* of the registers that select */
#define TILELINK_1_1 2U /* of MUX_STATUS: the interconnect is as fast as the harts, and not half */

/* As the trees' bindings number them. */
enum { FU540_TILELINK = 3, FU740_TILELINK = 6, FU740_PERIPHERAL = 7 };

static uint64_t pll_rate(volatile void *regs, unsigned at, uint64_t crystal)
{
	uint32_t config = mmio_read32(regs, at);

	return crystal * 2 * ((config >> 6 & 0x1ff) + 1) / ((config & 0x3f) + 1) >> (config >> 15 & 7);
}

static uint64_t core_rate(volatile void *regs, uint64_t crystal, bool fu740)
{
	bool dvfs = fu740 && (mmio_read32(regs, CORE_PLL_SELECT) & 1) != 0;

	if ((mmio_read32(regs, CORE_SELECT) & USES_CRYSTAL) != 0)
		return crystal;
	return pll_rate(regs, dvfs ? DVFS_PLL : CORE_PLL, crystal);
}

static uint64_t peripheral_rate(volatile void *regs, uint64_t crystal)
{
	uint64_t rate = crystal;

	if ((mmio_read32(regs, PERIPHERAL_SELECT) & USES_CRYSTAL) == 0)
		rate = pll_rate(regs, PERIPHERAL_PLL, crystal);
	return rate / (mmio_read32(regs, PERIPHERAL_DIVISOR) + UINT64_C(2));
}

static uint64_t prci_rate(volatile void *regs, uint64_t crystal, uint32_t which, bool fu740)
{
	if (fu740 && which == FU740_PERIPHERAL)
		return peripheral_rate(regs, crystal);
	if (which == (fu740 ? FU740_TILELINK : FU540_TILELINK))
		return core_rate(regs, crystal, fu740) >> ((mmio_read32(regs, MUX_STATUS) & TILELINK_1_1) != 0 ? 0 : 1);
	return 0;
}

static bool is(const void *fdt, int node, const char *compatible)
{
	return fdt_node_check_compatible(fdt, node, compatible) == 0;
}

static int clock_of(const void *fdt, int node, uint32_t *which)
{
	int bytes;
	const fdt32_t *cells = fdt_getprop(fdt, node, "clocks", &bytes);
	int clock = cells == NULL || bytes < 4 ? -ENOENT : fdt_node_offset_by_phandle(fdt, fdt32_ld(cells));

	*which = bytes >= 8 && cells != NULL ? fdt32_ld(cells + 1) : 0;
	return clock;
}

static uint64_t fixed_rate(const void *fdt, int clock)
{
	return clock >= 0 && is(fdt, clock, "fixed-clock") ? tree_u32(fdt, clock, "clock-frequency", 0) : 0;
}

uint64_t clock_rate(const void *fdt, int node)
{
	uint32_t which, unused;
	int clock = clock_of(fdt, node, &which);
	bool fu740 = clock >= 0 && is(fdt, clock, "sifive,fu740-c000-prci");
	volatile void *regs;

	if (clock < 0)
		return 0;
	if (!fu740 && !is(fdt, clock, "sifive,fu540-c000-prci"))
		return fixed_rate(fdt, clock);
	regs = dt_map(fdt, clock, 0, 4);
	return regs == NULL ? 0 : prci_rate(regs, fixed_rate(fdt, clock_of(fdt, clock, &unused)), which, fu740);
}
