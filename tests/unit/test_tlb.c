/* Shootdown: who is asked, who is not, ASIDs used again, spaces left and entered, both ways of asking. */
#include "tests/unit/unit.h"

#include "mm/hart.h"
#include "mm/slab.h"
#include "mm/walk.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x10000000)

static struct space *begin(struct fake_config config)
{
	config.harts = 4;
	config.calm = true;
	return unit_begin(&config);
}

static void on_hart(unsigned hart, struct space *space)
{
	fake_hart_enter(hart);
	space_switch(space);
}

static unsigned asked(unsigned hart)
{
	return (unsigned)(fake_counts(hart)->ipis + fake_counts(hart)->remotes);
}

static void only_this_hart_asks_nobody(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });

	(void)state;
	(void)unit_map(space, AT, 20, RW);
	for (unsigned i = 0; i < 20; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	fake_counts_reset();
	assert_int_equal(space_protect(space, VADDR(AT), PAGES(5), PERM_R), 0);
	assert_int_equal(space_unmap(space, VADDR(AT + PAGES(5)), PAGES(1)), 0);
	assert_int_equal(space_discard(space, VADDR(AT + PAGES(6)), PAGES(14)), 0);
	assert_int_equal(fake_counts(0)->ipi_calls + fake_counts(0)->remote_calls, 0);
	assert_true(fake_counts(0)->fence_page + fake_counts(0)->fence_asid != 0);
	unit_end(space);
}

/* Of four harts one runs the space, one has run it, one runs another, one none: only the first is asked. */
static void only_harts_that_may_hold_it(bool rfence, unsigned asid_bits)
{
	struct space *space = begin((struct fake_config){ .asid_bits = asid_bits, .rfence = rfence }), *other;

	(void)unit_map(space, AT, 2, RW);
	unit_store(VADDR(AT), 1);
	on_hart(1, space);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	on_hart(2, space);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	assert_int_equal(space_create(&other), 0);
	space_switch(other);
	fake_hart_enter(0);
	fake_counts_reset();
	assert_int_equal(space_unmap(space, VADDR(AT), PAGE_SIZE), 0);
	assert_int_equal(asked(0), 0);
	assert_int_equal(asked(1), 1);
	assert_int_equal(asked(2), 0);
	assert_int_equal(asked(3), 0);
	assert_int_equal(fake_counts(0)->remote_calls != 0, rfence);
	/* The one that had left must not use what it kept when it comes back. */
	on_hart(2, space);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
	on_hart(1, space);
	unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
	fake_hart_enter(0);
	unit_drop(other);
	unit_end(space);
}

static void only_harts_that_may_hold_it_by_ipi(void **state)
{
	(void)state;
	only_harts_that_may_hold_it(false, 16);
}

static void only_harts_that_may_hold_it_by_rfence(void **state)
{
	(void)state;
	only_harts_that_may_hold_it(true, 16);
}

static void only_harts_that_may_hold_it_without_asids(void **state)
{
	(void)state;
	only_harts_that_may_hold_it(false, 0);
}

/* Away and back without a change in between: nothing is flushed, the entries are still good. */
static void coming_back_keeps_the_entries(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 }), *other;
	struct fake_op op = { .access = ACCESS_READ };

	(void)state;
	(void)unit_map(space, AT, 2, RW);
	unit_store(VADDR(AT), 1);
	assert_int_equal(space_create(&other), 0);
	space_switch(other);
	fake_counts_reset();
	space_switch(space);
	assert_true(fake_access(VADDR(AT), &op));
	assert_int_equal(fake_counts(0)->fence_asid + fake_counts(0)->fence_all + fake_counts(0)->fence_page, 0);
	unit_drop(other);
	unit_end(space);
}

