/*
 * How whole pages are copied and cleared: what stands behind hw_page_copy and hw_page_clear (lib/hw.h). page.S knows the offsets.
 */
#ifndef FIRMWARE_PAGE_H
#define FIRMWARE_PAGE_H

#include "lib/types.h"

/* By plain loads and stores, until page_init finds better. */
struct page_ways {
	void (*copy)(void *dst, const void *src);
	void (*clear)(void *page);
	uint32_t zero_block; /* bytes that cbo.zero clears */
};

extern struct page_ways page_ways_now;

/* Chooses, by what the harts have and the boot argument copy=. Once, after the boot arguments are there. */
void page_init(const void *fdt);

/* ---- page.S */
void page_copy_plain(void *dst, const void *src);
void page_copy_vector(void *dst, const void *src);
void page_clear_plain(void *page);
void page_clear_zicboz(void *page);
void page_clear_vector(void *page);
uint64_t page_probe_zicboz(void);
uint64_t page_probe_vector(void);

#endif
