/*
 * The FAT itself. What is in its buffers may reach the disk at any time; so a cluster is linked to another in the buffer
 * only when both lie in the same sector, which is written at once, or when that other's own entry is durable. Until then
 * the link waits in volume->links, which everyone who reads the FAT looks into first.
 */
#include <string.h>

#include "fs/fat_volume.h"

static uint32_t per_sector(const struct fat_volume *volume)
{
	return volume->sector_bytes / 4;
}

static uint32_t sector_of(const struct fat_volume *volume, uint32_t cluster)
{
	return volume->fat_start + cluster / per_sector(volume);
}

struct fat_link *fat_link_find(struct fat_volume *volume, uint32_t cluster)
{
	for (uint32_t i = 0; i < volume->links_count; i++)
		if (volume->links[i].cluster == cluster)
			return &volume->links[i];
	return NULL;
}

void fat_link_drop(struct fat_volume *volume, struct fat_link *link)
{
	*link = volume->links[--volume->links_count];
}

static int get(struct fat_volume *volume, uint32_t cluster, uint32_t *value)
{
	struct fat_link *link = fat_link_find(volume, cluster);
	struct buffer *buffer;
	int error;

	if (link != NULL) {
		*value = link->next;
		return 0;
	}
	error = buffer_get(&volume->buffers, sector_of(volume, cluster), &buffer);
	if (error != 0)
		return error;
	*value = get32(buffer->data + cluster % per_sector(volume) * 4) & FAT_MASK;
	buffer_put(buffer);
	return 0;
}

int fat_next(struct fat_volume *volume, uint32_t cluster, uint32_t *next)
{
	uint32_t value;
	int error = get(volume, cluster, &value);

	if (error != 0)
		return error;
	*next = 0;
	if (value > FAT_BAD)
		return 0;
	if (!fat_in_range(volume, value))
		return fat_damaged(volume, value == 0 ? "a file has a free cluster" : "a cluster's number is wrong");
	*next = value;
	return 0;
}

/* The four upper bits are not ours. */
int fat_set(struct fat_volume *volume, uint32_t cluster, uint32_t value)
{
	struct buffer *buffer;
	uint8_t *at;
	int error = buffer_get(&volume->buffers, sector_of(volume, cluster), &buffer);

	if (error != 0)
		return error;
	at = buffer->data + cluster % per_sector(volume) * 4;
	put32(at, (get32(at) & ~FAT_MASK) | value);
	buffer_dirty(&volume->buffers, buffer);
	buffer_put(buffer);
	return 0;
}

int fat_join(struct fat_volume *volume, uint32_t cluster, uint32_t next, bool late)
{
	int error = 0;

	if (!late && sector_of(volume, cluster) == sector_of(volume, next))
		return fat_set(volume, cluster, next);
	if (volume->links_count == FAT_LINKS)
		error = fat_commit_links(volume);
	if (error != 0)
		return error;
	volume->links[volume->links_count++] = (struct fat_link){ .cluster = cluster, .next = next };
	return 0;
}

/* The first free cluster in [from, to), or 0. */
static int find_free(struct fat_volume *volume, uint32_t from, uint32_t to, uint32_t *found)
{
	struct buffer *buffer;

	*found = 0;
	while (from < to && *found == 0) {
		uint32_t stop = MIN(to, (from / per_sector(volume) + 1) * per_sector(volume));
		int error = buffer_get(&volume->buffers, sector_of(volume, from), &buffer);

		if (error != 0)
			return error;
		for (; from < stop && *found == 0; from++)
			if ((get32(buffer->data + from % per_sector(volume) * 4) & FAT_MASK) == 0)
				*found = from;
		buffer_put(buffer);
	}
	return 0;
}

