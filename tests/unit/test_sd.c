/* SD cards (drivers/sd_link.c, sd_card.c, sd_disk.c) against a fake card that does right, and one that does not. */
#include "tests/unit/unit.h"

#include "drivers/sd_crc.h"
#include "drivers/sd_disk.h"
#include "firmware/log.h"
#include "lib/errno.h"
#include "tests/unit/fake_card.h"

#define SECONDS UINT64_C(1000000000)

static struct sd_disk disk;
static struct block_request request[8];
static struct block_segment segment[8][3];
static uint8_t data[8][3][2048] __attribute__((aligned(2048)));
static unsigned dones, errors, lines, signals;
static char last_line[256];

void klog(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
	lines++;
}

static void on_signal(void *event)
{
	(void)event;
	signals++;
}

static const struct event_ops events = { .signal = on_signal };

static void on_done(struct block_request *done, int error)
{
	(void)done;
	dones++;
	errors += error != 0;
	assert_true(error == 0 || error == -EIO);
}

static int start_card(void)
{
	memset(&disk, 0, sizeof(disk));
	snprintf(disk.block.name, sizeof(disk.block.name), "mmcblk0");
	disk.card.link.bus = &fake_bus;
	disk.card.slot_hz = 20000000;
	disk.events = &events;
	dones = errors = lines = signals = 0;
	return sd_disk_start(&disk);
}

static void begin(enum card_kind kind)
{
	fake_card_reset(kind);
	assert_int_equal(start_card(), 0);
	assert_int_equal(lines, 1);
}

static void submit(unsigned i, enum block_op op, uint64_t sector, unsigned segments, uint32_t bytes)
{
	for (unsigned s = 0; s < segments; s++)
		segment[i][s] = (struct block_segment){ hw_paddr(data[i][s]), bytes };
	request[i] = (struct block_request){
		.op = op, .sector = sector, .segments = segment[i], .count = segments, .done = on_done
	};
	block_submit(&disk.block, &request[i]);
}

/* One request: whether it went well. */
static bool goes_well(enum block_op op, uint64_t sector, unsigned segments, uint32_t bytes)
{
	unsigned failed = errors, before = dones;
	uint64_t began = card.ns;

	submit(0, op, sector, segments, bytes);
	sd_disk_work(&disk);
	assert_int_equal(dones, before + 1);
	assert_true(card.ns - began < 60 * SECONDS);
	return errors == failed;
}

static bool reads(uint64_t sector)
{
	memset(data[0], 0, sizeof(data[0]));
	return goes_well(BLOCK_READ, sector, 1, 2048) && memcmp(data[0][0], &card.data[sector * 512], 2048) == 0;
}

static void checksums(void **state)
{
	static const uint8_t zero[5] = { 0x40 }, check[5] = { 0x48, 0, 0, 1, 0xaa };
	uint8_t ones[512];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(sd_crc7(zero, 5) << 1 | 1, 0x95);
	assert_int_equal(sd_crc7(check, 5) << 1 | 1, 0x87);
	assert_int_equal(sd_crc16(ones, 512), 0x7fa1);
}

static void each_kind_is_known(void **state)
{
	static const enum card_kind kinds[] = { CARD_HIGH, CARD_STANDARD, CARD_VERSION_1 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		begin(kinds[i]);
		assert_int_equal(disk.block.sectors, CARD_SECTORS);
		assert_int_equal(disk.card.by_sectors, kinds[i] == CARD_HIGH);
		assert_false(disk.block.read_only);
		assert_true(card.idle_clocks >= 74);
		assert_int_equal(card.hz_first, 400000);
		assert_int_equal(card.hz, 20000000);
		assert_int_equal(card.commands[59], 1);
		assert_non_null(strstr(last_line, "2 MiB"));
		assert_non_null(strstr(last_line, "FAKED"));
		assert_true(reads(0) && reads(CARD_SECTORS - 4));
		assert_int_equal(card.violations, 0);
	}
}

static void slow_to_wake(void **state)
{
	(void)state;
	fake_card_reset(CARD_HIGH);
	card.wrong_idle = 5;
	card.wake_attempts = 100;
	assert_int_equal(start_card(), 0);
	assert_int_equal(card.commands[0], 6);
	assert_int_equal(card.commands[41], 101);
	assert_true(reads(7));
}

