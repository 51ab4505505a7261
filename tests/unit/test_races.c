/*
 * Windows of a few instructions, each forced once: between finding a table and having its lock (mm/walk.h, lock_range), and between a look at the
 * path and a link in a view (mm/view.c). What closes each is in the models too (tests/models); what share.c's are is in test_share.c, tlb.c's in
 * test_tlb_race.c.
 *
 * Whoever waits for a lock comes by here (fake_waiting), and what is between two steps that do not wait is compiled here once more with a step of
 * the test's own in between.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>

#include "mm/hart.h"

static void before_trylock(void);
static void before_store(void);
static void before_load(void);

#define spin_trylock(lock, rank) (before_trylock(), spin_trylock(lock, rank))
#include "mm/walk.h"
#undef spin_trylock

#define pte_store(slot, pte) (before_store(), pte_store(slot, pte))
#define pte_load(slot)	     (before_load(), pte_load(slot))
#define space_threads	     space_threads_here
#define view_enter	     view_enter_here
#define view_link	     view_link_here
#define view_unlink	     view_unlink_here
#define views_clear	     views_clear_here
#define views_free	     views_free_here
#define views_visit	     views_visit_here
void space_threads(struct space *space);
#include "mm/view.c"
#undef pte_store
#undef pte_load
#undef space_threads
void space_threads(struct space *space);

#define RW  (PERM_R | PERM_W)
#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define AT  (4 * GIB)

static const struct fake_config machine = { .harts = 4, .asid_bits = 16, .calm = true, .rfence = true };

static struct {
	struct space *space, *child;
	pfn_t table; /* its lock is somebody's, when a race begins */
	void (*meanwhile)(void);
	bool hit;
	pthread_t thread;
	_Atomic bool unlinked; /* the thread waits for walks to end */
} race;

/* Four MiB with a number at the begin of the first, by hart 0. */
static void start(void)
{
	space_set_fork_policy(FORK_ALL_TABLES);
	race.space = unit_begin(&machine);
	(void)unit_map(race.space, AT, 4 * MIB / PAGE_SIZE, RW);
	unit_store(VADDR(AT), 1);
}

static pfn_t upper_table(void)
{
	return pte_pfn(pte_load(pt_slot(race.space->root, pt_index(VADDR(AT), PT_ROOT))));
}

static pfn_t leaf_table(void)
{
	return pte_pfn(pte_load(pt_slot(upper_table(), pt_index(VADDR(AT), 1))));
}

static void at_waiting(void)
{
	if (hw_hart() == 1) {
		atomic_store(&race.unlinked, true);
		return;
	}
	if (race.hit)
		return;
	race.hit = true;
	atomic_store(&frame_of(race.table)->table.lock.held, 0);
	race.meanwhile();
}

/* The next one that waits for the table's lock lets `meanwhile` go first. */
static void let_come_first(pfn_t table, void (*meanwhile)(void))
{
	race.table = table;
	race.meanwhile = meanwhile;
	atomic_store(&frame_of(table)->table.lock.held, 1); /* some other hart's: no rank is taken here */
	fake_waiting = at_waiting;
}

static void came_first(void)
{
	fake_waiting = NULL;
	assert_true(race.hit);
}

/* ---- Between the walk and the lock: the tables are unlinked. They are not freed before this walk ends, so that is another thread's. */

static void *unlink_all(void *unused)
{
	fake_hart_enter(1);
	if (space_unmap(race.space, VADDR(AT), GIB) != 0)
		fake_fail("no unmap");
	fake_hart_leave();
	return unused;
}

static void unlink_meanwhile(void)
{
	fake_waiting = at_waiting;
	pthread_create(&race.thread, NULL, unlink_all, NULL);
	while (!atomic_load(&race.unlinked))
		sched_yield();
}

static void end_unlinked(void)
{
	pthread_join(race.thread, NULL);
	came_first();
	unit_end(race.space);
}

static void a_fault_finds_its_table_unlinked(void **state)
{
	(void)state;
	start();
	let_come_first(leaf_table(), unlink_meanwhile);
	assert_int_equal(space_fault(race.space, VADDR(AT), ACCESS_WRITE), FAULT_MAPERR);
	end_unlinked();
}

static void a_range_finds_its_table_unlinked(void **state)
{
	(void)state;
	start();
	let_come_first(leaf_table(), unlink_meanwhile);
	assert_int_equal(space_discard(race.space, VADDR(AT), PAGE_SIZE), -ENOMEM);
	end_unlinked();
}

static void a_look_finds_its_table_unlinked(void **state)
{
	uint8_t resident;

	(void)state;
	start();
	let_come_first(leaf_table(), unlink_meanwhile);
	assert_int_equal(space_resident(race.space, VADDR(AT), 1, &resident), -ENOMEM);
	end_unlinked();
}

static void (*at_trylock)(void);

static void before_trylock(void)
{
	void (*meanwhile)(void) = at_trylock;

	at_trylock = NULL;
	if (meanwhile != NULL)
		meanwhile();
}

static bool finds_leaf(void (*meanwhile)(void))
{
	pfn_t table;
	bool found;

	at_trylock = meanwhile;
	found = walk_try_leaf(mm_this_hart(), race.space, race.space->root, VADDR(AT), &table);
	if (found)
		table_unlock(table);
	return found;
}

