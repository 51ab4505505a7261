/* What changes names: create, mkdir, unlink, rmdir. Each checks and makes room first; what comes last cannot fail. */
#include <string.h>

#include "fs/fat_volume.h"

/* The name may be created in dir: 0, and `name` ready for fat_make_room. */
static int prepare(struct fat_node *dir, const char *utf8, size_t n, struct fat_name *name)
{
	struct fat_entry entry;
	int error;

	if (!fat_is_directory(dir))
		return -ENOTDIR;
	if (dir->unlinked)
		return -ENOENT;
	if ((n == 1 && utf8[0] == '.') || (n == 2 && utf8[0] == '.' && utf8[1] == '.'))
		return -EEXIST;
	error = fat_begin(dir->volume);
	if (error == 0)
		error = fat_reserve(dir->volume);
	if (error == 0)
		error = fat_name_parse(name, utf8, n);
	if (error == 0)
		error = fat_name_check(name);
	if (error != 0)
		return error;
	error = fat_find(dir, name, &entry);
	return error == 1 ? -EEXIST : error;
}

static void new_slot(struct fat_volume *volume, uint8_t attributes, uint32_t start, uint8_t *raw)
{
	uint16_t date, time;

	fat_time_put(volume->now(), &date, &time);
	memset(raw, 0, FAT_SLOT);
	raw[11] = attributes;
	put16(raw + 14, time);
	put16(raw + 16, date);
	put16(raw + 18, date);
	put16(raw + 20, (uint16_t)(start >> 16));
	put16(raw + 22, time);
	put16(raw + 24, date);
	put16(raw + 26, (uint16_t)start);
}

static int add_new(struct fat_node *dir, struct fat_name *name, const uint8_t *raw, struct fat_node **out)
{
	struct fat_node *node = NULL;
	struct fat_entry entry;
	struct fat_room room;
	int error = fat_make_room(dir, name, NULL, &room);

	if (error != 0)
		return error;
	if (out != NULL) {
		node = fat_node_new(dir->volume, raw, 0, 0);
		if (node == NULL)
			return -ENOMEM;
		node->unlinked = true; /* until it is in the directory */
		dir->volume->orphans++;
	}
	error = fat_add(dir, name, &room, raw, &entry);
	if (error != 0) {
		if (node != NULL)
			fat_node_free(node);
		return error;
	}
	fat_stamp(dir);
	if (node == NULL)
		return 0;
	node->unlinked = false;
	dir->volume->orphans--;
	node->sector = entry.sector;
	node->offset = entry.offset;
	node->parent = fat_is_directory(node) ? dir : NULL;
	if (node->parent != NULL)
		fat_get(dir);
	fat_node_hash(node);
	*out = node;
	return 0;
}

int fat_create(struct fat_node *dir, const char *name, size_t n, struct fat_node **out)
{
	uint8_t raw[FAT_SLOT];
	struct fat_name parsed;
	int error = prepare(dir, name, n, &parsed);

	if (error != 0)
		return error;
	new_slot(dir->volume, FAT_ARCHIVE, 0, raw);
	return add_new(dir, &parsed, raw, out);
}

static const uint8_t dot[11] = { '.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };
static const uint8_t dot_dot[11] = { '.', '.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };

static int new_directory(struct fat_node *dir, uint32_t *cluster)
{
	struct fat_volume *volume = dir->volume;
	uint32_t parent = dir == volume->root ? 0 : dir->start, tail;
	uint8_t slots[2 * FAT_SLOT];
	int error = fat_allocate(volume, 0, 1, cluster, &tail);

	if (error != 0)
		return error;
	new_slot(volume, FAT_DIRECTORY, *cluster, slots);
	new_slot(volume, FAT_DIRECTORY, parent, slots + FAT_SLOT);
	memcpy(slots, dot, sizeof(dot));
	memcpy(slots + FAT_SLOT, dot_dot, sizeof(dot_dot));
	error = fat_clear_cluster(volume, *cluster, slots, sizeof(slots));
	/* On the disk before a name leads there, and its cluster taken. */
	if (error == 0)
		error = fat_commit_links(volume);
	if (error != 0)
		fat_give_back(volume, *cluster);
	return error;
}

int fat_mkdir(struct fat_node *dir, const char *name, size_t n, struct fat_node **out)
{
	uint8_t raw[FAT_SLOT];
	struct fat_name parsed;
	uint32_t cluster;
	int error = prepare(dir, name, n, &parsed);

	if (error == 0)
		error = new_directory(dir, &cluster);
	if (error != 0)
		return error;
	new_slot(dir->volume, FAT_DIRECTORY, cluster, raw);
	error = add_new(dir, &parsed, raw, out);
	if (error != 0)
		fat_give_back(dir->volume, cluster);
	return error;
}

static int remove_name(struct fat_node *dir, const char *name, size_t n, bool directory)
{
	struct fat_name parsed;
	struct fat_entry entry;
	struct fat_node *node;
	int error;

	if (!fat_is_directory(dir))
		return -ENOTDIR;
	error = dir->unlinked ? -ENOENT : fat_begin(dir->volume);
	if (error == 0)
		error = fat_reserve(dir->volume);
	if (error == 0)
		error = fat_name_parse(&parsed, name, n);
	if (error != 0)
		return error == -EINVAL ? -ENOENT : error;
	error = fat_find(dir, &parsed, &entry);
	if (error != 1)
		return error == 0 ? -ENOENT : error;
	if (fat_entry_is_dot(&entry))
		return -EINVAL;
	error = fat_node_of(dir, &entry, &node);
	if (error != 0)
		return error;
	if (fat_is_directory(node) != directory)
		error = directory ? -ENOTDIR : -EISDIR;
	else
		error = directory ? fat_is_empty(node) : 1;
	if (error == 0)
		error = -ENOTEMPTY;
	if (error == 1)
		error = fat_remove(dir, &entry);
	if (error == 0) {
		fat_forget_directory(node);
		fat_node_unlink(node);
		fat_stamp(dir);
	}
	fat_put(node);
	return error;
}

int fat_unlink(struct fat_node *dir, const char *name, size_t n)
{
	return remove_name(dir, name, n, false);
}

int fat_rmdir(struct fat_node *dir, const char *name, size_t n)
{
	return remove_name(dir, name, n, true);
}
