/* The device-tree probe of virtio,mmio nodes: registers, memory, interrupt, name. Contract: virtio.h. */
#include "drivers/virtio.h"

#include <stdio.h>

#include "drivers/dt.h"
#include "drivers/plic.h"
#include "firmware/log.h"
#include "firmware/tree.h"
#include "lib/errno.h"

/* As Linux has it where nothing else took the number; 16 minors a disk. */
#define VIRTIO_BLK_MAJOR 254U
#define MINORS		 16U

/* vda to vdz, then vdaa. */
static void set_name(struct block_device *block, unsigned index)
{
	if (index < 26)
		snprintf(block->name, sizeof(block->name), "vd%c", 'a' + (int)index);
	else
		snprintf(block->name, sizeof(block->name), "vd%c%c", 'a' + (int)(index / 26 - 1) % 26,
			 'a' + (int)(index % 26));
	block->major = VIRTIO_BLK_MAJOR;
	block->minor = index * MINORS;
}

static void say(const struct virtio_blk *blk)
{
	const struct block_device *block = &blk->block;

	klog("%s: %lu MiB, blocks of %u, virtio %s, queue of %u%s%s", block->name,
	     (unsigned long)(block->sectors >> 11), (unsigned)block->block_bytes,
	     blk->device.legacy ? "legacy" : "modern", (unsigned)blk->ring.size, block->has_flush ? "" : ", no flush",
	     block->read_only ? ", read-only" : "");
}

/* Whether it is a disk and works. */
static bool start_disk(const void *fdt, int node, struct virtio_blk *blk, virtio_memory *memory)
{
	unsigned source;
	int error = dt_interrupt(fdt, node, &source);

	if (error == 0)
		error = plic_enable(source, virtio_blk_interrupt, blk, blk->block.name);
	if (error != 0) {
		klog("%s: no interrupt (error %d): left out", blk->block.name, -error);
		return false;
	}
	error = virtio_blk_start(blk, memory);
	if (error != 0)
		klog("%s: the device does not start (error %d): left out", blk->block.name, -error);
	return error == 0;
}

static bool probe(const void *fdt, int node, unsigned index, virtio_memory *memory)
{
	volatile void *regs = tree_okay(fdt, node) ? dt_map(fdt, node, 0, 4) : NULL;
	struct virtio_mmio device;
	struct virtio_blk *blk;

	if (regs == NULL || virtio_mmio_open(&device, regs) != 0 || device.id != VIRTIO_ID_BLOCK)
		return false;
	blk = memory(sizeof(*blk));
	if (blk == NULL)
		return false;
	blk->device = device;
	set_name(&blk->block, index);
	if (!start_disk(fdt, node, blk, memory))
		return false;
	block_register(&blk->block);
	say(blk);
	return true;
}

void virtio_probe(const void *fdt, virtio_memory *memory)
{
	unsigned found = 0;

	for (int node = fdt_node_offset_by_compatible(fdt, -1, "virtio,mmio"); node >= 0;
	     node = fdt_node_offset_by_compatible(fdt, node, "virtio,mmio"))
		if (probe(fdt, node, found, memory))
			found++;
}
