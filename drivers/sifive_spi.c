/*
 * SiFive's SPI controller, by interrupts. Contract: spi.h, sifive_spi.h.
 *
 * It clocks out what is in its transmit queue, and puts a received byte into the other queue for each: never are more bytes
 * under way than that queue has room for, so none is lost. The interrupt comes when the receive queue has as many bytes as the
 * mark says, which is half of the queue, so that the line does not stand still while the interrupt is on its way.
 *
 * The interrupt's handler takes and gives as long as there is something; what makes it end is the length of the transfer, and
 * on real hardware the line, which is slower than the hart.
 *
 * Lock: spi->lock. The transfer's fields are the handler's while busy; who started the transfer sees what was received since
 * the lock was let go of with busy false.
 */
#include "drivers/sifive_spi.h"

#include "drivers/mmio.h"
#include "lib/errno.h"

enum {
	CLOCK_DIVISOR = 0x00,
	CLOCK_MODE = 0x04,
	CHIP = 0x10,
	CHIP_IDLE = 0x14,
	CHIP_MODE = 0x18,
	FORMAT = 0x40,
	TRANSMIT = 0x48,
	RECEIVE = 0x4c,
	TRANSMIT_MARK = 0x50,
	RECEIVE_MARK = 0x54,
	FLASH = 0x60,
	ENABLED = 0x70,
};

#define DIVISOR_MAX    0xfffU
#define CHIP_MODE_HOLD 2U
#define CHIP_MODE_OFF  3U
#define FORMAT_BYTES   (8U << 16) /* of eight bits, the highest first, on one line, both ways */
#define EMPTY	       0x80000000U
#define WHEN_RECEIVED  2U
#define LIMIT_NS       UINT64_C(1000000000) /* 1 KiB at 400 kHz takes 21 ms */

static struct sifive_spi *spi_of(struct spi_bus *bus)
{
	return container_of(bus, struct sifive_spi, bus);
}

static void set_clock(struct spi_bus *bus, uint32_t hz)
{
	struct sifive_spi *spi = spi_of(bus);
	uint32_t ratio = (spi->input_hz + 2 * hz - 1) / (2 * hz);

	if (spi->input_hz != 0)
		mmio_write32(spi->regs, CLOCK_DIVISOR, MIN(MAX(ratio, 1U) - 1, DIVISOR_MAX));
}

static void select_chip(struct spi_bus *bus, bool on)
{
	mmio_write32(spi_of(bus)->regs, CHIP_MODE, on ? CHIP_MODE_HOLD : CHIP_MODE_OFF);
}

static void take(struct sifive_spi *spi, uint8_t byte)
{
	if (spi->in->in != NULL)
		spi->in->in[spi->in_at] = byte;
	spi->received++;
	if (++spi->in_at == spi->in->bytes) {
		spi->in++;
		spi->in_at = 0;
	}
}

static uint8_t give(struct sifive_spi *spi)
{
	uint8_t byte = spi->out->out == NULL ? 0xff : spi->out->out[spi->out_at];

	spi->sent++;
	if (++spi->out_at == spi->out->bytes) {
		spi->out++;
		spi->out_at = 0;
	}
	return byte;
}

/* Whether anything has moved. */
static bool pump_locked(struct sifive_spi *spi)
{
	uint32_t before = spi->sent + spi->received, data;

	while (spi->received < spi->sent && ((data = mmio_read32(spi->regs, RECEIVE)) & EMPTY) == 0)
		take(spi, (uint8_t)data);
	while (spi->sent < spi->total && spi->sent - spi->received < spi->depth)
		mmio_write32(spi->regs, TRANSMIT, give(spi));
	return spi->sent + spi->received != before;
}

/* The interrupt comes when more bytes than the mark have been received. */
static void arm_locked(struct sifive_spi *spi)
{
	uint32_t under_way = spi->sent - spi->received;

	mmio_write32(spi->regs, RECEIVE_MARK, MIN(under_way, MAX(spi->depth / 2, 1U)) - 1);
	mmio_write32(spi->regs, ENABLED, WHEN_RECEIVED);
}

