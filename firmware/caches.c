/*
 * Caches in the device tree: properties of the harts' nodes, and nodes of their own behind next-level-cache. Contract: caches.h.
 *
 * The kernel's own layout is for lines of 64 bytes (CACHE_LINE), which is a matter of speed alone: it flushes no caches, and is right with
 * any.
 */
#include "firmware/caches.h"

#include <stdio.h>

#include "firmware/tree.h"

#define DEPTH_MAX  8 /* a tree that leads round in a circle */
#define NAME_BYTES 32

/* The node behind it, or a negative number. */
static int next_level(const void *fdt, int node)
{
	uint32_t phandle = tree_u32(fdt, node, "next-level-cache", 0);

	return phandle == 0 ? -1 : fdt_node_offset_by_phandle(fdt, phandle);
}

static bool uses(const void *fdt, int hart, int cache)
{
	int node = hart;

	for (int i = 0; i < DEPTH_MAX && node >= 0 && node != cache; i++)
		node = next_level(fdt, node);
	return node == cache;
}

static unsigned users(const void *fdt, int cache)
{
	unsigned count = 0;

	for (int hart = tree_next_hart(fdt, 0); hart >= 0; hart = tree_next_hart(fdt, hart))
		count += uses(fdt, hart, cache);
	return count;
}

static uint32_t property(const void *fdt, int node, const char *prefix, const char *name)
{
	char full[NAME_BYTES];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	return tree_u32(fdt, node, full, 0);
}

/* What the node says under that prefix, if it has such a cache. */
static bool describe(const void *fdt, int node, const char *prefix, struct cache_level *cache)
{
	uint64_t way;

	cache->bytes = property(fdt, node, prefix, "cache-size");
	cache->sets = property(fdt, node, prefix, "cache-sets");
	cache->line = property(fdt, node, prefix, "cache-block-size");
	way = (uint64_t)cache->sets * cache->line;
	cache->ways = way != 0 && cache->bytes % way == 0 ? (uint32_t)(cache->bytes / way) : 0;
	cache->harts = users(fdt, node);
	return cache->bytes != 0;
}

/* QEMU's sifive_u names its level 2, and no hart that uses it: all of them, then. */
static void each_of_nobody(const void *fdt, void (*visit)(void *ctx, const struct cache_level *cache), void *ctx)
{
	for (int node = fdt_next_node(fdt, 0, NULL); node >= 0; node = fdt_next_node(fdt, node, NULL)) {
		struct cache_level cache = { .level = tree_u32(fdt, node, "cache-level", 0), .type = "Unified" };

		if (cache.level < 2 || cache.level > 99 || !describe(fdt, node, "", &cache) || cache.harts != 0)
			continue;
		for (int hart = tree_next_hart(fdt, 0); hart >= 0; hart = tree_next_hart(fdt, hart))
			cache.harts++;
		visit(ctx, &cache);
	}
}

void caches_each(const void *fdt, void (*visit)(void *ctx, const struct cache_level *cache), void *ctx)
{
	static const struct {
		const char *prefix, *type;
	} kinds[] = { { "d-", "Data" }, { "i-", "Instruction" }, { "", "Unified" } };
	int node = tree_next_hart(fdt, 0);
	unsigned level = 1;

	for (int depth = 0; depth < DEPTH_MAX && node >= 0; depth++, level++) {
		level = MIN(tree_u32(fdt, node, "cache-level", level), 99U);
		for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
			struct cache_level cache = { .level = level, .type = kinds[i].type };
			if (describe(fdt, node, kinds[i].prefix, &cache))
				visit(ctx, &cache);
		}
		node = next_level(fdt, node);
	}
	each_of_nobody(fdt, visit, ctx);
}
