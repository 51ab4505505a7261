/*
 * Directories by name: finding entries, making room for new ones, writing and removing them.
 *
 * The slots of one entry are put into one sector where they fit, so that a power cut leaves all of them or none; and the
 * new entry of a rename into the old one's sector where that has room, so that it leaves either name, never both.
 */
#include <string.h>

#include "fs/fat_volume.h"

#define LONG_CHARS 13U
#define TAILS_LOW  16U
#define TAIL_MAX   999999U

static bool is_named(const struct fat_entry *entry, const struct fat_name *name)
{
	return fat_name_equal(name, entry->unit, entry->units) ||
	       fat_name_equal(name, entry->alias_unit, entry->alias_units);
}

static int find_indexed(struct fat_node *dir, const struct fat_name *name, struct fat_entry *entry)
{
	uint32_t hash = fat_name_hash(name->unit, name->units), at = 0, slot;

	while (fat_index_next(dir, hash, &at, &slot)) {
		int result = fat_entry_next(dir, &slot, entry);

		if (result < 0 || (result == 1 && is_named(entry, name)))
			return result;
	}
	return 0;
}

int fat_find(struct fat_node *dir, const struct fat_name *name, struct fat_entry *entry)
{
	uint32_t slot = 0;
	int result;

	fat_index_load(dir);
	if (dir->index != NULL)
		return find_indexed(dir, name, entry);
	while ((result = fat_entry_next(dir, &slot, entry)) == 1)
		if (is_named(entry, name))
			return 1;
	return result;
}

int fat_is_empty(struct fat_node *dir)
{
	struct fat_entry entry;
	uint32_t slot = 0;
	int result;

	while ((result = fat_entry_next(dir, &slot, &entry)) == 1)
		if (!fat_entry_is_dot(&entry))
			return 0;
	return result == 0 ? 1 : result;
}

/* ---- The short name's tail */

/* 1: an entry has this short name, or a long one that is the same. */
static int is_taken(struct fat_node *dir, const uint8_t alias[11], const struct fat_entry *reuse)
{
	uint8_t raw[FAT_SLOT] = { 0 };
	struct fat_name name;
	struct fat_entry entry;
	int result;

	memcpy(raw, alias, 11);
	name.units = (uint16_t)fat_alias_units(raw, name.unit);
	result = fat_find(dir, &name, &entry);
	return result == 1 && reuse != NULL && reuse->slot == entry.slot ? 0 : result;
}

/*
 * Low numbers first. Where many names begin alike those are taken, and the next is anywhere, by the long name: so the search is
 * short whatever there is. There are more numbers than entries.
 */
static int choose_tail(struct fat_node *dir, struct fat_name *name, const struct fat_entry *reuse)
{
	uint32_t hash = fat_name_hash(name->unit, name->units);
	uint8_t alias[sizeof(name->alias)];
	int result = name->tail ? 1 : 0;

	for (uint32_t i = 1; result == 1 && i < TAILS_LOW + FAT_SLOTS_MAX; i++) {
		uint32_t number = i < TAILS_LOW ? i : TAILS_LOW + (hash + i) % (TAIL_MAX - TAILS_LOW);

		memcpy(alias, name->alias, sizeof(alias));
		fat_name_tail(alias, number);
		result = is_taken(dir, alias, reuse);
	}
	if (result == 1)
		return -ENOSPC;
	if (result == 0 && name->tail)
		memcpy(name->alias, alias, sizeof(alias));
	return result;
}

/* ---- Room */

struct search {
	struct fat_node *dir;
	const struct fat_entry *reuse;
	struct fat_room *room;
	uint32_t run; /* free slots up to here */
	bool found, ended;
};

static bool is_free(const struct search *search, const uint8_t *raw, uint32_t slot)
{
	const struct fat_entry *reuse = search->reuse;

	return raw[0] == 0xe5 || (reuse != NULL && slot >= reuse->first && slot <= reuse->slot);
}

static int search_sector(struct search *search, uint32_t base)
{
	uint32_t each = fat_slots_per_sector(search->dir->volume), n = search->room->n;
	struct fat_held held;
	int error = fat_hold(search->dir, base, 1, &held);

	if (error != 0)
		return error;
	if (n <= each)
		search->run = 0;
	for (uint32_t slot = base; slot < base + each && !search->found && !search->ended; slot++) {
		const uint8_t *raw = held.buffer[0]->data + slot % each * FAT_SLOT;

		search->run = is_free(search, raw, slot) ? search->run + 1 : 0;
		if (search->run == n) {
			search->room->first = slot + 1 - n;
			search->found = true;
		} else if (raw[0] == 0) {
			search->room->end = slot;
			search->ended = true;
		}
	}
	fat_release(&held, false);
	return 0;
}

