/*
 * The PLIC. Contract: plic.h.
 *
 * No lock: the boot hart alone sets up and spreads, before there are others or while they only claim; later on a hart writes
 * to its own context's registers, and to the counts of the sources that go to it. A source must not change harts between claim
 * and completion, as the controller ignores a completion from where the source is not enabled, and the source would be dead:
 * so plic_spread is the business of the hart that all sources go to, which then has claimed none.
 *
 * Memory order: a source's handler is stored before the source is enabled, with a fence between (device writes are ordered
 * behind it). Counts are relaxed: they order nothing.
 */
#include "drivers/plic.h"

#include <stdatomic.h>

#include "drivers/mmio.h"
#include "firmware/log.h"
#include "lib/errno.h"
#include "lib/hw.h"

/* Of the specification: sources 1-1023. */
#define SOURCES	      1024U
#define NO_CONTEXT    UINT32_MAX
#define PRIORITY      0x0U
#define ENABLE	      0x2000U
#define ENABLE_STRIDE 0x80U
#define CLAIM	      4U
#define NOTHING_MAX   10000U /* in a row: the device's line is stuck */

struct plic_source {
	plic_handler *handle; /* NULL: not in use */
	void *arg;
	const char *name;
	unsigned hart, first;
	uint32_t nothing;
	_Atomic uint64_t count, count_first;
};

static struct {
	volatile void *regs; /* NULL: none */
	uint32_t sources;
	uint32_t context[HW_MAX_HARTS];
	struct plic_source source[SOURCES];
} plic;

static unsigned enable_of(unsigned hart, unsigned source)
{
	return ENABLE + plic.context[hart] * ENABLE_STRIDE + source / 32 * 4;
}

static void turn(unsigned hart, unsigned source, bool on)
{
	uint32_t word = mmio_read32(plic.regs, enable_of(hart, source)), bit = 1U << source % 32;

	mmio_write32(plic.regs, enable_of(hart, source), on ? word | bit : word & ~bit);
}

static bool has_context(unsigned hart)
{
	return plic.regs != NULL && plic.context[hart] != NO_CONTEXT;
}

void plic_init(volatile void *regs, unsigned sources)
{
	plic.regs = regs;
	plic.sources = MIN(sources, SOURCES);
	for (unsigned hart = 0; hart < HW_MAX_HARTS; hart++)
		plic.context[hart] = NO_CONTEXT;
	for (uint32_t source = 1; regs != NULL && source < plic.sources; source++) {
		plic.source[source].handle = NULL;
		mmio_write32(regs, PRIORITY + 4 * source, 0);
	}
}

/* What the firmware left enabled there is not ours. */
void plic_context(unsigned hart, unsigned context)
{
	plic.context[hart] = context;
	for (uint32_t source = 0; source < plic.sources; source += 32)
		mmio_write32(plic.regs, enable_of(hart, source), 0);
}

int plic_enable(unsigned source, plic_handler *handler, void *arg, const char *name)
{
	unsigned hart = hw_hart();

	if (!has_context(hart))
		return -ENODEV;
	if (source == 0 || source >= plic.sources)
		return -EINVAL;
	if (plic.source[source].handle != NULL)
		return -EBUSY;
	plic.source[source] =
		(struct plic_source){ .handle = handler, .arg = arg, .name = name, .hart = hart, .first = hart };
	hw_fence_io(); /* see the top */
	mmio_write32(plic.regs, PRIORITY + 4 * source, 1);
	turn(hart, source, true);
	return 0;
}

/* The next hart of the set from this one on, round and round. */
static unsigned next_hart(uint64_t harts, unsigned from)
{
	while ((harts >> from % HW_MAX_HARTS & 1) == 0)
		from++;
	return from % HW_MAX_HARTS;
}

static void move(unsigned number, unsigned hart)
{
	struct plic_source *source = &plic.source[number];

	if (hart == source->hart)
		return;
	turn(source->hart, number, false);
	/* relaxed: nobody else writes them before the source is enabled there */
	atomic_store_explicit(&source->count_first, atomic_load_explicit(&source->count, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&source->count, 0, memory_order_relaxed);
	source->hart = hart;
	hw_fence_io(); /* see the top */
	turn(hart, number, true);
}

void plic_spread(uint64_t harts)
{
	unsigned hart = hw_hart();

	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		if (!has_context(i))
			harts &= ~(UINT64_C(1) << i);
	for (uint32_t source = 1; harts != 0 && source < plic.sources; source++) {
		if (plic.source[source].handle == NULL)
			continue;
		hart = next_hart(harts, hart);
		move(source, hart++);
	}
}

void plic_init_hart(void)
{
	if (has_context(hw_hart()))
		mmio_write32(plic.regs, PLIC_CONTEXTS + plic.context[hw_hart()] * PLIC_CONTEXT_BYTES, 0);
}

static void serve(struct plic_source *source, unsigned number)
{
	if (source->handle == NULL)
		return;
	/* relaxed: only this hart writes it */
	atomic_store_explicit(&source->count, atomic_load_explicit(&source->count, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	source->nothing = source->handle(source->arg) ? 0 : source->nothing + 1;
	if (source->nothing == NOTHING_MAX)
		klog("interrupt %u (%s) does not end, and is turned off", number, source->name);
}

void plic_serve(void)
{
	unsigned hart = hw_hart(), claim, number;

	if (!has_context(hart))
		return;
	claim = PLIC_CONTEXTS + plic.context[hart] * PLIC_CONTEXT_BYTES + CLAIM;
	while ((number = mmio_read32(plic.regs, claim)) != 0) {
		struct plic_source *source = &plic.source[number % SOURCES];

		serve(source, number);
		hw_fence_io(); /* what the handler told the device before the completion */
		mmio_write32(plic.regs, claim, number);
		if (source->handle == NULL || source->nothing >= NOTHING_MAX)
			turn(hart, number % SOURCES, false);
	}
}

unsigned plic_sources(void)
{
	return plic.regs == NULL ? 0 : plic.sources;
}

bool plic_line(unsigned source, struct plic_line *out)
{
	const struct plic_source *from = &plic.source[source];

	if (from->handle == NULL)
		return false;
	*out = (struct plic_line){
		.name = from->name,
		.hart = from->hart,
		.first = from->first,
		.count = atomic_load_explicit(&from->count, memory_order_relaxed),
		.count_first = atomic_load_explicit(&from->count_first, memory_order_relaxed),
	};
	return true;
}
