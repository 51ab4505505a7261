/*
 * An index of a large directory, so that finding a name, finding that there is none, and finding room for a new one take the same
 * time whatever the directory's size. It is in memory only, built when the directory is first looked into, and may go at any
 * time: then it is built again, or, where there is no memory for it, the directory is searched from its beginning.
 *
 * Names: an open table of pages, at most three quarters full, of each name's hash (case folded; of the long one, and of the short
 * one where that differs) and its first slot. Which of those with the right hash it is, the slots themselves say. Removing moves
 * what follows up, so there are no marks of what was removed.
 * Slots: a bit for each that is in use, up to `end`, where the directory says that no slot was ever used. hint[n]: no n free
 * ones begin before it.
 *
 * A volume has FAT_INDEX_PAGES pages for these at most: what was not used for longest goes. The largest directory needs 258.
 */
#include <string.h>

#include "fs/fat_volume.h"

#define PAGE_RECORDS (FS_ALLOC_MAX / sizeof(struct record))
#define PAGES_MAX    256U
#define MAP_PAGES    (FAT_SLOTS_MAX / 8 / FS_ALLOC_MAX)
#define WORD_SLOTS   64U
#define MAP_WORDS    (FS_ALLOC_MAX / sizeof(uint64_t))
#define RUNS	     (FAT_ENTRY_SLOTS + 1)

struct record {
	uint32_t hash;
	uint32_t first; /* slot + 1; 0: empty */
};

struct fat_index {
	struct record **page;
	uint32_t pages, records; /* pages: a power of two */
	uint64_t *map[MAP_PAGES];
	uint32_t end;
	uint32_t hint[RUNS];
};

/* ---- Memory. */

void fat_index_drop(struct fat_node *dir)
{
	struct fat_index *index = dir->index;

	if (index == NULL)
		return;
	for (uint32_t i = 0; index->page != NULL && i < index->pages; i++)
		fs_free(index->page[i]);
	for (uint32_t i = 0; i < MAP_PAGES; i++) {
		dir->volume->index_pages -= index->map[i] != NULL;
		fs_free(index->map[i]);
	}
	dir->volume->index_pages -= index->pages;
	fs_free(index->page);
	list_del(&dir->indexed);
	fs_free(index);
	dir->index = NULL;
}

/* Of the other directories' indexes the one that was not used for longest goes. */
static bool drop_other(struct fat_node *dir)
{
	list_for_each (pos, &dir->volume->indexed) {
		struct fat_node *other = list_entry(pos, struct fat_node, indexed);

		if (other != dir) {
			fat_index_drop(other);
			return true;
		}
	}
	return false;
}

static void *get_page(struct fat_node *dir)
{
	struct fat_volume *volume = dir->volume;
	void *page;

	while (volume->index_pages >= FAT_INDEX_PAGES && drop_other(dir))
		continue;
	if (volume->index_pages >= FAT_INDEX_PAGES)
		return NULL;
	do
		page = fs_alloc(FS_ALLOC_MAX);
	while (page == NULL && drop_other(dir));
	volume->index_pages += page != NULL;
	return page;
}

static void put_pages(struct fat_volume *volume, struct record **page, uint32_t n)
{
	for (uint32_t i = 0; page != NULL && i < n; i++) {
		volume->index_pages -= page[i] != NULL;
		fs_free(page[i]);
	}
	fs_free(page);
}

/* ---- Names. */

static struct record *record_at(const struct fat_index *index, uint32_t at)
{
	return &index->page[at / PAGE_RECORDS][at % PAGE_RECORDS];
}

static uint32_t mask_of(const struct fat_index *index)
{
	return index->pages * (uint32_t)PAGE_RECORDS - 1;
}

static void insert(struct fat_index *index, struct record record)
{
	uint32_t at = record.hash & mask_of(index);

	while (record_at(index, at)->first != 0)
		at = (at + 1) & mask_of(index);
	*record_at(index, at) = record;
	index->records++;
}

