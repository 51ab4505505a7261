/*
 * virtio over MMIO (virtio 1.2, section 4.2): modern devices (version 2) and legacy ones (version 1). Register-level core;
 * the device-tree probe is virtio.c. The caller's lock guards a device.
 */
#ifndef DRIVERS_VIRTIO_MMIO_H
#define DRIVERS_VIRTIO_MMIO_H

#include "drivers/virtio_ring.h"
#include "lib/types.h"

#define VIRTIO_ID_BLOCK 2U

#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

struct virtio_mmio {
	volatile void *regs;
	bool legacy;
	uint32_t id; /* what kind of device; 0: none */
	uint64_t features;
};

/* -ENODEV: these are no registers of virtio, or of a version that we do not know. */
int virtio_mmio_open(struct virtio_mmio *device, volatile void *regs) MUST_CHECK;
/* Resets the device and agrees on features: those of wanted that it has. -EIO: it refuses. */
int virtio_mmio_start(struct virtio_mmio *device, uint64_t wanted) MUST_CHECK;
/* The most entries that queue 0 may have; 0: there is none. */
unsigned virtio_mmio_queue_max(struct virtio_mmio *device);
void virtio_mmio_queue_set(struct virtio_mmio *device, const struct virtio_ring *ring);
/* From here on the device works. */
void virtio_mmio_ready(struct virtio_mmio *device);
void virtio_mmio_notify(struct virtio_mmio *device);
/* Acknowledges the interrupt. Whether it may have used buffers. */
bool virtio_mmio_interrupt(struct virtio_mmio *device);
/* Whether the device says that it has failed (DEVICE_NEEDS_RESET). */
bool virtio_mmio_failed(struct virtio_mmio *device);
/* Nothing is behind the registers any more. */
bool virtio_mmio_gone(struct virtio_mmio *device);
/* Whether the device confirms that it is reset, and so has stopped using memory. */
bool virtio_mmio_reset(struct virtio_mmio *device);
void virtio_mmio_give_up(struct virtio_mmio *device);

/* The device's configuration, at a byte offset; 64 bits are read until they hold still. */
uint8_t virtio_mmio_config8(struct virtio_mmio *device, unsigned at);
uint32_t virtio_mmio_config32(struct virtio_mmio *device, unsigned at);
uint64_t virtio_mmio_config64(struct virtio_mmio *device, unsigned at);

#endif
