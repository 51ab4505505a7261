/*
 * The newc cpio format: a header of 110 bytes of ASCII, the name, the data; name and data each padded to four bytes from
 * the archive's start. An entry named TRAILER!!! ends an archive; zeros and further archives may follow it, as Linux has it.
 *
 * Invariant: at <= total, and every byte that is looked at lies in [0, total): cpio_have() comes before each access, and
 * sums are of 64 bits with terms below 2^32 + 2^13, so none wraps.
 */
#include "kernel/cpio.h"

#include <string.h>

#include "lib/errno.h"

#define CPIO_HEADER 110U
#define CPIO_FIELD  8U

enum cpio_field {
	CPIO_INO,
	CPIO_MODE,
	CPIO_UID,
	CPIO_GID,
	CPIO_NLINK,
	CPIO_MTIME,
	CPIO_FILESIZE,
	CPIO_DEVMAJOR,
	CPIO_DEVMINOR,
	CPIO_RDEVMAJOR,
	CPIO_RDEVMINOR,
	CPIO_NAMESIZE,
	CPIO_CHECK,
	CPIO_FIELDS
};

static const char cpio_trailer[] = "TRAILER!!!";

static int cpio_fail(struct cpio *cpio, const char *problem)
{
	cpio->problem = problem;
	return -EINVAL;
}

static bool cpio_have(const struct cpio *cpio, uint64_t at, uint64_t n)
{
	return at <= cpio->total && n <= cpio->total - at;
}

static bool cpio_starts(const struct cpio *cpio, const char *magic, uint64_t n)
{
	return cpio_have(cpio, cpio->at, n) && memcmp(cpio->bytes + cpio->at, magic, n) == 0;
}

/* Someone who built the archive wants to know which of the usual mistakes it was. */
static const char *cpio_foreign(const struct cpio *cpio)
{
	static const struct {
		const char *magic;
		uint64_t n;
		const char *problem;
	} formats[] = {
		{ "\x1f\x8b", 2, "it is compressed with gzip: give it uncompressed" },
		{ "\xfd"
		  "7zXZ",
		  5, "it is compressed with xz: give it uncompressed" },
		{ "\x28\xb5\x2f\xfd", 4, "it is compressed with zstd: give it uncompressed" },
		{ "BZh", 3, "it is compressed with bzip2: give it uncompressed" },
		{ "\x5d\0\0", 3, "it is compressed with lzma: give it uncompressed" },
		{ "\x02\x21\x4c\x18", 4, "it is compressed with lz4: give it uncompressed" },
		{ "\x04\x22\x4d\x18", 4, "it is compressed with lz4: give it uncompressed" },
		{ "\x89LZO", 4, "it is compressed with lzo: give it uncompressed" },
		{ "070707", 6, "it is cpio in the old portable format: make it with -H newc" },
		{ "\xc7\x71", 2, "it is cpio in the old binary format: make it with -H newc" },
		{ "\x71\xc7", 2, "it is cpio in the old binary format: make it with -H newc" },
		{ "\x7f"
		  "ELF",
		  4, "it is an ELF file, not a cpio archive" },
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (cpio_starts(cpio, formats[i].magic, formats[i].n))
			return formats[i].problem;
	}
	return cpio->at == 0 ? "it is not a cpio archive" : "a header does not begin with 070701 or 070702";
}

static bool cpio_hex(const uint8_t *digits, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < CPIO_FIELD; i++) {
		uint32_t c = digits[i];
		uint32_t lower = c | 32U;

		if (c >= '0' && c <= '9')
			value = (value << 4) | (c - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = (value << 4) | (lower - 'a' + 10);
		else
			return false;
	}
	*out = value;
	return true;
}

static int cpio_header(struct cpio *cpio, uint32_t field[CPIO_FIELDS], bool *checked)
{
	const uint8_t *header = cpio->bytes + cpio->at;

	*checked = cpio_starts(cpio, "070702", 6);
	if (!*checked && !cpio_starts(cpio, "070701", 6))
		return cpio_fail(cpio, cpio_foreign(cpio));
	if (!cpio_have(cpio, cpio->at, CPIO_HEADER))
		return cpio_fail(cpio, "it ends within a header");
	for (unsigned i = 0; i < CPIO_FIELDS; i++) {
		if (!cpio_hex(header + 6 + i * CPIO_FIELD, &field[i]))
			return cpio_fail(cpio, "a header has a field that is not hexadecimal");
	}
	return 0;
}