static void left_out(const char *why, int error)
{
	uint64_t began = card.ns;

	assert_int_equal(start_card(), error);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(last_line, why));
	assert_true(card.ns - began < 10 * SECONDS);
}

static void not_a_card(void **state)
{
	(void)state;
	fake_card_reset(CARD_HIGH);
	card.present = false;
	left_out("no card in the slot", -ENODEV);
	fake_card_reset(CARD_FOREIGN);
	left_out("it is no SD card", -EIO);
	fake_card_reset(CARD_HIGH);
	card.wake_attempts = 1000000;
	left_out("it does not get ready", -EIO);
	fake_card_reset(CARD_HIGH);
	card.wrong_idle = 1000000;
	left_out("does not understand", -EIO);
	fake_card_reset(CARD_HIGH);
	card.bad_data = 1;
	left_out("how large", -EIO);
	fake_card_reset(CARD_HIGH);
	card.bus_fails = true;
	left_out("its controller does nothing", -EIO);
	assert_int_equal(card.commands[0], 0);
}

/* All lengths, over several segments, against what the card has. */
static void back_and_forth(void **state)
{
	static uint8_t model[sizeof(card.data)];
	uint64_t seed = 1;

	(void)state;
	begin(CARD_STANDARD);
	memcpy(model, card.data, sizeof(model));
	for (unsigned round = 0; round < 600; round++) {
		unsigned segments = 1 + (unsigned)(seed >> 13) % 3;
		uint32_t bytes = 512 * (1 + (uint32_t)(seed >> 17) % 4);
		uint64_t sector = (seed >> 23) % (CARD_SECTORS - 12);
		bool write = (seed >> 40 & 1) != 0;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		for (unsigned s = 0; s < segments; s++)
			memset(data[0][s], (int)(round + s), bytes);
		for (unsigned s = 0; write && s < segments; s++)
			memcpy(&model[sector * 512 + s * bytes], data[0][s], bytes);
		card.busy_bytes = round % 40;
		card.access_bytes = round % 23;
		assert_true(goes_well(write ? BLOCK_WRITE : BLOCK_READ, sector, segments, bytes));
		for (unsigned s = 0; s < segments; s++)
			assert_memory_equal(data[0][s], &model[sector * 512 + s * bytes], bytes);
	}
	assert_memory_equal(card.data, model, sizeof(model));
	assert_int_equal(card.violations, 0);
	assert_true(goes_well(BLOCK_FLUSH, 0, 0, 0));
}

static void queue(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	for (unsigned i = 0; i < 8; i++)
		submit(i, BLOCK_READ, i * 16, 3, 512 * (1 + i % 4));
	assert_int_equal(dones, 0);
	assert_int_equal(signals, 8);
	sd_disk_work(&disk);
	assert_int_equal(dones, 8);
	assert_int_equal(errors, 0);
	for (unsigned i = 0; i < 8; i++)
		assert_memory_equal(data[i][0], &card.data[i * 16 * 512], 512 * (1 + i % 4));
}

/* Each is done again, and the disk goes on when it has failed for good. */
static void errors_of_once(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	card.bad_data = 2;
	assert_true(reads(3));
	card.bad_data = 100;
	assert_false(reads(3));
	assert_non_null(strstr(last_line, "sector 3: reading fails"));
	card.bad_data = 0;
	assert_true(reads(3));
	card.error_tokens = 2;
	assert_true(reads(9));
	card.error_tokens = 100;
	assert_false(reads(9));
	card.error_tokens = 0;
	card.no_token = 1;
	assert_false(reads(9));
	card.no_token = 0;
	assert_true(reads(9));
	card.refuse_frames = 1;
	assert_true(reads(9));
	assert_int_equal(card.violations, 0);
}

static void writes_that_fail(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	memset(data[0], 0x5a, sizeof(data[0]));
	card.refuse_data = 2;
	assert_true(goes_well(BLOCK_WRITE, 20, 2, 2048));
	assert_memory_equal(&card.data[20 * 512], data[0][0], 2048);
	card.refuse_data = 100;
	assert_false(goes_well(BLOCK_WRITE, 20, 2, 2048));
	assert_non_null(strstr(last_line, "writing fails"));
	card.refuse_data = 0;
	card.bad_status = 1;
	assert_true(goes_well(BLOCK_WRITE, 20, 1, 512));
	assert_int_equal(card.violations, 0);
}

