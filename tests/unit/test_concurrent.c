/*
 * Harts as threads, in one space and in several: faults, forks, unmaps, protects, discards at the same time, each access
 * through a fake TLB. Run under ASan with UBSan, and under TSan. Each test says what must hold whatever the order.
 */
#define _GNU_SOURCE
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>

#include "mm/object.h"
#include "mm/slab.h"

#define HARTS	     4
#define BASE	     UINT64_C(0x3fff0000) /* 16 pages below 1 GiB: two leaf tables, two level-1 tables */
#define PAGES_SHARED 32

#define RW (PERM_R | PERM_W)

static struct space *common;
static uint64_t free_before, seed;
static _Atomic unsigned running;
static void (*body)(unsigned hart);

static void *thread_main(void *arg)
{
	unsigned hart = (unsigned)(uintptr_t)arg;

	fake_seed(seed * 31 + hart);
	fake_hart_enter(hart);
	fake_nervous();
	space_switch(common);
	body(hart);
	atomic_fetch_sub(&running, 1);
	space_switch(NULL);
	fake_hart_leave();
	return NULL;
}

static void start(const struct fake_config *config)
{
	fake_start(config);
	seed = unit_seed();
	fake_max_faults = 100000;
	slab_drain();
	free_before = frames_free();
	common = unit_space();
	space_switch(NULL);
}

static void run(void (*fn)(unsigned hart))
{
	pthread_t thread[HARTS];

	body = fn;
	running = HARTS;
	fake_hart_leave();
	for (unsigned i = 0; i < HARTS; i++)
		pthread_create(&thread[i], NULL, thread_main, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < HARTS; i++)
		pthread_join(thread[i], NULL);
	fake_hart_enter(0);
	unit_audit();
}

static void end(void)
{
	unit_drop(common);
	unit_audit();
	slab_drain();
	coremap_drain();
	assert_int_equal(frames_free(), free_before);
}

static const struct fake_config by_ipi = { .harts = HARTS, .asid_bits = 16 };
static const struct fake_config by_rfence = { .harts = HARTS, .asid_bits = 16, .rfence = true };
static const struct fake_config no_asid = { .harts = HARTS, .asid_bits = 0, .svade = true };
static const struct fake_config few_asids = { .harts = HARTS, .asid_bits = 3 };

/* Assertions of cmocka are for one thread; these are for all. */
#define MUST(cond)                                                                                                     \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			fake_fail("%s:%d: %s", __FILE__, __LINE__, #cond);                                             \
	} while (0)

static void must_store(vaddr_t va, uint64_t value)
{
	enum fault fault = fake_store(va, value);

	if (fault != FAULT_OK)
		fake_fail("store to %#llx: fault %u", (unsigned long long)va.v, fault);
}

static uint64_t must_load(vaddr_t va)
{
	uint64_t value = 0;
	enum fault fault = fake_load(va, &value);

	if (fault != FAULT_OK)
		fake_fail("load from %#llx: fault %u", (unsigned long long)va.v, fault);
	return value;
}

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

/* ---- The same pages, a word each for each hart, while the space is forked and protected: no write is ever lost. */

static vaddr_t slot_va(unsigned page, unsigned hart)
{
	return VADDR(BASE + PAGES(page) + 64 * hart);
}

static _Atomic uint64_t written[PAGES_SHARED][HARTS];

/* What another hart said that it has written is there, on whatever frame the page is by now. */
static void read_slot(unsigned page, unsigned hart)
{
	uint64_t said = written[page][hart];

	MUST(must_load(slot_va(page, hart)) >= said);
}

static void write_slots(unsigned hart, uint64_t *round)
{
	(*round)++;
	for (unsigned page = 0; page < PAGES_SHARED; page++) {
		MUST(must_load(slot_va(page, hart)) == *round - 1);
		if (fake_below(4) == 0)
			MUST(user_write(common, slot_va(page, hart), round, 8) == 0);
		else
			must_store(slot_va(page, hart), *round);
		written[page][hart] = *round;
		for (unsigned i = 0; i < 4; i++)
			read_slot((unsigned)fake_below(PAGES_SHARED), (unsigned)fake_below(HARTS));
	}
}

/* A child is a snapshot: of each writer, rounds descend from the first page to the last, by one at most; and it stays. */
static void check_child(unsigned hart, uint64_t own_round)
{
	uint64_t first[HARTS], last[HARTS];

	for (unsigned h = 0; h < HARTS; h++) {
		first[h] = last[h] = must_load(slot_va(0, h));
		for (unsigned page = 1; page < PAGES_SHARED; page++) {
			uint64_t value = must_load(slot_va(page, h));

			MUST(value == last[h] || (value + 1 == last[h] && last[h] == first[h]));
			last[h] = value;
		}
	}
	MUST(first[hart] == own_round && last[hart] == own_round);
	for (unsigned page = 0; page < PAGES_SHARED; page++)
		must_store(slot_va(page, hart), UINT64_C(0xc0c0c0c0) + page);
	for (unsigned h = 0; h < HARTS; h++) {
		if (h == hart)
			continue;
		MUST(must_load(slot_va(0, h)) == first[h]);
		MUST(must_load(slot_va(PAGES_SHARED - 1, h)) == last[h]);
	}
}

