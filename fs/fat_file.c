/*
 * Files' sizes and data. `size` is what programs see, `written` how far there is content on the disk: never more than size.
 * What lies between reads as 0 and is made so on the disk before anything behind it is written, and before the file is
 * synced; so no file ever shows what a cluster held before. Transfers of parts of sectors go through the volume's page.
 */
#include <string.h>

#include "fs/fat_volume.h"

#define FILL_BYTES (UINT32_C(1) << 20)

static uint32_t clusters_for(const struct fat_volume *volume, uint64_t bytes)
{
	return (uint32_t)((bytes + volume->cluster_bytes - 1) / volume->cluster_bytes);
}

int fat_extend(struct fat_node *node, uint64_t bytes)
{
	int error;

	if (fat_is_directory(node))
		return -EISDIR;
	if (bytes > FAT_SIZE_MAX)
		return -EFBIG;
	error = fat_begin(node->volume);
	if (error == 0)
		error = fat_reserve(node->volume);
	return error == 0 ? fat_chain_grow(node, clusters_for(node->volume, bytes)) : error;
}

int fat_truncate(struct fat_node *node, uint64_t size)
{
	int error = fat_extend(node, MAX(size, node->size));

	if (error == 0 && size < node->size)
		error = fat_chain_cut(node, clusters_for(node->volume, size));
	if (error != 0)
		return error;
	node->size = (uint32_t)size;
	node->written = MIN(node->written, node->size);
	fat_stamp(node);
	return 0;
}

int fat_map(struct fat_node *node, uint64_t offset, struct fat_run *out)
{
	struct fat_volume *volume = node->volume;
	uint32_t cluster, run, within = (uint32_t)(offset % volume->cluster_bytes);
	uint32_t most = MAX((UINT32_C(1) << 20) / volume->cluster_bytes, 1);
	int error;

	if (offset > FAT_SIZE_MAX)
		return -ENXIO;
	error = fat_chain_find(node, (uint32_t)(offset / volume->cluster_bytes), most, &cluster, &run);
	if (error == -ENXIO && offset < node->size)
		return fat_damaged(volume, "a file is longer than its chain of clusters");
	if (error != 0)
		return error;
	out->sector = fat_sector(volume, cluster) + within / volume->sector_bytes;
	out->bytes = run * volume->cluster_bytes - within;
	out->zero = offset >= node->written;
	/* A run has content from its beginning to its end, or to the end of the sector where the content ends. */
	if (!out->zero && offset + out->bytes > node->written)
		out->bytes = (uint32_t)(ALIGN_UP((uint64_t)node->written, (uint64_t)volume->sector_bytes) - offset);
	out->content = out->zero ? 0 : (uint32_t)MIN(out->bytes, node->written - offset);
	return 0;
}

/* What the run of fat_map is without a thought of what was written. */
static int map_all(struct fat_node *node, uint64_t offset, struct fat_run *out)
{
	uint32_t written = node->written;
	int error;

	node->written = 0;
	error = fat_map(node, offset, out);
	node->written = written;
	return error;
}

static int fill_sector(struct fat_node *node, uint32_t at)
{
	struct fat_volume *volume = node->volume;
	uint32_t within = at % volume->sector_bytes;
	struct fat_run run = { 0 };
	int error = map_all(node, at - within, &run);

	if (error == 0)
		error = fs_read(volume->disk, run.sector, volume->bounce, 1);
	if (error != 0)
		return error;
	memset(volume->bounce + within, 0, volume->sector_bytes - within);
	return fs_write(volume->disk, run.sector, volume->bounce, 1);
}

int fat_fill(struct fat_node *node, uint32_t to)
{
	struct fat_volume *volume = node->volume;
	uint64_t at = node->written;
	int error = 0;

	if (at >= to)
		return 0;
	error = fat_begin(volume);
	if (error == 0 && at % volume->sector_bytes != 0)
		error = fill_sector(node, (uint32_t)at);
	at = ALIGN_UP(at, (uint64_t)volume->sector_bytes);
	memset(volume->bounce, 0, FS_ALLOC_MAX);
	while (at < to && error == 0) {
		struct fat_run run;
		uint32_t n;

		error = map_all(node, at, &run);
		if (error != 0)
			break;
		n = (uint32_t)MIN(MIN(run.bytes, FS_ALLOC_MAX), ALIGN_UP(to - at, (uint64_t)volume->sector_bytes));
		error = fs_write(volume->disk, run.sector, volume->bounce, n / volume->sector_bytes);
		at += n;
	}
	if (error != 0)
		return error;
	node->written = to;
	fat_node_changed(node);
	return 0;
}