static int take(struct fat_volume *volume, uint32_t goal, uint32_t *out)
{
	uint32_t end = volume->clusters + FAT_FIRST;
	int error;

	if (volume->free_known && volume->free == 0)
		return -ENOSPC;
	if (!fat_in_range(volume, goal))
		goal = volume->next_free;
	error = find_free(volume, goal, end, out);
	if (error == 0 && *out == 0)
		error = find_free(volume, FAT_FIRST, goal, out);
	if (error == 0 && *out == 0)
		error = -ENOSPC;
	if (error == 0)
		error = fat_set(volume, *out, FAT_EOC);
	if (error != 0)
		return error;
	if (volume->free_known)
		volume->free--;
	volume->next_free = *out + 1 < end ? *out + 1 : FAT_FIRST;
	return 0;
}

static int take_chain(struct fat_volume *volume, uint32_t goal, uint32_t n, uint32_t *head, uint32_t *tail)
{
	uint32_t cluster;
	int error;

	*head = 0;
	for (uint32_t i = 0; i < n; i++) {
		error = take(volume, *head == 0 ? goal : *tail + 1, &cluster);
		if (error == 0 && *head != 0) {
			error = fat_join(volume, *tail, cluster, false);
			if (error != 0)
				fat_give_back(volume, cluster);
		}
		if (error != 0)
			goto undo;
		*head = *head == 0 ? cluster : *head;
		*tail = cluster;
	}
	return 0;
undo:
	if (*head != 0)
		fat_give_back(volume, *head);
	return error;
}

/* What waits to be freed is not free yet; when nothing else is, it is worth a commit. */
int fat_allocate(struct fat_volume *volume, uint32_t goal, uint32_t n, uint32_t *head, uint32_t *tail)
{
	int error = take_chain(volume, goal, n, head, tail);

	if (error != -ENOSPC || volume->frees_count == 0)
		return error;
	error = fat_commit(volume);
	return error != 0 ? error : take_chain(volume, goal, n, head, tail);
}

int fat_free_chain(struct fat_volume *volume, uint32_t *head)
{
	while (*head != 0) {
		struct fat_link *link;
		uint32_t value, next;
		int error = get(volume, *head, &value);

		if (error == 0 && value != 0)
			error = fat_set(volume, *head, 0);
		if (error != 0)
			return error;
		link = fat_link_find(volume, *head);
		if (link != NULL)
			fat_link_drop(volume, link);
		if (value != 0 && volume->free_known)
			volume->free++;
		next = value > FAT_BAD ? 0 : value;
		if (value <= FAT_BAD && !fat_in_range(volume, value)) {
			(void)fat_damaged(volume, value == 0 ? "a cluster was free before it was freed"
							     : "a cluster's number is wrong");
			next = 0;
		}
		*head = next;
	}
	return 0;
}

/* What cannot be freed now waits for the next commit. */
void fat_give_back(struct fat_volume *volume, uint32_t head)
{
	if (fat_free_chain(volume, &head) != 0)
		fat_free_later(volume, head);
}

/* Reads past the cache, several sectors at a time; but what is cached is newer. */
int fat_count_free(struct fat_volume *volume)
{
	uint32_t at_once = FS_ALLOC_MAX / volume->sector_bytes, each = per_sector(volume);
	uint32_t end = volume->clusters + FAT_FIRST, sectors = (end + each - 1) / each, count = 0;

	for (uint32_t i = 0; i < sectors; i += at_once) {
		uint32_t n = MIN(at_once, sectors - i);
		int error = fs_read(volume->disk, volume->fat_start + i, volume->bounce, n);

		if (error != 0)
			return error;
		for (uint32_t k = 0; k < n; k++) {
			const uint8_t *cached = buffer_peek(&volume->buffers, volume->fat_start + i + k);
			const uint8_t *data = cached != NULL ? cached : volume->bounce + k * volume->sector_bytes;
			uint32_t first = (i + k) * each;

			for (uint32_t c = MAX(first, FAT_FIRST); c < MIN(end, first + each); c++)
				count += (get32(data + c % each * 4) & FAT_MASK) == 0;
		}
	}
	volume->free = count;
	volume->free_known = true;
	return 0;
}
