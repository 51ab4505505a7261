/*
 * Partition tables: see gpt.h.
 *
 * A GPT is believed only when both checksums fit, and all its numbers lie within the disk. The array of entries may be
 * of any size; it is read twice, first for its checksum, then for what it says, a sector at a time, because an
 * allocation here is a page at most. Partitions that overlap or leave the disk make the table bad as a whole: what one
 * of them would be used for, another would overwrite.
 */
#include "fs/gpt.h"

#include <string.h>

#include "fs/bytes.h"
#include "fs/fs.h"

#define MBR_TABLE     446
#define MBR_ENTRY     16
#define MBR_SIGNATURE 510
#define MBR_GPT	      0xee
#define ENTRY_BYTES   128 /* of a GPT entry, at least */
#define ARRAY_MAX     (UINT64_C(64) << 20)

struct header {
	uint64_t lba; /* where it was read */
	uint64_t alternate;
	uint64_t first_usable, last_usable;
	uint64_t entries_lba;
	uint32_t entries, entry_bytes;
	uint32_t entries_crc;
};

struct reader {
	struct disk *disk;
	uint8_t *sector;
	struct gpt_table *table;
	const char *why;
};

static uint32_t crc32_more(uint32_t crc, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0U - (crc & 1)));
	}
	return crc;
}

static int bad(struct reader *r, const char *why)
{
	r->why = why;
	return -EINVAL;
}

static int read_sector(struct reader *r, uint64_t lba)
{
	int error = fs_read(r->disk, lba, r->sector, 1);

	if (error != 0)
		r->why = "the partition table cannot be read";
	return error;
}

static int add(struct reader *r, const struct gpt_part *part)
{
	struct gpt_table *table = r->table;

	if (part->sectors == 0 || part->first >= r->disk->sectors || part->sectors > r->disk->sectors - part->first)
		return bad(r, "a partition lies outside the disk");
	for (unsigned i = 0; i < table->count; i++) {
		const struct gpt_part *other = &table->part[i];

		if (part->first < other->first + other->sectors && other->first < part->first + part->sectors)
			return bad(r, "two partitions overlap");
	}
	if (table->count < GPT_PARTS_MAX)
		table->part[table->count++] = *part;
	return 0;
}

/* ---- GPT */

static int check_header(struct reader *r, const struct header *h, uint32_t bytes, uint32_t crc)
{
	uint8_t *s = r->sector;

	if (bytes < 92 || bytes > r->disk->sector_bytes)
		return bad(r, "GPT: the header's size is wrong");
	memset(s + 16, 0, 4);
	if (~crc32_more(UINT32_MAX, s, bytes) != crc)
		return bad(r, "GPT: the header's checksum is wrong");
	if (get64(s + 24) != h->lba)
		return bad(r, "GPT: the header names another place as its own");
	if (h->entry_bytes < ENTRY_BYTES || (h->entry_bytes & (h->entry_bytes - 1)) != 0)
		return bad(r, "GPT: the entries' size is wrong");
	if ((uint64_t)h->entries * h->entry_bytes > ARRAY_MAX)
		return bad(r, "GPT: there are too many entries");
	if (h->first_usable > h->last_usable || h->last_usable >= r->disk->sectors)
		return bad(r, "GPT: the disk is shorter than its table says");
	return 0;
}

static int read_header(struct reader *r, uint64_t lba, struct header *h)
{
	uint8_t *s = r->sector;
	int error = read_sector(r, lba);

	if (error != 0)
		return error;
	if (memcmp(s, "EFI PART", 8) != 0)
		return bad(r, "GPT: there is no header");
	*h = (struct header){
		.lba = lba,
		.alternate = get64(s + 32),
		.first_usable = get64(s + 40),
		.last_usable = get64(s + 48),
		.entries_lba = get64(s + 72),
		.entries = get32(s + 80),
		.entry_bytes = get32(s + 84),
		.entries_crc = get32(s + 88),
	};
	return check_header(r, h, get32(s + 12), get32(s + 16));
}

static int check_entries(struct reader *r, const struct header *h)
{
	uint64_t left = (uint64_t)h->entries * h->entry_bytes, lba = h->entries_lba;
	uint64_t sectors = (left + r->disk->sector_bytes - 1) / r->disk->sector_bytes;
	uint32_t crc = UINT32_MAX;

	if (lba < 2 || lba >= r->disk->sectors || sectors > r->disk->sectors - lba)
		return bad(r, "GPT: the entries lie outside the disk");
	for (; left != 0; lba++) {
		uint32_t n = (uint32_t)MIN(left, r->disk->sector_bytes);
		int error = read_sector(r, lba);

		if (error != 0)
			return error;
		crc = crc32_more(crc, r->sector, n);
		left -= n;
	}
	return ~crc == h->entries_crc ? 0 : bad(r, "GPT: the entries' checksum is wrong");
}

static bool fat_guid(const uint8_t *guid)
{
	/* EFI system partition; Microsoft basic data. */
	static const uint8_t known[2][16] = {
		{ 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b },
		{ 0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7 },
	};

	return memcmp(guid, known[0], 16) == 0 || memcmp(guid, known[1], 16) == 0;
}

static int add_entry(struct reader *r, const struct header *h, const uint8_t *entry, uint32_t number)
{
	static const uint8_t unused[16];
	uint64_t first = get64(entry + 32), last = get64(entry + 40);
	struct gpt_part part = { .first = first, .number = number };

	if (memcmp(entry, unused, 16) == 0)
		return 0;
	if (first > last || first < h->first_usable || last > h->last_usable)
		return bad(r, "GPT: a partition lies outside the usable range");
	part.sectors = last - first + 1;
	memcpy(part.guid, entry, 16);
	part.fat = fat_guid(entry);
	return add(r, &part);
}

