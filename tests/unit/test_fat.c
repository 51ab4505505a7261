/* fs/fat on images of mkfs.fat, looked at by mtools and fsck.fat; and images of mtools, looked at by fs/fat. */
#include "tests/unit/fs.h"

#define ROOT(volume) fat_root(volume)

/* mtools takes a volume of less than 65525 clusters for FAT16, whatever it says. */
static const struct {
	uint64_t sectors;
	uint32_t bytes;
	const char *options;
	bool mtools;
} shape[] = {
	{ 68000, 512, "-F 32 -s 1", true },    { 140000, 512, "-F 32 -s 2 -f 1", true },
	{ 68000, 1024, "-F 32 -s 1", true },   { 8192, 512, "-F 32 -s 1", false },
	{ 70000, 512, "-F 32 -s 128", false }, { 9000, 2048, "-F 32 -s 4", false },
	{ 6000, 4096, "-F 32 -s 1", false },   { 9000, 4096, "-F 32 -s 16", false },
};

static struct fat_node *create(struct fat_node *dir, const char *name)
{
	struct fat_node *node = NULL;

	assert_int_equal(fat_create(dir, name, strlen(name), &node), 0);
	return node;
}

static struct fat_node *mkdir_at(struct fat_node *dir, const char *name)
{
	struct fat_node *node = NULL;

	assert_int_equal(fat_mkdir(dir, name, strlen(name), &node), 0);
	return node;
}

static void put_file(struct fat_node *dir, const char *name, const void *data, size_t n)
{
	struct fat_node *node = create(dir, name);

	assert_int_equal(fat_write(node, 0, data, n), 0);
	fat_put(node);
}

static void expect_file(struct fat_volume *volume, const char *path, const void *data, size_t n)
{
	uint8_t *got = malloc(n + 1);
	struct fat_node *node;
	size_t done;
	int error;

	node = fs_open(volume, path, &error);
	assert_int_equal(error, 0);
	assert_int_equal(fat_read(node, 0, got, n + 1, &done), 0);
	assert_int_equal(done, n);
	assert_memory_equal(got, data, n);
	fat_put(node);
	free(got);
}

static uint8_t *pattern(size_t n)
{
	uint8_t *data = malloc(n);

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	return data;
}

static void expect_out(struct fs_disk *disk, const char *command, const char *want)
{
	char *out = malloc(65536);

	(void)fs_tool(disk, command, out, 65536);
	if (strstr(out, want) == NULL)
		printf("%s: no \"%s\" in: %s\n", command, want, out);
	assert_non_null(strstr(out, want));
	free(out);
}

static void read_by_mtools(struct fs_disk *disk)
{
	expect_out(disk, "mtype -i $IMAGE ::README.TXT", "hello, FAT");
	expect_out(disk, "mdir -i $IMAGE -/ -b ::", "::/A directory/deeper/a file of many number 59.text");
	expect_out(disk, "mtype -i $IMAGE '::A directory/deeper/AFILEO~9.TEX'", "number 8.text");
	expect_out(disk, "mcopy -n -i $IMAGE '::A directory/deeper/big.bin' - | wc -c", "100000");
}

static void written_here_read_there(void **state)
{
	uint8_t *data = pattern(100000);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(shape); i++) {
		struct fs_disk *disk = fs_mkfs(shape[i].sectors, shape[i].bytes, shape[i].options);
		struct fat_volume *volume = fs_mount(disk);
		struct fat_node *dir = mkdir_at(ROOT(volume), "A directory"), *sub = mkdir_at(dir, "deeper");

		put_file(ROOT(volume), "README.TXT", "hello, FAT\n", 11);
		put_file(dir, "Long name with spaces & \303\244\303\266\303\274 \360\237\220\256.tar.gz", "cow\n", 4);
		put_file(sub, "big.bin", data, 100000);
		for (unsigned k = 0; k < 60; k++) {
			char name[40];

			snprintf(name, sizeof(name), "a file of many number %u.text", k);
			put_file(sub, name, name, strlen(name));
		}
		fat_put(sub);
		fat_put(dir);
		fs_unmount(volume);
		fs_fsck(disk, false);
		if (shape[i].mtools)
			read_by_mtools(disk);
		volume = fs_mount(disk);
		expect_file(volume, "a DIRECTORY/deeper/BIG.BIN", data, 100000);
		expect_file(volume,
			    "A directory/long name with spaces & \303\204\303\226\303\234 \360\237\220\256.TAR.GZ",
			    "cow\n", 4);
		fs_unmount(volume);
		fs_disk_free(disk);
	}
	free(data);
}

