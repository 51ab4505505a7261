/*
 * Where the clusters of a file are. A chain is walked once, from its beginning to its end, which also shows whether it ends;
 * after that a file that lies in one run needs nothing, and any other a page of points, every 1 << shift clusters, from which
 * at most as many steps lead to any cluster. So memory is bounded whatever the file's size, and so is the time of a look-up.
 */
#include "fs/fat_volume.h"

void fat_chain_forget(struct fat_node *node)
{
	fs_free(node->points);
	node->points = NULL;
	node->shift = 0;
	node->loaded = false;
	node->clusters = 0;
	node->last = 0;
	node->run = 0;
}

static int make_points(struct fat_node *node)
{
	node->points = fs_alloc(FAT_POINTS * sizeof(uint32_t));
	if (node->points == NULL)
		return -ENOMEM;
	while (node->clusters >> node->shift >= FAT_POINTS)
		node->shift++;
	for (uint32_t i = 0; (uint64_t)i << node->shift < node->clusters; i++)
		node->points[i] = node->start + (i << node->shift);
	return 0;
}

/* The file's next cluster is this one. */
static int append(struct fat_node *node, uint32_t cluster)
{
	uint32_t k = node->clusters;

	if (node->points == NULL && k != 0 && cluster != node->last + 1 && make_points(node) != 0)
		return -ENOMEM;
	if (node->points != NULL && k >> node->shift >= FAT_POINTS) {
		for (uint32_t i = 0; i < FAT_POINTS / 2; i++)
			node->points[i] = node->points[2 * i];
		node->shift++;
	}
	if (node->points != NULL && (k & ((UINT32_C(1) << node->shift) - 1)) == 0)
		node->points[k >> node->shift] = cluster;
	node->last = cluster;
	node->clusters++;
	return 0;
}

static int append_all(struct fat_node *node, uint32_t cluster)
{
	int error = 0;

	while (cluster != 0 && error == 0) {
		if (node->clusters == node->volume->clusters)
			return fat_damaged(node->volume, "a chain of clusters has no end");
		error = append(node, cluster);
		if (error == 0)
			error = fat_next(node->volume, cluster, &cluster);
	}
	return error;
}

int fat_chain_load(struct fat_node *node)
{
	int error;

	if (node->loaded)
		return 0;
	fat_chain_forget(node);
	if (node->start != 0 && !fat_in_range(node->volume, node->start))
		return fat_damaged(node->volume, "a first cluster's number is wrong");
	error = append_all(node, node->start);
	if (error != 0)
		fat_chain_forget(node);
	else
		node->loaded = true;
	return error;
}

static int step_to(struct fat_node *node, uint32_t k, uint32_t *cluster)
{
	uint32_t at = k >> node->shift << node->shift;
	int error = 0;

	*cluster = node->points[k >> node->shift];
	if (node->run != 0 && k >= node->run_file && node->run_file >= at) {
		uint32_t skip = MIN(k - node->run_file, node->run - 1);

		at = node->run_file + skip;
		*cluster = node->run_disk + skip;
	}
	for (; at < k && error == 0; at++) {
		error = fat_next(node->volume, *cluster, cluster);
		if (error == 0 && *cluster == 0)
			error = fat_damaged(node->volume, "a chain of clusters became shorter");
	}
	return error;
}

int fat_chain_find(struct fat_node *node, uint32_t k, uint32_t most, uint32_t *cluster, uint32_t *run)
{
	uint32_t next, at;
	int error = fat_chain_load(node);

	if (error != 0)
		return error;
	if (k >= node->clusters)
		return -ENXIO;
	most = MIN(most, node->clusters - k);
	if (node->points == NULL) {
		*cluster = node->start + k;
		*run = most;
		return 0;
	}
	error = step_to(node, k, cluster);
	if (error != 0)
		return error;
	at = *cluster;
	for (*run = 1; *run < most; ++*run) {
		error = fat_next(node->volume, at, &next);
		if (error != 0)
			return error;
		if (next != at + 1)
			break;
		at = next;
	}
	node->run_file = k;
	node->run_disk = *cluster;
	node->run = *run;
	return 0;
}

/* What cannot be walked now is walked when somebody asks. */
void fat_chain_append(struct fat_node *node, uint32_t head)
{
	if (append_all(node, head) != 0)
		fat_chain_forget(node);
}

int fat_chain_grow(struct fat_node *node, uint32_t clusters)
{
	struct fat_volume *volume = node->volume;
	struct fat_link *link;
	uint32_t head, tail;
	int error = fat_chain_load(node);

	if (error != 0 || clusters <= node->clusters)
		return error;
	/* An end that is not on the disk yet may not be overtaken by what comes behind it. */
	link = node->clusters == 0 ? NULL : fat_link_find(volume, node->last);
	if (link != NULL)
		error = fat_commit(volume);
	if (error == 0)
		error = fat_allocate(volume, node->clusters == 0 ? 0 : node->last + 1, clusters - node->clusters, &head,
				     &tail);
	if (error != 0)
		return error;
	if (node->clusters != 0)
		error = fat_join(volume, node->last, head, false);
	if (error != 0) {
		fat_give_back(volume, head);
		return error;
	}
	if (node->clusters == 0) {
		node->start = head;
		fat_node_changed(node);
	}
	node->grown = true;
	fat_chain_append(node, head);
	return 0;
}

int fat_chain_cut(struct fat_node *node, uint32_t clusters)
{
	struct fat_volume *volume = node->volume;
	uint32_t last, next, run;
	struct fat_link *link;
	int error = fat_chain_load(node);

	if (error != 0 || clusters >= node->clusters)
		return error;
	if (clusters == 0) {
		fat_free_later(volume, node->start);
		node->start = 0;
		fat_chain_forget(node);
		node->loaded = true;
		return 0;
	}
	error = fat_chain_find(node, clusters - 1, 1, &last, &run);
	if (error == 0)
		error = fat_next(volume, last, &next);
	if (error != 0)
		return error;
	/* A link that never was in the buffers is just not made. */
	link = fat_link_find(volume, last);
	if (link != NULL)
		fat_link_drop(volume, link);
	else
		volume->links[volume->links_count++] = (struct fat_link){ .cluster = last, .next = FAT_EOC };
	fat_free_later(volume, next);
	node->clusters = clusters;
	node->last = last;
	node->run = 0;
	return 0;
}
