/*
 * What is written in which order. Three kinds of changes wait outside of the buffers, because they rest on something that
 * must be on the disk before: links to clusters in other sectors of the FAT, what nodes' entries say, and clusters to be
 * freed. fat_commit takes them in one after the other, with a flush between. docs/disks.md has the reasons.
 *
 *   1. the caller's data, new clusters' own entries in the FAT, directories' other changes	flush
 *   2. links to these clusters									flush
 *   3. entries: first clusters, sizes, times								flush
 *   4. ends of chains that became shorter								flush
 *   5. freed clusters become 0 (written with the next commit's 1)
 *
 * A step that fails ends the commit; nothing that was not done is forgotten, and the next commit begins again with 1.
 */
#include "fs/fat_volume.h"

#define MARK_AT	   0x41	       /* in the boot sector: bit 0, dirty */
#define MARK_CLEAN 0x08000000U /* in the FAT's entry 1 */

static int write_flush(struct fat_volume *volume)
{
	int error = buffers_write(&volume->buffers);

	return error != 0 ? error : buffers_flush(&volume->buffers);
}

static int apply_links(struct fat_volume *volume, bool ends)
{
	for (uint32_t i = volume->links_count; i-- > 0;) {
		struct fat_link link = volume->links[i];
		int error = 0;

		if ((link.next == FAT_EOC) != ends)
			continue;
		error = fat_set(volume, link.cluster, link.next);
		if (error != 0)
			return error;
		fat_link_drop(volume, &volume->links[i]);
	}
	return 0;
}

int fat_commit_links(struct fat_volume *volume)
{
	uint32_t before = volume->links_count;
	int error = write_flush(volume);

	if (error != 0 || before == 0)
		return error;
	error = apply_links(volume, false);
	if (error != 0)
		return error;
	if (volume->links_count != before)
		return write_flush(volume);
	/* Only ends of chains were in it: those need a whole commit. */
	return volume->links_count == FAT_LINKS ? fat_commit(volume) : 0;
}

/* An entry never says more than what is on the disk: then it stays in the list. */
static int store_entry(struct fat_node *node)
{
	struct fat_volume *volume = node->volume;
	struct buffer *buffer;
	int error = buffer_get(&volume->buffers, node->sector, &buffer);

	if (error != 0)
		return error;
	fat_node_store(node, buffer->data + node->offset);
	buffer_dirty(&volume->buffers, buffer);
	buffer_put(buffer);
	if (node->written < node->size)
		return 0;
	list_del(&node->changed);
	if (node->refs == 0) {
		volume->idle--;
		fat_node_free(node);
	}
	return 0;
}

static int store_entries(struct fat_volume *volume)
{
	int error = 0;

	if (list_empty(&volume->changed))
		return 0;
	list_for_each_safe (pos, tmp, &volume->changed) {
		error = store_entry(list_entry(pos, struct fat_node, changed));
		if (error != 0)
			return error;
	}
	return write_flush(volume);
}

static int free_chains(struct fat_volume *volume)
{
	while (volume->frees_count != 0) {
		int error = fat_free_chain(volume, &volume->frees[volume->frees_count - 1]);

		if (error != 0)
			return error;
		volume->frees_count--;
	}
	return 0;
}

int fat_commit(struct fat_volume *volume)
{
	bool waiting = volume->links_count != 0 || volume->frees_count != 0 || !list_empty(&volume->changed);
	uint32_t before = volume->links_count;
	int error = 0;

	/* The last reference of a file may go after fat_clean. */
	if (waiting)
		error = fat_begin(volume);
	if (error == 0)
		error = write_flush(volume);
	if (error == 0)
		error = apply_links(volume, false);
	if (error == 0 && volume->links_count != before)
		error = write_flush(volume);
	if (error == 0)
		error = store_entries(volume);
	before = volume->links_count;
	if (error == 0)
		error = apply_links(volume, true);
	if (error == 0 && volume->links_count != before)
		error = write_flush(volume);
	return error == 0 ? free_chains(volume) : error;
}

int fat_reserve(struct fat_volume *volume)
{
	if (volume->links_count + 4 <= FAT_LINKS && volume->frees_count + 4 <= FAT_FREES && volume->idle < 256)
		return 0;
	return fat_commit(volume);
}

