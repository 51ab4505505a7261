/* Whole pages, copied and cleared in the way that this machine does it: all of the page, and nothing else. */
#include <string.h>

#include "mm/coremap.h"
#include "tests/kernel/ktest.h"

#define PAGES 3

static void fill(uint64_t *words, uint64_t n, uint64_t salt)
{
	for (uint64_t i = 0; i < n; i++)
		words[i] = (i + salt) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool holds(const uint64_t *words, uint64_t first, uint64_t n, uint64_t salt)
{
	for (uint64_t i = first; i < first + n; i++)
		if (words[i] != (i + salt) * UINT64_C(0x9e3779b97f4a7c15))
			return false;
	return true;
}

static void one_round(uint64_t *to, uint64_t *from, uint64_t salt)
{
	const uint64_t words = PAGE_SIZE / sizeof(uint64_t);
	const uint64_t *middle = to + words;

	fill(to, PAGES * words, salt);
	fill(from, PAGES * words, ~salt);
	hw_page_copy(to + words, from + words);
	KT_CHECK(memcmp(middle, from + words, PAGE_SIZE) == 0 && holds(from, 0, PAGES * words, ~salt));
	KT_CHECK(holds(to, 0, words, salt) && holds(to, 2 * words, words, salt));
	hw_page_clear(to + words);
	for (uint64_t i = 0; i < words; i++)
		KT_CHECK(middle[i] == 0);
	KT_CHECK(holds(to, 0, words, salt) && holds(to, 2 * words, words, salt));
}

static void pages_body(unsigned index)
{
	pfn_t to, from;

	if (frame_alloc_block(FRAME_KERNEL, 2, &to) != 0) {
		KT_FAIL("no memory");
		return;
	}
	if (frame_alloc_block(FRAME_KERNEL, 2, &from) != 0) {
		KT_FAIL("no memory");
		frame_put(to);
		return;
	}
	for (unsigned step = 0; step < 8; step++) {
		one_round(frame_data(to), frame_data(from), index * 1000 + step);
		hw_relax();
	}
	frame_put(to);
	frame_put(from);
}

static void whole_pages(void)
{
	ktest_on_all(pages_body);
}

static const struct ktest tests[] = { { "whole_pages", whole_pages } };
KTEST_SUITE(ktest_page, tests);
