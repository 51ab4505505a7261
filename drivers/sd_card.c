/*
 * SD cards: identification, reading, writing. Contract: sd_card.h; the specification: see sd_link.h.
 *
 * Checksums are on both ways from the start. A write is done when the card is not busy any more and its status has no error:
 * then it is durable, cards in this mode have no cache.
 */
#include "drivers/sd_card.h"

#include <string.h>

#include "lib/errno.h"
#include "lib/hw.h"

#define START_HZ       400000U
#define START_BYTES    16U /* at least 74 clocks */
#define IDLE_TRIES     16U
#define IDLE_NAP_NS    UINT64_C(1000000)
#define WAKE_LIMIT_NS  UINT64_C(2000000000) /* 1 s by the specification */
#define WAKE_NAP_NS    UINT64_C(5000000)
#define CHECK_PATTERN  0x1aaU /* 2.7 to 3.6 V, and a pattern that comes back */
#define HIGH_CAPACITY  (UINT32_C(1) << 30)
#define OCR_3V3	       (UINT32_C(3) << 20)
#define OCR_READY      (UINT32_C(1) << 31)
#define REGISTER_BYTES SD_ID_BYTES

static int say(const char **why, const char *what)
{
	*why = what;
	return -EIO;
}

/* A command that has no more than its first byte. */
static int simple(struct sd_card *card, enum sd_command command, uint32_t argument)
{
	int answer = sd_link_command(&card->link, command, argument);
	int error = sd_link_end(&card->link);

	return answer < 0 || error == 0 ? answer : error;
}

/* A command with four bytes more, as a number. */
static int with_word(struct sd_card *card, enum sd_command command, uint32_t argument, uint32_t *word)
{
	uint8_t bytes[4] = { 0 };
	int answer = sd_link_command(&card->link, command, argument);
	int error = 0;

	if (answer >= 0 && (answer & SD_R1_ILLEGAL) == 0)
		error = sd_link_bytes(&card->link, bytes, sizeof(bytes));
	*word = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	if (sd_link_end(&card->link) != 0)
		error = -EIO;
	return answer < 0 || error == 0 ? answer : error;
}

/* A register: it comes as a block of data. */
static int with_register(struct sd_card *card, enum sd_command command, uint8_t *to)
{
	int answer = sd_link_command(&card->link, command, 0);
	int error = answer > 0 ? -EIO : answer;

	if (error == 0)
		error = sd_link_receive(&card->link, to, REGISTER_BYTES, false);
	return sd_link_end(&card->link) != 0 ? -EIO : error;
}

/* ---- Waking it up. */

/* Cards, and emulated ones, need not understand the first that they hear. */
static int go_idle(struct sd_card *card, const char **why)
{
	int answer = -ENODEV;
	bool heard = false;

	for (unsigned i = 0; i < IDLE_TRIES && answer != SD_R1_IDLE; i++) {
		/* Clocks alone, whoever hears them: if these do not go out, nothing will, and each try takes a second. */
		if (sd_link_idle(&card->link, START_BYTES) != 0)
			return say(why, "its controller does nothing, or its interrupt does not come");
		answer = simple(card, SD_GO_IDLE, 0);
		heard = heard || (answer >= 0 && (answer & SD_R1_ILLEGAL) == 0); /* emulated empty slots say so */
		if (answer != SD_R1_IDLE)
			card->link.bus->ops->sleep(card->link.bus, IDLE_NAP_NS);
	}
	if (answer == SD_R1_IDLE)
		return 0;
	return heard ? say(why, "it does not understand the first command") : answer;
}

