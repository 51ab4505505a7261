/*
 * Mounting: what a boot sector says is checked against itself and against the disk before anything else is read, so that
 * no number taken from it later leads outside of the volume. FSInfo is never believed; others may believe ours.
 */
#include <string.h>

#include "fs/fat_volume.h"

#define CLUSTER_MAX 0x0ffffff5U /* clusters, so that no number is one with a meaning */

int fat_damaged(struct fat_volume *volume, const char *what)
{
	if (!volume->said)
		fs_say("fat: the volume %08x is damaged: %s", (unsigned)volume->id, what);
	volume->said = true;
	return -EIO;
}

static bool power_of_two(uint32_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/* What is wrong with the layout, or NULL. */
static const char *check_layout(struct fat_volume *volume, const uint8_t *boot)
{
	uint32_t reserved = get16(boot + 14), fats = boot[16];
	uint64_t total = get16(boot + 19) != 0 ? get16(boot + 19) : get32(boot + 32), meta;

	volume->fat_start = reserved;
	volume->fat_sectors = get32(boot + 36);
	if (reserved == 0)
		return "no FAT volume: it has no reserved sectors";
	if (fats != 1 && fats != 2)
		return "no FAT volume: the number of FATs is neither 1 nor 2";
	if (get16(boot + 22) != 0 || get16(boot + 17) != 0)
		return "FAT12 or FAT16: only FAT32 is supported (mkfs.fat -F 32 makes one)";
	if (get16(boot + 42) != 0)
		return "FAT: the file system's version is unknown";
	if (total == 0 || total > volume->disk->sectors)
		return "FAT: the volume is larger than the disk: an image that was cut off";
	meta = reserved + (uint64_t)fats * volume->fat_sectors;
	if (volume->fat_sectors == 0 || meta >= total)
		return "FAT: the FATs leave no room for data";
	volume->data_start = meta;
	volume->clusters = (uint32_t)MIN((total - meta) / volume->cluster_sectors, CLUSTER_MAX);
	if (volume->clusters == 0)
		return "FAT: the volume has no clusters";
	if ((uint64_t)volume->fat_sectors * volume->sector_bytes / 4 < (uint64_t)volume->clusters + FAT_FIRST)
		return "FAT: the FAT is too small for the volume";
	return NULL;
}

static const char *check_boot(struct fat_volume *volume, const uint8_t *boot)
{
	uint32_t bytes = get16(boot + 11);
	const char *why;

	if (get16(boot + 510) != 0xaa55 || (boot[0] != 0xeb && boot[0] != 0xe9))
		return "no FAT volume: the boot sector's signature is missing";
	if (bytes != volume->disk->sector_bytes)
		return power_of_two(bytes) && bytes >= 512 && bytes <= 4096
			       ? "FAT: the volume's sectors are not of the disk's size"
			       : "no FAT volume: the sector size is wrong";
	volume->sector_bytes = bytes;
	volume->cluster_sectors = boot[13];
	volume->cluster_bytes = bytes * boot[13];
	if (!power_of_two(boot[13]) || volume->cluster_bytes > 65536)
		return "FAT: the cluster size is wrong";
	why = check_layout(volume, boot);
	if (why != NULL)
		return why;
	if (!fat_in_range(volume, get32(boot + 44)))
		return "FAT: the root directory lies outside the volume";
	volume->id = get32(boot + 67);
	volume->was_dirty = (boot[0x41] & 1) != 0;
	volume->info_sector = get16(boot + 48);
	if (volume->info_sector == 0xffff || volume->info_sector >= volume->fat_start)
		volume->info_sector = 0;
	return NULL;
}

/* The second FAT is a copy, but where bit 7 says that only one of them is in use: then it must be the first. */
static const char *check_mirror(struct fat_volume *volume, const uint8_t *boot)
{
	uint16_t flags = get16(boot + 40);

	if (boot[16] == 2 && (flags & 0x80) != 0) {
		if ((flags & 0x0f) > 1)
			return "FAT: the FAT in use does not exist";
		volume->fat_start += (flags & 0x0f) * volume->fat_sectors;
	} else if (boot[16] == 2) {
		volume->buffers.mirror_from = volume->fat_start;
		volume->buffers.mirror_to = volume->fat_start + volume->fat_sectors;
		volume->buffers.mirror_by = volume->fat_sectors;
	}
	return NULL;
}

static int make_root(struct fat_volume *volume, const uint8_t *boot)
{
	uint8_t raw[FAT_SLOT] = { 0 };
	uint32_t start = get32(boot + 44);

	raw[11] = FAT_DIRECTORY;
	put16(raw + 20, (uint16_t)(start >> 16));
	put16(raw + 26, (uint16_t)start);
	volume->root = fat_node_new(volume, raw, UINT64_MAX, 0);
	return volume->root == NULL ? -ENOMEM : 0;
}

static void destroy(struct fat_volume *volume)
{
	if (volume->root != NULL) {
		fat_index_drop(volume->root);
		fat_chain_forget(volume->root);
		fs_free(volume->root);
	}
	buffers_free(&volume->buffers);
	fs_free(volume->links);
	fs_free(volume->frees);
	fs_free(volume->nodes);
	fs_free(volume->bounce);
	fs_free(volume);
}

static struct fat_volume *make(struct disk *disk, const struct fat_options *options)
{
	struct fat_volume *volume = fs_alloc(sizeof(*volume));

	if (volume == NULL)
		return NULL;
	volume->disk = disk;
	volume->now = options->now;
	volume->read_only = options->read_only || disk->read_only;
	volume->next_free = FAT_FIRST;
	volume->index_least = options->index_least != 0 ? options->index_least : FAT_INDEX_LEAST;
	list_init(&volume->changed);
	list_init(&volume->indexed);
	volume->links = fs_alloc(FS_ALLOC_MAX);
	volume->frees = fs_alloc(FS_ALLOC_MAX);
	volume->nodes = fs_alloc(FAT_NODE_HASH * sizeof(struct fat_node *));
	volume->bounce = fs_alloc(FS_ALLOC_MAX);
	if (buffers_init(&volume->buffers, disk) == 0 && volume->links != NULL && volume->frees != NULL &&
	    volume->nodes != NULL && volume->bounce != NULL)
		return volume;
	destroy(volume);
	return NULL;
}

static int read_boot(struct fat_volume *volume, const char **why)
{
	int error = fs_read(volume->disk, 0, volume->bounce, 1);

	*why = "FAT: the boot sector cannot be read";
	if (error != 0)
		return error;
	*why = check_boot(volume, volume->bounce);
	if (*why == NULL)
		*why = check_mirror(volume, volume->bounce);
	if (*why != NULL)
		return -EINVAL;
	*why = "FAT: there is no memory to mount the volume";
	error = make_root(volume, volume->bounce);
	if (error != 0)
		return error;
	*why = "FAT: the root directory's chain of clusters is damaged, or cannot be read";
	return fat_chain_load(volume->root);
}

int fat_mount(struct disk *disk, const struct fat_options *options, struct fat_volume **out, const char **why)
{
	struct fat_volume *volume;
	int error;

	*why = "FAT: the disk's sector size is not 512 to 4096 bytes, or it is empty";
	if (!fs_disk_valid(disk))
		return -EINVAL;
	*why = "FAT: there is no memory to mount the volume";
	volume = make(disk, options);
	if (volume == NULL)
		return -ENOMEM;
	error = read_boot(volume, why);
	if (error != 0) {
		destroy(volume);
		return error;
	}
	if (volume->was_dirty)
		fs_say("fat: the volume %08x was not unmounted; fsck.fat finds clusters that are lost",
		       (unsigned)volume->id);
	*why = "";
	*out = volume;
	return 0;
}

/* References by whoever is outside: without those that directories have of their parents. */
static uint32_t references(const struct fat_volume *volume)
{
	uint32_t n = volume->orphans;

	for (unsigned i = 0; i < FAT_NODE_HASH; i++)
		for (const struct fat_node *node = volume->nodes[i]; node != NULL; node = node->next)
			n += node->refs - (node->parent != NULL && node->parent != volume->root ? 1 : 0);
	return n;
}

/* Those that could not be written, the children first. */
static void drop_changed(struct fat_volume *volume)
{
	while (!list_empty(&volume->changed)) {
		list_for_each (pos, &volume->changed) {
			struct fat_node *node = list_entry(pos, struct fat_node, changed);

			if (node->refs != 0)
				continue;
			volume->idle--;
			fat_node_free(node);
			break;
		}
	}
}

int fat_unmount(struct fat_volume *volume)
{
	int error;

	if (references(volume) != 0)
		return -EBUSY;
	error = volume->read_only ? 0 : fat_finish(volume);
	drop_changed(volume);
	destroy(volume);
	return error;
}

int fat_statfs(struct fat_volume *volume, struct fat_statfs *out)
{
	int error = volume->free_known ? 0 : fat_count_free(volume);

	*out = (struct fat_statfs){
		.cluster_bytes = volume->cluster_bytes,
		.clusters = volume->clusters,
		.free = volume->free,
		.id = volume->id,
	};
	return error;
}
