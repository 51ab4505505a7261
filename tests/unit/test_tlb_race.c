/*
 * Moments of one instruction in mm/tlb.c, so it is compiled here once more, with a step of the test's own before its atomic instructions:
 *
 * - A hart leaves the space between a shootdown's two looks at who is in it (targets; tests/models/switch.pml found it): it still counts as one that
 *   may hold entries, so it must be asked, or it comes back with what it had.
 * - A hart says that it has left when it has; and answers when it has fenced: nobody waits any longer than for that.
 */
#include "tests/unit/unit.h"

#include "mm/hart.h"

static void at_fetch_and(const void *of);

#ifdef __clang__
#define FETCH_AND __c11_atomic_fetch_and
#else
#define FETCH_AND __atomic_fetch_and
#endif
#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(at, value, order) (at_fetch_and((const void *)(at)), FETCH_AND(at, value, order))
#define tlb_init				    tlb_init_here
#define tlb_fence_local				    tlb_fence_local_here
#define tlb_shootdown				    tlb_shootdown_here
#define tlb_serve				    tlb_serve_here
#define tlb_sync_icache				    tlb_sync_icache_here
#define space_barrier				    space_barrier_here
#define space_switch				    space_switch_here
#define space_current				    space_current_here
#define space_set_shootdown			    space_set_shootdown_here
#define tlb_everyone				    tlb_everyone_here
void tlb_serve(void);
void space_barrier(struct space *space, bool instructions);
void space_switch(struct space *next);
struct space *space_current(void);
void space_set_shootdown(uint64_t harts, uint64_t batch);
#include "mm/tlb.c"
#undef space_switch

void space_switch(struct space *next);

#define AT UINT64_C(0x10000000)

static struct space *other;
static const void *watched;
static void (*at_watched)(void);

static void at_fetch_and(const void *of)
{
	if (watched == NULL || of != watched)
		return;
	watched = NULL;
	at_watched();
}

static void watch(const void *of, void (*fn)(void))
{
	watched = of;
	at_watched = fn;
}

static void leave_on_hart_1(void)
{
	fake_hart_enter(1);
	space_switch(other);
	fake_hart_enter(0);
}

static void who_leaves_between_two_looks_is_asked(void **state)
{
	struct fake_config config = { .harts = 3, .asid_bits = 16, .calm = true, .rfence = true };
	struct space *space = unit_begin(&config);

	(void)state;
	(void)unit_map(space, AT, 2, PERM_R | PERM_W);
	unit_store(VADDR(AT), 1);
	assert_int_equal(space_create(&other), 0);
	fake_hart_enter(1);
	space_switch(space);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	/* One that has left before, so that there is somebody to be taken out. */
	fake_hart_enter(2);
	space_switch(space);
	space_switch(other);
	fake_hart_enter(0);
	fake_counts_reset();
	watch(&space->cached, leave_on_hart_1);
	tlb_shootdown(space, TLB_ALL, VADDR(AT), PAGE_SIZE);
	assert_null(watched);
	assert_int_equal(fake_counts(1)->remotes, 1);
	assert_int_equal(fake_counts(2)->remotes, 0);
	fake_hart_enter(1);
	space_switch(NULL);
	fake_hart_enter(2);
	space_switch(NULL);
	fake_hart_enter(0);
	unit_drop(other);
	unit_end(space);
}

static void left(void)
{
	assert_int_equal(fake_hart_root(1).v, 0);
}

static void who_says_that_it_has_left_has(void **state)
{
	struct fake_config config = { .harts = 2, .asid_bits = 16, .calm = true };
	struct space *space = unit_begin(&config);

	(void)state;
	fake_hart_enter(1);
	space_switch(space);
	watch(&space->active, left);
	space_switch_here(NULL);
	assert_null(watched);
	fake_hart_enter(0);
	unit_end(space);
}

static void fenced(void)
{
	assert_int_equal(fake_tlb_holds(1, VADDR(AT), fake_hart_asid(1)), 0);
}

/* Hart 1 is asked for the page, and answers before the machine has even told it. */
static void serve_on_hart_1(void)
{
	fake_window = NULL;
	fake_hart_enter(1);
	watch(&mm_harts[0].waiting, fenced);
	assert_int_not_equal(fake_tlb_holds(1, VADDR(AT), fake_hart_asid(1)), 0);
	tlb_serve_here();
	assert_null(watched);
	fake_hart_enter(0);
}

static void who_answers_has_fenced(void **state)
{
	struct fake_config config = { .harts = 2, .asid_bits = 16, .calm = true };
	struct space *space = unit_begin(&config);

	(void)state;
	tlb_init_here(true);
	(void)unit_map(space, AT, 1, PERM_R | PERM_W);
	unit_store(VADDR(AT), 1);
	fake_hart_enter(1);
	space_switch(space);
	assert_int_equal(unit_load(VADDR(AT)), 1);
	fake_hart_enter(0);
	fake_window = serve_on_hart_1;
	tlb_shootdown(space, TLB_ALL, VADDR(AT), 0);
	assert_null(fake_window);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(who_leaves_between_two_looks_is_asked),
	UNIT_TEST(who_says_that_it_has_left_has),
	UNIT_TEST(who_answers_has_fenced),
};

UNIT_MAIN("tlb_race", tests)
