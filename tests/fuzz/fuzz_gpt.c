/*
 * Any bytes as a disk's partition table. Checksums would keep the fuzzer out: it gets a second try at each input with all of
 * them set right. FUZZ_CORPUS=DIR: sgdisk's tables go there first.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/bytes.h"
#include "fs/gpt.h"

static uint32_t crc32_of(const uint8_t *data, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0U - (crc & 1)));
	}
	return ~crc;
}

static void mend(struct fuzz_disk *disk, uint64_t lba)
{
	uint32_t sector = disk->disk.sector_bytes;
	uint8_t *at = disk->data + lba * sector;
	uint64_t bytes = (uint64_t)get32(at + 80) * get32(at + 84), entries = get64(at + 72);

	if (entries < disk->disk.sectors && bytes <= (disk->disk.sectors - entries) * sector)
		put32(at + 88, crc32_of(disk->data + entries * sector, bytes));
	put32(at + 16, 0);
	if (get32(at + 12) <= sector)
		put32(at + 16, crc32_of(at, get32(at + 12)));
}

static void look(struct fuzz_disk *disk)
{
	struct gpt_table *table = malloc(sizeof(*table));
	struct disk_part part;
	const char *why = NULL;
	int error = gpt_read(&disk->disk, table, &why);

	if (why == NULL || (error != 0 && *why == '\0') || table->count > GPT_PARTS_MAX)
		abort();
	for (unsigned i = 0; error == 0 && i < table->count; i++)
		if (fs_part_init(&part, &disk->disk, table->part[i].first, table->part[i].sectors) != 0)
			abort();
	(void)!gpt_open(&disk->disk, 0, &part, &why);
	free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint32_t sector = n > 0 && (data[n - 1] & 3) == 3 ? 4096 : 512;
	struct fuzz_disk disk;

	fuzz_disk_init(&disk, data, n, sector);
	look(&disk);
	if (disk.disk.sectors > 2) {
		mend(&disk, 1);
		look(&disk);
		disk.data[sector] ^= 1;
		mend(&disk, disk.disk.sectors - 1);
		look(&disk);
	}
	fuzz_disk_end(&disk);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const make[] = {
		"sgdisk -n 1:40:50 -t 1:0700 -n 2:52:0 -t 2:ef00",
		"sgdisk -S 8 -a 1 -n 1:10:20 -t 1:0700",
		"sgdisk -n 1:40:50 -m 1",
		"mkfs.fat -F 32 -s 1 -f 1",
	};
	const char *dir = getenv("FUZZ_CORPUS");
	char line[400];

	(void)argc;
	(void)argv;
	for (unsigned i = 0; dir != NULL && i < sizeof(make) / sizeof(make[0]); i++) {
		snprintf(line, sizeof(line),
			 "PATH=$PATH:/usr/sbin; truncate -s 64K %s/gpt%u && %s %s/gpt%u >/dev/null 2>&1 || true", dir,
			 i, make[i], dir, i);
		if (system(line) != 0)
			return 0;
	}
	return 0;
}
