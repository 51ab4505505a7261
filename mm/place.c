/*
 * Choosing addresses for mmap: each hart searches downward from where it last found room, in the page tables themselves.
 *
 * Harts begin in different parts of the space, so their searches and the tables they fill do not meet. A range that is
 * given back while it is the last one found is found again next, as a stack would.
 * Large ranges have a place of their own, in a part of the space that is a whole entry of the root: so their tables are not those that
 * hold what every process touches at once, stack and small mappings, and fork shares them all as one (fork.c). Where there are many small
 * ones, the rest go there, too.
 * Locks: none. What is found is a guess that space_map checks under lock.
 */
#include "mm/place.h"

#include "lib/errno.h"
#include "mm/walk.h"

/* Below this nothing is placed: a null pointer plus an offset should fault (Linux: vm.mmap_min_addr). */
#define PLACE_BOTTOM UINT64_C(0x10000)

/* What is large; and how much is placed next to the stack. */
#define PLACE_BIG  (UINT64_C(32) << 20)
#define PLACE_NEAR (UINT64_C(24) << 20)
#define NOWHERE	   VADDR(UINT64_MAX)

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

/* Below this small ones go elsewhere. */
static vaddr_t near_of(const struct space *space)
{
	return VADDR(space->mmap_top.v - PLACE_NEAR);
}

/* Out of line, as all that is rare here: what is short needs no stack. */
static __attribute__((noinline, cold)) void hint_init(struct space *space, struct va_hint *hint)
{
	unsigned hart = hw_hart();
	uint64_t part = ALIGN_DOWN(space->mmap_top.v / hw_harts(), pt_span(PT_ROOT));

	hint->next = VADDR(space->mmap_top.v - part * hart);
	hint->next_big = VADDR(ALIGN_DOWN(hint->next.v, pt_span(PT_ROOT)));
	hint->near = part * hart == 0 ? near_of(space) : VADDR(0); /* others have no stack */
	hint->left = NOWHERE;
}

static inline struct va_hint *hint_of(struct space *space)
{
	struct va_hint *hint = &space->hint[hw_hart()];

	if (UNLIKELY(hint->next.v == 0))
		hint_init(space, hint);
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
	child->hint[hart].near = parent->hint[hart].near;
	child->hint[hart].left = parent->hint[hart].left;
}

/* Enough is in the stack's entry of the root. */
static __attribute__((noinline, cold)) void go_elsewhere(const struct space *space, struct va_hint *hint, vaddr_t start)
{
	/* The one that was the last before stays it: one more each time would be many. */
	hint->left = hint->near.v < near_of(space).v ? hint->near : start;
	hint->near = VADDR(0);
	hint->next = hint->next_big;
}

/* Where what was placed last near the stack is given back: there. */
static __attribute__((noinline, cold)) void come_back(const struct space *space, struct va_hint *hint, vaddr_t start,
						      uint64_t bytes)
{
	if (start.v > hint->left.v)
		return;
	/* What has been there may be there again, or each map and unmap would go to and fro. */
	hint->near = VADDR(MIN(near_of(space).v, start.v));
	hint->left = NOWHERE;
	hint->next = VADDR(start.v + bytes);
}

void place_taken(struct space *space, vaddr_t start, uint64_t bytes)
{
	struct va_hint *hint = &space->hint[hw_hart()]; /* which has been looked at before */

	*(bytes < PLACE_BIG ? &hint->next : &hint->next_big) = start;
	if (UNLIKELY(start.v < hint->near.v) && bytes < PLACE_BIG)
		go_elsewhere(space, hint, start);
}

void place_returned(struct space *space, vaddr_t start, uint64_t bytes)
{
	struct va_hint *hint = hint_of(space);

	if (start.v <= hint->next.v && start.v + bytes > hint->next.v)
		hint->next = VADDR(start.v + bytes);
	if (UNLIKELY(start.v + bytes > hint->left.v))
		come_back(space, hint, start, bytes);
	if (start.v <= hint->next_big.v && start.v + bytes > hint->next_big.v)
		hint->next_big = VADDR(MIN(start.v + bytes, ALIGN_DOWN(space->mmap_top.v, pt_span(PT_ROOT))));
}