/* fat_reserve went before. A reference that is put at the worst moment loses clusters instead of more. */
void fat_free_later(struct fat_volume *volume, uint32_t head)
{
	if (head == 0)
		return;
	if (volume->frees_count == FAT_FREES && fat_commit(volume) != 0 && volume->frees_count == FAT_FREES) {
		fs_say("fat: clusters are lost: they could not be freed");
		return;
	}
	volume->frees[volume->frees_count++] = head;
}

/* ---- The mark of a volume in use, and the free count that others may believe. */

static int change_info(struct fat_volume *volume, uint32_t count, uint32_t next)
{
	struct buffer *buffer;
	int error;

	if (volume->info_sector == 0)
		return 0;
	error = buffer_get(&volume->buffers, volume->info_sector, &buffer);
	if (error != 0)
		return error;
	if (get32(buffer->data) == 0x41615252 && get32(buffer->data + 484) == 0x61417272) {
		put32(buffer->data + 488, count);
		put32(buffer->data + 492, next);
		buffer_dirty(&volume->buffers, buffer);
	}
	buffer_put(buffer);
	return 0;
}

static int change_mark(struct fat_volume *volume, bool clean)
{
	struct buffer *boot, *table;
	uint32_t value;
	int error = buffer_get(&volume->buffers, 0, &boot);

	if (error != 0)
		return error;
	error = buffer_get(&volume->buffers, volume->fat_start, &table);
	if (error == 0) {
		boot->data[MARK_AT] = (uint8_t)(clean ? boot->data[MARK_AT] & ~1 : boot->data[MARK_AT] | 1);
		value = get32(table->data + 4);
		put32(table->data + 4, clean ? value | MARK_CLEAN : value & ~MARK_CLEAN);
		buffer_dirty(&volume->buffers, boot);
		buffer_dirty(&volume->buffers, table);
		buffer_put(table);
	}
	buffer_put(boot);
	return error;
}

int fat_begin(struct fat_volume *volume)
{
	int error;

	if (volume->read_only)
		return -EROFS;
	if (volume->marked)
		return 0;
	error = change_info(volume, UINT32_MAX, volume->next_free);
	if (error == 0 && !volume->was_dirty)
		error = change_mark(volume, false);
	if (error == 0)
		error = write_flush(volume);
	volume->marked = error == 0;
	volume->uncounted = volume->uncounted || error == 0;
	return error;
}

int fat_sync(struct fat_volume *volume)
{
	if (volume->read_only)
		return 0;
	list_for_each_safe (pos, tmp, &volume->changed) {
		struct fat_node *node = list_entry(pos, struct fat_node, changed);
		int error = fat_fill(node, node->size);

		if (error != 0)
			return error;
	}
	return fat_commit(volume);
}

int fat_clean(struct fat_volume *volume)
{
	int error = fat_sync(volume);

	if (error == 0 && volume->marked)
		error = write_flush(volume);
	if (error != 0 || !volume->marked)
		return error;
	error = change_info(volume, volume->free_known ? volume->free : UINT32_MAX, volume->next_free);
	if (error == 0 && !volume->was_dirty)
		error = change_mark(volume, true);
	if (error == 0)
		error = write_flush(volume);
	if (error != 0)
		return error;
	volume->marked = false;
	volume->uncounted = !volume->free_known;
	return 0;
}

/* To count takes a look at the whole FAT: not whenever the volume is idle. What cannot be counted stays unknown. */
int fat_finish(struct fat_volume *volume)
{
	int error = fat_sync(volume);

	if (error != 0 || (!volume->marked && !volume->uncounted))
		return error;
	if (!volume->free_known)
		(void)!fat_count_free(volume);
	if (volume->marked)
		return fat_clean(volume);
	error = change_info(volume, volume->free_known ? volume->free : UINT32_MAX, volume->next_free);
	return error == 0 ? write_flush(volume) : error;
}

int fat_sync_node(struct fat_node *node)
{
	int error;

	if (node->volume->read_only)
		return 0;
	error = fat_is_directory(node) ? 0 : fat_fill(node, node->size);
	return error != 0 ? error : fat_commit(node->volume);
}