/* Until it has found its own supply and memory. It is told that we know large cards. */
static int wake(struct sd_card *card, bool version_2, const char **why)
{
	const struct spi_ops *ops = card->link.bus->ops;
	uint64_t began = ops->now(card->link.bus);
	int answer;

	for (;;) {
		answer = simple(card, SD_APP, 0);
		if (answer >= 0 && (answer & SD_R1_ILLEGAL) == 0)
			answer = simple(card, SD_APP_OP_COND, version_2 ? HIGH_CAPACITY : 0);
		if (answer <= 0)
			return answer == 0 ? 0 : say(why, "it stopped answering");
		if ((answer & SD_R1_ILLEGAL) != 0)
			return say(why, "it is no SD card");
		if (ops->now(card->link.bus) - began > WAKE_LIMIT_NS)
			return say(why, "it does not get ready");
		ops->sleep(card->link.bus, WAKE_NAP_NS);
	}
}

/* The bits from `high` down to `low`, of 127 to 0; at most 32. */
static uint32_t bits(const uint8_t *reg, unsigned high, unsigned low)
{
	uint32_t value = 0;

	for (unsigned bit = high + 1; bit-- > low;)
		value = value << 1 | (reg[15 - bit / 8] >> bit % 8 & 1);
	return value;
}

/* Of the CSD: tens of a power of ten, from 10 kHz. */
static uint32_t speed_of(const uint8_t *csd)
{
	static const uint8_t tens[16] = { 0, 10, 12, 13, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 70, 80 };
	uint32_t hz = 10000U * tens[bits(csd, 102, 99)];

	for (uint32_t power = MIN(bits(csd, 98, 96), 3U); power != 0; power--)
		hz *= 10;
	return MAX(hz, START_HZ);
}

static int read_capacity(struct sd_card *card, const uint8_t *csd, const char **why)
{
	uint32_t exponent = bits(csd, 83, 80);

	switch (bits(csd, 127, 126)) {
	case 0:
		if (exponent < 9 || exponent > 11)
			return say(why, "its capacity makes no sense");
		card->sectors = ((uint64_t)bits(csd, 73, 62) + 1) << (bits(csd, 49, 47) + 2) << (exponent - 9);
		break;
	case 1:
		card->sectors = ((uint64_t)bits(csd, 69, 48) + 1) << 10;
		break;
	default:
		return say(why, "it is of a kind that came later than this driver");
	}
	card->read_only = bits(csd, 13, 12) != 0;
	card->hz = MIN(speed_of(csd), card->slot_hz);
	return 0;
}

static int read_registers(struct sd_card *card, const char **why)
{
	uint8_t csd[REGISTER_BYTES], *cid = card->id;

	if (with_register(card, SD_SEND_CSD, csd) != 0)
		return say(why, "it does not say how large it is");
	if (with_register(card, SD_SEND_CID, cid) != 0)
		return say(why, "it does not say what it is");
	for (unsigned i = 0; i < 5; i++)
		card->name[i] = (char)(cid[3 + i] > ' ' && cid[3 + i] < 0x7f ? cid[3 + i] : '.');
	card->name[5] = '\0';
	card->serial = bits(cid, 55, 24);
	return read_capacity(card, csd, why);
}

int sd_card_start(struct sd_card *card, const char **why)
{
	const struct spi_ops *ops = card->link.bus->ops;
	uint32_t word = 0;
	bool version_2;
	int answer;

	*why = "it does not answer";
	ops->set_clock(card->link.bus, START_HZ);
	answer = go_idle(card, why);
	if (answer != 0)
		return answer;
	answer = with_word(card, SD_SEND_IF_COND, CHECK_PATTERN, &word);
	version_2 = answer >= 0 && (answer & SD_R1_ILLEGAL) == 0;
	if (answer < 0 || (version_2 && (word & 0xfff) != CHECK_PATTERN))
		return say(why, "it does not work with 3.3 V");
	if (simple(card, SD_CRC_ON_OFF, 1) != SD_R1_IDLE)
		return say(why, "it does not turn checksums on");
	answer = wake(card, version_2, why);
	if (answer != 0)
		return answer;
	/* Emulated ones say here that they are idle, and are not: that they are ready is in the word. */
	answer = with_word(card, SD_READ_OCR, 0, &word);
	if (answer < 0 || (answer & ~SD_R1_IDLE) != 0 || (word & OCR_READY) == 0)
		return say(why, "it does not get ready");
	if ((word & OCR_3V3) == 0)
		return say(why, "it does not work with 3.3 V");
	card->by_sectors = version_2 && (word & HIGH_CAPACITY) != 0;
	if (!card->by_sectors && simple(card, SD_SET_BLOCK_BYTES, SD_BLOCK_BYTES) != 0)
		return say(why, "it has no blocks of 512 bytes");
	answer = read_registers(card, why);
	if (answer == 0)
		ops->set_clock(card->link.bus, card->hz);
	return answer;
}