static void a_quick_walk_finds_its_table_unlinked(void **state)
{
	(void)state;
	start();
	assert_true(finds_leaf(NULL));
	race.hit = true;
	assert_false(finds_leaf(unlink_meanwhile));
	end_unlinked();
}

/* ---- Between the walk and the lock: fork detaches an upper table, which the leaf's lock does not keep it from. */

static void fork_meanwhile(void)
{
	fake_hart_enter(1);
	assert_int_equal(space_fork(race.space, &race.child), 0);
	fake_hart_enter(0);
}

static void end_forked(void)
{
	unit_drop(race.child);
	unit_end(race.space);
}

static void a_range_finds_its_table_shared(void **state)
{
	(void)state;
	start();
	let_come_first(leaf_table(), fork_meanwhile);
	assert_int_equal(space_discard(race.space, VADDR(AT), PAGE_SIZE), 0);
	came_first();
	assert_int_equal(unit_load_in(race.child, AT), 1);
	assert_int_equal(unit_load_in(race.space, AT), 0);
	end_forked();
}

static void a_quick_walk_finds_its_table_shared(void **state)
{
	(void)state;
	start();
	assert_false(finds_leaf(fork_meanwhile));
	end_forked();
}

/*
 * The worst of it: by the time he has the lock, the child has taken the tables over as its own. What he took out there, no hart of the child
 * would be asked to forget.
 */
static void fork_and_take_over(void)
{
	fork_meanwhile();
	fake_hart_enter(1);
	assert_int_equal(space_unmap(race.space, VADDR(AT & ~(GIB - 1)), GIB), 0);
	assert_int_equal(unit_load_in(race.child, AT), 1);
	assert_true(pte_is_table(pte_load(pt_slot(race.child->root, pt_index(VADDR(AT), PT_ROOT)))));
	fake_hart_enter(0);
}

static void a_fault_finds_its_table_taken_over(void **state)
{
	(void)state;
	start();
	let_come_first(leaf_table(), fork_and_take_over);
	assert_int_equal(space_unmap(race.space, VADDR(AT), PAGE_SIZE), 0);
	came_first();
	fake_hart_enter(1);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	space_switch(NULL);
	fake_hart_enter(0);
	end_forked();
}

/* ---- Between the walk and the lock: a table comes below. */

static void split_meanwhile(void)
{
	fake_hart_enter(1);
	assert_int_equal(space_fault(race.space, VADDR(AT + 2 * MIB), ACCESS_WRITE), FAULT_OK);
	fake_hart_enter(0);
}

static void a_fault_finds_a_table_made(void **state)
{
	(void)state;
	start();
	let_come_first(upper_table(), split_meanwhile);
	assert_int_equal(space_fault(race.space, VADDR(AT + 2 * MIB), ACCESS_WRITE), FAULT_OK);
	came_first();
	unit_end(race.space);
}

/* ---- Between a view's link and what it was found by: fork has cleared the view, and comes too early for this link. */

static void (*at_store)(void);

static void before_store(void)
{
	void (*meanwhile)(void) = at_store;

	at_store = NULL;
	if (meanwhile != NULL)
		meanwhile();
}

static void (*at_load)(void);

static void before_load(void)
{
	void (*meanwhile)(void) = at_load;

	at_load = NULL;
	if (meanwhile != NULL)
		meanwhile();
}

/* Before the link is taken back the hart has gone by it: it has to forget that, too. */
static void go_by_the_link(void)
{
	struct fake_op read = { .access = ACCESS_READ };

	assert_true(fake_access(VADDR(AT), &read));
}

static void fork_from_hart_0(void)
{
	race.hit = true;
	fake_hart_enter(0);
	assert_int_equal(space_fork(race.space, &race.child), 0);
	fake_hart_enter(1);
	at_load = go_by_the_link;
}

static void a_view_does_not_lead_to_what_fork_has_detached(void **state)
{
	struct fake_op read = { .access = ACCESS_READ };
	unsigned level;
	pfn_t leaf;

	(void)state;
	start();
	space_threads(race.space);
	fake_hart_enter(1);
	space_switch(race.space);
	assert_int_equal(unit_load(VADDR(AT + 2 * MIB)), 0); /* so that its view has all but the link */
	leaf = walk_lock(race.space, VADDR(AT), &level);
	at_store = fork_from_hart_0;
	view_link_here(race.space, leaf, VADDR(AT));
	table_unlock(leaf);
	assert_true(race.hit && at_load == NULL);
	assert_false(fake_access(VADDR(AT), &read));
	assert_int_equal(unit_load(VADDR(AT)), 1);
	space_switch(NULL);
	fake_hart_enter(0);
	end_forked();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(a_fault_finds_its_table_unlinked),
	UNIT_TEST(a_range_finds_its_table_unlinked),
	UNIT_TEST(a_look_finds_its_table_unlinked),
	UNIT_TEST(a_quick_walk_finds_its_table_unlinked),
	UNIT_TEST(a_range_finds_its_table_shared),
	UNIT_TEST(a_quick_walk_finds_its_table_shared),
	UNIT_TEST(a_fault_finds_its_table_taken_over),
	UNIT_TEST(a_fault_finds_a_table_made),
	UNIT_TEST(a_view_does_not_lead_to_what_fork_has_detached),
};

UNIT_MAIN("races", tests)
