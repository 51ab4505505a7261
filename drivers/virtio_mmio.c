/* virtio over MMIO. Contract: virtio_mmio.h; registers: virtio 1.2, 4.2.2 and, for legacy devices, 4.2.4. */
#include "drivers/virtio_mmio.h"

#include "drivers/mmio.h"
#include "lib/errno.h"
#include "lib/hw.h"

enum {
	MAGIC = 0x00,
	VERSION = 0x04,
	DEVICE_ID = 0x08,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SELECT = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SELECT = 0x24,
	LEGACY_PAGE_SIZE = 0x28,
	QUEUE_SELECT = 0x30,
	QUEUE_MAX = 0x34,
	QUEUE_SIZE = 0x38,
	LEGACY_QUEUE_ALIGN = 0x3c,
	LEGACY_QUEUE_PAGE = 0x40,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACKNOWLEDGE = 0x64,
	STATUS = 0x70,
	QUEUE_DESCRIPTORS = 0x80,
	QUEUE_AVAILABLE = 0x90,
	QUEUE_USED = 0xa0,
	CONFIG_GENERATION = 0xfc,
	CONFIG = 0x100,
};

#define MAGIC_VALUE UINT32_C(0x74726976)

#define STATUS_ACKNOWLEDGE 1U
#define STATUS_DRIVER	   2U
#define STATUS_DRIVER_OK   4U
#define STATUS_FEATURES_OK 8U
#define STATUS_NEEDS_RESET 64U
#define STATUS_FAILED	   128U

#define INTERRUPT_USED	1U
#define INTERRUPT_KNOWN 3U

#define RESET_LOOKS  10000U
#define CONFIG_LOOKS 100U

static uint32_t get(struct virtio_mmio *device, unsigned at)
{
	return mmio_read32(device->regs, at);
}

static void set(struct virtio_mmio *device, unsigned at, uint32_t value)
{
	mmio_write32(device->regs, at, value);
}

static void set_status(struct virtio_mmio *device, uint32_t bits)
{
	set(device, STATUS, get(device, STATUS) | bits);
}

int virtio_mmio_open(struct virtio_mmio *device, volatile void *regs)
{
	uint32_t version;

	*device = (struct virtio_mmio){ .regs = regs };
	version = get(device, VERSION);
	if (get(device, MAGIC) != MAGIC_VALUE || (version != 1 && version != 2))
		return -ENODEV;
	device->legacy = version == 1;
	device->id = get(device, DEVICE_ID);
	return 0;
}

bool virtio_mmio_reset(struct virtio_mmio *device)
{
	set(device, STATUS, 0);
	for (unsigned i = 0; i < RESET_LOOKS; i++)
		if (get(device, STATUS) == 0)
			return true;
	return false;
}

void virtio_mmio_give_up(struct virtio_mmio *device)
{
	set_status(device, STATUS_FAILED);
}

static uint64_t offered(struct virtio_mmio *device)
{
	uint64_t low;

	set(device, DEVICE_FEATURES_SELECT, 0);
	low = get(device, DEVICE_FEATURES);
	set(device, DEVICE_FEATURES_SELECT, 1);
	return device->legacy ? low : (uint64_t)get(device, DEVICE_FEATURES) << 32 | low;
}

int virtio_mmio_start(struct virtio_mmio *device, uint64_t wanted)
{
	if (!virtio_mmio_reset(device))
		return -EIO;
	set_status(device, STATUS_ACKNOWLEDGE);
	set_status(device, STATUS_DRIVER);
	device->features = offered(device) & (device->legacy ? wanted : wanted | VIRTIO_F_VERSION_1);
	if (!device->legacy && (device->features & VIRTIO_F_VERSION_1) == 0)
		return -EIO;
	set(device, DRIVER_FEATURES_SELECT, 0);
	set(device, DRIVER_FEATURES, (uint32_t)device->features);
	if (device->legacy) {
		set(device, LEGACY_PAGE_SIZE, PAGE_SIZE);
		return 0;
	}
	set(device, DRIVER_FEATURES_SELECT, 1);
	set(device, DRIVER_FEATURES, (uint32_t)(device->features >> 32));
	set_status(device, STATUS_FEATURES_OK);
	return (get(device, STATUS) & STATUS_FEATURES_OK) != 0 ? 0 : -EIO;
}

unsigned virtio_mmio_queue_max(struct virtio_mmio *device)
{
	set(device, QUEUE_SELECT, 0);
	/* one that is in use after a reset is a broken device's */
	if (get(device, device->legacy ? LEGACY_QUEUE_PAGE : QUEUE_READY) != 0)
		return 0;
	return get(device, QUEUE_MAX);
}

static void set_address(struct virtio_mmio *device, unsigned at, const volatile void *memory)
{
	uint64_t address = hw_paddr((const void *)memory).v;

	set(device, at, (uint32_t)address);
	set(device, at + 4, (uint32_t)(address >> 32));
}

void virtio_mmio_queue_set(struct virtio_mmio *device, const struct virtio_ring *ring)
{
	hw_fence_io(); /* the ring's memory before its address */
	set(device, QUEUE_SELECT, 0);
	set(device, QUEUE_SIZE, ring->size);
	if (device->legacy) {
		set(device, LEGACY_QUEUE_ALIGN, PAGE_SIZE);
		set(device, LEGACY_QUEUE_PAGE, (uint32_t)paddr_pfn(hw_paddr(ring->descriptor)).v);
		return;
	}
	set_address(device, QUEUE_DESCRIPTORS, ring->descriptor);
	set_address(device, QUEUE_AVAILABLE, ring->available);
	set_address(device, QUEUE_USED, ring->used);
	set(device, QUEUE_READY, 1);
}

void virtio_mmio_ready(struct virtio_mmio *device)
{
	set_status(device, STATUS_DRIVER_OK);
}

void virtio_mmio_notify(struct virtio_mmio *device)
{
	hw_fence_io(); /* the ring before the register */
	set(device, QUEUE_NOTIFY, 0);
}

bool virtio_mmio_interrupt(struct virtio_mmio *device)
{
	uint32_t status = get(device, INTERRUPT_STATUS);

	set(device, INTERRUPT_ACKNOWLEDGE, status & INTERRUPT_KNOWN);
	hw_fence_io(); /* the acknowledgement before the look at the ring */
	return (status & INTERRUPT_USED) != 0;
}

bool virtio_mmio_failed(struct virtio_mmio *device)
{
	return (get(device, STATUS) & STATUS_NEEDS_RESET) != 0;
}

bool virtio_mmio_gone(struct virtio_mmio *device)
{
	return get(device, MAGIC) != MAGIC_VALUE;
}

/* ---- Configuration. */

uint8_t virtio_mmio_config8(struct virtio_mmio *device, unsigned at)
{
	return mmio_read8(device->regs, CONFIG + at);
}

uint32_t virtio_mmio_config32(struct virtio_mmio *device, unsigned at)
{
	return get(device, CONFIG + at);
}

/* Legacy devices have no generation: there two looks must agree. */
uint64_t virtio_mmio_config64(struct virtio_mmio *device, unsigned at)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < CONFIG_LOOKS; i++) {
		uint32_t before = device->legacy ? 0 : get(device, CONFIG_GENERATION);
		uint32_t high = virtio_mmio_config32(device, at + 4);

		value = (uint64_t)high << 32 | virtio_mmio_config32(device, at);
		if (device->legacy ? virtio_mmio_config32(device, at + 4) == high
				   : get(device, CONFIG_GENERATION) == before)
			break;
	}
	return value;
}
