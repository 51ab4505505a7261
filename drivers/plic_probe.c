/* The device-tree probe of the PLIC: which context is which hart's. Contract: plic.h. */
#include "drivers/dt.h"
#include "drivers/plic.h"
#include "firmware/hart.h"
#include "firmware/log.h"
#include "firmware/tree.h"
#include "lib/hw.h"

#define S_EXTERNAL 9

/* The index of the hart whose interrupt controller this phandle is, or -1. */
static int hart_of(const void *fdt, uint32_t phandle)
{
	int controller = fdt_node_offset_by_phandle(fdt, phandle);
	int cpu = controller < 0 ? -1 : fdt_parent_offset(fdt, controller);

	for (unsigned i = 0; cpu >= 0 && i < hw_harts(); i++)
		if (hart_get(i)->id == tree_hart_id(fdt, cpu))
			return (int)i;
	return -1;
}

/*
 * interrupts-extended has a pair for each context, in order: whose, and which of its interrupts. One whose registers reg does not
 * reach is a lie.
 */
static void contexts_find(const void *fdt, int node)
{
	struct phys_range regs;
	int bytes;
	const fdt32_t *pair = fdt_getprop(fdt, node, "interrupts-extended", &bytes);

	if (tree_reg(fdt, node, 0, &regs) != 0)
		return;
	for (uint32_t context = 0; pair != NULL && bytes >= 8; context++, pair += 2, bytes -= 8) {
		int hart = fdt32_ld(pair + 1) == S_EXTERNAL ? hart_of(fdt, fdt32_ld(pair)) : -1;
		if (hart >= 0 &&
		    regs.end.v - regs.start.v >= PLIC_CONTEXTS + (context + UINT64_C(1)) * PLIC_CONTEXT_BYTES)
			plic_context((unsigned)hart, context);
	}
}

void plic_probe(const void *fdt)
{
	static const char *const names[] = { "sifive,plic-1.0.0", "riscv,plic0", "sifive,fu540-c000-plic" };
	volatile void *regs;
	int node = -1;

	for (unsigned i = 0; node < 0 && i < ARRAY_LEN(names); i++)
		node = tree_find(fdt, names[i]);
	regs = node < 0 ? NULL : dt_map(fdt, node, 0, 4);
	plic_init(regs, regs == NULL ? 0 : tree_u32(fdt, node, "riscv,ndev", 0) + 1);
	if (regs == NULL)
		klog("no PLIC: no interrupts from devices");
	else
		contexts_find(fdt, node);
}
