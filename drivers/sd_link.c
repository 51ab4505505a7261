/*
 * SD in SPI mode, bytes and blocks. Contract: sd_link.h.
 *
 * Bytes from the card are fetched a chunk at a time, as each transfer costs an interrupt. What of a chunk is behind an answer
 * may be the beginning of the data already, and is taken from the chunk then; a block's data otherwise goes straight to where
 * it is to be.
 */
#include "drivers/sd_link.h"

#include <string.h>

#include "drivers/sd_crc.h"
#include "lib/errno.h"

#define ANSWER_BYTES  16U /* within 8 by the specification */
#define QUICK_LOOKS   16U
#define NAP_FIRST_NS  UINT64_C(50000)
#define NAP_LAST_NS   UINT64_C(2000000)
#define DATA_LIMIT_NS UINT64_C(500000000)  /* 100 ms by the specification */
#define BUSY_LIMIT_NS UINT64_C(1500000000) /* 500 ms by the specification */

#define NOTHING		0xffU
#define TOKEN_STOP_MANY 0xfdU
#define ACCEPTED	0x05U /* of a block's answer, in its low five bits */
#define ANSWER_MASK	0x1fU

static int transfer(struct sd_link *link, const struct spi_piece *pieces, unsigned count)
{
	return link->bus->ops->transfer(link->bus, pieces, count);
}

static int fetch(struct sd_link *link, uint32_t n)
{
	struct spi_piece piece = { .in = link->chunk, .bytes = n };
	int error = transfer(link, &piece, 1);

	link->at = 0;
	link->count = error == 0 ? n : 0;
	return error;
}

/* The pieces and then a chunk, which is piece number `count`. */
static int transfer_and_fetch(struct sd_link *link, struct spi_piece *pieces, unsigned count)
{
	int error;

	pieces[count] = (struct spi_piece){ .in = link->chunk, .bytes = SD_LINK_CHUNK };
	error = transfer(link, pieces, count + 1);
	link->at = 0;
	link->count = error == 0 ? SD_LINK_CHUNK : 0;
	return error;
}

/* Between looks at a card that is not there yet. Whether its time is up. */
static bool nap(struct sd_link *link, unsigned *looks, uint64_t began, uint64_t limit)
{
	const struct spi_ops *ops = link->bus->ops;
	unsigned naps = *looks < QUICK_LOOKS ? 0 : *looks - QUICK_LOOKS;

	if (++*looks <= QUICK_LOOKS)
		return false;
	if (ops->now(link->bus) - began > limit)
		return true;
	ops->sleep(link->bus, MIN(NAP_FIRST_NS << MIN(naps, 10U), NAP_LAST_NS));
	return false;
}

int sd_link_idle(struct sd_link *link, unsigned bytes)
{
	int error = 0;

	link->bus->ops->select(link->bus, false);
	for (unsigned done = 0; error == 0 && done < bytes; done += SD_LINK_CHUNK)
		error = fetch(link, SD_LINK_CHUNK);
	link->at = link->count = 0;
	return error;
}

int sd_link_end(struct sd_link *link)
{
	int error;

	link->bus->ops->select(link->bus, false);
	error = fetch(link, 1); /* the card lets go of the line when it is clocked */
	link->at = link->count = 0;
	return error;
}

/* What the chunk has of them. */
static uint32_t take(struct sd_link *link, uint8_t *to, uint32_t n)
{
	uint32_t have = MIN(n, link->count - link->at);

	memcpy(to, link->chunk + link->at, have);
	link->at += have;
	return have;
}

int sd_link_bytes(struct sd_link *link, uint8_t *to, uint32_t n)
{
	uint32_t have = take(link, to, n);
	struct spi_piece rest = { .in = to + have, .bytes = n - have };

	return have == n ? 0 : transfer(link, &rest, 1);
}

/* The next byte, of a chunk: what nobody reads of it is lost at the command's end. */
static int next(struct sd_link *link, uint8_t *byte)
{
	int error = link->at == link->count ? fetch(link, SD_LINK_CHUNK) : 0;

	if (error == 0)
		*byte = link->chunk[link->at++];
	return error;
}

