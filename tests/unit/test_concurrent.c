/*
 * Harts as threads in one space: faults, unmaps, protects, discards at the same time, each access through a fake TLB. Each
 * test says what must hold whatever the order.
 */
#include "tests/unit/threads.h"

#include <sched.h>

#include "mm/cleared.h"

/* ---- Each hart in addresses of its own, in tables that it shares with the others. */

#define OWN_PAGES 24

struct own {
	bool mapped;
	uint64_t perm, value;
};

static vaddr_t own_va(unsigned hart, unsigned page)
{
	return VADDR(BASE - PAGES(HARTS * OWN_PAGES / 2) + PAGES(hart * OWN_PAGES + page));
}

static void own_access(struct own *own, vaddr_t va)
{
	uint64_t value = fake_random();
	bool write = value % 2 != 0;
	uint64_t need = write ? PERM_W : PERM_R;
	struct fake_op op = { .access = write ? ACCESS_WRITE : ACCESS_READ, .value = value };
	enum fault expect = !own->mapped ? FAULT_MAPERR : (own->perm & need) == 0 ? FAULT_ACCERR : FAULT_OK;
	enum fault got = fake_user(va, &op);

	if (got != expect)
		fake_fail("%#llx: fault %u, expected %u", (unsigned long long)va.v, got, expect);
	if (got != FAULT_OK)
		return;
	if (write)
		own->value = value;
	else
		MUST(op.value == own->value);
}

static void own_range(struct own *own, unsigned hart)
{
	unsigned first = (unsigned)fake_below(OWN_PAGES), n = 1 + (unsigned)fake_below(OWN_PAGES - first);
	uint64_t perm = fake_below(3) == 0 ? PERM_R : fake_below(4) == 0 ? 0 : RW;
	unsigned what = (unsigned)fake_below(4);
	vaddr_t va = own_va(hart, first);
	bool hole = false;

	for (unsigned i = first; i < first + n; i++)
		hole |= !own[i].mapped;
	if (what == 0)
		MUST(space_map(common, PLACE_FIXED, &va, PAGES(n), perm, mapping_anon(MAPPING_FORK_COPY)) == 0);
	else if (what == 1)
		MUST(space_unmap(common, va, PAGES(n)) == 0);
	else if (what == 2)
		MUST(space_discard(common, va, PAGES(n)) == (hole ? -ENOMEM : 0));
	else if (hole)
		return;
	else
		MUST(space_protect(common, va, PAGES(n), perm) == 0);
	for (unsigned i = first; i < first + n; i++) {
		if (what != 3)
			own[i].value = 0;
		if (what < 2)
			own[i].mapped = what == 0;
		if (what == 0 || what == 3)
			own[i].perm = perm;
	}
}

static void disjoint(unsigned hart)
{
	struct own own[OWN_PAGES] = { { false, 0, 0 } };

	for (unsigned step = 0; step < unit_steps(4000); step++) {
		unsigned page = (unsigned)fake_below(OWN_PAGES);

		if (fake_below(8) == 0)
			own_range(own, hart);
		else
			own_access(&own[page], own_va(hart, page));
	}
}

static void disjoint_by_ipi(void **state)
{
	(void)state;
	start(&by_ipi);
	run(disjoint);
	end();
}

static void disjoint_by_rfence(void **state)
{
	(void)state;
	start(&by_rfence);
	run(disjoint);
	end();
}

static void disjoint_without_asids(void **state)
{
	(void)state;
	start(&no_asid);
	run(disjoint);
	end();
}

/* ---- Two harts break the same pages again and again while a third reads: what it reads never goes back. */

static _Atomic uint64_t last_write[2][2];

static void break_and_read(unsigned hart)
{
	uint64_t value = 0;

	for (unsigned step = 0; hart == 0 && step < unit_steps(50); step++) {
		struct space *child;

		MUST(space_fork(common, &child) == 0);
		unit_created(child);
		for (unsigned i = 0; i < 8; i++)
			(void)must_load(slot_va((unsigned)fake_below(2), 0));
		space_put(child);
	}
	while (hart != 0 && running == HARTS) {
		unsigned page = (unsigned)fake_below(2), writer = (unsigned)fake_below(2);

		if (hart == 3) {
			uint64_t said = last_write[page][writer];

			MUST(must_load(slot_va(page, 1 + writer)) >= said);
			continue;
		}
		must_store(slot_va(page, hart), ++value);
		last_write[page][hart - 1] = value;
	}
}

static void no_reader_sees_an_old_page(void **state)
{
	(void)state;
	start(&by_ipi);
	(void)unit_map(common, BASE, 2, RW);
	run(break_and_read);
	end();
}

