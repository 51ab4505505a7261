/* The fake device: fake_virtio.h. Register numbers and layouts from virtio 1.2, 4.2.2, 4.2.4, 2.7. */
#include "tests/unit/fake_virtio.h"

#include <string.h>

#include "drivers/mmio.h"
#include "lib/hw.h"

struct fake_virtio fake;

struct descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};

static void *at(uint64_t physical)
{
	return hw_direct(PADDR(physical));
}

void fake_virtio_reset(bool legacy)
{
	memset(&fake, 0, sizeof(fake));
	fake.legacy = legacy;
	fake.queue_max = 8;
	fake.block_bytes = 512;
	fake.segment_bytes = 65536;
	fake.segments = 6;
	fake.features = UINT64_C(1) << 2 | UINT64_C(1) << 6 | UINT64_C(1) << 9 | UINT64_C(1) << 28;
	if (!legacy)
		fake.features |= UINT64_C(1) << 32;
}

static void device_reset(void)
{
	fake.resets++;
	if (fake.ignores_reset && fake.resets > 1)
		return;
	fake.status = 0;
	fake.ready = false;
	fake.descriptors = fake.available = fake.used = 0;
	fake.seen = fake.written = 0;
	fake.interrupt = 0;
}

static uint32_t config_read(unsigned offset)
{
	switch (offset) {
	case 0:
		return FAKE_SECTORS;
	case 8:
		return fake.segment_bytes;
	case 12:
		return fake.segments;
	case 20:
		return fake.block_bytes;
	default:
		return 0;
	}
}

uint8_t mmio_read8(volatile void *regs, unsigned where)
{
	(void)regs;
	return where == 0x118 ? 3 : 0;
}

uint32_t mmio_read32(volatile void *regs, unsigned where)
{
	(void)regs;
	if (fake.gone)
		return UINT32_MAX;
	if (where >= 0x100)
		return config_read(where - 0x100);
	switch (where) {
	case 0x00:
		return 0x74726976;
	case 0x04:
		return fake.legacy ? 1 : 2;
	case 0x08:
		return 2;
	case 0x10:
		return (uint32_t)(fake.feature_page == 0 ? fake.features : fake.features >> 32);
	case 0x34:
		return fake.queue_max;
	case 0x40:
		return (uint32_t)(fake.descriptors >> 12);
	case 0x44:
		return fake.ready;
	case 0x60:
		return fake.interrupt;
	case 0x70:
		return fake.status;
	default:
		return 0;
	}
}

static void status_write(uint32_t value)
{
	if (value == 0) {
		device_reset();
		return;
	}
	/* a driver never takes bits back, and is not ready before its features are agreed on */
	if ((fake.status & ~value & ~64U) != 0 || ((value & 4) != 0 && !fake.legacy && (value & 8) == 0))
		fake.illegal++;
	if (fake.refuses_features)
		value &= ~8U;
	fake.status = value;
}

static void legacy_queue(uint64_t page)
{
	uint64_t end;

	if (fake.page_size != 4096 || fake.queue_align != 4096)
		fake.illegal++;
	fake.descriptors = page << 12;
	fake.available = fake.descriptors + fake.queue_size * 16;
	end = fake.available + 6 + fake.queue_size * 2;
	fake.used = (end + 4095) & ~UINT64_C(4095);
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	uint64_t keep = high ? *address & UINT32_MAX : *address & ~(uint64_t)UINT32_MAX;

	*address = keep | (high ? (uint64_t)value << 32 : value);
}

