/*
 * Kernel stacks with guard pages, in debug builds. Contract: stacks.h.
 *
 * All are made at boot, side by side, and their guards are never mapped by the real page tables: so no hart can have a translation of one from
 * before, no leaf of the direct map is split later, and nobody needs a fence. There are as many as 1/64 of RAM has room for; a thread
 * that finds none left has frames without a guard.
 *
 * Invariants: a guard is a page whose entry is kmap_is_guard's; until they are unmapped the first word of each leads to the next. What is free is
 * a list by number in `next`, whose head has a count of changes beside it, so that a head that was taken and put back is not taken for the same.
 */
#include "firmware/stacks.h"

#include "firmware/boot.h"
#include "firmware/hw.h"
#include "firmware/memory.h"
#include "firmware/trap.h"
#include "firmware/tree.h"
#include "lib/atomic.h"
#include "lib/check.h"

#ifdef CORRAL_DEBUG
#define SHARE 64 /* of RAM */
#define SLOT  (PAGE_SIZE + KERNEL_STACK_BYTES)

/* start.S */
extern uint64_t boot_guard[];

static struct {
	uint64_t guards; /* the last made, which leads to the one before */
	uint64_t base;
	uint32_t count;
	_Atomic uint32_t *next; /* of each: 1 + number of the next that is free; 0: the last */
	_Atomic uint64_t head;	/* changes << 32 | 1 + number, or 0 */
	_Atomic uint32_t left;
} stacks;

/* The compiler's names. Until there is a tree any number will do; the lowest byte ends a string that runs on into it. */
uint64_t stack_canary __asm__("__stack_chk_guard") = UINT64_C(0x5bd1e995c3a4f700);

__attribute__((no_stack_protector)) void stack_canary_init(const void *fdt)
{
	int bytes = 0, chosen = fdt_path_offset(fdt, "/chosen");
	const uint8_t *seed = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, "rng-seed", &bytes);
	uint64_t canary = stack_canary ^ time_ticks();

	/* FNV's way of mixing: as the seed is for keys, too, no more of it than that gets out. */
	for (int i = 0; seed != NULL && i < bytes; i++)
		canary = (canary ^ seed[i]) * UINT64_C(0x100000001b3);
	canary *= UINT64_C(0x9e3779b97f4a7c15);
	stack_canary = (canary ^ canary >> 29) & ~UINT64_C(0xff);
}

static void guard_put(uint64_t *guard)
{
	*guard = stacks.guards;
	stacks.guards = (uint64_t)guard;
}

uint64_t stack_early(uint64_t bytes)
{
	uint64_t *guard = early_alloc(PAGE_SIZE + bytes, PAGE_SIZE);

	guard_put(guard);
	return (uint64_t)guard + PAGE_SIZE + bytes;
}

static uint32_t how_many(void)
{
	size_t banks;
	const struct phys_range *bank = banks_ram(&banks);
	uint64_t bytes = 0;

	for (size_t i = 0; i < banks; i++)
		bytes += bank[i].end.v - bank[i].start.v;
	return (uint32_t)MIN(bytes / SHARE / SLOT, UINT32_MAX - 1);
}

void stacks_guard(void (*unmap)(uint64_t va))
{
	uint32_t count = how_many();

	stacks.next = early_alloc(count * sizeof(*stacks.next), CACHE_LINE);
	stacks.base = (uint64_t)early_alloc(count * SLOT, PAGE_SIZE);
	for (stacks.count = 0; stacks.count < count; stacks.count++)
		guard_put((uint64_t *)(stacks.base + stacks.count * SLOT));
	for (uint32_t i = count; i-- > 0;)
		(void)stack_give(stacks.base + (i + 1) * SLOT);
	guard_put(boot_guard);
	for (uint64_t guard = stacks.guards, before; guard != 0; guard = before) {
		before = *(const uint64_t *)guard;
		unmap(guard);
	}
}

/* The head that takes the place of one: another number, and one change more. */
static uint64_t head_after(uint64_t head, uint32_t number)
{
	return ((head >> 32) + 1) << 32 | number;
}

uint64_t stack_take(void)
{
	/* acquire: pairs with the release in stack_give: what the next is, and that nobody uses the stack */
	uint64_t head = atomic_load_explicit(&stacks.head, memory_order_acquire), after;
	uint32_t number;

	do {
		number = (uint32_t)head;
		if (number == 0)
			return 0;
		/* relaxed: if it was taken meanwhile, the head has changed */
		after = head_after(head, atomic_load_explicit(&stacks.next[number - 1], memory_order_relaxed));
	} while (!atomic_compare_exchange_weak_explicit(&stacks.head, &head, after, memory_order_acquire,
							memory_order_acquire));
	/* relaxed: a count */
	atomic_fetch_sub_explicit(&stacks.left, 1, memory_order_relaxed);
	return stacks.base + number * SLOT;
}

bool stack_give(uint64_t top)
{
	uint64_t head = atomic_load_explicit(&stacks.head, memory_order_relaxed);
	uint64_t number = (top - stacks.base) / SLOT;

	if (top <= stacks.base || top > stacks.base + stacks.count * SLOT)
		return false;
	ASSERT((top - stacks.base) % SLOT == 0);
	do
		atomic_store_explicit(&stacks.next[number - 1], (uint32_t)head, memory_order_relaxed);
	/* release: pairs with the acquires in stack_take; those before it go on being pairs by the exchange */
	while (!atomic_compare_exchange_weak_explicit(&stacks.head, &head, head_after(head, (uint32_t)number),
						      memory_order_release, memory_order_relaxed));
	atomic_fetch_add_explicit(&stacks.left, 1, memory_order_relaxed);
	return true;
}

unsigned stacks_left(void)
{
	return atomic_load_explicit(&stacks.left, memory_order_relaxed);
}
#else
uint64_t stack_early(uint64_t bytes)
{
	return (uint64_t)early_alloc(bytes, PAGE_SIZE) + bytes;
}
#endif