/* An ASID of a space that has ended is given out again: no hart may find the old space's pages under it. */
static void an_asid_used_again(void **state)
{
	struct space *keep = begin((struct fake_config){ .asid_bits = 2 }), *space[6];

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(space_create(&space[i]), 0);
			(void)unit_map(space[i], AT, 1, RW);
			for (unsigned h = 0; h < 4; h++) {
				on_hart(h, space[i]);
				if (h == 0)
					unit_store(VADDR(AT), round * 10 + i);
				assert_int_equal(unit_load(VADDR(AT)), round * 10 + i);
			}
		}
		for (unsigned i = 0; i < 6; i++)
			for (unsigned h = 0; h < 4; h++) {
				on_hart(h, space[(i + h) % 6]);
				assert_int_equal(unit_load(VADDR(AT)), round * 10 + (i + h) % 6);
			}
		fake_hart_enter(0);
		for (unsigned i = 0; i < 6; i++)
			unit_drop(space[i]);
	}
	unit_end(keep);
}

static void asids_are_apart(void **state)
{
	struct space *keep = begin((struct fake_config){ .asid_bits = 3 }), *space[10];
	bool used[8] = { true };
	unsigned own = 0;

	(void)state;
	used[keep->asid] = true;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(space_create(&space[i]), 0);
		assert_in_range(space[i]->asid, 0, 7);
		if (space[i]->asid == 0)
			continue;
		assert_false(used[space[i]->asid]);
		used[space[i]->asid] = true;
		own++;
	}
	assert_int_equal(own, 6); /* 8 less 0 and keep's: the others do without */
	for (unsigned i = 0; i < 10; i++)
		unit_drop(space[i]);
	unit_end(keep);
}

/* With views: only harts that have used a table are asked when something in it goes; with its table it goes from their views. */
static void harts_that_have_not_used_a_table_are_not_asked(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });
	uint64_t far = AT + (UINT64_C(4) << 20);

	(void)state;
	space_threads(space);
	(void)unit_map(space, AT, 2, RW);
	(void)unit_map(space, far, 512, RW);
	for (unsigned h = 0; h < 3; h++) {
		on_hart(h, space);
		unit_store(VADDR(far + PAGES(h)), h);
		if (h != 1)
			unit_store(VADDR(AT), h);
	}
	fake_hart_enter(0);
	fake_counts_reset();
	assert_int_equal(space_unmap(space, VADDR(AT), PAGE_SIZE), 0);
	assert_int_equal(asked(1), 0);
	assert_int_equal(asked(2), 1);
	assert_int_equal(space_unmap(space, VADDR(far), PAGES(512)), 0);
	assert_int_equal(asked(1), 1);
	assert_int_equal(asked(2), 2);
	unit_audit();
	for (unsigned h = 0; h < 3; h++) {
		on_hart(h, space);
		unit_expect_fault(VADDR(AT), ACCESS_READ, FAULT_MAPERR);
		unit_expect_fault(VADDR(far), ACCESS_READ, FAULT_MAPERR);
	}
	fake_hart_enter(0);
	unit_end(space);
}

/* Away from its view, since there is no memory for one: it is asked as it was without; and comes back to it. */
static void a_hart_without_a_view_is_asked(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });

	(void)state;
	space_threads(space);
	(void)unit_map(space, AT, 8, RW);
	for (unsigned i = 0; i < 8; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	for (unsigned round = 0; round < 2; round++) {
		on_hart(1, space);
		fake_fail_at(round == 0, true);
		assert_int_equal(unit_load(VADDR(AT + PAGES(round))), round);
		fake_fail_at(0, false);
		assert_int_equal(fake_hart_root(1).v == space->root.v, round == 0);
		assert_int_equal(space->viewed >> 1 & 1, round);
		fake_hart_enter(0);
		fake_counts_reset();
		assert_int_equal(space_unmap(space, VADDR(AT + PAGES(round)), PAGE_SIZE), 0);
		assert_int_equal(asked(1), 1);
		on_hart(1, space);
		unit_expect_fault(VADDR(AT + PAGES(round)), ACCESS_READ, FAULT_MAPERR);
		space_switch(NULL);
		fake_hart_enter(0);
	}
	unit_audit();
	unit_end(space);
}

/* By this hart's view, as the fault path does. */
static bool finds_leaf(unsigned hart, struct space *space)
{
	struct mm_hart *mine = &mm_harts[hart];
	bool found;
	pfn_t table;

	fake_hart_enter(hart);
	found = walk_try_leaf(mine, space, mine->root, VADDR(AT), &table);
	if (found)
		table_unlock(table);
	return found;
}