void mmio_write32(volatile void *regs, unsigned where, uint32_t value)
{
	static bool driver_high;

	(void)regs;
	if (fake.gone)
		return;
	if (where == 0x14)
		fake.feature_page = value;
	else if (where == 0x24)
		driver_high = value != 0;
	else if (where == 0x20)
		set_half(&fake.driver_features, driver_high, value);
	else if (where == 0x28)
		fake.page_size = value;
	else if (where == 0x38)
		fake.queue_size = value;
	else if (where == 0x3c)
		fake.queue_align = value;
	else if (where == 0x40)
		legacy_queue(value);
	else if (where == 0x44)
		fake.ready = value != 0;
	else if (where == 0x50)
		fake.notified++;
	else if (where == 0x64)
		fake.interrupt &= ~value;
	else if (where == 0x70)
		status_write(value);
	else if (where == 0x80 || where == 0x84)
		set_half(&fake.descriptors, where == 0x84, value);
	else if (where == 0x90 || where == 0x94)
		set_half(&fake.available, where == 0x94, value);
	else if (where == 0xa0 || where == 0xa4)
		set_half(&fake.used, where == 0xa4, value);
	else if (where != 0x30)
		fake.illegal++;
}

/* ---- Requests. */

/* The chain's descriptors in one array, indirect or not. How many. */
static unsigned chain_of(uint16_t head, struct descriptor *out)
{
	struct descriptor *table = at(fake.descriptors);
	unsigned n = 0, next = head;

	if ((table[head].flags & 4) != 0) {
		fake.indirect_seen++;
		if ((fake.driver_features >> 28 & 1) == 0 || (table[head].flags & 1) != 0)
			fake.illegal++;
		table = at(table[head].address);
		next = 0;
	}
	for (;; next = table[next].next) {
		out[n++] = table[next];
		if ((table[next].flags & 1) == 0 || n == 64)
			break;
	}
	if (n > fake.queue_size)
		fake.illegal++;
	fake.longest = n > fake.longest ? n : fake.longest;
	return n;
}

static uint32_t carry_out(uint16_t head)
{
	struct descriptor chain[64];
	unsigned n = chain_of(head, chain);
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} *header = at(chain[0].address);
	uint64_t place = header->sector * 512;
	uint32_t written = 1;

	if (n < 2 || chain[0].bytes != 16 || chain[n - 1].bytes != 1 || (chain[n - 1].flags & 2) == 0) {
		fake.illegal++;
		return 0;
	}
	for (unsigned i = 1; i + 1 < n; i++) {
		if (((chain[i].flags & 2) != 0) != (header->type == 0) || place + chain[i].bytes > sizeof(fake.disk) ||
		    ((fake.driver_features >> 1 & 1) != 0 && chain[i].bytes > fake.segment_bytes))
			fake.illegal++;
		else if (header->type == 0)
			memcpy(at(chain[i].address), &fake.disk[place], chain[i].bytes);
		else
			memcpy(&fake.disk[place], at(chain[i].address), chain[i].bytes);
		place += chain[i].bytes;
		written += header->type == 0 ? chain[i].bytes : 0;
	}
	if (fake.answer != ANSWER_NO_STATUS)
		*(uint8_t *)at(chain[n - 1].address) = fake.answer == ANSWER_ERROR;
	if (fake.answer == ANSWER_SHORT)
		return written - 1;
	return fake.answer == ANSWER_LONG ? written + 1 : written;
}

void fake_virtio_jump(uint16_t by)
{
	fake.written = (uint16_t)(fake.written + by);
	((uint16_t *)at(fake.used))[1] = fake.written;
	fake.interrupt |= 1;
}

void fake_virtio_use(uint32_t id, uint32_t bytes)
{
	uint32_t *entry = (uint32_t *)at(fake.used + 4) + fake.written % fake.queue_size * 2;

	entry[0] = id;
	entry[1] = bytes;
	fake_virtio_jump(1);
}

unsigned fake_virtio_work(unsigned n, bool backward)
{
	uint16_t *available = at(fake.available);
	uint16_t ready = (uint16_t)(available[1] - fake.seen);
	unsigned count = ready < n ? ready : n;

	if ((fake.status & 4) == 0)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned which = fake.seen + (backward ? count - 1 - i : i);
		uint16_t id = available[2 + which % fake.queue_size];

		fake_virtio_use(id, carry_out(id));
	}
	fake.seen = (uint16_t)(fake.seen + count);
	if ((fake.driver_features >> 29 & 1) != 0) /* event: at the next one */
		*(uint16_t *)at(fake.used + 4 + fake.queue_size * 8) = fake.seen;
	return count;
}
