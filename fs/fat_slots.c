/*
 * A directory as what it is on the disk: slots of 32 bytes. A file's entry is its short slot and, before it, the slots of its
 * long name, the last part first. A long name that does not fit its short slot (its order, its checksum) is not there.
 */
#include <string.h>

#include "fs/fat_volume.h"

#define LONG_CHARS 13U
#define LONG_LAST  0x40

uint32_t fat_slots_per_sector(const struct fat_volume *volume)
{
	return volume->sector_bytes / FAT_SLOT;
}

/* The sector that has this slot. Behind the end of the directory: -ENXIO. */
static int sector_of(struct fat_node *dir, uint32_t slot, uint64_t *sector)
{
	struct fat_volume *volume = dir->volume;
	uint32_t index = slot / fat_slots_per_sector(volume), cluster, run;
	int error;

	if (slot >= FAT_SLOTS_MAX)
		return -ENXIO;
	error = fat_chain_find(dir, index / volume->cluster_sectors, 1, &cluster, &run);
	if (error == 0)
		*sector = fat_sector(volume, cluster) + index % volume->cluster_sectors;
	return error;
}

uint32_t fat_entry_start(const uint8_t *raw)
{
	return (uint32_t)get16(raw + 20) << 16 | get16(raw + 26);
}

bool fat_entry_is_dot(const struct fat_entry *entry)
{
	return memcmp(entry->raw, ".          ", 11) == 0 || memcmp(entry->raw, "..         ", 11) == 0;
}

/* ---- Reading */

struct long_name {
	uint32_t first;
	uint8_t expect; /* the next slot's number; 0: the short slot is next, LONG_LAST: there is no long name */
	uint8_t sum;
	uint16_t units;
};