static struct space *forking;
static unsigned forked_looks;

/* Fork waits for the others, with what it has detached shared already. */
static void look_while_it_forks(void)
{
	forked_looks++;
	assert_false(finds_leaf(1, forking));
	fake_hart_enter(0);
}

/* Faults are looked up by what the hart itself has linked: not by what others have, nor by what fork has detached. */
static void faults_are_looked_up_by_views(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 }), *child;

	(void)state;
	space_threads(space);
	(void)unit_map(space, AT, 512, RW);
	(void)unit_map(space, AT + (UINT64_C(4) << 20), 1, RW);
	for (unsigned i = 0; i < 512; i++)
		unit_store(VADDR(AT + PAGES(i)), i);
	assert_true(finds_leaf(0, space));
	on_hart(1, space);
	unit_store(VADDR(AT + (UINT64_C(4) << 20)), 1); /* so that it has a view */
	assert_false(finds_leaf(1, space));
	unit_store(VADDR(AT), 7);
	assert_true(finds_leaf(1, space));
	fake_hart_enter(0);
	forking = space;
	fake_waiting = look_while_it_forks;
	assert_int_equal(space_fork(space, &child), 0);
	fake_waiting = NULL;
	assert_true(forked_looks != 0);
	assert_false(finds_leaf(0, space));
	on_hart(1, space);
	unit_store(VADDR(AT), 8);
	assert_true(finds_leaf(1, space));
	fake_hart_enter(0);
	assert_int_equal(unit_load(VADDR(AT)), 8);
	space_switch(child);
	assert_int_equal(unit_load(VADDR(AT)), 7);
	space_switch(space);
	unit_audit();
	space_put(child);
	unit_end(space);
}

/* A freed table: the other hart's entry for the level above must be gone too. */
static void whole_tables_go(bool rfence)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16, .rfence = rfence });

	for (unsigned round = 0; round < 3; round++) {
		(void)unit_map(space, UINT64_C(0x40000000), 1024, RW);
		unit_store(VADDR(0x40000000), round);
		on_hart(1, space);
		assert_int_equal(unit_load(VADDR(0x40000000)), round);
		fake_hart_enter(0);
		if (round == 1)
			assert_int_equal(space_discard(space, VADDR(0x40000000), PAGES(1024)), 0);
		else
			assert_int_equal(space_unmap(space, VADDR(0x40000000), PAGES(1024)), 0);
		(void)unit_map(space, UINT64_C(0x50000000), 1, RW);
		unit_store(VADDR(0x50000000), 1); /* takes the frames that were freed */
		on_hart(1, space);
		unit_expect_fault(VADDR(0x40000000 + PAGES(3)), ACCESS_READ, round == 1 ? FAULT_OK : FAULT_MAPERR);
		fake_hart_enter(0);
	}
	unit_end(space);
}

static void whole_tables_go_on_every_level(void **state)
{
	(void)state;
	whole_tables_go(false);
}

static void whole_tables_go_on_every_level_by_rfence(void **state)
{
	(void)state;
	whole_tables_go(true);
}

static void a_request_waits_its_turn(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });

	(void)state;
	(void)unit_map(space, AT, 50, RW);
	for (unsigned h = 0; h < 4; h++) {
		on_hart(h, space);
		for (unsigned i = 0; i < 50; i++)
			unit_store(VADDR(AT + PAGES(i)), i);
	}
	for (unsigned i = 0; i < 50; i++) {
		fake_hart_enter(i % 4);
		assert_int_equal(space_unmap(space, VADDR(AT + PAGES(i)), PAGE_SIZE), 0);
		for (unsigned h = 0; h < 4; h++) {
			fake_hart_enter(h);
			unit_expect_fault(VADDR(AT + PAGES(i)), ACCESS_READ, FAULT_MAPERR);
			if (i < 49)
				assert_int_equal(unit_load(VADDR(AT + PAGES(i + 1))), i + 1);
		}
	}
	fake_hart_enter(0);
	tlb_serve(); /* nothing is left, and serving nothing is fine */
	unit_end(space);
}

