/*
 * Nodes. A node is found by the place of its short entry on the disk, so each entry has one node at most. One whose entry
 * is to be written stays in the volume's list `changed` until fat_commit has done so, also when nobody has a reference.
 */
#include <string.h>

#include "fs/fat_volume.h"

static struct fat_node **slot_of(struct fat_volume *volume, uint64_t sector, uint32_t offset)
{
	struct fat_node **at = &volume->nodes[(sector * 128 + offset / FAT_SLOT) % FAT_NODE_HASH];

	while (*at != NULL && ((*at)->sector != sector || (*at)->offset != offset))
		at = &(*at)->next;
	return at;
}

struct fat_node *fat_node_find(struct fat_volume *volume, uint64_t sector, uint32_t offset)
{
	return *slot_of(volume, sector, offset);
}

void fat_node_hash(struct fat_node *node)
{
	struct fat_node **at = slot_of(node->volume, node->sector, node->offset);

	node->next = *at;
	*at = node;
}

void fat_node_unhash(struct fat_node *node)
{
	struct fat_node **at = slot_of(node->volume, node->sector, node->offset);

	if (*at == node)
		*at = node->next;
}

struct fat_node *fat_node_new(struct fat_volume *volume, const uint8_t *slot, uint64_t sector, uint32_t offset)
{
	struct fat_node *node = fs_alloc(sizeof(*node));

	if (node == NULL)
		return NULL;
	list_init(&node->changed);
	list_init(&node->indexed);
	node->volume = volume;
	node->ino = ++volume->next_ino;
	node->sector = sector;
	node->offset = offset;
	node->refs = 1;
	node->attributes = slot[11];
	node->start = fat_entry_start(slot);
	node->size = fat_is_directory(node) ? 0 : get32(slot + 28);
	node->written = node->size;
	node->created_time = get16(slot + 14);
	node->created_date = get16(slot + 16);
	node->accessed_date = get16(slot + 18);
	node->time = get16(slot + 22);
	node->date = get16(slot + 24);
	return node;
}

void fat_node_store(const struct fat_node *node, uint8_t *slot)
{
	slot[11] = node->attributes;
	put16(slot + 14, node->created_time);
	put16(slot + 16, node->created_date);
	put16(slot + 18, node->accessed_date);
	put16(slot + 20, (uint16_t)(node->start >> 16));
	put16(slot + 22, node->time);
	put16(slot + 24, node->date);
	put16(slot + 26, (uint16_t)node->start);
	put32(slot + 28, MIN(node->size, node->written));
}

void fat_node_changed(struct fat_node *node)
{
	if (!node->unlinked && list_empty(&node->changed) && node != node->volume->root)
		list_add_tail(&node->volume->changed, &node->changed);
}

void fat_stamp(struct fat_node *node)
{
	fat_time_put(node->volume->now(), &node->date, &node->time);
	node->accessed_date = node->date;
	node->attributes = (uint8_t)(node->attributes | (fat_is_directory(node) ? 0 : FAT_ARCHIVE));
	fat_node_changed(node);
}

void fat_node_free(struct fat_node *node)
{
	struct fat_node *parent = node->parent;

	if (node->unlinked)
		node->volume->orphans--;
	else
		fat_node_unhash(node);
	list_del(&node->changed);
	fat_index_drop(node);
	fat_chain_forget(node);
	fs_free(node);
	if (parent != NULL)
		fat_put(parent);
}

struct fat_node *fat_root(struct fat_volume *volume)
{
	return volume->root;
}

void fat_get(struct fat_node *node)
{
	if (node->refs++ == 0)
		node->volume->idle--;
}

void fat_node_trim(struct fat_node *node)
{
	uint32_t bytes = node->volume->cluster_bytes, need = (uint32_t)(((uint64_t)node->size + bytes - 1) / bytes);

	if (fat_chain_load(node) != 0 || node->clusters <= need)
		return;
	if (fat_reserve(node->volume) == 0 && fat_chain_cut(node, need) == 0)
		fat_node_changed(node);
}

void fat_put(struct fat_node *node)
{
	struct fat_volume *volume = node->volume;

	if (node->refs > 1 || node == volume->root) {
		node->refs -= node == volume->root ? 0 : 1;
		return;
	}
	if (node->unlinked)
		fat_free_later(volume, node->start);
	else if (node->grown)
		fat_node_trim(node);
	node->refs = 0;
	if (list_empty(&node->changed))
		fat_node_free(node);
	else
		volume->idle++;
}

void fat_node_unlink(struct fat_node *node)
{
	fat_node_unhash(node);
	list_del(&node->changed);
	node->unlinked = true;
	node->volume->orphans++;
}

void fat_forget_directory(struct fat_node *node)
{
	struct fat_volume *volume = node->volume;
	uint32_t cluster, run;

	fat_index_drop(node);
	for (uint32_t k = 0; fat_is_directory(node) && fat_chain_find(node, k, 1, &cluster, &run) == 0; k++)
		buffers_forget(&volume->buffers, fat_sector(volume, cluster), volume->cluster_sectors);
}

void fat_attr(const struct fat_node *node, struct fat_attr *out)
{
	uint32_t bytes = node->volume->cluster_bytes;

	*out = (struct fat_attr){
		.ino = node->ino,
		.bytes = node->size,
		.allocated = node->loaded ? (uint64_t)node->clusters * bytes
					  : ((uint64_t)node->size + bytes - 1) / bytes * bytes,
		.modified = fat_time_get(node->date, node->time),
		.accessed = fat_time_get(node->accessed_date, 0),
		.created = fat_time_get(node->created_date, node->created_time),
		.flags = (uint8_t)(node->attributes & ~FAT_DIRECTORY),
		.directory = fat_is_directory(node),
	};
}

int fat_set_times(struct fat_node *node, int64_t modified, int64_t accessed)
{
	uint16_t time;
	int error = fat_begin(node->volume);

	if (error != 0)
		return error;
	fat_time_put(modified, &node->date, &node->time);
	fat_time_put(accessed, &node->accessed_date, &time);
	fat_node_changed(node);
	return 0;
}

int fat_set_flags(struct fat_node *node, uint8_t flags)
{
	const uint8_t ours = FAT_READ_ONLY | FAT_HIDDEN | FAT_SYSTEM | FAT_ARCHIVE;
	int error = fat_begin(node->volume);

	if (error != 0 || node == node->volume->root)
		return error;
	node->attributes = (uint8_t)((node->attributes & ~ours) | (flags & ours));
	fat_node_changed(node);
	return 0;
}