bool sifive_spi_interrupt(void *arg)
{
	struct sifive_spi *spi = arg;
	bool moved = false, over;

	spin_lock(&spi->lock, RANK_BLOCK);
	while (spi->busy && pump_locked(spi))
		moved = true;
	over = spi->busy && spi->received == spi->total;
	if (over || !spi->busy)
		mmio_write32(spi->regs, ENABLED, 0);
	else
		arm_locked(spi);
	spi->busy = spi->busy && !over;
	spin_unlock(&spi->lock, RANK_BLOCK);
	if (over)
		spi->events->signal(spi->moved);
	return moved;
}

/* What a transfer that was given up has left. */
static void drain(struct sifive_spi *spi)
{
	for (uint32_t i = 0; i < spi->depth && (mmio_read32(spi->regs, RECEIVE) & EMPTY) == 0; i++)
		;
}

static void begin(struct sifive_spi *spi, const struct spi_piece *pieces, unsigned count)
{
	uint32_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += pieces[i].bytes;
	spin_lock(&spi->lock, RANK_BLOCK);
	drain(spi);
	spi->out = spi->in = pieces;
	spi->out_at = spi->in_at = 0;
	spi->total = total;
	spi->sent = spi->received = 0;
	spi->busy = true;
	(void)pump_locked(spi);
	arm_locked(spi);
	spin_unlock(&spi->lock, RANK_BLOCK);
}

/* From here on the handler leaves the buffers alone. Whether it was through with them. */
static bool end(struct sifive_spi *spi, bool anyway)
{
	bool over;

	spin_lock(&spi->lock, RANK_BLOCK);
	over = !spi->busy;
	if (anyway && !over) {
		mmio_write32(spi->regs, ENABLED, 0);
		spi->busy = false;
	}
	spin_unlock(&spi->lock, RANK_BLOCK);
	return over;
}

static int transfer(struct spi_bus *bus, const struct spi_piece *pieces, unsigned count)
{
	struct sifive_spi *spi = spi_of(bus);
	uint64_t limit = spi->events->now() + LIMIT_NS;

	begin(spi, pieces, count);
	while (!end(spi, false)) {
		uint64_t now = spi->events->now();

		if (now >= limit)
			return end(spi, true) ? 0 : -EIO;
		spi->events->wait(spi->moved, limit - now);
	}
	return 0;
}

static void sleep(struct spi_bus *bus, uint64_t ns)
{
	struct sifive_spi *spi = spi_of(bus);
	uint64_t until = spi->events->now() + ns;

	for (uint64_t now = spi->events->now(); now < until; now = spi->events->now())
		spi->events->wait(spi->moved, until - now);
}

static uint64_t now(struct spi_bus *bus)
{
	return spi_of(bus)->events->now();
}

void sifive_spi_start(struct sifive_spi *spi)
{
	static const struct spi_ops ops = {
		.set_clock = set_clock, .select = select_chip, .transfer = transfer, .sleep = sleep, .now = now
	};

	spi->bus.ops = &ops;
	spin_init(&spi->lock);
	spi->busy = false;
	mmio_write32(spi->regs, ENABLED, 0);
	mmio_write32(spi->regs, FLASH, 0); /* not a flash that is mapped */
	mmio_write32(spi->regs, CHIP_MODE, CHIP_MODE_OFF);
	mmio_write32(spi->regs, CHIP, spi->chip);
	mmio_write32(spi->regs, CHIP_IDLE, mmio_read32(spi->regs, CHIP_IDLE) | 1U << spi->chip); /* high */
	mmio_write32(spi->regs, CLOCK_MODE, 0);
	mmio_write32(spi->regs, FORMAT, FORMAT_BYTES);
	mmio_write32(spi->regs, TRANSMIT_MARK, 0);
	drain(spi);
}