int sd_link_ready(struct sd_link *link)
{
	uint64_t began = link->bus->ops->now(link->bus);
	bool seen = link->at < link->count; /* the end of a chunk, which tells as well */
	unsigned looks = 0;
	int error = 0;

	while (!link->ready && (seen || (error = fetch(link, looks == 0 ? 1 : SD_LINK_CHUNK)) == 0)) {
		link->ready = link->chunk[link->count - 1] == NOTHING;
		if (!link->ready && !seen && nap(link, &looks, began, BUSY_LIMIT_NS))
			return -ETIMEDOUT;
		seen = false;
	}
	link->at = link->count = 0;
	return error;
}

int sd_link_command(struct sd_link *link, enum sd_command command, uint32_t argument)
{
	uint8_t frame[6] = { (uint8_t)(0x40U | command), (uint8_t)(argument >> 24), (uint8_t)(argument >> 16),
			     (uint8_t)(argument >> 8), (uint8_t)argument };
	struct spi_piece pieces[2] = { { .out = frame, .bytes = sizeof(frame) } };
	uint8_t byte = NOTHING;
	int error = 0;

	link->bus->ops->select(link->bus, true);
	if (command != SD_GO_IDLE && command != SD_STOP)
		error = sd_link_ready(link);
	frame[5] = (uint8_t)(sd_crc7(frame, 5) << 1 | 1);
	if (error == 0)
		error = transfer_and_fetch(link, pieces, 1);
	if (command == SD_STOP) {
		link->ready = false;
		link->at = MIN(1U, link->count); /* a byte of the data that it stops, or nothing */
	}
	for (unsigned i = 0; error == 0 && i < ANSWER_BYTES; i++) {
		error = next(link, &byte);
		if (error == 0 && (byte & 0x80) == 0)
			return byte;
	}
	return error != 0 ? error : -ENODEV;
}

/* A block begins with a token, before which the card may take its time. */
static int await_token(struct sd_link *link)
{
	uint64_t began = link->bus->ops->now(link->bus);
	unsigned looks = 0;
	uint8_t byte;
	int error;

	while ((error = next(link, &byte)) == 0) {
		if (byte == SD_TOKEN_ONE)
			return 0;
		if (byte != NOTHING)
			return -EIO; /* an error's token, or garbage */
		if (link->at == link->count && nap(link, &looks, began, DATA_LIMIT_NS))
			return -ETIMEDOUT;
	}
	return error;
}

/* Nothing is clocked behind the last block: emulated cards lose count when they are stopped within one. */
int sd_link_receive(struct sd_link *link, uint8_t *to, uint32_t n, bool more)
{
	int error = await_token(link);
	uint8_t crc[2] = { 0 };
	uint32_t have;
	struct spi_piece pieces[3];

	if (error != 0)
		return error;
	have = take(link, to, n);
	pieces[0] = (struct spi_piece){ .in = to + have, .bytes = n - have };
	pieces[1] = (struct spi_piece){ .in = crc, .bytes = sizeof(crc) };
	error = more ? transfer_and_fetch(link, pieces, 2) : transfer(link, pieces, 2);
	return error == 0 && sd_crc16(to, n) != (crc[0] << 8 | crc[1]) ? -EIO : error;
}

int sd_link_send(struct sd_link *link, uint8_t token, const uint8_t *from)
{
	uint16_t crc = sd_crc16(from, SD_BLOCK_BYTES);
	uint8_t begin[2] = { NOTHING, token };
	uint8_t end[2] = { (uint8_t)(crc >> 8), (uint8_t)crc };
	struct spi_piece pieces[4] = { { .out = begin, .bytes = sizeof(begin) },
				       { .out = from, .bytes = SD_BLOCK_BYTES },
				       { .out = end, .bytes = sizeof(end) } };
	uint8_t byte = NOTHING;
	int error = sd_link_ready(link);

	if (error == 0)
		error = transfer_and_fetch(link, pieces, 3);
	link->ready = false;
	for (unsigned i = 0; error == 0 && byte == NOTHING && i < ANSWER_BYTES; i++)
		error = next(link, &byte);
	if (error == 0 && (byte == NOTHING || (byte & ANSWER_MASK) != ACCEPTED))
		error = -EIO;
	return error;
}

int sd_link_send_stop(struct sd_link *link)
{
	uint8_t stop[2] = { TOKEN_STOP_MANY, NOTHING };
	struct spi_piece piece = { .out = stop, .bytes = sizeof(stop) };
	int error = sd_link_ready(link);

	link->ready = false;
	if (error == 0)
		error = transfer(link, &piece, 1);
	return error == 0 ? sd_link_ready(link) : error;
}