/* Twice as many pages, or the first one. */
static bool widen(struct fat_node *dir)
{
	struct fat_index *index = dir->index;
	uint32_t before = index->pages, pages = MAX(1, 2 * before);
	struct record **old = index->page, **page = pages > PAGES_MAX ? NULL : fs_alloc(pages * sizeof(*page));

	for (uint32_t i = 0; page != NULL && i < pages; i++) {
		page[i] = get_page(dir);
		if (page[i] == NULL) {
			put_pages(dir->volume, page, pages);
			return false;
		}
	}
	if (page == NULL)
		return false;
	index->page = page;
	index->pages = pages;
	index->records = 0;
	for (uint32_t i = 0; i < before * PAGE_RECORDS; i++)
		if (old[i / PAGE_RECORDS][i % PAGE_RECORDS].first != 0)
			insert(index, old[i / PAGE_RECORDS][i % PAGE_RECORDS]);
	put_pages(dir->volume, old, before);
	return true;
}

static bool add_name(struct fat_node *dir, uint32_t hash, uint32_t first)
{
	struct fat_index *index = dir->index;

	if (index->records + 1 > index->pages * (uint32_t)PAGE_RECORDS / 4 * 3 && !widen(dir))
		return false;
	insert(index, (struct record){ .hash = hash, .first = first + 1 });
	return true;
}

static void remove_name(struct fat_index *index, uint32_t hash, uint32_t first)
{
	uint32_t mask = mask_of(index), at = hash & mask, next;

	while (record_at(index, at)->first != 0 &&
	       (record_at(index, at)->first != first + 1 || record_at(index, at)->hash != hash))
		at = (at + 1) & mask;
	if (record_at(index, at)->first == 0)
		return;
	/* What comes behind moves here, unless its place is between here and there. */
	for (next = (at + 1) & mask; record_at(index, next)->first != 0; next = (next + 1) & mask) {
		uint32_t home = record_at(index, next)->hash & mask;

		if (((next - home) & mask) < ((next - at) & mask))
			continue;
		*record_at(index, at) = *record_at(index, next);
		at = next;
	}
	record_at(index, at)->first = 0;
	index->records--;
}

bool fat_index_next(const struct fat_node *dir, uint32_t hash, uint32_t *at, uint32_t *first)
{
	const struct fat_index *index = dir->index;

	for (; *at <= mask_of(index); ++*at) {
		const struct record *record = record_at(index, (hash + *at) & mask_of(index));

		if (record->first == 0)
			return false;
		if (record->hash != hash)
			continue;
		*first = record->first - 1;
		++*at;
		return true;
	}
	return false;
}

/* ---- Slots. */

static bool is_used(const struct fat_index *index, uint32_t slot)
{
	return (index->map[slot / WORD_SLOTS / MAP_WORDS][slot / WORD_SLOTS % MAP_WORDS] >> slot % WORD_SLOTS & 1) != 0;
}

static void set_used(struct fat_index *index, uint32_t slot, bool used)
{
	uint64_t *word = &index->map[slot / WORD_SLOTS / MAP_WORDS][slot / WORD_SLOTS % MAP_WORDS];
	uint64_t bit = UINT64_C(1) << slot % WORD_SLOTS;

	*word = used ? *word | bit : *word & ~bit;
}

/* The map reaches up to `slots`. */
static bool reach(struct fat_node *dir, uint32_t slots)
{
	struct fat_index *index = dir->index;

	for (uint32_t i = 0; i < MAP_PAGES && i * MAP_WORDS * WORD_SLOTS < slots; i++) {
		if (index->map[i] == NULL)
			index->map[i] = get_page(dir);
		if (index->map[i] == NULL)
			return false;
	}
	return true;
}

void fat_index_use(struct fat_node *dir, uint32_t first, uint32_t last)
{
	struct fat_index *index = dir->index;

	if (index == NULL)
		return;
	if (!reach(dir, last + 1)) {
		fat_index_drop(dir);
		return;
	}
	for (uint32_t slot = first; slot <= last; slot++)
		set_used(index, slot, true);
	index->end = MAX(index->end, last + 1);
}

static uint32_t lowest_run(const struct fat_node *dir, uint32_t slot)
{
	return ALIGN_DOWN(slot - MIN(slot, FAT_ENTRY_SLOTS), fat_slots_per_sector(dir->volume));
}

