/*
 * The tally. It takes no locks, so that it disturbs nobody: it reads entries of the coremap and of page tables that may change, or become
 * something else, under it: a program's page, with words that look like entries. So what is taken for a frame's number is followed only
 * where the coremap has a table just now. Reading that is harmless, also when it is none any more; a reserved frame is not even mapped.
 *
 * What sharing saves: a frame that n slots name stands for n, so it saves n - 1; a table that n entries name saves n - 1 times
 * itself and all that it leads to. Summed over all frames and tables that is exact: by how many ways a page can be reached from
 * roots, less one, is the sum of (n - 1) over what lies on these ways, each as often as there are ways from it on.
 */
#include "mm/tally.h"

#include "mm/pte.h"

#define SERVE_FRAMES 4096U

/* What a table leads to, itself included, each as often as there are ways to it. */
struct below {
	uint64_t anon, object, tables;
};

/* relaxed: a frame's count, and its kind, as they are now */
static uint32_t count_of(const struct frame *frame)
{
	return atomic_load_explicit(&frame->count, memory_order_relaxed);
}

static unsigned kind_of(const struct frame *frame)
{
	return __atomic_load_n(&frame->kind, __ATOMIC_RELAXED);
}

static void take_page(struct below *below, pte_t pte)
{
	unsigned kind = frame_exists(pte_pfn(pte)) ? kind_of(frame_of(pte_pfn(pte))) : FRAME_RESERVED;

	below->anon += kind == FRAME_ANON;
	below->object += kind == FRAME_OBJECT;
}

static bool is_table(pfn_t pfn)
{
	return frame_exists(pfn) && kind_of(frame_of(pfn)) == FRAME_TABLE;
}

static void take_leaf(struct below *below, pfn_t table)
{
	hw_relax(); /* one table of level 1 may lead to 512 of these */
	below->tables++;
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		pte_t pte = pte_load(pt_slot(table, i));

		if (pte_is_page(pte))
			take_page(below, pte);
	}
}

/* Of a table of level 1. */
static void take_upper(struct below *below, pfn_t table)
{
	below->tables++;
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		pte_t pte = pte_load(pt_slot(table, i));

		if (pte_leads(pte) && is_table(pte_pfn(pte)))
			take_leaf(below, pte_pfn(pte));
	}
}

static void take_table(struct mm_tally *out, const struct frame *frame, uint64_t more)
{
	struct below below = { .tables = 0 };

	if (frame->level == 0)
		take_leaf(&below, frame_pfn(frame));
	else if (frame->level == 1)
		take_upper(&below, frame_pfn(frame));
	out->saved_anon += more * below.anon;
	out->saved_object += more * below.object;
	out->saved_tables += more * below.tables;
}

static void take_frame(struct mm_tally *out, const struct frame *frame)
{
	uint32_t count = count_of(frame);
	unsigned kind = kind_of(frame);

	out->frames[kind]++;
	if (count < 2 || count > FRAME_COUNT_MAX)
		return;
	if (kind == FRAME_ANON)
		out->saved_anon += count - 1;
	else if (kind == FRAME_OBJECT)
		out->saved_object += count - 2; /* one is the object's own */
	else if (kind == FRAME_TABLE)
		take_table(out, frame, count - 1);
}

void mm_tally(struct mm_tally *out)
{
	unsigned n = 0;

	*out = (struct mm_tally){ .saved_anon = 0 };
	for (pfn_t pfn = frame_first(); pfn.v != 0; pfn = frame_next(pfn)) {
		take_frame(out, frame_of(pfn));
		if (++n % SERVE_FRAMES == 0)
			hw_relax();
	}
}