/* ---- Reading and writing. */

static uint32_t sectors_of(const struct block_segment *segments, uint32_t count)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += segments[i].bytes;
	return (uint32_t)(bytes / SD_BLOCK_BYTES);
}

static int move(struct sd_card *card, bool write, uint32_t left, const struct block_segment *segments, uint32_t count)
{
	uint8_t token = left > 1 ? SD_TOKEN_MANY : SD_TOKEN_ONE;
	int error = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *at = hw_direct(segments[i].start);
		const uint8_t *end = at + segments[i].bytes;

		for (; error == 0 && at != end; at += SD_BLOCK_BYTES)
			error = write ? sd_link_send(&card->link, token, at)
				      : sd_link_receive(&card->link, at, SD_BLOCK_BYTES, --left != 0);
	}
	return error;
}

/* 0 where the card has nothing to complain about. */
static int status(struct sd_card *card)
{
	uint8_t second = 0;
	int answer = sd_link_command(&card->link, SD_SEND_STATUS, 0);
	int error = answer < 0 ? answer : sd_link_bytes(&card->link, &second, 1);

	if (sd_link_end(&card->link) != 0 || error != 0)
		return error != 0 ? error : -EIO;
	/* It has this command while it is what it was: one that lost its supply, or another one, does not. */
	if ((answer & (SD_R1_IDLE | SD_R1_ILLEGAL)) != 0)
		return -ENODEV;
	return answer != 0 || second != 0 ? -EIO : 0;
}

/* Whatever state a failed command has left the card in. Nothing is under way afterwards, or it is gone. */
static int recover(struct sd_card *card)
{
	int error = -ENODEV;

	(void)!sd_link_command(&card->link, SD_STOP, 0);
	(void)!sd_link_ready(&card->link);
	/* The first may be about errors that were, which reading it clears, or not be understood. */
	for (unsigned i = 0; i < 3 && error != 0; i++)
		error = status(card);
	return error == -EIO || error == 0 ? -EIO : -ENODEV;
}

int sd_card_transfer(struct sd_card *card, bool write, uint64_t sector, const struct block_segment *segments,
		     uint32_t count)
{
	static const enum sd_command commands[2][2] = { { SD_READ_ONE, SD_READ_MANY },
							{ SD_WRITE_ONE, SD_WRITE_MANY } };
	uint32_t sectors = sectors_of(segments, count);
	bool many = sectors > 1;
	uint64_t at = card->by_sectors ? sector : sector * SD_BLOCK_BYTES;
	int answer = sd_link_command(&card->link, commands[write][many], (uint32_t)at);
	int error = answer > 0 ? -EIO : answer;

	if (error == 0)
		error = move(card, write, sectors, segments, count);
	if (error == 0 && many && !write) {
		/* its answer may complain about what is behind the end, which nobody asked for */
		(void)!sd_link_command(&card->link, SD_STOP, 0);
		error = sd_link_ready(&card->link);
	} else if (error == 0 && write) {
		error = many ? sd_link_send_stop(&card->link) : sd_link_ready(&card->link);
	}
	if (error == 0 && write)
		error = status(card);
	else if (sd_link_end(&card->link) != 0)
		error = -EIO;
	return error == 0 ? 0 : recover(card);
}