/* ---- One hart maps, tags, protects and unmaps; the others look: what they see is of now, or a fault. */

static _Atomic uint64_t tag_low, tag_high; /* what a reader may find in a page: 0 or in [low, high] */

static void unmap_master(void)
{
	for (uint64_t tag = 1; tag < unit_steps(250); tag++) {
		vaddr_t va = VADDR(BASE);

		MUST(space_map(common, PLACE_FIXED, &va, PAGES(PAGES_SHARED), RW, mapping_anon(MAPPING_FORK_COPY)) ==
		     0);
		tag_low = tag; /* what was there before is gone */
		tag_high = tag;
		for (unsigned page = 0; page < PAGES_SHARED; page += 1 + (unsigned)fake_below(8))
			must_store(slot_va(page, 0), tag);
		if (tag % 3 == 0)
			MUST(space_protect(common, va, PAGES(PAGES_SHARED), 0) == 0);
		if (tag % 2 == 0)
			MUST(space_unmap(common, VADDR(BASE + PAGES(fake_below(8))), PAGES(20)) == 0);
		if (tag % 5 == 0)
			MUST(space_discard(common, VADDR(BASE), PAGES(4)) <= 0);
	}
}

static void unmap_reader(void)
{
	while (running == HARTS) {
		uint64_t low = tag_low, value = 0;
		vaddr_t va = slot_va((unsigned)fake_below(PAGES_SHARED), 0);
		enum fault fault = fake_load(va, &value);

		MUST(fault == FAULT_OK || fault == FAULT_MAPERR || fault == FAULT_ACCERR);
		/* The next mapping's tag is announced after it is there and before it is written. */
		MUST(fault != FAULT_OK || value == 0 || (value >= low && value <= tag_high));
	}
}

static void unmap_body(unsigned hart)
{
	if (hart == 0)
		unmap_master();
	else
		unmap_reader();
}

/* ---- Whole tables come and go under harts that are walking through them. */

#define TABLES_AT UINT64_C(0x40000000)

static void tables_master(void)
{
	for (unsigned step = 0; step < unit_steps(400); step++) {
		vaddr_t va = VADDR(TABLES_AT);
		uint64_t pages = fake_below(4) == 0 ? 512 * 512 : 1024;

		MUST(space_map(common, PLACE_FIXED, &va, PAGES(pages), RW, mapping_anon(MAPPING_FORK_COPY)) == 0);
		for (unsigned i = 0; i < 3; i++)
			must_store(VADDR(TABLES_AT + PAGES(fake_below(1024))), step);
		if (fake_below(3) == 0)
			MUST(space_discard(common, va, PAGES(1024)) == 0);
		if (fake_below(3) != 0)
			MUST(space_unmap(common, VADDR(TABLES_AT), PAGES(pages)) == 0);
	}
}

static void tables_body(unsigned hart)
{
	if (hart == 0) {
		tables_master();
		return;
	}
	while (running == HARTS) {
		struct fake_op op = { .access = fake_below(2) == 0 ? ACCESS_READ : ACCESS_WRITE };
		vaddr_t va = VADDR(TABLES_AT + PAGES(fake_below(1024)));
		struct space_region region;
		enum fault fault = fake_user(va, &op);

		MUST(fault == FAULT_OK || fault == FAULT_MAPERR);
		if (fake_below(8) == 0)
			(void)space_next_region(common, va, &region);
		if (fake_below(8) == 0)
			MUST(user_read(common, &op.value, va, 8) <= 0);
	}
}

static void tables_go_under_walkers(void **state)
{
	(void)state;
	start(&by_ipi);
	run(tables_body);
	end();
}

static void tables_go_under_walkers_by_rfence(void **state)
{
	(void)state;
	start(&by_rfence);
	run(tables_body);
	end();
}

static void unmap_under_readers_by_ipi(void **state)
{
	(void)state;
	start(&by_ipi);
	run(unmap_body);
	end();
}

static void unmap_under_readers_by_rfence(void **state)
{
	(void)state;
	start(&by_rfence);
	run(unmap_body);
	end();
}

/* ---- CVE-2016-5195: writes to a private mapping of an object race with discards of it; the object never changes. */

static struct object *object;

static void dirty_cow(unsigned hart)
{
	for (unsigned step = 0; step < unit_steps(3000); step++) {
		vaddr_t va = slot_va((unsigned)fake_below(4), hart);
		uint64_t value = UINT64_C(0xbad);

		if (hart == 0)
			MUST(space_discard(common, VADDR(BASE), PAGES(4)) == 0);
		else if (fake_below(2) == 0)
			MUST(user_write(common, va, &value, 8) == 0);
		else
			must_store(va, value);
		MUST(fake_load(va, &value) == FAULT_OK && (value == UINT64_C(0xbad) || value == UINT64_C(0x600d)));
	}
}

