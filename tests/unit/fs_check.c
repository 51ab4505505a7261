/*
 * A checker of FAT32 images that shares no code with fs/: every chain of every entry, who owns which cluster. Quick
 * enough for thousands of images; fsck.fat has the last word on some of them.
 */
#include "tests/unit/fs.h"

struct check {
	const struct fs_disk *disk;
	struct fs_found *found;
	bool tolerant;
	uint32_t sector, cluster, fat, clusters, root;
	uint64_t data;
	uint32_t *owner; /* first cluster of who has it */
};

static uint32_t le(const uint8_t *at, unsigned n)
{
	uint32_t value = 0;

	while (n-- > 0)
		value = value << 8 | at[n];
	return value;
}

#define BAD(c, ...) (snprintf((c)->found->problem, sizeof((c)->found->problem), __VA_ARGS__), false)

static uint32_t entry(const struct check *c, uint32_t cluster)
{
	return le(c->disk->data + (size_t)c->fat * c->sector + (size_t)cluster * 4, 4) & 0x0fffffff;
}

static bool chain(struct check *c, uint32_t start, const char *name, uint32_t *length)
{
	for (*length = 0; start < 0x0ffffff8; ++*length) {
		uint32_t next;

		if (start < 2 || start >= c->clusters + 2)
			return BAD(c, "%s: cluster %u", name, start);
		next = entry(c, start);
		if (next == 0)
			return BAD(c, "%s: cluster %u is free", name, start);
		if (c->owner[start] != 0) {
			c->found->twice++;
			if (!c->tolerant)
				return BAD(c, "%s: cluster %u is another's", name, start);
			if (*length > c->clusters)
				return BAD(c, "%s: a loop", name);
		}
		c->owner[start] = 1;
		start = next;
	}
	return true;
}

static const uint8_t *slot(const struct check *c, uint32_t cluster, uint32_t i)
{
	return c->disk->data + (size_t)c->data * c->sector + (size_t)(cluster - 2) * c->cluster + (size_t)i * 32;
}

static bool directory(struct check *c, uint32_t start, uint32_t parent, unsigned depth);

static bool file(struct check *c, const uint8_t *raw, uint32_t dir, unsigned depth)
{
	uint32_t start = le(raw + 20, 2) << 16 | le(raw + 26, 2), size = le(raw + 28, 4), length = 0;
	char name[12];

	memcpy(name, raw, 11);
	name[11] = '\0';
	if (start != 0 && !chain(c, start, name, &length))
		return false;
	if ((raw[11] & 0x10) != 0)
		return start == 0 ? BAD(c, "%s: directory without a cluster", name)
				  : directory(c, start, dir == c->root ? 0 : dir, depth + 1);
	if (size > (uint64_t)length * c->cluster)
		return BAD(c, "%s: %u bytes in %u clusters", name, size, length);
	if (start != 0 && size == 0)
		c->found->longer++;
	else if ((uint64_t)(length - (length != 0)) * c->cluster >= size && length != 0)
		c->found->longer++;
	return true;
}

static bool dots(struct check *c, uint32_t start, uint32_t parent)
{
	const uint8_t *dot = slot(c, start, 0), *up = slot(c, start, 1);

	if (memcmp(dot, ".          ", 11) != 0 || (le(dot + 20, 2) << 16 | le(dot + 26, 2)) != start)
		return BAD(c, "directory at %u: .", start);
	if (memcmp(up, "..         ", 11) != 0 || (!c->tolerant && (le(up + 20, 2) << 16 | le(up + 26, 2)) != parent))
		return BAD(c, "directory at %u: .. is %u, not %u", start, le(up + 20, 2) << 16 | le(up + 26, 2),
			   parent);
	return true;
}

static bool directory(struct check *c, uint32_t start, uint32_t parent, unsigned depth)
{
	if (depth > 20)
		return BAD(c, "directories too deep");
	if (start != c->root && !dots(c, start, parent))
		return false;
	for (uint32_t at = start; at < 0x0ffffff8; at = entry(c, at))
		for (uint32_t i = at == start && start != c->root ? 2 : 0; i < c->cluster / 32; i++) {
			const uint8_t *raw = slot(c, at, i);

			if (raw[0] == 0)
				return true;
			if (raw[0] == 0xe5 || (raw[11] & 0x08) != 0)
				continue;
			if (!file(c, raw, start, depth))
				return false;
		}
	return true;
}

bool fs_check(const struct fs_disk *disk, bool tolerant, struct fs_found *found)
{
	const uint8_t *boot = disk->data;
	struct check c = { .disk = disk, .found = found, .tolerant = tolerant, .sector = disk->disk.sector_bytes };
	uint32_t length, fats = boot[16], sectors = le(boot + 36, 4);
	uint32_t total = le(boot + 19, 2) != 0 ? le(boot + 19, 2) : le(boot + 32, 4);
	bool fine;

	*found = (struct fs_found){ .lost = 0 };
	c.fat = le(boot + 14, 2);
	c.cluster = c.sector * boot[13];
	c.data = c.fat + fats * sectors;
	c.clusters = (uint32_t)((total - c.data) / boot[13]);
	c.root = le(boot + 44, 4);
	c.owner = calloc(c.clusters + 2, sizeof(*c.owner));
	fine = chain(&c, c.root, "root", &length) && directory(&c, c.root, 0, 0);
	for (uint32_t i = 2; i < c.clusters + 2; i++)
		found->lost += entry(&c, i) != 0 && c.owner[i] == 0;
	free(c.owner);
	return fine;
}
