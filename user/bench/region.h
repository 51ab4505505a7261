/*
 * A region: private anonymous memory, aligned to 2 MiB so that two regions never share a leaf table; and the pattern
 * that its words are filled with and checked against. A salt makes two patterns differ in every word.
 */
#ifndef BENCH_REGION_H
#define BENCH_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_PAGE  ((size_t)4096)
#define REGION_WORDS (REGION_PAGE / sizeof(uint64_t))
#define REGION_ALIGN ((size_t)2 << 20)

struct region {
	char *base; /* NULL: not mapped */
	size_t bytes;
};

/* 0 or a negative errno. bytes is a multiple of the page size. */
int region_map(struct region *region, size_t bytes);
int region_unmap(struct region *region);

void region_fill(const struct region *region, uint64_t salt);
/* Does every word hold the pattern? Where marked is not 0, word 0 of each page holds marked instead. */
bool region_holds(const struct region *region, uint64_t salt, uint64_t marked);
/* Is every word 0, but for word 0 of each page, which is marked? */
bool region_zero(const struct region *region, uint64_t marked);

/* The timed loops: one store or load of word 0 of each page, and three or four instructions a page in all. */
void region_write(const struct region *region, uint64_t word);
uint64_t region_read(const struct region *region);

#endif