static void written_there_read_here(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct fs_disk *disk = fs_mkfs(shape[i].sectors, shape[i].bytes, shape[i].options);
		struct fat_volume *volume;
		char *text = malloc(200000);
		size_t n = 0;

		assert_int_equal(
			fs_tool(disk,
				"d=$(mktemp -d) && seq 1 20000 > $d/numbers.text && mmd -i $IMAGE '::Some Dir' "
				"&& mcopy -i $IMAGE $d/numbers.text '::Some Dir/The Numbers.text' && mcopy -i $IMAGE "
				"$d/numbers.text ::x && mdel -i $IMAGE ::x && mcopy -i $IMAGE $d/numbers.text "
				"::lower.txt; r=$?; rm -r $d; exit $r",
				NULL, 0),
			0);
		for (unsigned k = 1; k <= 20000; k++)
			n += (size_t)sprintf(text + n, "%u\n", k);
		volume = fs_mount(disk);
		expect_file(volume, "Some Dir/The Numbers.text", text, n);
		expect_file(volume, "lower.txt", text, n);
		fs_unmount(volume);
		fs_fsck(disk, false);
		fs_disk_free(disk);
		free(text);
	}
}

static void names(void **state)
{
	static const char *const bad[] = { "a/b", "a:b", "a*", "what?", "\x01", "trailing ", "\xff", "\xc0\xaf" };
	struct fs_disk *disk = fs_mkfs(8192, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *node = NULL, *again = NULL;
	struct fat_dirent *ent = malloc(sizeof(*ent));
	uint32_t cursor = 0;
	char longest[300];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(fat_create(ROOT(volume), bad[i], strlen(bad[i]), NULL), -EINVAL);
	assert_int_equal(fat_create(ROOT(volume), "...", 3, NULL), -ENOENT);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(fat_create(ROOT(volume), longest, 256, NULL), -ENAMETOOLONG);
	assert_int_equal(fat_create(ROOT(volume), longest, 255, &node), 0);
	assert_int_equal(fat_lookup(ROOT(volume), longest, 255, &again), 0);
	assert_ptr_equal(node, again);
	fat_put(again);
	fat_put(node);
	assert_int_equal(fat_create(ROOT(volume), "MiXed.Case", 10, &node), 0);
	assert_int_equal(fat_create(ROOT(volume), "mixed.cASE", 10, NULL), -EEXIST);
	assert_int_equal(fat_lookup(ROOT(volume), "MIXED.CASE", 10, &again), 0);
	assert_ptr_equal(node, again);
	fat_put(node);
	fat_put(again);
	assert_int_equal(fat_readdir(ROOT(volume), &cursor, ent), 1);
	assert_int_equal(ent->name_bytes, 255);
	assert_int_equal(fat_readdir(ROOT(volume), &cursor, ent), 1);
	assert_string_equal(ent->name, "MiXed.Case");
	assert_int_equal(fat_readdir(ROOT(volume), &cursor, ent), 0);
	assert_int_equal(fat_lookup(ROOT(volume), "nothing", 7, &node), -ENOENT);
	free(ent);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static void unlinked_while_open(void **state)
{
	struct fs_disk *disk = fs_mkfs(8192, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *node = create(ROOT(volume), "file"), *other = NULL;
	uint8_t *data = pattern(50000), *got = malloc(50000);
	struct fat_statfs before, after;
	size_t done;

	(void)state;
	assert_int_equal(fat_write(node, 0, data, 50000), 0);
	assert_int_equal(fat_sync(volume), 0);
	assert_int_equal(fat_statfs(volume, &before), 0);
	assert_int_equal(fat_unlink(ROOT(volume), "FILE", 4), 0);
	assert_int_equal(fat_sync(volume), 0);
	other = create(ROOT(volume), "other");
	assert_int_equal(fat_write(other, 0, got, 50000), 0);
	assert_int_equal(fat_sync(volume), 0);
	assert_int_equal(fat_read(node, 0, got, 50000, &done), 0);
	assert_memory_equal(got, data, 50000);
	assert_int_equal(fat_unmount(volume), -EBUSY);
	fat_put(node);
	fat_put(other);
	assert_int_equal(fat_sync(volume), 0);
	assert_int_equal(fat_statfs(volume, &after), 0);
	assert_int_equal(before.free, after.free);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
	free(data);
	free(got);
}

static void full_disk(void **state)
{
	struct fs_disk *disk = fs_mkfs(2000, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *node = create(ROOT(volume), "file"), *big = create(ROOT(volume), "big");
	struct fat_statfs before, after;
	struct fat_attr attr;
	uint32_t count = 0;
	int error = 0;

	(void)state;
	assert_int_equal(fat_write(node, 0, "content", 7), 0);
	assert_int_equal(fat_statfs(volume, &before), 0);
	assert_int_equal(fat_truncate(big, (uint64_t)(before.free + 1) * 512), -ENOSPC);
	assert_int_equal(fat_statfs(volume, &after), 0);
	assert_int_equal(before.free, after.free);
	assert_int_equal(fat_truncate(big, UINT64_C(1) << 32), -EFBIG);
	assert_int_equal(fat_truncate(big, (uint64_t)before.free * 512), 0);
	assert_int_equal(fat_truncate(node, 600), -ENOSPC);
	fat_attr(node, &attr);
	assert_int_equal(attr.bytes, 7);
	assert_int_equal(fat_mkdir(ROOT(volume), "dir", 3, NULL), -ENOSPC);
	while (error == 0) {
		char name[16];

		snprintf(name, sizeof(name), "F%u", count++);
		error = fat_create(ROOT(volume), name, strlen(name), NULL);
	}
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(fat_unlink(ROOT(volume), "big", 3), 0);
	fat_put(big);
	assert_int_equal(fat_truncate(node, 100000), 0);
	fat_put(node);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static int rename_as(struct fat_node *a, const char *from, struct fat_node *b, const char *to, bool no_replace)
{
	return fat_rename(&(struct fat_place){ a, from, strlen(from) }, &(struct fat_place){ b, to, strlen(to) },
			  no_replace);
}

static int rename_at(struct fat_node *a, const char *from, struct fat_node *b, const char *to)
{
	return rename_as(a, from, b, to, false);
}

static void renames(void **state)
{
	struct fs_disk *disk = fs_mkfs(8192, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *a = mkdir_at(ROOT(volume), "a"), *b = mkdir_at(ROOT(volume), "b"), *c = mkdir_at(a, "c"), *up;

	(void)state;
	put_file(a, "one", "1", 1);
	put_file(b, "two", "22", 2);
	assert_int_equal(rename_at(a, "none", b, "x"), -ENOENT);
	assert_int_equal(rename_as(a, "one", b, "two", true), -EEXIST);
	assert_int_equal(rename_as(a, "one", a, "one", true), -EEXIST);
	assert_int_equal(rename_as(ROOT(volume), "a", a, "c", true), -EEXIST);
	assert_int_equal(rename_at(a, "one", a, "one"), 0);
	assert_int_equal(rename_at(a, "one", b, "two"), 0);
	expect_file(volume, "b/two", "1", 1);
	assert_int_equal(rename_at(b, "two", b, "TWO and a longer name"), 0);
	assert_int_equal(rename_at(b, "two and a longer name", b, "Two And A Longer Name"), 0);
	expect_file(volume, "b/two and a longer name", "1", 1);
	assert_int_equal(rename_at(ROOT(volume), "a", c, "a"), -EINVAL);
	assert_int_equal(rename_at(ROOT(volume), "a", a, "x"), -EINVAL);
	assert_int_equal(rename_at(a, "c", ROOT(volume), "b"), -ENOTEMPTY);
	assert_int_equal(rename_at(a, "c", b, "moved"), 0);
	assert_int_equal(fat_lookup(c, "..", 2, &up), 0);
	assert_ptr_equal(up, b);
	fat_put(up);
	put_file(c, "in it", "x", 1);
	expect_file(volume, "b/moved/in it", "x", 1);
	assert_int_equal(fat_rmdir(b, "moved", 5), -ENOTEMPTY);
	assert_int_equal(fat_rmdir(b, "Two and a longer name", 21), -ENOTDIR);
	assert_int_equal(fat_unlink(b, "moved", 5), -EISDIR);
	assert_int_equal(rename_at(b, "moved", ROOT(volume), "a"), 0);
	expect_file(volume, "a/in it", "x", 1);
	assert_int_equal(fat_create(a, "gone", 4, NULL), -ENOENT);
	assert_int_equal(fat_unlink(c, "in it", 5), 0);
	assert_int_equal(fat_rmdir(ROOT(volume), "a", 1), 0);
	fat_put(a);
	fat_put(b);
	fat_put(c);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static void sizes_and_holes(void **state)
{
	struct fs_disk *disk = fs_mkfs(8192, 512, "-F 32 -s 1");
	struct fat_volume *volume;
	struct fat_node *node;
	uint8_t *want = calloc(1, 40000);
	struct fat_run run;

	(void)state;
	memset(disk->data + 512 * 600, 0xaa, 512 * 5000); /* what free clusters hold */
	volume = fs_mount(disk);
	node = create(ROOT(volume), "file");
	assert_int_equal(fat_write(node, 0, "begin", 5), 0);
	assert_int_equal(fat_truncate(node, 20000), 0);
	assert_int_equal(fat_map(node, 1024, &run), 0);
	assert_true(run.zero);
	assert_int_equal(fat_write(node, 30000, "end", 3), 0);
	assert_int_equal(fat_truncate(node, 3), 0);
	assert_int_equal(fat_truncate(node, 40000), 0);
	memcpy(want, "beg", 3);
	expect_file(volume, "file", want, 40000);
	assert_int_equal(fat_sync_node(node), 0);
	fat_put(node);
	fs_unmount(volume);
	fs_fsck(disk, false);
	volume = fs_mount(disk);
	expect_file(volume, "file", want, 40000);
	fs_unmount(volume);
	fs_disk_free(disk);
	free(want);
}

/* Two files that grow in turns have no two clusters together: more than a page of points can name one by one. */
static void fragmented(void **state)
{
	struct fs_disk *disk = fs_mkfs(16000, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *node[2] = { create(ROOT(volume), "one"), create(ROOT(volume), "two") };
	uint8_t sector[512], got[512];
	size_t done;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		memset(sector, (int)(i * 11 + i / 256), sizeof(sector));
		assert_int_equal(fat_write(node[i % 2], (uint64_t)(i / 2) * 512, sector, 512), 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned k = 0; k < 10000; k++) {
			unsigned i = k * 7919 % 10000;

			memset(sector, (int)(i * 11 + i / 256), sizeof(sector));
			assert_int_equal(fat_read(node[i % 2], (uint64_t)(i / 2) * 512, got, 512, &done), 0);
			assert_memory_equal(got, sector, 512);
		}
		fat_put(node[0]);
		fat_put(node[1]);
		fs_unmount(volume);
		fs_fsck(disk, false);
		volume = fs_mount(disk);
		assert_int_equal(fat_lookup(ROOT(volume), "one", 3, &node[0]), 0);
		assert_int_equal(fat_lookup(ROOT(volume), "two", 3, &node[1]), 0);
	}
	assert_int_equal(fat_truncate(node[0], 1000 * 512), 0);
	assert_int_equal(fat_unlink(ROOT(volume), "two", 3), 0);
	fat_put(node[0]);
	fat_put(node[1]);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static void many_names(void **state)
{
	struct fs_disk *disk = fs_mkfs(16000, 512, "-F 32 -s 2");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *dir = mkdir_at(ROOT(volume), "dir");
	struct fat_dirent *ent = malloc(sizeof(*ent));
	uint32_t cursor = 0, count = 0;
	char name[60];

	(void)state;
	for (unsigned i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "the same beginning, another end %u", i);
		assert_int_equal(fat_create(dir, name, strlen(name), NULL), 0);
	}
	for (; fat_readdir(dir, &cursor, ent) == 1; count++)
		if (count % 3 == 0)
			assert_int_equal(fat_unlink(dir, ent->name, ent->name_bytes), 0);
	assert_int_equal(count, 2500);
	assert_int_equal(fat_create(dir, "one more, which goes where others were", 38, NULL), 0);
	for (cursor = 0, count = 0; fat_readdir(dir, &cursor, ent) == 1; count++)
		continue;
	assert_int_equal(count, 2500 - 834 + 1);
	free(ent);
	fat_put(dir);
	fs_unmount(volume);
	fs_fsck(disk, false);
	fs_disk_free(disk);
}

static void attributes(void **state)
{
	struct fs_disk *disk = fs_mkfs(68000, 512, "-F 32 -s 1");
	struct fat_volume *volume = fs_mount(disk);
	struct fat_node *node = create(ROOT(volume), "file");
	struct fat_attr attr;
	int error;

	(void)state;
	assert_int_equal(fat_set_times(node, 1582934401, 951782400), 0); /* 2020-02-29 00:00:01, 2000-02-29 */
	assert_int_equal(fat_set_flags(node, FAT_READ_ONLY | 0x10), 0);
	fat_put(node);
	fs_unmount(volume);
	expect_out(disk, "mdir -i $IMAGE ::", "2020-02-29   0:00");
	expect_out(disk, "mattrib -i $IMAGE ::file", "R");
	volume = fs_mount(disk);
	node = fs_open(volume, "file", &error);
	fat_attr(node, &attr);
	assert_int_equal(attr.modified, 1582934400);
	assert_int_equal(attr.accessed, 951782400);
	assert_int_equal(attr.created, fs_now());
	assert_int_equal(attr.flags, FAT_READ_ONLY);
	assert_false(attr.directory);
	fat_put(node);
	fs_unmount(volume);
	fs_disk_free(disk);
}

static void refused(void **state)
{
	static const struct {
		unsigned at, n;
		uint32_t value;
	} damage[] = { { 510, 1, 0 },	      { 11, 2, 513 },	 { 11, 2, 1024 }, { 13, 1, 3 },		{ 13, 1, 0 },
		       { 14, 2, 0 },	      { 16, 1, 0 },	 { 16, 1, 9 },	  { 22, 2, 9 },		{ 36, 4, 3 },
		       { 36, 4, 0x7fffffff }, { 32, 4, 900000 }, { 44, 4, 0 },	  { 44, 4, 0xfffffff }, { 42, 2, 7 } };
	struct fat_volume *volume;
	const char *why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(damage); i++) {
		struct fs_disk *disk = fs_mkfs(70000, 512, "-F 32 -s 1");

		for (unsigned k = 0; k < damage[i].n; k++)
			disk->data[damage[i].at + k] = (uint8_t)(damage[i].value >> 8 * k);
		why = NULL;
		assert_int_equal(fat_mount(&disk->disk, &(struct fat_options){ .now = fs_now }, &volume, &why),
				 -EINVAL);
		assert_true(why != NULL && *why != '\0');
		assert_int_equal(fs_allocated, 0);
		fs_disk_free(disk);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct fs_disk *disk = fs_mkfs(20000, 512, i == 0 ? "-F 12" : "-F 16");

		assert_int_equal(fat_mount(&disk->disk, &(struct fat_options){ .now = fs_now }, &volume, &why),
				 -EINVAL);
		assert_non_null(strstr(why, "FAT16"));
		fs_disk_free(disk);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(written_here_read_there),
	UNIT_TEST(written_there_read_here),
	UNIT_TEST(names),
	UNIT_TEST(unlinked_while_open),
	UNIT_TEST(full_disk),
	UNIT_TEST(renames),
	UNIT_TEST(sizes_and_holes),
	UNIT_TEST(fragmented),
	UNIT_TEST(many_names),
	UNIT_TEST(attributes),
	UNIT_TEST(refused),
};

UNIT_MAIN("fat", tests)