static void switching_to_none(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });

	(void)state;
	assert_ptr_equal(space_current(), space);
	assert_int_equal(fake_hart_root(0).v, space->root.v);
	assert_int_equal(fake_hart_asid(0), space->asid);
	space_switch(NULL);
	assert_null(space_current());
	assert_int_equal(fake_hart_root(0).v, 0);
	assert_int_equal(atomic_load(&space->active), 0);
	fake_counts_reset();
	space_switch(NULL);
	space_switch(space);
	space_switch(space);
	assert_int_equal(atomic_load(&space->active), 1);
	unit_end(space);
}

/* ASID 0 is the kernel's, too: what a hart has under it goes before the space that has none is left, wherever the hart goes from there. */
static void spaces_without_asids_leave_nothing(void **state)
{
	struct space *has = begin((struct fake_config){ .asid_bits = 1 }), *none, *other;

	(void)state;
	assert_int_equal(has->asid, 1);
	assert_int_equal(space_create(&none), 0);
	assert_int_equal(space_create(&other), 0);
	assert_int_equal(none->asid | other->asid, 0);
	(void)unit_map(none, AT, 1, RW);
	for (unsigned i = 0; i < 3; i++) {
		space_switch(none);
		unit_store(VADDR(AT), 1);
		assert_int_not_equal(fake_tlb_holds(0, VADDR(AT), 0), 0);
		space_switch(i == 0 ? has : i == 1 ? other : NULL);
		assert_int_equal(fake_tlb_holds(0, VADDR(AT), 0), 0);
	}
	space_switch(has);
	space_put(none);
	space_put(other);
	unit_end(has);
}

/* Copy-on-write while others hold the old page: shot down; while nobody else runs the space: not. */
static void breaking_copy_on_write_asks_who_reads(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 }), *child;

	(void)state;
	(void)unit_map(space, AT, 4, RW);
	for (unsigned i = 0; i < 4; i++)
		unit_store(VADDR(AT + PAGES(i)), 1);
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	fake_counts_reset();
	unit_store(VADDR(AT), 2);
	assert_int_equal(fake_counts(0)->ipi_calls, 0);
	on_hart(1, space);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 1);
	fake_hart_enter(0);
	unit_store(VADDR(AT + PAGES(1)), 2);
	assert_int_equal(asked(1), 1);
	fake_hart_enter(1);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 2);
	fake_hart_enter(0);
	unit_drop(child);
	fake_counts_reset();
	unit_store(VADDR(AT + PAGES(2)), 2); /* the last one: in place, and more permission asks nobody */
	assert_int_equal(asked(1), 0);
	unit_end(space);
}

/* While a copy is announced and not everybody has fenced: nobody may write it yet, for somebody still reads the old page. */
static bool window_seen;

static void nobody_writes_yet(void)
{
	struct fake_op read = { .access = ACCESS_READ }, write = { .access = ACCESS_WRITE, .value = 99 };

	window_seen = true;
	fake_tlb_flush(2);
	assert_false(fake_access_on(2, VADDR(AT), &write));
	assert_true(fake_access_on(1, VADDR(AT), &read));
	assert_int_equal(read.value, 1);
}

static void a_copy_is_read_only_until_all_have_fenced(bool rfence)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16, .rfence = rfence }), *child;

	(void)unit_map(space, AT, 1, RW);
	unit_store(VADDR(AT), 1);
	assert_int_equal(space_fork(space, &child), 0);
	unit_created(child);
	for (unsigned h = 1; h < 3; h++) {
		on_hart(h, space);
		assert_int_equal(unit_load(VADDR(AT)), 1);
	}
	fake_hart_enter(0);
	fake_window = nobody_writes_yet;
	unit_store(VADDR(AT), 2);
	fake_window = NULL;
	assert_true(window_seen);
	for (unsigned h = 1; h < 3; h++) {
		fake_hart_enter(h);
		assert_int_equal(unit_load(VADDR(AT)), 2);
	}
	fake_hart_enter(0);
	unit_drop(child);
	unit_end(space);
}

static void a_copy_is_read_only_at_first_by_ipi(void **state)
{
	(void)state;
	a_copy_is_read_only_until_all_have_fenced(false);
}

static void a_copy_is_read_only_at_first_by_rfence(void **state)
{
	(void)state;
	a_copy_is_read_only_until_all_have_fenced(true);
}

