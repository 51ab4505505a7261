/* The card: fake_card.h. */
#include "tests/unit/fake_card.h"

#include <string.h>

#include "drivers/sd_crc.h"
#include "lib/errno.h"

#define IDLE	1U
#define ILLEGAL 4U
#define BAD_CRC 8U

struct fake_card card;

static struct {
	bool selected, native, idle, checks, app;
	uint8_t frame[6];
	unsigned frame_bytes;
	uint8_t queue[1200]; /* to the host */
	unsigned head, tail;
	bool reading, many; /* CMD17, CMD18 */
	bool writing;	    /* CMD24, CMD25 */
	bool receiving;	    /* a block: its token was seen */
	unsigned received;  /* of it */
	uint8_t block[514];
	uint64_t sector;
	unsigned busy, woken;
} inside;

static void say(uint8_t byte)
{
	if (inside.tail == sizeof(inside.queue)) {
		memmove(inside.queue, inside.queue + inside.head, inside.tail - inside.head);
		inside.tail -= inside.head;
		inside.head = 0;
	}
	inside.queue[inside.tail++] = byte;
}

static void answer(unsigned r1)
{
	say(0xff);
	say((uint8_t)(r1 | (inside.idle ? IDLE : 0)));
}

static bool happens(unsigned *left)
{
	bool now = *left != 0;

	*left -= now;
	return now;
}

static void say_data(const uint8_t *from, unsigned n)
{
	uint16_t crc = sd_crc16(from, n);
	bool bad = happens(&card.bad_data);

	for (unsigned i = 0; i < card.access_bytes; i++)
		say(0xff);
	say(0xfe);
	for (unsigned i = 0; i < n; i++)
		say(from[i] ^ (uint8_t)(bad && i == n / 2));
	say((uint8_t)(crc >> 8));
	say((uint8_t)crc);
}

static void say_block(void)
{
	if (card.no_token != 0) {
		inside.reading = false;
	} else if (inside.sector >= CARD_SECTORS || happens(&card.error_tokens)) {
		say(0xff);
		say(0x08);
		inside.reading = false;
	} else {
		say_data(&card.data[inside.sector++ * 512], 512);
		inside.reading = inside.many;
	}
}

static void say_register(bool csd)
{
	uint8_t reg[16] = { 0 };

	if (csd && card.kind == CARD_HIGH) {
		reg[0] = 0x40;
		reg[9] = CARD_SECTORS / 1024 - 1;
	} else if (csd) {
		/* 2^(7+2) blocks of 2^9 times 8 */
		reg[5] = 9;
		reg[8] = (CARD_SECTORS / 512 - 1) << 6 & 0xff;
		reg[7] = (CARD_SECTORS / 512 - 1) >> 2;
		reg[9] = 3;
		reg[10] = 0x80;
	} else {
		memcpy(reg, "\1OEFAKED\1\0\0\52\7", 13);
		reg[12] ^= card.serial;
	}
	if (csd) {
		reg[3] = 0x32;
		reg[14] = card.write_protected ? 0x10 : 0;
	}
	answer(0);
	say_data(reg, sizeof(reg));
}

static void access(uint32_t argument, bool write, bool many)
{
	bool by_sectors = card.kind == CARD_HIGH;

	if (!by_sectors && argument % 512 != 0) {
		answer(0x20);
		return;
	}
	inside.sector = by_sectors ? argument : argument / 512;
	if (inside.sector >= CARD_SECTORS) {
		answer(0x40);
		return;
	}
	answer(0);
	inside.reading = !write;
	inside.writing = write;
	inside.many = many;
}

static void say_word(uint32_t word)
{
	for (unsigned shift = 32; shift != 0; shift -= 8)
		say((uint8_t)(word >> (shift - 8)));
}

static void go_idle(void)
{
	inside.native = false;
	inside.idle = true;
	inside.checks = false;
	inside.woken = 0;
	if (happens(&card.wrong_idle)) {
		say(0xff);
		say(0);
	} else {
		answer(0);
	}
}

static void op_cond(uint32_t argument)
{
	/* a card of high capacity waits for a host that knows it */
	if (inside.woken++ >= card.wake_attempts && (card.kind != CARD_HIGH || (argument & 1U << 30) != 0))
		inside.idle = false;
	answer(0);
}

static void obey(unsigned command, uint32_t argument)
{
	bool app = inside.app;

	inside.app = false;
	card.commands[command]++;
	if (command == 0) {
		go_idle();
	} else if (command == 8 && card.kind != CARD_VERSION_1 && card.kind != CARD_FOREIGN) {
		answer(0);
		say_word(argument & 0xfff);
	} else if (command == 55 && card.kind != CARD_FOREIGN) {
		inside.app = true;
		answer(0);
	} else if (command == 41 && app) {
		op_cond(argument);
	} else if (command == 59) {
		inside.checks = argument == 1;
		answer(0);
	} else if (command == 58) {
		answer(0);
		say_word((inside.idle ? 0 : 1U << 31) | (card.kind == CARD_HIGH ? 1U << 30 : 0) | 0xff8000);
	} else if (inside.idle) {
		answer(ILLEGAL);
	} else if (command == 9 || command == 10) {
		say_register(command == 9);
	} else if (command == 13) {
		answer(0);
		say(happens(&card.bad_status) ? 0x04 : 0);
	} else if (command == 16 && argument == 512) {
		answer(0);
	} else if (command == 17 || command == 18) {
		access(argument, false, command == 18);
	} else if (command == 24 || command == 25) {
		access(argument, true, command == 25);
	} else {
		answer(ILLEGAL);
	}
}

