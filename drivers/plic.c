/*
 * The PLIC. All sources go to the boot hart's context. Set up by the boot hart; the harts then only read what is here
 * and claim and complete in their own context's registers, so there is no lock.
 */
#include "drivers/plic.h"

#include <string.h>

#include "drivers/dt.h"
#include "firmware/hart.h"
#include "firmware/log.h"
#include "firmware/tree.h"
#include "lib/errno.h"
#include "lib/hw.h"

/* Of the specification: sources 1-1023. */
#define SOURCES	       1024
#define NO_CONTEXT     UINT32_MAX
#define S_EXTERNAL     9
#define PRIORITY       0x0
#define ENABLE	       0x2000
#define ENABLE_STRIDE  0x80
#define CONTEXT	       0x200000
#define CONTEXT_STRIDE 0x1000
#define CLAIM	       4

struct plic_handler {
	void (*handle)(void *arg);
	void *arg;
};

static struct {
	volatile uint8_t *regs; /* NULL: none */
	uint32_t sources;
	unsigned target; /* the boot hart's index */
	uint32_t context[HW_MAX_HARTS];
	struct plic_handler handler[SOURCES];
} plic;

static volatile uint32_t *reg(uint64_t at)
{
	return (volatile uint32_t *)(volatile void *)(plic.regs + at);
}

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

/* What the firmware left enabled there is not ours. */
static void context_take(unsigned hart, uint32_t context)
{
	plic.context[hart] = context;
	for (uint32_t word = 0; word < (plic.sources + 31) / 32; word++)
		*reg(ENABLE + (uint64_t)context * ENABLE_STRIDE + word * 4) = 0;
}

/* interrupts-extended has a pair for each context, in order: whose, and which of its interrupts. */
static void contexts_find(const void *fdt, int node)
{
	int bytes;
	const fdt32_t *pair = fdt_getprop(fdt, node, "interrupts-extended", &bytes);

	for (uint32_t context = 0; pair != NULL && bytes >= 8; context++, pair += 2, bytes -= 8) {
		int hart = fdt32_ld(pair + 1) == S_EXTERNAL ? hart_of(fdt, fdt32_ld(pair)) : -1;
		if (hart >= 0)
			context_take((unsigned)hart, context);
	}
}

void plic_probe(const void *fdt)
{
	static const char *const names[] = { "sifive,plic-1.0.0", "riscv,plic0", "sifive,fu540-c000-plic" };
	int node = -1;

	for (unsigned i = 0; node < 0 && i < ARRAY_LEN(names); i++)
		node = tree_find(fdt, names[i]);
	memset(plic.context, 0xff, sizeof(plic.context));
	plic.target = hw_hart();
	plic.regs = node < 0 ? NULL : dt_map(fdt, node);
	if (plic.regs == NULL) {
		klog("no PLIC: no interrupts from devices");
		return;
	}
	plic.sources = MIN(tree_u32(fdt, node, "riscv,ndev", 0) + 1, SOURCES);
	contexts_find(fdt, node);
	for (uint32_t source = 1; source < plic.sources; source++)
		*reg(PRIORITY + 4 * source) = 0;
}

int plic_enable(unsigned source, void (*handler)(void *arg), void *arg)
{
	uint32_t context = plic.context[plic.target];

	if (plic.regs == NULL || context == NO_CONTEXT)
		return -ENODEV;
	if (source == 0 || source >= plic.sources)
		return -EINVAL;
	if (plic.handler[source].handle != NULL)
		return -EBUSY;
	plic.handler[source] = (struct plic_handler){ handler, arg };
	*reg(PRIORITY + 4 * source) = 1;
	*reg(ENABLE + (uint64_t)context * ENABLE_STRIDE + source / 32 * 4) |= 1U << source % 32;
	return 0;
}

void plic_init_hart(void)
{
	uint32_t context = plic.regs == NULL ? NO_CONTEXT : plic.context[hw_hart()];

	if (context != NO_CONTEXT)
		*reg(CONTEXT + (uint64_t)context * CONTEXT_STRIDE) = 0;
}

void plic_serve(void)
{
	uint32_t context = plic.regs == NULL ? NO_CONTEXT : plic.context[hw_hart()], source;

	if (context == NO_CONTEXT)
		return;
	volatile uint32_t *claim = reg(CONTEXT + (uint64_t)context * CONTEXT_STRIDE + CLAIM);
	while ((source = *claim) != 0) {
		const struct plic_handler *handler = &plic.handler[source % SOURCES];
		if (handler->handle != NULL)
			handler->handle(handler->arg);
		*claim = source;
	}
}