static void long_slot(struct long_name *name, const uint8_t *raw, uint32_t slot, uint16_t *unit)
{
	static const uint8_t place[LONG_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
	uint8_t number = raw[0] & 0x3f;
	uint32_t at = (number - 1U) * LONG_CHARS;

	if ((raw[0] & LONG_LAST) != 0) {
		name->first = slot;
		name->sum = raw[13];
		name->expect = number;
		name->units = 0;
	}
	if (number == 0 || number > 20 || name->expect != number || raw[13] != name->sum) {
		name->expect = LONG_LAST;
		return;
	}
	for (uint32_t i = 0; i < LONG_CHARS; i++) {
		uint16_t c = get16(raw + place[i]);

		if (c == 0)
			break;
		if (at + i >= FAT_UNITS) {
			name->expect = LONG_LAST;
			return;
		}
		unit[at + i] = c;
		if ((raw[0] & LONG_LAST) != 0)
			name->units = (uint16_t)(at + i + 1);
	}
	if ((raw[0] & LONG_LAST) != 0 && name->units == 0)
		name->expect = LONG_LAST;
	else
		name->expect = (uint8_t)(number - 1);
}

static void short_slot(struct fat_entry *entry, const struct long_name *name, const uint8_t *raw, uint32_t slot)
{
	memcpy(entry->raw, raw, FAT_SLOT);
	entry->slot = slot;
	entry->alias_units = (uint16_t)fat_alias_units(raw, entry->alias_unit);
	if (name->expect == 0 && fat_alias_sum(raw) == name->sum) {
		entry->first = name->first;
		entry->units = name->units;
	} else {
		entry->first = slot;
		entry->units = entry->alias_units;
		memcpy(entry->unit, entry->alias_unit, entry->units * sizeof(uint16_t));
	}
}

/* Names with a slash or a 0 in them nobody could ask for. */
static bool usable(const struct fat_entry *entry)
{
	for (unsigned i = 0; i < entry->units; i++)
		if (entry->unit[i] == '/' || entry->unit[i] == 0)
			return false;
	return entry->units != 0;
}

/* One sector's slots from *slot on. 1: an entry, 0: the end of the directory, 2: of the sector. */
static int scan_sector(struct fat_volume *volume, const uint8_t *data, uint32_t *slot, struct long_name *name,
		       struct fat_entry *entry)
{
	uint32_t each = fat_slots_per_sector(volume);

	do {
		uint32_t offset = *slot % each * FAT_SLOT;
		const uint8_t *raw = data + offset;

		if (raw[0] == 0)
			return 0;
		++*slot;
		if (raw[0] != 0xe5 && (raw[11] & 0x3f) == FAT_LONG) {
			long_slot(name, raw, *slot - 1, entry->unit);
		} else if (raw[0] == 0xe5 || (raw[11] & FAT_LABEL) != 0) {
			name->expect = LONG_LAST;
		} else {
			short_slot(entry, name, raw, *slot - 1);
			name->expect = LONG_LAST;
			entry->offset = offset;
			if (usable(entry))
				return 1;
		}
	} while (*slot % each != 0);
	return 2;
}

int fat_entry_next(struct fat_node *dir, uint32_t *slot, struct fat_entry *entry)
{
	struct long_name name = { .expect = LONG_LAST };
	struct buffer *buffer;
	int result;

	do {
		result = sector_of(dir, *slot, &entry->sector);
		if (result != 0)
			return result == -ENXIO ? 0 : result;
		result = buffer_get(&dir->volume->buffers, entry->sector, &buffer);
		if (result != 0)
			return result;
		result = scan_sector(dir->volume, buffer->data, slot, &name, entry);
		buffer_put(buffer);
	} while (result == 2);
	return result;
}

/* ---- Changing */

int fat_hold(struct fat_node *dir, uint32_t first, uint32_t n, struct fat_held *held)
{
	uint32_t each = fat_slots_per_sector(dir->volume);

	*held = (struct fat_held){ .volume = dir->volume, .first = first, .n = n };
	for (uint32_t at = first - first % each; at < first + n; at += each) {
		uint64_t sector;
		int error = sector_of(dir, at, &sector);

		if (error == 0)
			error = buffer_get(&dir->volume->buffers, sector, &held->buffer[held->buffers]);
		if (error != 0) {
			fat_release(held, false);
			return error == -ENXIO ? -EIO : error;
		}
		held->buffers++;
	}
	return 0;
}

uint8_t *fat_held_slot(struct fat_held *held, uint32_t slot)
{
	uint32_t each = fat_slots_per_sector(held->volume);

	return held->buffer[slot / each - held->first / each]->data + slot % each * FAT_SLOT;
}

void fat_held_place(struct fat_held *held, uint32_t slot, uint64_t *sector, uint32_t *offset)
{
	uint32_t each = fat_slots_per_sector(held->volume);

	*sector = held->buffer[slot / each - held->first / each]->sector;
	*offset = slot % each * FAT_SLOT;
}

void fat_release(struct fat_held *held, bool changed)
{
	for (uint32_t i = 0; i < held->buffers; i++) {
		if (changed)
			buffer_dirty(&held->volume->buffers, held->buffer[i]);
		buffer_put(held->buffer[i]);
	}
}

int fat_clear_cluster(struct fat_volume *volume, uint32_t cluster, const uint8_t *slots, size_t n)
{
	uint64_t sector = fat_sector(volume, cluster);
	uint32_t at_once = MIN(FS_ALLOC_MAX / volume->sector_bytes, volume->cluster_sectors);
	int error = 0;

	buffers_forget(&volume->buffers, sector, volume->cluster_sectors);
	memset(volume->bounce, 0, FS_ALLOC_MAX);
	if (n != 0)
		memcpy(volume->bounce, slots, n);
	for (uint32_t i = 0; i < volume->cluster_sectors && error == 0; i += at_once) {
		error = fs_write(volume->disk, sector + i, volume->bounce, at_once);
		memset(volume->bounce, 0, n);
	}
	return error;
}