static int read_entries(struct reader *r, const struct header *h)
{
	uint64_t have = UINT64_MAX;

	r->table->count = 0;
	for (uint32_t i = 0; i < h->entries; i++) {
		uint64_t at = (uint64_t)i * h->entry_bytes, lba = h->entries_lba + at / r->disk->sector_bytes;
		int error = lba == have ? 0 : read_sector(r, lba);

		have = lba;
		if (error == 0)
			error = add_entry(r, h, r->sector + at % r->disk->sector_bytes, i + 1);
		if (error != 0)
			return error;
	}
	return 0;
}

static int read_gpt_at(struct reader *r, uint64_t lba, struct header *h)
{
	int error = read_header(r, lba, h);

	if (error == 0)
		error = check_entries(r, h);
	return error == 0 ? read_entries(r, h) : error;
}

/* The backup is the disk's last sector; or where the first header says, if that much of it is to be believed. */
static int read_gpt(struct reader *r)
{
	struct header first = { .alternate = 0 }, second;
	int error = read_gpt_at(r, 1, &first);
	const char *why = r->why;

	r->table->kind = GPT_GPT;
	if (error == 0)
		return 0;
	r->table->backup = true;
	if (read_gpt_at(r, r->disk->sectors - 1, &second) == 0 ||
	    (first.alternate > 1 && first.alternate < r->disk->sectors - 1 &&
	     read_gpt_at(r, first.alternate, &second) == 0)) {
		r->why = why;
		return 0;
	}
	r->why = why;
	return error;
}

/* ---- MBR */

static bool fat_type(uint8_t type)
{
	static const uint8_t known[] = { 0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e, 0xef };

	return memchr(known, type & 0xef, sizeof(known)) != NULL || type == 0xef;
}

static int read_mbr(struct reader *r)
{
	r->table->kind = GPT_MBR;
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *entry = r->sector + MBR_TABLE + i * MBR_ENTRY;
		struct gpt_part part = {
			.first = get32(entry + 8),
			.sectors = get32(entry + 12),
			.number = i + 1,
			.type = entry[4],
			.fat = fat_type(entry[4]),
		};
		int error = 0;

		if (entry[0] != 0 && entry[0] != 0x80)
			return bad(r, "MBR: a partition's status is wrong");
		if (part.type != 0)
			error = part.first == 0 ? bad(r, "MBR: a partition begins at the table") : add(r, &part);
		if (error != 0)
			return error;
	}
	return r->table->count == 0 ? bad(r, "the partition table is empty") : 0;
}

/* A FAT boot sector has the same signature as a partition table. fat_mount looks more closely. */
static bool is_fat(const uint8_t *s)
{
	uint16_t bytes = get16(s + 11);
	uint8_t per_cluster = s[13];

	return (s[0] == 0xeb || s[0] == 0xe9) && bytes >= 512 && bytes <= 4096 && (bytes & (bytes - 1)) == 0 &&
	       per_cluster != 0 && (per_cluster & (per_cluster - 1)) == 0 && get16(s + 14) != 0 &&
	       (s[16] == 1 || s[16] == 2) && s[21] >= 0xf0;
}

static bool is_protective(const uint8_t *s)
{
	for (unsigned i = 0; i < 4; i++)
		if (s[MBR_TABLE + i * MBR_ENTRY + 4] == MBR_GPT)
			return true;
	return false;
}

static int read_table(struct reader *r)
{
	int error = read_sector(r, 0);

	if (error != 0)
		return error;
	if (get16(r->sector + MBR_SIGNATURE) != 0xaa55)
		return bad(r, "there is neither a partition table nor a FAT volume (mkfs.fat -F 32 makes one)");
	if (is_fat(r->sector)) {
		r->table->kind = GPT_WHOLE;
		return add(r, &(struct gpt_part){ .sectors = r->disk->sectors, .fat = true });
	}
	return is_protective(r->sector) ? read_gpt(r) : read_mbr(r);
}

int gpt_read(struct disk *disk, struct gpt_table *table, const char **why)
{
	struct reader r = { .disk = disk, .table = table, .why = "" };
	int error;

	memset(table, 0, sizeof(*table));
	*why = "the disk's sector size is not 512 to 4096 bytes, or it is empty";
	if (!fs_disk_valid(disk))
		return -EINVAL;
	*why = "there is no memory to read the partition table";
	r.sector = fs_alloc(disk->sector_bytes);
	if (r.sector == NULL)
		return -ENOMEM;
	error = read_table(&r);
	fs_free(r.sector);
	*why = r.why;
	return error;
}

const struct gpt_part *gpt_find(const struct gpt_table *table, uint32_t number)
{
	for (unsigned i = 0; i < table->count; i++)
		if (number == 0 ? table->part[i].fat : table->part[i].number == number)
			return &table->part[i];
	return NULL;
}

int gpt_open(struct disk *disk, uint32_t number, struct disk_part *part, const char **why)
{
	struct gpt_table *table = fs_alloc(sizeof(*table));
	const struct gpt_part *found;
	int error;

	*why = "there is no memory to read the partition table";
	if (table == NULL)
		return -ENOMEM;
	error = gpt_read(disk, table, why);
	if (error == 0) {
		found = gpt_find(table, number);
		*why = found == NULL ? "there is no such partition" : *why;
		error = found == NULL ? -ENXIO : fs_part_init(part, disk, found->first, found->sectors);
	}
	fs_free(table);
	return error;
}