int fat_map_write(struct fat_node *node, uint64_t offset, struct fat_run *out)
{
	uint32_t gap = (uint32_t)MIN(offset, node->size), part = gap;
	int error = fat_begin(node->volume);

	if (gap > node->written)
		part = MIN(gap - node->written, FILL_BYTES) + node->written;
	if (error == 0)
		error = fat_fill(node, part);
	if (error == 0 && part != gap)
		return -EAGAIN;
	return error == 0 ? map_all(node, offset, out) : error;
}

void fat_wrote(struct fat_node *node, uint64_t end)
{
	uint32_t to = (uint32_t)MIN(end, node->size);

	if (to <= node->written)
		return;
	node->written = to;
	fat_node_changed(node);
}

/* One piece of a transfer: whole sectors straight, parts of one through the page. At most n bytes; how many, or an error. */
static int64_t read_piece(struct fat_node *node, uint64_t offset, uint8_t *to, uint64_t n)
{
	struct fat_volume *volume = node->volume;
	uint32_t within = (uint32_t)(offset % volume->sector_bytes);
	struct fat_run run;
	int error;

	if (offset >= node->written) {
		memset(to, 0, n);
		return (int64_t)n;
	}
	n = MIN(n, node->written - offset);
	error = fat_map(node, offset - within, &run);
	if (error != 0)
		return error;
	if (within == 0 && n >= volume->sector_bytes) {
		n = MIN(ALIGN_DOWN(n, (uint64_t)volume->sector_bytes), run.bytes);
		error = fs_read(volume->disk, run.sector, to, (uint32_t)(n / volume->sector_bytes));
	} else {
		n = MIN(n, volume->sector_bytes - within);
		error = fs_read(volume->disk, run.sector, volume->bounce, 1);
		if (error == 0)
			memcpy(to, volume->bounce + within, n);
	}
	return error == 0 ? (int64_t)n : error;
}

int fat_read(struct fat_node *node, uint64_t offset, void *buf, size_t n, size_t *done)
{
	*done = 0;
	if (fat_is_directory(node))
		return -EISDIR;
	n = offset >= node->size ? 0 : MIN(n, node->size - offset);
	while (*done < n) {
		int64_t got = read_piece(node, offset + *done, (uint8_t *)buf + *done, n - *done);

		if (got < 0)
			return (int)got;
		*done += (size_t)got;
	}
	return 0;
}

static int64_t write_piece(struct fat_node *node, uint64_t offset, const uint8_t *from, uint64_t n)
{
	struct fat_volume *volume = node->volume;
	uint32_t within = (uint32_t)(offset % volume->sector_bytes);
	struct fat_run run = { 0 };
	int error = map_all(node, offset - within, &run);

	if (error != 0)
		return error;
	if (within == 0 && n >= volume->sector_bytes) {
		n = MIN(ALIGN_DOWN(n, (uint64_t)volume->sector_bytes), run.bytes);
		error = fs_write(volume->disk, run.sector, from, (uint32_t)(n / volume->sector_bytes));
	} else {
		n = MIN(n, volume->sector_bytes - within);
		error = fs_read(volume->disk, run.sector, volume->bounce, 1);
		memcpy(volume->bounce + within, from, n);
		if (error == 0)
			error = fs_write(volume->disk, run.sector, volume->bounce, 1);
	}
	return error == 0 ? (int64_t)n : error;
}

int fat_write(struct fat_node *node, uint64_t offset, const void *buf, size_t n)
{
	uint32_t before = node->size;
	int error;

	if (n > FAT_SIZE_MAX || offset > FAT_SIZE_MAX - n)
		return -EFBIG;
	error = offset + n > before ? fat_truncate(node, offset + n) : fat_begin(node->volume);
	if (error == 0)
		error = fat_fill(node, (uint32_t)offset);
	for (size_t done = 0; done < n && error == 0;) {
		int64_t put = write_piece(node, offset + done, (const uint8_t *)buf + done, n - done);

		error = put < 0 ? (int)put : 0;
		done += put < 0 ? 0 : (size_t)put;
	}
	if (error == 0) {
		fat_wrote(node, offset + n);
		fat_stamp(node);
	} else if (offset + n > before) {
		node->size = before; /* the clusters stay until the last reference goes */
		node->written = MIN(node->written, before);
	}
	return error;
}
