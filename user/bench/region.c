/* Mapping, filling, checking and touching of regions. */
#include "user/bench/region.h"

#include <errno.h>
#include <sys/mman.h>

/* Odd, so that the words of a pattern repeat only after 2^64 of them. */
#define PATTERN_STEP UINT64_C(0x9e3779b97f4a7c15)

int region_map(struct region *region, size_t bytes)
{
	size_t whole = bytes + REGION_ALIGN;
	char *raw = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t head;

	if (raw == MAP_FAILED)
		return -errno;
	head = (REGION_ALIGN - (uintptr_t)raw % REGION_ALIGN) % REGION_ALIGN;
	region->base = raw + head;
	region->bytes = bytes;
	if ((head && munmap(raw, head) != 0) || munmap(raw + head + bytes, REGION_ALIGN - head) != 0)
		return -errno;
	return 0;
}

int region_unmap(struct region *region)
{
	char *base = region->base;

	region->base = NULL;
	return base && munmap(base, region->bytes) != 0 ? -errno : 0;
}

void region_fill(const struct region *region, uint64_t salt)
{
	uint64_t *word = (uint64_t *)region->base;
	uint64_t *end = word + region->bytes / sizeof(*word);
	uint64_t value = salt;

	for (; word < end; word++)
		*word = value += PATTERN_STEP;
}

bool region_holds(const struct region *region, uint64_t salt, uint64_t marked)
{
	const uint64_t *page = (const uint64_t *)region->base;
	const uint64_t *end = page + region->bytes / sizeof(*page);
	uint64_t value = salt;
	uint64_t difference = 0;
	size_t i;

	for (; page < end; page += REGION_WORDS) {
		value += PATTERN_STEP;
		difference |= page[0] ^ (marked ? marked : value);
		for (i = 1; i < REGION_WORDS; i++)
			difference |= page[i] ^ (value += PATTERN_STEP);
	}
	return difference == 0;
}

bool region_zero(const struct region *region, uint64_t marked)
{
	const uint64_t *page = (const uint64_t *)region->base;
	const uint64_t *end = page + region->bytes / sizeof(*page);
	uint64_t difference = 0;
	size_t i;

	for (; page < end; page += REGION_WORDS) {
		difference |= page[0] ^ marked;
		for (i = 1; i < REGION_WORDS; i++)
			difference |= page[i];
	}
	return difference == 0;
}

void region_write(const struct region *region, uint64_t word)
{
	char *at = region->base;
	char *end = at + region->bytes;

	for (; at < end; at += REGION_PAGE)
		*(volatile uint64_t *)at = word;
}

uint64_t region_read(const struct region *region)
{
	const char *at = region->base;
	const char *end = at + region->bytes;
	uint64_t sum = 0;

	for (; at < end; at += REGION_PAGE)
		sum |= *(const volatile uint64_t *)at;
	return sum;
}