uint32_t fat_capacity(const struct fat_node *dir)
{
	uint64_t slots = (uint64_t)dir->clusters * dir->volume->cluster_bytes / FAT_SLOT;

	return (uint32_t)MIN(slots, FAT_SLOTS_MAX);
}

static int search_all(struct search *search)
{
	uint32_t each = fat_slots_per_sector(search->dir->volume), total;
	int error = fat_chain_load(search->dir);

	if (error != 0)
		return error;
	total = fat_capacity(search->dir);
	search->room->end = total;
	if (search->reuse != NULL && search->room->n <= each) {
		error = search_sector(search, ALIGN_DOWN(search->reuse->slot, each));
		if (error != 0 || search->found)
			return error;
		search->ended = false;
		search->room->end = total;
	}
	/* Elsewhere the old name's slots are taken: it is there until the new one is on the disk. */
	search->reuse = NULL;
	search->run = 0;
	if (search->dir->index != NULL) {
		search->found = fat_index_room(search->dir, search->room);
		return 0;
	}
	for (uint32_t base = 0; base < total && error == 0 && !search->found && !search->ended; base += each)
		error = search_sector(search, base);
	return error;
}

/* New clusters are on the disk as zeroes before anything leads to them: they are joined by a late link. */
static int grow(struct fat_node *dir, uint32_t slots)
{
	struct fat_volume *volume = dir->volume;
	uint32_t head, tail;
	int error = 0;

	if (slots > FAT_SLOTS_MAX)
		return -ENOSPC;
	while (fat_capacity(dir) < slots && error == 0) {
		error = fat_allocate(volume, dir->last + 1, 1, &head, &tail);
		if (error != 0)
			break;
		error = fat_clear_cluster(volume, head, NULL, 0);
		if (error == 0)
			error = fat_join(volume, dir->last, head, true);
		if (error != 0) {
			fat_give_back(volume, head);
			break;
		}
		fat_chain_append(dir, head);
		error = fat_chain_load(dir);
	}
	return error;
}

int fat_make_room(struct fat_node *dir, struct fat_name *name, const struct fat_entry *reuse, struct fat_room *room)
{
	struct search search = { .dir = dir, .reuse = reuse, .room = room };
	uint32_t each = fat_slots_per_sector(dir->volume);
	int error = choose_tail(dir, name, reuse);

	*room = (struct fat_room){ .n = 1 + (name->alone ? 0 : (name->units + LONG_CHARS - 1) / LONG_CHARS) };
	if (error == 0)
		error = search_all(&search);
	if (error != 0)
		return error;
	if (search.found) {
		room->end = FAT_SLOTS_MAX;
		return 0;
	}
	room->first = room->end;
	if (room->n <= each && room->first % each + room->n > each)
		room->first = ALIGN_UP(room->first, each);
	return fat_capacity(dir) < room->first + room->n ? grow(dir, room->first + room->n) : 0;
}

/* ---- Writing */

static void fill_long(uint8_t *raw, const struct fat_name *name, uint32_t number, bool last)
{
	static const uint8_t place[LONG_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };

	memset(raw, 0, FAT_SLOT);
	raw[0] = (uint8_t)(number | (last ? 0x40U : 0U));
	raw[11] = FAT_LONG;
	raw[13] = fat_alias_sum(name->alias);
	for (uint32_t i = 0; i < LONG_CHARS; i++) {
		uint32_t at = (number - 1) * LONG_CHARS + i;
		uint16_t padding = at == name->units ? 0 : 0xffff;

		put16(raw + place[i], at < name->units ? name->unit[at] : padding);
	}
}

int fat_add(struct fat_node *dir, const struct fat_name *name, const struct fat_room *room, const uint8_t *raw,
	    struct fat_entry *entry)
{
	uint32_t after = room->first + room->n, from = MIN(room->end, room->first);
	bool mark = room->first >= room->end && after < fat_capacity(dir);
	struct fat_held held;
	uint8_t *slot;
	int error = fat_hold(dir, from, after - from + (mark ? 1 : 0), &held);