/* The name may be padded with more zeros than one: some tools align the data that way. */
static int cpio_name(struct cpio *cpio, uint32_t namesize, struct cpio_entry *out)
{
	uint64_t at = cpio->at + CPIO_HEADER;

	if (namesize < 2 || namesize > CPIO_NAME_MAX)
		return cpio_fail(cpio, "a name is empty, or longer than 4095 bytes");
	if (!cpio_have(cpio, at, namesize))
		return cpio_fail(cpio, "it ends within a name");
	out->name = (const char *)cpio->bytes + at;
	out->name_bytes = (uint32_t)strnlen(out->name, namesize);
	if (out->name_bytes == 0 || out->name_bytes == namesize)
		return cpio_fail(cpio, "a name is empty, or does not end");
	for (uint32_t i = out->name_bytes; i < namesize; i++) {
		if (out->name[i] != 0)
			return cpio_fail(cpio, "a name has a zero byte inside");
	}
	return 0;
}

static int cpio_data(struct cpio *cpio, const uint32_t field[CPIO_FIELDS], bool checked, struct cpio_entry *out)
{
	uint64_t at = ALIGN_UP(cpio->at + CPIO_HEADER + field[CPIO_NAMESIZE], 4U);
	uint32_t sum = 0;

	if (field[CPIO_FILESIZE] == 0 && at > cpio->total)
		at = cpio->total; /* the padding behind the last name may be missing */
	if (!cpio_have(cpio, at, field[CPIO_FILESIZE]))
		return cpio_fail(cpio, "it ends within a file's data");
	out->data = cpio->bytes + at;
	out->bytes = field[CPIO_FILESIZE];
	for (uint32_t i = 0; checked && i < out->bytes; i++)
		sum += cpio->bytes[at + i];
	if (checked && sum != field[CPIO_CHECK])
		return cpio_fail(cpio, "a file's checksum is wrong");
	at = ALIGN_UP(at + out->bytes, 4U);
	cpio->at = MIN(at, cpio->total);
	return 0;
}

/* Behind a trailer: true when another archive follows. */
static bool cpio_again(struct cpio *cpio)
{
	while (cpio->at < cpio->total && cpio->bytes[cpio->at] == 0)
		cpio->at++;
	return cpio->at < cpio->total;
}

void cpio_init(struct cpio *cpio, const void *bytes, uint64_t total)
{
	*cpio = (struct cpio){ .bytes = bytes, .total = bytes == NULL ? 0 : total };
}

static int cpio_entry(struct cpio *cpio, struct cpio_entry *out)
{
	uint32_t field[CPIO_FIELDS];
	bool checked;
	int error;

	cpio->entry_at = cpio->at;
	if (cpio->at == cpio->total)
		return cpio_fail(cpio, "it ends without a trailer: a part of it is missing");
	if ((error = cpio_header(cpio, field, &checked)) != 0 ||
	    (error = cpio_name(cpio, field[CPIO_NAMESIZE], out)) != 0 ||
	    (error = cpio_data(cpio, field, checked, out)) != 0)
		return error;
	out->inode = field[CPIO_INO];
	out->mode = field[CPIO_MODE];
	out->uid = field[CPIO_UID];
	out->gid = field[CPIO_GID];
	out->links = field[CPIO_NLINK];
	out->mtime = field[CPIO_MTIME];
	out->dev_major = field[CPIO_DEVMAJOR];
	out->dev_minor = field[CPIO_DEVMINOR];
	out->rdev_major = field[CPIO_RDEVMAJOR];
	out->rdev_minor = field[CPIO_RDEVMINOR];
	return 0;
}

int cpio_next(struct cpio *cpio, struct cpio_entry *out)
{
	if (cpio->total == 0)
		return 0;
	for (;;) {
		int error = cpio_entry(cpio, out);

		if (error != 0)
			return error;
		if (strcmp(out->name, cpio_trailer) != 0)
			return 1;
		if (!cpio_again(cpio))
			return 0;
	}
}
