/*
 * Choosing addresses for mmap: each hart searches downward from where it last found room, in the page tables themselves.
 *
 * Harts begin in different parts of the space, so their searches and the tables they fill do not meet. A range that is
 * given back while it is the last one found is found again next, as a stack would.
 * Large ranges have a place of their own, in a part of the space that is a whole entry of the root: so their tables are not those that
 * hold what every process touches at once, stack and small mappings, and fork shares them all as one (fork.c).
 * Locks: none. What is found is a guess that space_map checks under lock.
 */
#include "mm/place.h"

#include "lib/errno.h"
#include "mm/walk.h"

/* Below this nothing is placed: a null pointer plus an offset should fault (Linux: vm.mmap_min_addr). */
#define PLACE_BOTTOM UINT64_C(0x10000)

/* What is large. */
#define PLACE_BIG (UINT64_C(32) << 20)

/* The end of the lowest stretch of nothing that reaches up to `end`, down to `start`: `start` itself when all is free. */
static uint64_t free_down_to(struct space *space, uint64_t start, uint64_t end)
{
	uint64_t at = end;

	walk_enter();
	while (at > start) {
		pfn_t table = space->root;
		unsigned level = PT_ROOT;
		vaddr_t last = VADDR(at - 1);
		pte_t pte = pte_load(pt_slot(table, pt_index(last, level)));

		while (level > 0 && pte_leads(pte)) {
			table = pte_pfn(pte);
			level--;
			pte = pte_load(pt_slot(table, pt_index(last, level)));
		}
		if (!pte_is_none(pte))
			break;
		at = ALIGN_DOWN(last.v, pt_span(level));
	}
	walk_exit();
	return MAX(at, start);
}

/* The start of the used stretch that ends at `end`, as far as one entry tells. */
static uint64_t used_down_to(struct space *space, uint64_t end)
{
	vaddr_t last = VADDR(end - 1);
	pfn_t table = space->root;
	unsigned level = PT_ROOT;

	walk_enter();
	for (;;) {
		pte_t pte = pte_load(pt_slot(table, pt_index(last, level)));

		if (level == 0 || !pte_leads(pte))
			break;
		table = pte_pfn(pte);
		level--;
	}
	walk_exit();
	return ALIGN_DOWN(last.v, pt_span(level));
}

/* Searches [bottom, top) from the top down. */
static bool search(struct space *space, uint64_t bottom, uint64_t top, uint64_t bytes, vaddr_t *out)
{
	while (top >= bottom + bytes) {
		uint64_t free = free_down_to(space, top - bytes, top);

		if (free == top - bytes) {
			*out = VADDR(free);
			return true;
		}
		top = used_down_to(space, free);
	}
	return false;
}

static struct va_hint *hint_of(struct space *space)
{
	unsigned hart = hw_hart();
	struct va_hint *hint = &space->hint[hart];

	if (hint->next.v == 0) {
		uint64_t part = ALIGN_DOWN(space->mmap_top.v / hw_harts(), pt_span(PT_ROOT));

		hint->next = VADDR(space->mmap_top.v - part * hart);
		hint->next_big = VADDR(ALIGN_DOWN(hint->next.v, pt_span(PT_ROOT)));
	}
	return hint;
}

bool place_guess(struct space *space, uint64_t bytes, vaddr_t *out)
{
	uint64_t top = hint_of(space)->next.v;

	*out = VADDR(top - bytes);
	return bytes < PLACE_BIG && top <= space->mmap_top.v && top >= PLACE_BOTTOM + bytes;
}

int place_find(struct space *space, uint64_t bytes, vaddr_t *out)
{
	const struct va_hint *hint = hint_of(space);
	uint64_t top = MIN(bytes < PLACE_BIG ? hint->next.v : hint->next_big.v, space->mmap_top.v);

	if (bytes > USER_END)
		return -ENOMEM;
	if (search(space, PLACE_BOTTOM, top, bytes, out) || search(space, PLACE_BOTTOM, space->mmap_top.v, bytes, out))
		return 0;
	return -ENOMEM;
}

void place_inherit(struct space *child, const struct space *parent)
{
	unsigned hart = hw_hart(); /* the others' are theirs to write */

	child->hint[hart].next = parent->hint[hart].next;
	child->hint[hart].next_big = parent->hint[hart].next_big;
}

void place_taken(struct space *space, vaddr_t start, uint64_t bytes)
{
	struct va_hint *hint = &space->hint[hw_hart()]; /* which has been looked at before */

	*(bytes < PLACE_BIG ? &hint->next : &hint->next_big) = start;
}

void place_returned(struct space *space, vaddr_t start, uint64_t bytes)
{
	struct va_hint *hint = hint_of(space);

	if (start.v <= hint->next.v && start.v + bytes > hint->next.v)
		hint->next = VADDR(start.v + bytes);
	if (start.v <= hint->next_big.v && start.v + bytes > hint->next_big.v)
		hint->next_big = VADDR(MIN(start.v + bytes, ALIGN_DOWN(space->mmap_top.v, pt_span(PT_ROOT))));
}