static void fork_and_write(unsigned hart)
{
	uint64_t round = 0;

	for (unsigned step = 0; step < unit_steps(60); step++) {
		struct space *child;

		write_slots(hart, &round);
		if (fake_below(4) != 0)
			continue;
		MUST(space_fork(common, &child) == 0);
		space_switch(child);
		check_child(hart, round);
		space_switch(common);
		space_put(child);
	}
}

static void forks_lose_no_write(const struct fake_config *config)
{
	start(config);
	(void)unit_map(common, BASE, PAGES_SHARED, RW);
	run(fork_and_write);
	end();
}

static void forks_by_ipi(void **state)
{
	(void)state;
	forks_lose_no_write(&by_ipi);
}

static void forks_by_rfence(void **state)
{
	(void)state;
	forks_lose_no_write(&by_rfence);
}

static void forks_without_asids(void **state)
{
	(void)state;
	forks_lose_no_write(&no_asid);
}

static void forks_with_few_asids(void **state)
{
	(void)state;
	forks_lose_no_write(&few_asids);
}

/* ---- Two harts break the same pages again and again while a third reads: what it reads never goes back. */

static _Atomic uint64_t last_write[2][2];

static void break_and_read(unsigned hart)
{
	uint64_t value = 0;

	for (unsigned step = 0; hart == 0 && step < unit_steps(50); step++) {
		struct space *child;

		MUST(space_fork(common, &child) == 0);
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

/* ---- A shared object in a space for each hart: all see the same frames, forks included. */

static void shared_object(unsigned hart)
{
	struct space *own;
	vaddr_t va = VADDR(BASE);

	MUST(space_create(&own) == 0);
	MUST(space_map_object(own, PLACE_FIXED, &va, PAGES(PAGES_SHARED), RW, RW, object, 0, true) == 0);
	space_switch(own);
	for (uint64_t step = 1; step < unit_steps(300); step++) {
		unsigned page = (unsigned)fake_below(PAGES_SHARED);
		uint64_t value;
		struct space *child;

		must_store(slot_va(page, hart), step);
		MUST(object_read(object, PAGES(page) + 64 * hart, &value, 8) == 8);
		MUST(value == step);
		value = step + 1000;
		MUST(object_write(object, PAGES(page) + 64 * hart, &value, 8) == 8);
		MUST(must_load(slot_va(page, hart)) == value);
		if (fake_below(16) != 0)
			continue;
		MUST(space_fork(own, &child) == 0);
		space_switch(child);
		must_store(slot_va(page, hart), step + 7);
		space_switch(own);
		space_put(child);
		MUST(must_load(slot_va(page, hart)) == step + 7);
		if (fake_below(4) == 0)
			MUST(space_discard(own, VADDR(BASE), PAGES(PAGES_SHARED)) == 0);
	}
	space_switch(NULL);
	space_put(own);
}

static void shared_pages_are_shared(void **state)
{
	(void)state;
	start(&few_asids);
	assert_int_equal(object_create(PAGES(PAGES_SHARED), NULL, 0, &object), 0);
	run(shared_object);
	object_put(object);
	end();
}

/* ---- Spaces made and ended on all harts, siblings breaking the same frames. */

static void siblings(unsigned hart)
{
	struct space *mine;

	MUST(space_fork(common, &mine) == 0);
	space_switch(mine);
	for (unsigned step = 0; step < unit_steps(40); step++) {
		struct space *next;

		for (unsigned page = 0; page < PAGES_SHARED; page++) {
			MUST(must_load(slot_va(page, HARTS)) == page);
			must_store(slot_va(page, hart), step);
			MUST(must_load(slot_va(page, (hart + 1) % HARTS)) == 0);
		}
		MUST(space_fork(fake_below(3) == 0 ? mine : common, &next) == 0);
		space_switch(next);
		space_put(mine);
		mine = next;
		for (unsigned page = 0; page < PAGES_SHARED; page++)
			MUST(must_load(slot_va(page, hart)) % unit_steps(40) <= step);
	}
	space_switch(NULL);
	space_put(mine);
}

static void siblings_are_apart(void **state)
{
	(void)state;
	start(&few_asids);
	(void)unit_map(common, BASE, PAGES_SHARED, RW);
	space_switch(common);
	for (unsigned page = 0; page < PAGES_SHARED; page++)
		unit_store(slot_va(page, HARTS), page);
	space_switch(NULL);
	run(siblings);
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

static const struct CMUnitTest tests[] = {
	UNIT_TEST(disjoint_by_ipi),
	UNIT_TEST(disjoint_by_rfence),
	UNIT_TEST(disjoint_without_asids),
	UNIT_TEST(forks_by_ipi),
	UNIT_TEST(forks_by_rfence),
	UNIT_TEST(forks_without_asids),
	UNIT_TEST(forks_with_few_asids),
	UNIT_TEST(no_reader_sees_an_old_page),
	UNIT_TEST(unmap_under_readers_by_ipi),
	UNIT_TEST(unmap_under_readers_by_rfence),
	UNIT_TEST(tables_go_under_walkers),
	UNIT_TEST(tables_go_under_walkers_by_rfence),
	UNIT_TEST(discards_never_reach_the_object),
	UNIT_TEST(shared_pages_are_shared),
	UNIT_TEST(siblings_are_apart),
	UNIT_TEST(places_do_not_overlap),
	UNIT_TEST(allocator_storm),
};

UNIT_MAIN("concurrent", tests)
