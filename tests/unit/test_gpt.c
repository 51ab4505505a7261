/* fs/gpt on tables made by sgdisk and sfdisk-like hand, each kind of damage, and random damage. */
#include "tests/unit/fs.h"

#include "fs/gpt.h"

static struct fs_disk *make(uint64_t sectors)
{
	struct fs_disk *disk = fs_disk_new(sectors, 512);
	int status =
		fs_tool(disk, "sgdisk -n 1:2048:4095 -t 1:8300 -n 3:4096:10000 -t 3:0700 -n 2:10240:0 -t 2:ef00 $IMAGE",
			NULL, 0);

	if (status == 127)
		exit(UNIT_SKIPPED);
	assert_int_equal(status, 0);
	return disk;
}

static int read_table(struct fs_disk *disk, struct gpt_table *table, const char **why)
{
	int error = gpt_read(&disk->disk, table, why);

	assert_int_equal(fs_allocated, 0);
	assert_non_null(*why);
	assert_true(error == 0 || **why != '\0');
	return error;
}

static void gpt(void **state)
{
	struct fs_disk *disk = make(20000);
	struct gpt_table table;
	struct disk_part part;
	const char *why;

	(void)state;
	assert_int_equal(read_table(disk, &table, &why), 0);
	assert_int_equal(table.kind, GPT_GPT);
	assert_false(table.backup);
	assert_int_equal(table.count, 3);
	assert_int_equal(gpt_find(&table, 1)->first, 2048);
	assert_int_equal(gpt_find(&table, 1)->sectors, 2048);
	assert_false(gpt_find(&table, 1)->fat);
	assert_int_equal(gpt_find(&table, 3)->first, 4096);
	assert_int_equal(gpt_find(&table, 0)->number, 2);
	assert_null(gpt_find(&table, 4));
	assert_int_equal(gpt_open(&disk->disk, 3, &part, &why), 0);
	assert_int_equal(part.disk.sectors, 10001 - 4096);
	disk->data[4097 * 512 + 7] = 99;
	uint8_t sector[512];
	assert_int_equal(fs_read(&part.disk, 1, sector, 1), 0);
	assert_int_equal(sector[7], 99);
	assert_int_equal(fs_read(&part.disk, part.disk.sectors, sector, 1), -EIO);
	assert_int_equal(gpt_open(&disk->disk, 9, &part, &why), -ENXIO);
	fs_disk_free(disk);
}

static void backup(void **state)
{
	static const unsigned damage[] = { 512, 520, 524, 530, 600 - 8, 1024, 1024 + 40 };
	struct gpt_table table;
	const char *why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(damage); i++) {
		struct fs_disk *disk = make(20000);

		disk->data[damage[i]] ^= 0x55;
		assert_int_equal(read_table(disk, &table, &why), 0);
		assert_true(table.backup);
		assert_true(*why != '\0');
		assert_int_equal(table.count, 3);
		disk->data[19999 * 512 + 20] ^= 1;
		assert_int_equal(read_table(disk, &table, &why), -EINVAL);
		fs_disk_free(disk);
	}
}

static void entry(struct fs_disk *disk, unsigned i, uint8_t type, uint32_t first, uint32_t sectors)
{
	uint8_t *at = disk->data + 446 + 16 * i;

	at[4] = type;
	for (unsigned k = 0; k < 4; k++) {
		at[8 + k] = (uint8_t)(first >> 8 * k);
		at[12 + k] = (uint8_t)(sectors >> 8 * k);
	}
	disk->data[510] = 0x55;
	disk->data[511] = 0xaa;
}

static void mbr(void **state)
{
	struct fs_disk *disk = fs_disk_new(5000, 512);
	struct gpt_table table;
	const char *why;

	(void)state;
	assert_int_equal(read_table(disk, &table, &why), -EINVAL);
	entry(disk, 0, 0x83, 100, 50);
	entry(disk, 2, 0x0c, 1000, 4000);
	assert_int_equal(read_table(disk, &table, &why), 0);
	assert_int_equal(table.kind, GPT_MBR);
	assert_int_equal(table.count, 2);
	assert_int_equal(gpt_find(&table, 0)->number, 3);
	entry(disk, 3, 0x0c, 1000, 4001);
	assert_int_equal(read_table(disk, &table, &why), -EINVAL);
	assert_non_null(strstr(why, "outside"));
	entry(disk, 3, 0x0c, 149, 1);
	assert_int_equal(read_table(disk, &table, &why), -EINVAL);
	assert_non_null(strstr(why, "overlap"));
	entry(disk, 3, 0xee, 1, 4999);
	assert_int_equal(read_table(disk, &table, &why), -EINVAL);
	assert_non_null(strstr(why, "no header"));
	fs_disk_free(disk);
	disk = fs_mkfs(8192, 512, "-F 32");
	assert_int_equal(read_table(disk, &table, &why), 0);
	assert_int_equal(table.kind, GPT_WHOLE);
	assert_int_equal(gpt_find(&table, 0)->sectors, 8192);
	fs_disk_free(disk);
}

static void trouble(void **state)
{
	struct fs_disk *disk = make(20000);
	struct gpt_table table;
	struct disk_part part;
	const char *why;
	int error;

	(void)state;
	for (unsigned i = 1; i < 3; i++) {
		fs_alloc_fail_in = i;
		assert_int_equal(gpt_open(&disk->disk, 0, &part, &why), -ENOMEM);
	}
	fs_alloc_fail_in = 0;
	disk->fail_in = 1;
	assert_int_equal(gpt_open(&disk->disk, 0, &part, &why), -EIO);
	(void)unit_seed();
	for (unsigned i = 0; i < unit_steps(3000); i++) {
		uint8_t *saved = malloc(34 * 512);

		memcpy(saved, disk->data, 34 * 512);
		for (uint64_t n = fake_below(4) + 1; n > 0; n--)
			disk->data[fake_below(34 * 512)] = (uint8_t)fake_random();
		disk->fail_in = fake_below(80);
		error = read_table(disk, &table, &why);
		for (unsigned k = 0; error == 0 && k < table.count; k++)
			assert_int_equal(fs_part_init(&part, &disk->disk, table.part[k].first, table.part[k].sectors),
					 0);
		memcpy(disk->data, saved, 34 * 512);
		free(saved);
	}
	fs_disk_free(disk);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(gpt), UNIT_TEST(backup), UNIT_TEST(mbr), UNIT_TEST(trouble) };

UNIT_MAIN("gpt", tests)
