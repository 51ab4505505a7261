/* Arithmetic of ranges: mm/range.c, mm/tlb.c, mm/place.c, mm/mapping.h. For all addresses and sizes. */
#include <stdlib.h>

#include "tests/proofs/proof.h"

#include "mm/range.c"

#include "mm/place.c"
#include "mm/tlb.c"

PROOF_ENVIRONMENT

struct mm_hart proof_hart;
unsigned trace_wanted;	 /* nothing */
static uint64_t watched; /* a page that has to be fenced */
static bool fenced;

unsigned hw_harts(void)
{
	return 1;
}

void hw_fence_page(vaddr_t va, uint16_t asid)
{
	PROVE(asid == 7);
	fenced |= va.v / PAGE_SIZE == watched / PAGE_SIZE;
}

void hw_fence_asid(uint16_t asid)
{
	PROVE(asid == 7);
	fenced = true;
}

PROOF(sane, 2)
{
	vaddr_t start = VADDR(any());
	uint64_t bytes = any();
	bool right = start.v % PAGE_SIZE == 0 && bytes % PAGE_SIZE == 0 && bytes != 0 &&
		     (__uint128_t)start.v + bytes <= USER_END;

	PROVE(range_is_sane(start, bytes) == right);
}

/* [start, end), as range_lock has it. */
static void any_range(uint64_t *start, uint64_t *end)
{
	*start = any();
	*end = any();
	ASSUME(*start % PAGE_SIZE == 0 && *end % PAGE_SIZE == 0 && *start < *end && *end <= USER_END);
}

PROOF(entries_end, 2)
{
	unsigned level = (unsigned)any_below(PT_LEVELS);
	uint64_t start, end, next;

	any_range(&start, &end);
	next = entry_end(start, level, end);
	PROVE(next > start && next <= end);
	PROVE(pt_index(VADDR(next - 1), level) == pt_index(VADDR(start), level) && next - start <= pt_span(level));
	PROVE(next == end || next % pt_span(level) == 0);
}

static uint64_t table_at(uint64_t va, unsigned level)
{
	return va / pt_span(level) / PT_ENTRIES;
}

PROOF(covering, 2)
{
	uint64_t start, end;
	unsigned level;

	any_range(&start, &end);
	level = covering_level(start, end);
	PROVE(level <= PT_ROOT && table_at(start, level) == table_at(end - 1, level));
	PROVE(level == 0 || table_at(start, level - 1) != table_at(end - 1, level - 1));
}

/* A walk by entry_end, as unlink_below and each_below make it: without a gap, and only whole entries are told to be whole. */
PROOF(whole_entries, 2)
{
	unsigned level = 1 + (unsigned)any_below(PT_ROOT);
	uint64_t start, end, next;

	any_range(&start, &end);
	next = entry_end(start, level, end);
	if (next - start == pt_span(level))
		PROVE(start % pt_span(level) == 0 && next % pt_span(level) == 0);
	/* What is not whole begins or ends within an entry: range_split has split that. */
	else
		PROVE(start % pt_span(level) != 0 || (next == end && end % pt_span(level) != 0));
}

PROOF(fences, 10)
{
	uint64_t pages = any_below(UINT64_C(1) << 27), first = any_below(UINT64_C(1) << 27), page;

	page = any_below(pages == 0 ? UINT64_C(1) << 27 : pages);
	watched = (first + page) * PAGE_SIZE;
	fence(VADDR(first * PAGE_SIZE), pages * PAGE_SIZE, 7);
	PROVE(fenced);
}

static uint64_t asked_to; /* all before are asked for, the last request ends here */

static void note_request(uint64_t start, uint64_t bytes)
{
	PROVE(start == asked_to && bytes != 0);
	asked_to += bytes;
}

void hw_remote_fence(uint64_t harts, vaddr_t start, uint64_t bytes, uint16_t asid)
{
	PROVE(harts == 6 && asid == 7);
	note_request(start.v, bytes);
}

/* batch=N: requests that follow each other, without a gap or more than was to be asked. */
PROOF(requests, 10)
{
	uint64_t start = any_below(UINT64_C(1) << 26) * PAGE_SIZE, bytes = (1 + any_below(1 << 16)) * PAGE_SIZE;
	static struct space space;

	space.asid = 7;
	space_set_shootdown(0, 1 + any());
	ASSUME(batch_bytes != 0 && (bytes > BATCHED_MAX || bytes / 2 <= batch_bytes));
	asked_to = start;
	fence_others(&space, 6, VADDR(start), bytes);
	PROVE(asked_to == start + bytes);
}

PROOF(guesses, 2)
{
	struct space *space = malloc(sizeof(*space) + sizeof(space->hint[0]));
	uint64_t bytes = any();
	vaddr_t at;

	ASSUME(space != NULL);
	space->mmap_top = VADDR(any_below(USER_END + 1));
	space->hint[0].next = VADDR(any());
	ASSUME(space->hint[0].next.v != 0);
	if (place_guess(space, bytes, &at))
		PROVE(at.v >= PLACE_BOTTOM && (__uint128_t)at.v + bytes <= space->mmap_top.v && bytes < PLACE_BIG);
}

PROOF(object_pages, 2)
{
	struct mapping mapping = { .base = any() };
	uint64_t index = any_below(UINT64_C(1) << 51), start, end;

	/* The object's page `index` is mapped at start, whatever lies before it: base may be below 0. */
	any_range(&start, &end);
	mapping.base = start - index * PAGE_SIZE;
	PROVE(mapping_index(&mapping, VADDR(start)) == index);
	ASSUME(index + (end - start) / PAGE_SIZE <= UINT64_C(1) << 52);
	PROVE(mapping_index(&mapping, VADDR(end - 1)) == index + (end - 1 - start) / PAGE_SIZE);
}