static void busy(void **state)
{
	uint64_t bytes;

	(void)state;
	begin(CARD_HIGH);
	card.busy_bytes = 1000000; /* 0.4 s at 20 MHz */
	bytes = card.bytes;
	assert_true(goes_well(BLOCK_WRITE, 20, 1, 2048));
	assert_true(card.bytes - bytes < 20000); /* it slept, rather than look at all of them */
	card.busy_for_ever = true;
	assert_false(goes_well(BLOCK_WRITE, 20, 1, 2048));
}

static void later(void)
{
	fake_bus.ops->sleep(&fake_bus, SECONDS);
}

static void is_away(unsigned said)
{
	for (unsigned i = 0; i < 3; i++) {
		later();
		assert_false(reads(1));
		assert_false(goes_well(BLOCK_WRITE, 1, 1, 512));
	}
	assert_int_equal(lines, said);
}

/* It can be read, and is not written: not even a command for that comes to it. */
static void is_back(unsigned said)
{
	unsigned writes = card.commands[24] + card.commands[25];

	later();
	assert_true(reads(1));
	assert_non_null(strstr(last_line, "is back"));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(reads(i));
		assert_false(goes_well(BLOCK_WRITE, i, 1, 512));
	}
	assert_int_equal(lines, said);
	assert_int_equal(card.commands[24] + card.commands[25], writes);
}

static void taken_out(void **state)
{
	uint64_t ns;

	(void)state;
	begin(CARD_HIGH);
	for (unsigned i = 0; i < 8; i++)
		submit(i, i % 2 == 0 ? BLOCK_READ : BLOCK_WRITE, i, 1, 512);
	card.present = false;
	ns = card.ns;
	sd_disk_work(&disk);
	assert_int_equal(dones, 8);
	assert_int_equal(errors, 8);
	assert_in_range(card.ns - ns, 0, 2 * SECONDS);
	assert_non_null(strstr(last_line, "EIO until it is back"));
	is_away(2);
	card.present = true;
	fake_card_power_cycle();
	is_back(3);
	card.present = false;
	is_away(4);
	card.present = true;
	fake_card_power_cycle();
	is_back(5);
}

/* Out and in again before anybody looked, or a supply that was gone for a moment: it does not know us any more. */
static void put_back(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	later();
	fake_card_power_cycle();
	assert_false(reads(1));
	is_back(3);
}

static void another_card(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	card.serial++;
	fake_card_power_cycle();
	assert_false(reads(1));
	is_away(3);
	assert_non_null(strstr(last_line, "another card"));
	assert_int_equal(card.commands[24] + card.commands[25], 0);
	card.serial--;
	fake_card_power_cycle();
	is_back(4);
}

static void controller_stops(void **state)
{
	(void)state;
	begin(CARD_HIGH);
	card.bus_fails = true;
	assert_false(reads(1));
	card.bus_fails = false;
}

static void write_protected(void **state)
{
	(void)state;
	fake_card_reset(CARD_STANDARD);
	card.write_protected = true;
	assert_int_equal(start_card(), 0);
	assert_true(disk.block.read_only);
	assert_true(reads(1));
	assert_false(goes_well(BLOCK_WRITE, 1, 1, 512));
	assert_int_equal(card.commands[24] + card.commands[25], 0);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(checksums),	     UNIT_TEST(each_kind_is_known), UNIT_TEST(slow_to_wake),
	UNIT_TEST(not_a_card),	     UNIT_TEST(back_and_forth),	    UNIT_TEST(queue),
	UNIT_TEST(errors_of_once),   UNIT_TEST(writes_that_fail),   UNIT_TEST(busy),
	UNIT_TEST(taken_out),	     UNIT_TEST(put_back),	    UNIT_TEST(another_card),
	UNIT_TEST(controller_stops), UNIT_TEST(write_protected),
};

UNIT_MAIN("sd", tests)