/* While an unmap is announced: the page is not reachable afresh, and its frame is still what the stale entries name. */
static pfn_t window_frame;

static void not_freed_yet(void)
{
	struct fake_op op = { .access = ACCESS_READ };

	window_seen = true;
	assert_int_equal(frame_of(window_frame)->kind, FRAME_ANON);
	assert_true(fake_access_on(1, VADDR(AT), &op)); /* from its TLB: the fake checks that the frame lives */
	fake_tlb_flush(2);
	assert_false(fake_access_on(2, VADDR(AT), &op));
}

static void nothing_is_freed_before_all_have_fenced(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });

	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		(void)unit_map(space, AT, way == 3 ? 1024 : 1, RW);
		for (unsigned h = 0; h < 3; h++) {
			on_hart(h, space);
			unit_store(VADDR(AT), 1);
		}
		fake_hart_enter(0);
		window_frame = pte_pfn(unit_entry(space, VADDR(AT), NULL));
		window_seen = false;
		fake_window = not_freed_yet;
		if (way == 0 || way == 3)
			assert_int_equal(space_unmap(space, VADDR(AT), PAGES(way == 3 ? 1024 : 1)), 0);
		else if (way == 1)
			assert_int_equal(space_discard(space, VADDR(AT), PAGE_SIZE), 0);
		else
			(void)unit_map(space, AT, 1, PERM_R);
		fake_window = NULL;
		assert_true(window_seen);
		assert_int_equal(frame_of(window_frame)->kind, FRAME_FREE);
	}
	unit_end(space);
}

/* A hart in the middle of a walk by software: a table that was unlinked is not freed before it has left that walk. */
static unsigned turns;

static void leave_the_walk_late(void)
{
	assert_int_equal(frame_of(window_frame)->kind, FRAME_TABLE);
	if (++turns == 3)
		atomic_fetch_add(&mm_harts[3].epoch, 1);
}

static void tables_outlive_walks(void **state)
{
	struct space *space = begin((struct fake_config){ .asid_bits = 16 });
	pfn_t upper;

	(void)state;
	(void)unit_map(space, UINT64_C(0x40000000), 1024, RW);
	unit_store(VADDR(0x40000000), 1);
	upper = pte_pfn(pte_load(pt_slot(space->root, 1)));
	window_frame = pte_pfn(pte_load(pt_slot(upper, 0)));
	atomic_fetch_add(&mm_harts[3].epoch, 1); /* hart 3 walks, and may be reading that very table */
	fake_waiting = leave_the_walk_late;
	assert_int_equal(space_unmap(space, VADDR(0x40000000), PAGES(1024)), 0);
	fake_waiting = NULL;
	assert_int_equal(turns, 3);
	assert_int_equal(frame_of(window_frame)->kind, FRAME_FREE);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(only_this_hart_asks_nobody),
	UNIT_TEST(only_harts_that_may_hold_it_by_ipi),
	UNIT_TEST(only_harts_that_may_hold_it_by_rfence),
	UNIT_TEST(only_harts_that_may_hold_it_without_asids),
	UNIT_TEST(coming_back_keeps_the_entries),
	UNIT_TEST(an_asid_used_again),
	UNIT_TEST(asids_are_apart),
	UNIT_TEST(harts_that_have_not_used_a_table_are_not_asked),
	UNIT_TEST(a_hart_without_a_view_is_asked),
	UNIT_TEST(faults_are_looked_up_by_views),
	UNIT_TEST(whole_tables_go_on_every_level),
	UNIT_TEST(whole_tables_go_on_every_level_by_rfence),
	UNIT_TEST(a_request_waits_its_turn),
	UNIT_TEST(a_copy_is_read_only_at_first_by_ipi),
	UNIT_TEST(a_copy_is_read_only_at_first_by_rfence),
	UNIT_TEST(nothing_is_freed_before_all_have_fenced),
	UNIT_TEST(tables_outlive_walks),
	UNIT_TEST(switching_to_none),
	UNIT_TEST(spaces_without_asids_leave_nothing),
	UNIT_TEST(breaking_copy_on_write_asks_who_reads),
};

UNIT_MAIN("tlb", tests)
