/*
 * SiFive's SPI controller (drivers/sifive_spi.c) against a fake one: two queues, of which the receiving one loses what it has
 * no room for, and a line that moves a byte at a time while the driver's thread sleeps. The chip answers each byte with its
 * complement.
 */
#include "tests/unit/unit.h"

#include "drivers/mmio.h"
#include "drivers/sifive_spi.h"
#include "lib/errno.h"

enum { DIVISOR = 0x00, MODE = 0x18, TX = 0x48, RX = 0x4c, RX_MARK = 0x54, FLASH = 0x60, IE = 0x70 };
#define DEPTH 8U
#define EMPTY 0x80000000U

static struct {
	uint32_t reg[0x80 / 4];
	uint8_t tx[DEPTH], rx[DEPTH];
	unsigned tx_count, rx_count, lost, interrupts, signals, most_at_once;
	bool stopped, instant;
	uint64_t ns;
} device;

static struct sifive_spi spi;

static void move_byte(void)
{
	uint8_t byte = device.tx[0];

	memmove(device.tx, device.tx + 1, --device.tx_count);
	if (device.rx_count == DEPTH)
		device.lost++;
	else
		device.rx[device.rx_count++] = (uint8_t)~byte;
}

uint32_t mmio_read32(volatile void *regs, unsigned at)
{
	uint32_t value;

	(void)regs;
	if (at != RX)
		return device.reg[at / 4];
	if (device.rx_count == 0)
		return EMPTY;
	value = device.rx[0];
	memmove(device.rx, device.rx + 1, --device.rx_count);
	return value;
}

void mmio_write32(volatile void *regs, unsigned at, uint32_t value)
{
	(void)regs;
	if (at != TX) {
		device.reg[at / 4] = value;
		return;
	}
	if (device.tx_count == DEPTH) {
		device.lost++;
		return;
	}
	device.tx[device.tx_count++] = (uint8_t)value;
	device.most_at_once = MAX(device.most_at_once, device.tx_count);
	if (device.instant)
		move_byte();
}

static bool is_raised(void)
{
	return (device.reg[IE / 4] & 2) != 0 && device.rx_count > device.reg[RX_MARK / 4];
}

/* The thread sleeps: the line moves until the interrupt has woken it, or its time is up. */
static void on_wait(void *event, uint64_t ns)
{
	unsigned signals = device.signals;
	uint64_t until = device.ns + ns;

	assert_ptr_equal(event, &device);
	while (device.ns < until && device.signals == signals) {
		if (is_raised()) {
			device.interrupts++;
			assert_true(sifive_spi_interrupt(&spi));
			continue;
		}
		if (device.tx_count != 0 && !device.stopped)
			move_byte();
		device.ns += 400;
	}
}

static void on_signal(void *event)
{
	assert_ptr_equal(event, &device);
	device.signals++;
}

static uint64_t on_now(void)
{
	return device.ns;
}

static void begin(uint32_t depth)
{
	static const struct event_ops events = { .wait = on_wait, .signal = on_signal, .now = on_now };

	memset(&device, 0, sizeof(device));
	device.reg[FLASH / 4] = 1;
	device.reg[DIVISOR / 4] = 77;
	device.rx_count = MIN(3U, depth); /* the firmware's */
	spi = (struct sifive_spi){
		.events = &events, .moved = &device, .depth = depth, .chip = 2, .input_hz = 500000000, .regs = &device
	};
	sifive_spi_start(&spi);
	assert_int_equal(device.rx_count, 0);
	assert_int_equal(device.reg[FLASH / 4], 0);
	assert_int_equal(device.reg[0x10 / 4], 2);
	assert_int_equal(device.reg[0x14 / 4], 4);
}

static void check_transfers(void)
{
	uint8_t out[600], in[600], tail[9];

	for (uint32_t n = 1; n < 530; n += 1 + n / 9) {
		struct spi_piece pieces[3] = { { .out = out, .in = in, .bytes = n },
					       { .out = out, .bytes = 3 },
					       { .in = tail, .bytes = 9 } };

		for (unsigned i = 0; i < sizeof(out); i++)
			out[i] = (uint8_t)(i * 3 + n);
		memset(tail, 1, sizeof(tail));
		assert_int_equal(spi.bus.ops->transfer(&spi.bus, pieces, 3), 0);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(in[i], (uint8_t)~out[i]);
		for (uint32_t i = 0; i < 9; i++)
			assert_int_equal(tail[i], 0);
		assert_int_equal(device.reg[IE / 4], 0);
	}
	assert_int_equal(device.lost, 0);
}

static void transfers(void **state)
{
	(void)state;
	for (uint32_t depth = 1; depth <= DEPTH; depth++) {
		begin(depth);
		check_transfers();
		assert_int_equal(device.most_at_once, depth);
		begin(depth);
		device.instant = true;
		check_transfers();
	}
}

/* An interrupt for half a queue, not one for each byte. */
static void few_interrupts(void **state)
{
	struct spi_piece piece = { .bytes = 512 };

	(void)state;
	begin(DEPTH);
	assert_int_equal(spi.bus.ops->transfer(&spi.bus, &piece, 1), 0);
	assert_in_range(device.interrupts, 1, 512 / 4 + 1);
	assert_int_equal(device.signals, 1);
}

/* It gives up in time, and later transfers are none the worse. */
static void line_stops(void **state)
{
	struct spi_piece piece = { .bytes = 20 };
	uint8_t in[20];

	(void)state;
	begin(DEPTH);
	device.stopped = true;
	piece.in = in;
	assert_int_equal(spi.bus.ops->transfer(&spi.bus, &piece, 1), -EIO);
	assert_in_range(device.ns, 1000000000, 1100000000);
	memset(in, 0x77, sizeof(in));
	assert_false(sifive_spi_interrupt(&spi));
	assert_int_equal(in[0], 0x77);
	device.stopped = false;
	while (device.tx_count != 0)
		move_byte();
	check_transfers();
}

static void clock(void **state)
{
	static const uint32_t cases[][3] = { { 500000000, 20000000, 12 },   { 500000000, 400000, 624 },
					     { 130000000, 25000000, 2 },    { 1000000, 20000000, 0 },
					     { 2000000000, 100000, 0xfff }, { 0, 400000, 77 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		begin(DEPTH);
		spi.input_hz = cases[i][0];
		spi.bus.ops->set_clock(&spi.bus, cases[i][1]);
		assert_int_equal(device.reg[DIVISOR / 4], cases[i][2]);
	}
}

static void chip_select(void **state)
{
	(void)state;
	begin(DEPTH);
	assert_int_equal(device.reg[MODE / 4], 3);
	spi.bus.ops->select(&spi.bus, true);
	assert_int_equal(device.reg[MODE / 4], 2);
	spi.bus.ops->select(&spi.bus, false);
	assert_int_equal(device.reg[MODE / 4], 3);
	spi.bus.ops->sleep(&spi.bus, 5000);
	assert_in_range(device.ns, 5000, 6000);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(transfers), UNIT_TEST(few_interrupts), UNIT_TEST(line_stops),
	UNIT_TEST(clock),     UNIT_TEST(chip_select),
};

UNIT_MAIN("spi", tests)
