/*
 * Large directories: a name is found, created and removed in a time that does not grow with the directory, also in the largest one,
 * which is twice as large as the cache of sectors. What a call costs is counted in reads of the disk, and measured in time.
 */
#include <time.h>

#include "tests/unit/fs.h"

#define MANY 10000U

static size_t name_of(unsigned i, char name[64])
{
	return (size_t)snprintf(name, 64, "A name that begins as all others do %u", i * 7919);
}

static double seconds(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double create_range(struct fat_node *dir, unsigned from, unsigned to)
{
	double start = seconds();
	char name[64];

	for (unsigned i = from; i < to; i++) {
		size_t n = name_of(i, name);

		assert_int_equal(fat_create(dir, name, n, NULL), 0);
	}
	return seconds() - start;
}

/* Those that i % 3 == gone are not there. */
static void look_up_all(struct fat_node *dir, unsigned to, unsigned gone)
{
	char name[64];

	for (unsigned i = 0; i < to; i++) {
		size_t n = name_of(i, name);
		struct fat_node *node;

		name[0] = i % 2 == 0 ? 'a' : 'A';
		if (i % 3 == gone) {
			assert_int_equal(fat_lookup(dir, name, n, &node), -ENOENT);
			continue;
		}
		assert_int_equal(fat_lookup(dir, name, n, &node), 0);
		fat_put(node);
	}
}

static struct fat_node *make_dir(struct fat_volume *volume)
{
	struct fat_node *dir;

	assert_int_equal(fat_mkdir(fat_root(volume), "large", 5, &dir), 0);
	return dir;
}

static void check_names(struct fs_disk *disk, unsigned want)
{
	char out[100];
	unsigned found;

	fs_fsck(disk, false);
	assert_int_equal(fs_tool(disk, "mdir -b -i $IMAGE ::large | wc -l", out, sizeof(out)), 0);
	assert_int_equal(sscanf(out, "%u", &found), 1);
	assert_int_equal(found, want);
}

static void ten_thousand(void **state)
{
	struct fs_disk *disk = fs_mkfs(80000, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *dir = make_dir(volume);
	unsigned removed = 0;
	uint64_t reads;
	double first, last;
	char name[64];

	(void)state;
	first = create_range(dir, 0, MANY / 4);
	(void)create_range(dir, MANY / 4, MANY / 4 * 3);
	last = create_range(dir, MANY / 4 * 3, MANY);
	printf("creating the first and the last quarter: %.3f s, %.3f s\n", first, last);
	assert_true(last < 4 * first + 0.05);
	reads = disk->reads;
	look_up_all(dir, MANY, 3);
	printf("%llu reads to find %u names\n", (unsigned long long)(disk->reads - reads), MANY);
	assert_true(disk->reads - reads <= 2 * MANY);
	reads = disk->reads;
	for (unsigned i = 0; i < MANY; i++) {
		struct fat_node *node;
		int n = snprintf(name, sizeof(name), "no such name %u", i);

		assert_int_equal(fat_lookup(dir, name, (size_t)n, &node), -ENOENT);
	}
	assert_int_equal(disk->reads, reads);
	for (unsigned i = 0; i < MANY; i += 3, removed++)
		assert_int_equal(fat_unlink(dir, name, name_of(i, name)), 0);
	look_up_all(dir, MANY, 0);
	fat_put(dir);
	fs_unmount(volume);
	check_names(disk, MANY - removed);
	fs_disk_free(disk);
}

/* Full: 4096 sectors with three names of five slots each. What is removed makes room. */
static void largest(void **state)
{
	struct fs_disk *disk = fs_mkfs(80000, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *dir = make_dir(volume), *node;
	unsigned made = 0;
	uint64_t reads;
	char name[64];
	int error;

	(void)state;
	while ((error = fat_create(dir, name, name_of(made, name), NULL)) == 0)
		made++;
	assert_int_equal(error, -ENOSPC);
	printf("%u names\n", made);
	assert_true(made >= 65536 / 16 * 3 - 1);
	fat_put(dir);
	fs_unmount(volume);
	volume = fs_mount(disk);
	dir = fs_open(volume, "large", &error);
	reads = disk->reads;
	assert_int_equal(fat_lookup(dir, name, name_of(0, name), &node), 0);
	fat_put(node);
	printf("%llu reads for the index\n", (unsigned long long)(disk->reads - reads));
	reads = disk->reads;
	for (unsigned i = 0; i < made; i++) {
		unsigned which = i * 7919 % made;

		assert_int_equal(fat_lookup(dir, name, name_of(which, name), &node), 0);
		fat_put(node);
	}
	printf("%llu reads to find them in another order\n", (unsigned long long)(disk->reads - reads));
	assert_true(disk->reads - reads <= 4 * made);
	reads = disk->reads;
	for (unsigned i = 0; i < made; i += 2) {
		assert_int_equal(fat_unlink(dir, name, name_of(i, name)), 0);
		assert_int_equal(fat_create(dir, name, name_of(i, name), NULL), 0);
	}
	assert_true(disk->reads - reads <= 12 * made);
	look_up_all(dir, made, 3);
	fat_put(dir);
	fs_unmount(volume);
	check_names(disk, made);
	fs_disk_free(disk);
}

/* More large directories than the memory for indexes: each is found in, as if it was the only one. */
static void many_large(void **state)
{
	struct fs_disk *disk = fs_mkfs(200000, 512, "-F 32 -s 8");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *dir[12], *node;
	char name[64];

	(void)state;
	for (unsigned d = 0; d < ARRAY_LEN(dir); d++) {
		int n = snprintf(name, sizeof(name), "large %u", d);

		assert_int_equal(fat_mkdir(fat_root(volume), name, (size_t)n, &dir[d]), 0);
		(void)create_range(dir[d], 0, 3000 + d * 500);
	}
	for (unsigned d = 0; d < ARRAY_LEN(dir); d++) {
		look_up_all(dir[d], 3000 + d * 500, 3);
		assert_int_equal(fat_lookup(dir[d], name, name_of(3000 + d * 500, name), &node), -ENOENT);
		fat_put(dir[d]);
	}
	assert_true(fs_allocated < 20000);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(ten_thousand), UNIT_TEST(largest), UNIT_TEST(many_large) };

UNIT_MAIN("fat_large", tests)
