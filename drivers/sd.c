/* The device-tree probe of SD card slots: controller, clock, interrupt, thread, name. Contract: sd_disk.h. */
#include <stdio.h>

#include "drivers/clock.h"
#include "drivers/dt.h"
#include "drivers/plic.h"
#include "drivers/sd_disk.h"
#include "drivers/sifive_spi.h"
#include "firmware/log.h"
#include "firmware/tree.h"
#include "lib/errno.h"

/* As Linux has it; 16 minors a disk. */
#define MMC_MAJOR      179U
#define MINORS	       16U
#define FIFO_DEPTH     8U
#define SLOT_HZ	       20000000U
#define START_HZ_LEAST 400000U

struct slot {
	struct sd_disk disk;
	struct sifive_spi spi;
	void *settled; /* an event: `state` is what came of it */
	_Atomic int state;
};

#define UNSETTLED 1

static void slot_main(void *arg)
{
	struct slot *slot = arg;
	int error = sd_disk_start(&slot->disk);

	/* release: pairs with the acquire in settle: the disk is complete */
	atomic_store_explicit(&slot->state, error, memory_order_release);
	slot->disk.events->signal(slot->settled);
	sd_disk_run(&slot->disk);
}

/* The card's answers have limits, so this has, too. */
static int settle(struct slot *slot)
{
	int state;

	/* acquire: pairs with the release in slot_main */
	while ((state = atomic_load_explicit(&slot->state, memory_order_acquire)) == UNSETTLED)
		slot->disk.events->wait(slot->settled, UINT64_MAX);
	return state;
}

static void set_up(const void *fdt, int controller, int node, unsigned index, struct slot *slot)
{
	uint64_t chip = 0;
	uint32_t hz = tree_u32(fdt, node, "spi-max-frequency", SLOT_HZ);

	tree_number(fdt, node, "reg", &chip);
	slot->spi.chip = (uint32_t)chip % 32;
	slot->spi.depth = MAX(tree_u32(fdt, controller, "sifive,fifo-depth", FIFO_DEPTH), 1U);
	slot->spi.input_hz = (uint32_t)MIN(clock_rate(fdt, controller), (uint64_t)UINT32_MAX / 2);
	slot->disk.card.link.bus = &slot->spi.bus;
	slot->disk.card.slot_hz = MAX(hz, START_HZ_LEAST);
	snprintf(slot->disk.block.name, sizeof(slot->disk.block.name), "mmcblk%u", index % 1000);
	slot->disk.block.major = MMC_MAJOR;
	slot->disk.block.minor = index * MINORS;
}

static int start(const void *fdt, int controller, struct slot *slot, const struct event_ops *events)
{
	unsigned source;
	int error = dt_interrupt(fdt, controller, &source);

	atomic_init(&slot->state, UNSETTLED);
	slot->disk.events = slot->spi.events = events;
	slot->settled = events->create();
	slot->disk.wanted = events->create();
	slot->spi.moved = events->create();
	if (slot->settled == NULL || slot->disk.wanted == NULL || slot->spi.moved == NULL)
		return -ENOMEM;
	if (error != 0)
		return error;
	sifive_spi_start(&slot->spi);
	error = plic_enable(source, sifive_spi_interrupt, &slot->spi, slot->disk.block.name);
	return error != 0 ? error : events->thread(slot_main, slot, slot->disk.block.name);
}

/* The slot on this controller, or NULL: it has none, or it cannot be used. */
static struct slot *probe(const void *fdt, int controller, unsigned index, const struct event_ops *events,
			  void *(*memory)(uint64_t bytes))
{
	struct slot *slot;
	int node, error;

	fdt_for_each_subnode(node, fdt, controller)
	{
		if (tree_okay(fdt, node) && fdt_node_check_compatible(fdt, node, "mmc-spi-slot") == 0)
			break;
	}
	if (node < 0)
		return NULL;
	slot = memory(sizeof(*slot));
	if (slot == NULL)
		return NULL;
	set_up(fdt, controller, node, index, slot);
	slot->spi.regs = dt_map(fdt, controller, 0, 4);
	error = slot->spi.regs == NULL ? -ENXIO : start(fdt, controller, slot, events);
	if (error == 0)
		return slot;
	klog("%s: the controller cannot be used (error %d): left out", slot->disk.block.name, -error);
	return NULL;
}

void sd_probe(const void *fdt, const struct event_ops *events, void *(*memory)(uint64_t bytes))
{
	unsigned found = 0;

	for (int node = fdt_node_offset_by_compatible(fdt, -1, "sifive,spi0"); node >= 0;
	     node = fdt_node_offset_by_compatible(fdt, node, "sifive,spi0")) {
		struct slot *slot = tree_okay(fdt, node) ? probe(fdt, node, found, events, memory) : NULL;

		found += slot != NULL;
		if (slot != NULL && settle(slot) == 0)
			block_register(&slot->disk.block);
	}
}
