/*
 * Any bytes as a FAT32 volume: mounted, walked, read, written to. What is wrong with it must be an error, never a loop, a
 * leak, or a byte outside. FUZZ_CORPUS=DIR: small volumes with files in them go there first.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/bytes.h"
#include "fs/fat.h"

#define PIECE 3000

static int64_t now(void)
{
	return 1700000000;
}

static void use(int result)
{
	if (result > 1 || result < -200)
		abort();
}

static void read_file(struct fat_node *node)
{
	uint8_t *buf = malloc(PIECE);
	size_t done = PIECE;
	struct fat_attr attr;

	fat_attr(node, &attr);
	for (uint64_t at = 0; done == PIECE && at < 20 * PIECE; at += PIECE)
		if (fat_read(node, at, buf, PIECE, &done) != 0)
			break;
	use(fat_read(node, attr.bytes > 0 ? attr.bytes - 1 : 0, buf, 1, &done));
	free(buf);
}

static void walk(struct fat_node *dir, unsigned depth, unsigned *budget)
{
	struct fat_dirent *ent = malloc(sizeof(*ent));
	uint32_t cursor = 0;
	struct fat_node *node;

	while (*budget > 0 && fat_readdir(dir, &cursor, ent) == 1) {
		--*budget;
		if (strlen(ent->name) != ent->name_bytes || ent->name_bytes > FAT_NAME_MAX)
			abort();
		if (fat_lookup(dir, ent->name, ent->name_bytes, &node) != 0)
			continue;
		if (depth < 5 && ent->directory)
			walk(node, depth + 1, budget);
		else
			read_file(node);
		fat_put(node);
	}
	free(ent);
}

static int write_name(struct fat_node *dir, const char *name)
{
	static const uint8_t data[PIECE];
	struct fat_node *node;
	int error = fat_lookup(dir, name, strlen(name), &node);

	if (error == -ENOENT)
		error = fat_create(dir, name, strlen(name), &node);
	if (error != 0)
		return error;
	use(fat_write(node, 700, data, PIECE));
	use(fat_truncate(node, 5000));
	use(fat_truncate(node, 600));
	use(fat_write(node, 2000, data, 100));
	fat_put(node);
	return 0;
}

/* Each entry of the root is written to, renamed, or removed. */
static void change(struct fat_volume *volume)
{
	struct fat_dirent *ent = malloc(sizeof(*ent));
	struct fat_node *root = fat_root(volume), *dir = NULL;
	uint32_t cursor = 0;

	use(write_name(root, "a new file with a long name"));
	use(fat_mkdir(root, "new dir", 7, &dir));
	for (unsigned i = 0; i < 12 && fat_readdir(root, &cursor, ent) == 1; i++) {
		struct fat_place from = { root, ent->name, ent->name_bytes };

		if (i % 4 == 0)
			use(write_name(root, ent->name));
		else if (i % 4 == 1 && dir != NULL)
			use(fat_rename(&from, &(struct fat_place){ dir, "moved", 5 }, false));
		else if (i % 4 == 2)
			use(ent->directory ? fat_rmdir(root, ent->name, ent->name_bytes)
					   : fat_unlink(root, ent->name, ent->name_bytes));
		else
			use(fat_rename(&from, &(struct fat_place){ root, "Another name for it", 19 }, false));
		if (i == 5)
			use(fat_sync(volume));
	}
	if (dir != NULL)
		fat_put(dir);
	free(ent);
}

static void all(struct fat_volume *volume)
{
	struct fat_statfs stat;
	unsigned budget = 100;

	use(fat_statfs(volume, &stat));
	walk(fat_root(volume), 0, &budget);
	change(volume);
	budget = 50;
	walk(fat_root(volume), 0, &budget);
	use(fat_unmount(volume));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fat_options options = { .now = now };
	struct fuzz_disk disk;
	struct fat_volume *volume;
	const char *why;
	uint32_t sector = n > 512 ? get16(data + 11) : 512;

	if (sector < 512 || sector > 4096 || (sector & (sector - 1)) != 0)
		sector = 512;
	fuzz_disk_init(&disk, data, n, sector);
	options.index_least =
		n > 67 ? data[67] & 1 : 0; /* a byte that means nothing else: also small directories have an index */
	if (fat_mount(&disk.disk, &options, &volume, &why) == 0)
		all(volume);
	else if (why == NULL || *why == '\0')
		abort();
	fuzz_disk_end(&disk);
	return 0;
}

static void fill(const char *path, size_t n, uint32_t sector)
{
	struct fuzz_disk disk;
	struct fat_volume *volume;
	uint8_t *data = calloc(1, n);
	const char *why;
	FILE *file = fopen(path, "r+");

	if (file == NULL || fread(data, 1, n, file) != n)
		return;
	fuzz_disk_init(&disk, data, n, sector);
	if (fat_mount(&disk.disk, &(struct fat_options){ .now = now }, &volume, &why) == 0) {
		for (unsigned i = 0; i < 8; i++) {
			char name[60];

			snprintf(name, sizeof(name), "%s number %u.text",
				 i % 2 == 0 ? "File" : "A file of a very long name", i);
			use(write_name(fat_root(volume), name));
		}
		use(fat_mkdir(fat_root(volume), "Directory", 9, NULL));
		use(fat_unmount(volume));
	}
	rewind(file);
	fwrite(disk.data, 1, n, file);
	fclose(file);
	fuzz_disk_end(&disk);
	free(data);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct {
		const char *options;
		uint32_t sector;
	} make[] = { { "-F 32 -s 1 -f 1 -R 8", 512 },
		     { "-F 32 -s 2 -f 2 -R 4", 512 },
		     { "-F 32 -s 1 -f 1 -R 3", 1024 } };
	const char *dir = getenv("FUZZ_CORPUS");
	char line[400], path[200];

	(void)argc;
	(void)argv;
	for (unsigned i = 0; dir != NULL && i < sizeof(make) / sizeof(make[0]); i++) {
		snprintf(path, sizeof(path), "%s/fat%u", dir, i);
		snprintf(line, sizeof(line),
			 "PATH=$PATH:/usr/sbin; truncate -s 40K %s && mkfs.fat -S %u %s %s >/dev/null 2>&1 || true",
			 path, make[i].sector, make[i].options, path);
		if (system(line) == 0)
			fill(path, 40960, make[i].sector);
	}
	return 0;
}