	if (error != 0)
		return error;
	for (uint32_t i = from; i < room->first; i++)
		fat_held_slot(&held, i)[0] = 0xe5;
	for (uint32_t i = room->first; i + 1 < after; i++)
		fill_long(fat_held_slot(&held, i), name, after - 1 - i, i == room->first);
	slot = fat_held_slot(&held, after - 1);
	memcpy(slot, raw, FAT_SLOT);
	memcpy(slot, name->alias, sizeof(name->alias));
	slot[12] = 0;
	if (mark)
		fat_held_slot(&held, after)[0] = 0;
	memcpy(entry->raw, slot, FAT_SLOT);
	entry->first = room->first;
	entry->slot = after - 1;
	entry->units = name->units;
	memcpy(entry->unit, name->unit, name->units * sizeof(uint16_t));
	entry->alias_units = (uint16_t)fat_alias_units(entry->raw, entry->alias_unit);
	fat_held_place(&held, entry->slot, &entry->sector, &entry->offset);
	fat_release(&held, true);
	fat_index_add(dir, entry);
	return 0;
}

int fat_remove(struct fat_node *dir, const struct fat_entry *entry)
{
	struct fat_held held;
	int error = fat_hold(dir, entry->first, entry->slot - entry->first + 1, &held);

	if (error != 0)
		return error;
	for (uint32_t i = entry->first; i <= entry->slot; i++)
		fat_held_slot(&held, i)[0] = 0xe5;
	fat_release(&held, true);
	fat_index_remove(dir, entry);
	return 0;
}

/* ---- Entries and nodes */

static int check_start(const struct fat_node *dir, const struct fat_entry *entry)
{
	struct fat_volume *volume = dir->volume;
	uint32_t start = fat_entry_start(entry->raw);
	bool directory = (entry->raw[11] & FAT_DIRECTORY) != 0;

	if (start != 0 ? !fat_in_range(volume, start) : directory)
		return fat_damaged(volume, "a first cluster's number is wrong");
	if (start != 0 && (start == volume->root->start || start == dir->start))
		return fat_damaged(volume, "a directory contains itself");
	return 0;
}

int fat_node_of(struct fat_node *dir, const struct fat_entry *entry, struct fat_node **out)
{
	struct fat_node *node = fat_node_find(dir->volume, entry->sector, entry->offset);
	int error;

	if (node != NULL) {
		fat_get(node);
		*out = node;
		return 0;
	}
	error = check_start(dir, entry);
	if (error != 0)
		return error;
	node = fat_node_new(dir->volume, entry->raw, entry->sector, entry->offset);
	if (node == NULL)
		return -ENOMEM;
	if (fat_is_directory(node)) {
		node->parent = dir;
		fat_get(dir);
	}
	fat_node_hash(node);
	*out = node;
	return 0;
}

int fat_lookup(struct fat_node *dir, const char *name, size_t n, struct fat_node **out)
{
	struct fat_name parsed;
	struct fat_entry entry;
	int result;

	if (!fat_is_directory(dir))
		return -ENOTDIR;
	if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.')) {
		*out = n == 2 && dir->parent != NULL ? dir->parent : dir;
		fat_get(*out);
		return 0;
	}
	if (dir->unlinked)
		return -ENOENT;
	result = fat_name_parse(&parsed, name, n);
	if (result != 0)
		return result == -EINVAL ? -ENOENT : result;
	result = fat_find(dir, &parsed, &entry);
	if (result == 1)
		return fat_node_of(dir, &entry, out);
	return result == 0 ? -ENOENT : result;
}

int fat_readdir(struct fat_node *dir, uint32_t *cursor, struct fat_dirent *out)
{
	struct fat_entry entry;
	struct fat_node *node;
	int result;

	if (!fat_is_directory(dir))
		return -ENOTDIR;
	if (dir->unlinked)
		return 0;
	do {
		result = fat_entry_next(dir, cursor, &entry);
		if (result != 1)
			return result;
	} while (fat_entry_is_dot(&entry));
	node = fat_node_find(dir->volume, entry.sector, entry.offset);
	out->name_bytes = (uint32_t)fat_name_utf8(entry.unit, entry.units, out->name);
	out->ino = node != NULL ? node->ino : UINT64_C(1) << 63 | entry.sector << 7 | entry.offset / FAT_SLOT;
	out->directory = (entry.raw[11] & FAT_DIRECTORY) != 0;
	return 1;
}