static void discards_never_reach_the_object(void **state)
{
	static uint64_t content[4 * PAGE_SIZE / 8], after[4 * PAGE_SIZE / 8];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(content); i++)
		content[i] = UINT64_C(0x600d);
	start(&by_ipi);
	assert_int_equal(object_create(sizeof(content), content, sizeof(content), &object), 0);
	(void)unit_map_object(common, BASE, 4, RW, object, 0, false);
	run(dirty_cow);
	assert_int_equal(object_read(object, 0, after, sizeof(after)), sizeof(after));
	assert_memory_equal(content, after, sizeof(content));
	object_put(object);
	end();
}

/* ---- mmap without an address, from all harts: no two get the same. */

static void anywhere(unsigned hart)
{
	vaddr_t at[16] = { { 0 } };

	for (unsigned step = 0; step < unit_steps(1500); step++) {
		unsigned i = (unsigned)fake_below(16);
		uint64_t bytes = PAGES(1 + i % 5);

		if (at[i].v != 0) {
			MUST(must_load(VADDR(at[i].v + bytes - 8)) == at[i].v + hart);
			MUST(space_unmap(common, at[i], bytes) == 0);
			at[i] = VADDR(0);
			continue;
		}
		MUST(space_map(common, PLACE_HINT, &at[i], bytes, RW, mapping_anon(MAPPING_FORK_COPY)) == 0);
		MUST(must_load(VADDR(at[i].v + bytes - 8)) == 0);
		must_store(VADDR(at[i].v + bytes - 8), at[i].v + hart);
	}
}

static void places_do_not_overlap(void **state)
{
	(void)state;
	start(&by_ipi);
	run(anywhere);
	end();
}

/* ---- The allocators alone, objects freed by other harts than their own. */

static _Atomic(uintptr_t) exchange[64];

static void allocators(unsigned hart)
{
	for (unsigned step = 0; step < unit_steps(20000); step++) {
		size_t bytes = 8 + fake_below(3000);
		uintptr_t *block = kalloc(bytes);
		pfn_t pfn;

		MUST(block != NULL);
		MUST(block[0] == 0);
		block[0] = (uintptr_t)block;
		block = (uintptr_t *)atomic_exchange(&exchange[fake_below(64)], (uintptr_t)block);
		MUST(block == NULL || block[0] == (uintptr_t)block);
		kfree(block);
		MUST(frame_alloc(FRAME_ANON, &pfn) == 0);
		*(uint64_t *)frame_data(pfn) = hart;
		MUST(frame_get(pfn));
		frame_put(pfn);
		MUST(*(uint64_t *)frame_data(pfn) == hart);
		frame_put(pfn);
	}
}

static void allocator_storm(void **state)
{
	(void)state;
	start(&by_ipi);
	run(allocators);
	for (unsigned i = 0; i < 64; i++)
		kfree((void *)exchange[i]);
	end();
}

/* Frames that one hart clears ahead, and another takes away from it and uses: nobody clears them once more. */
static void clear_and_take(unsigned hart)
{
	for (unsigned step = 0; step < unit_steps(3000); step++) {
		uint64_t *words;
		pfn_t pfn;

		if (hart % 2 == 0) {
			(void)cleared_prepare();
			continue;
		}
		cleared_drain();
		if (frame_alloc(FRAME_KERNEL, &pfn) != 0)
			continue;
		words = frame_data(pfn);
		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			words[i] = step;
		sched_yield();
		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			MUST(words[i] == step);
		frame_put(pfn);
	}
}

static void cleared_by_others(void **state)
{
	(void)state;
	start(&by_ipi);
	cleared_enable(true);
	run(clear_and_take);
	cleared_drain();
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(disjoint_by_ipi),
	UNIT_TEST(disjoint_by_rfence),
	UNIT_TEST(disjoint_without_asids),
	UNIT_TEST(no_reader_sees_an_old_page),
	UNIT_TEST(tables_go_under_walkers),
	UNIT_TEST(tables_go_under_walkers_by_rfence),
	UNIT_TEST(unmap_under_readers_by_ipi),
	UNIT_TEST(unmap_under_readers_by_rfence),
	UNIT_TEST(discards_never_reach_the_object),
	UNIT_TEST(places_do_not_overlap),
	UNIT_TEST(allocator_storm),
	UNIT_TEST(cleared_by_others),
};

UNIT_MAIN_SHARING("concurrent", tests)
