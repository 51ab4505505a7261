/* The device-tree probe of virtio,mmio nodes. */
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include "drivers/virtio_blk.h"

/*
 * Starts and registers the disks among them as vda, vdb, ..., in the tree's order, with a line each; other kinds of devices
 * are left alone. Once, at boot, after plic_probe.
 */
void virtio_probe(const void *fdt, virtio_memory *memory);

#endif