static void take_frame(void)
{
	const uint8_t *frame = inside.frame;
	unsigned command = frame[0] & 0x3f;
	bool good = frame[5] == (sd_crc7(frame, 5) << 1 | 1);

	inside.frame_bytes = 0;
	if (command == 12) {
		card.commands[12]++;
		inside.reading = inside.writing = false;
		inside.head = inside.tail = 0;
		say(0x3f); /* whatever was on its way */
		answer(inside.sector >= CARD_SECTORS ? 0x40 : 0);
		inside.busy = card.busy_bytes;
		return;
	}
	if (inside.native && (command != 0 || !good))
		return;
	if (!good)
		card.violations++;
	if ((inside.checks && !good) || happens(&card.refuse_frames))
		answer(BAD_CRC);
	else
		obey(command, (uint32_t)frame[1] << 24 | (uint32_t)frame[2] << 16 | (uint32_t)frame[3] << 8 | frame[4]);
}

static void take_block(void)
{
	uint16_t crc = (uint16_t)(inside.block[512] << 8 | inside.block[513]);
	bool good = crc == sd_crc16(inside.block, 512);

	inside.receiving = false;
	if (!good)
		card.violations++;
	if (!good || happens(&card.refuse_data)) {
		say(0xeb);
		inside.writing = inside.many;
		return;
	}
	if (inside.sector >= CARD_SECTORS) {
		say(0xed);
	} else {
		memcpy(&card.data[inside.sector++ * 512], inside.block, 512);
		say(0xe5);
	}
	inside.busy = card.busy_for_ever ? 1U << 30 : card.busy_bytes;
	inside.writing = inside.many;
}

static void take(uint8_t byte)
{
	if (inside.receiving) {
		inside.block[inside.received++] = byte;
		if (inside.received == sizeof(inside.block))
			take_block();
	} else if (inside.frame_bytes != 0 || (byte & 0xc0) == 0x40) {
		inside.frame[inside.frame_bytes++] = byte;
		if (inside.frame_bytes == sizeof(inside.frame))
			take_frame();
	} else if (inside.writing && byte == (inside.many ? 0xfc : 0xfe)) {
		card.violations += inside.busy != 0;
		inside.receiving = true;
		inside.received = 0;
	} else if (inside.writing && inside.many && byte == 0xfd) {
		card.violations += inside.busy != 0;
		inside.writing = false;
		inside.busy = card.busy_bytes;
	} else if (byte != 0xff) {
		card.violations++;
	}
}

static uint8_t give(void)
{
	if (inside.head == inside.tail && inside.reading)
		say_block();
	if (inside.head != inside.tail)
		return inside.queue[inside.head++];
	if (inside.busy != 0) {
		inside.busy--;
		return 0;
	}
	return 0xff;
}

static uint8_t exchange(uint8_t byte)
{
	uint8_t out;

	card.ns += UINT64_C(8000000000) / card.hz;
	card.bytes++;
	if (!card.present)
		return 0xff;
	if (!inside.selected) {
		card.idle_clocks += card.commands[0] == 0 ? 8 : 0;
		inside.busy -= inside.busy != 0;
		return 0xff;
	}
	out = give();
	take(byte);
	return out;
}

/* ---- The bus. */

static void set_clock(struct spi_bus *bus, uint32_t hz)
{
	(void)bus;
	card.hz = hz;
	if (card.hz_first == 0)
		card.hz_first = hz;
}

static void select_card(struct spi_bus *bus, bool on)
{
	(void)bus;
	if (!on) {
		inside.frame_bytes = 0;
		inside.reading = inside.receiving = false;
		inside.head = inside.tail = 0;
	}
	inside.selected = on;
}

static int transfer(struct spi_bus *bus, const struct spi_piece *pieces, unsigned count)
{
	uint32_t total = 0;

	(void)bus;
	if (card.bus_fails)
		return -EIO;
	for (; count != 0; count--, pieces++) {
		card.violations += pieces->bytes == 0;
		for (uint32_t i = 0; i < pieces->bytes; i++, total++) {
			uint8_t byte = exchange(pieces->out == NULL ? 0xff : pieces->out[i]);

			if (pieces->in != NULL)
				pieces->in[i] = byte;
		}
	}
	card.violations += total > SPI_TRANSFER_MAX;
	return 0;
}

static void nap(struct spi_bus *bus, uint64_t ns)
{
	(void)bus;
	card.ns += ns;
	inside.busy -= card.busy_for_ever ? 0 : inside.busy / 2;
}

static uint64_t now(struct spi_bus *bus)
{
	(void)bus;
	return card.ns;
}

static const struct spi_ops ops = {
	.set_clock = set_clock, .select = select_card, .transfer = transfer, .sleep = nap, .now = now
};
struct spi_bus fake_bus = { .ops = &ops };

void fake_card_power_cycle(void)
{
	memset(&inside, 0, sizeof(inside));
	inside.native = true;
	inside.idle = true;
}

void fake_card_reset(enum card_kind kind)
{
	memset(&card, 0, sizeof(card));
	card.present = true;
	card.kind = kind;
	card.access_bytes = 3;
	card.busy_bytes = 5;
	for (unsigned i = 0; i < sizeof(card.data); i++)
		card.data[i] = (uint8_t)(i * 7 + (i >> 9) * 13);
	fake_card_power_cycle();
}
