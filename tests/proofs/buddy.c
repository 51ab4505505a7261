/*
 * The buddy allocator, mm/buddy.c: any run of up to 24 frames, and any five times that a block of any size is taken, or one that was is given
 * back. Blocks of up to 16 frames: the rest is the same once more.
 */
#include "tests/proofs/proof.h"

#include "mm/coremap.h"

#undef BUDDY_ORDERS
#define BUDDY_ORDERS 5
#define FRAMES	     24
#define STEPS	     5

#include "mm/buddy.c"

PROOF_ENVIRONMENT

static struct frame frames[FRAMES];
struct frame *proof_coremap = frames;
static uint64_t ram_start, ram_end; /* the run that is added: nothing else is RAM */

unsigned hw_harts(void)
{
	return 1;
}

bool frame_exists(pfn_t pfn)
{
	return pfn.v >= ram_start && pfn.v < ram_end;
}

static uint64_t mask_of(uint64_t pfn, unsigned order)
{
	return ((UINT64_C(1) << (UINT64_C(1) << order)) - 1) << pfn;
}

/* Every frame of the run is in one block on a list, or one of those taken; two halves of a block are not both on a list. */
static void prove_whole(uint64_t taken)
{
	uint64_t seen = taken, n = 0;

	for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
		list_for_each (pos, &buddy.free[order]) {
			struct frame *frame = list_entry(pos, struct frame, free);
			uint64_t pfn = frame_pfn(frame).v, size = UINT64_C(1) << order;

			PROVE(frame->buddy && frame->order == order && pfn % size == 0);
			PROVE(pfn >= ram_start && pfn + size <= ram_end && (seen & mask_of(pfn, order)) == 0);
			if (order < BUDDY_ORDERS - 1 && frame_exists(PFN(pfn ^ size)))
				PROVE(!frame_of(PFN(pfn ^ size))->buddy || frame_of(PFN(pfn ^ size))->order != order);
			seen |= mask_of(pfn, order);
			n += size;
		}
	}
	PROVE(n == buddy.frames && !spin_is_held(&buddy.lock));
	PROVE(seen == (UINT64_C(1) << ram_end) - (UINT64_C(1) << ram_start));
}

static void begin(void)
{
	for (unsigned i = 0; i < FRAMES; i++)
		frames[i] = (struct frame){ .kind = FRAME_RESERVED };
	ram_end = 1 + any_below(FRAMES);
	ram_start = any_below(ram_end);
	buddy_init();
	buddy_add(PFN(ram_start), ram_end - ram_start);
}

EXHAUSTIVE(added)
{
	begin();
	prove_whole(0);
}

/* What there is is not refused: of a run that is whole, and of what is left. */
static bool has_block(uint64_t taken, unsigned order)
{
	for (uint64_t pfn = 0; pfn + (UINT64_C(1) << order) <= ram_end; pfn += UINT64_C(1) << order)
		if (pfn >= ram_start && (taken & mask_of(pfn, order)) == 0)
			return true;
	return false;
}

EXHAUSTIVE(taken_and_given_back)
{
	uint64_t pfns[STEPS], taken = 0, before;
	unsigned orders[STEPS], n = 0;

	begin();
	before = buddy.frames;
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned what = (unsigned)any_below(BUDDY_ORDERS + n);
		pfn_t pfn;

		if (what < BUDDY_ORDERS) {
			bool had = has_block(taken, what);

			PROVE(buddy_alloc(what, &pfn) == had);
			if (!had)
				continue;
			PROVE(pfn.v % (UINT64_C(1) << what) == 0 && pfn.v >= ram_start && pfn.v < ram_end);
			PROVE((taken & mask_of(pfn.v, what)) == 0);
			taken |= mask_of(pfn.v, what);
			orders[n] = what;
			pfns[n++] = pfn.v;
		} else {
			unsigned which = what - BUDDY_ORDERS;

			buddy_free(PFN(pfns[which]), orders[which]);
			taken &= ~mask_of(pfns[which], orders[which]);
			pfns[which] = pfns[--n];
			orders[which] = orders[n];
		}
		prove_whole(taken);
	}
	while (n-- != 0)
		buddy_free(PFN(pfns[n]), orders[n]);
	prove_whole(0);
	PROVE(buddy.frames == before);
}

PROOF_MAIN