bool fat_index_room(const struct fat_node *dir, struct fat_room *room)
{
	struct fat_index *index = dir->index;
	uint32_t each = fat_slots_per_sector(dir->volume), run = 0;

	room->end = index->end;
	for (uint32_t slot = index->hint[room->n]; slot < index->end; slot++) {
		uint32_t word = slot / WORD_SLOTS;

		if (slot % WORD_SLOTS == 0 && index->map[word / MAP_WORDS][word % MAP_WORDS] == UINT64_MAX) {
			slot += WORD_SLOTS - 1;
			run = 0;
			continue;
		}
		if (room->n <= each && slot % each == 0)
			run = 0;
		run = is_used(index, slot) ? 0 : run + 1;
		if (run == room->n) {
			room->first = slot + 1 - run;
			index->hint[room->n] = lowest_run(dir, room->first);
			return true;
		}
	}
	index->hint[room->n] = lowest_run(dir, index->end);
	return false;
}

/* ---- Keeping in step. */

static bool add(struct fat_node *dir, const struct fat_entry *entry)
{
	uint32_t hash = fat_name_hash(entry->unit, entry->units);
	uint32_t alias = fat_name_hash(entry->alias_unit, entry->alias_units);

	return add_name(dir, hash, entry->first) && (alias == hash || add_name(dir, alias, entry->first));
}

void fat_index_add(struct fat_node *dir, const struct fat_entry *entry)
{
	if (dir->index != NULL && !add(dir, entry))
		fat_index_drop(dir);
	fat_index_use(dir, entry->first, entry->slot);
}

void fat_index_remove(struct fat_node *dir, const struct fat_entry *entry)
{
	uint32_t hash = fat_name_hash(entry->unit, entry->units);
	uint32_t alias = fat_name_hash(entry->alias_unit, entry->alias_units);
	struct fat_index *index = dir->index;

	if (index == NULL)
		return;
	if (entry->slot >= index->end) {
		fat_index_drop(dir); /* the disk says something else than it did */
		return;
	}
	remove_name(index, hash, entry->first);
	if (alias != hash)
		remove_name(index, alias, entry->first);
	for (uint32_t slot = entry->first; slot <= entry->slot; slot++)
		set_used(index, slot, false);
	for (uint32_t n = 0; n < RUNS; n++)
		index->hint[n] = MIN(index->hint[n], lowest_run(dir, entry->first));
}

/* ---- Building. */

/* The sectors before slot `to` whose slots are not in the map yet. 1: the directory's end was met. */
static int map_sectors(struct fat_node *dir, uint32_t to, uint32_t *mapped)
{
	uint32_t each = fat_slots_per_sector(dir->volume);
	struct fat_held held;
	int error = 0, result = 0;

	while (result == 0 && *mapped + each <= to) {
		error = reach(dir, *mapped + each) ? fat_hold(dir, *mapped, 1, &held) : -ENOMEM;
		if (error != 0)
			return error;
		for (uint32_t i = 0; i < each && result == 0; i++) {
			uint8_t byte = held.buffer[0]->data[i * FAT_SLOT];

			dir->index->end = *mapped + i;
			result = byte == 0;
			if (result == 0)
				set_used(dir->index, dir->index->end++, byte != 0xe5);
		}
		fat_release(&held, false);
		*mapped += each;
	}
	return result;
}

/* Sectors are mapped as the names pass, while they are in the cache. */
static int build(struct fat_node *dir, uint32_t capacity)
{
	uint32_t slot = 0, mapped = 0;
	struct fat_entry entry;
	int result = widen(dir) ? 0 : -ENOMEM;

	if (result != 0)
		return result;
	while ((result = fat_entry_next(dir, &slot, &entry)) == 1) {
		result = add(dir, &entry) ? map_sectors(dir, slot, &mapped) : -ENOMEM;
		if (result != 0)
			return result < 0 ? result : -EIO;
	}
	if (result == 0)
		result = map_sectors(dir, capacity, &mapped);
	return MIN(result, 0);
}

void fat_index_load(struct fat_node *dir)
{
	struct fat_volume *volume = dir->volume;
	uint32_t capacity;

	if (dir->index != NULL) {
		list_del(&dir->indexed);
		list_add_tail(&volume->indexed, &dir->indexed);
		return;
	}
	if (fat_chain_load(dir) != 0)
		return;
	capacity = fat_capacity(dir);
	if (capacity < volume->index_least)
		return;
	dir->index = fs_alloc(sizeof(*dir->index));
	if (dir->index == NULL)
		return;
	list_add_tail(&volume->indexed, &dir->indexed);
	if (build(dir, capacity) != 0)
		fat_index_drop(dir);
}
