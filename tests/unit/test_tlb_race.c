/*
 * A hart that leaves the space between a shootdown's two looks at who is in it (mm/tlb.c, targets; tests/models/switch.pml found it): it still
 * counts as one that may hold entries, so it must be asked, or it comes back with what it had.
 *
 * That moment is one instruction, so tlb.c is compiled here once more, with a step of the test's own before that instruction.
 */
#include "tests/unit/unit.h"

#include "mm/hart.h"

static void at_fetch_and(const void *of);

#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(at, value, order)                                                                    \
	(at_fetch_and((const void *)(at)), __atomic_fetch_and(at, value, order))
#define tlb_init	tlb_init_here
#define tlb_fence_local tlb_fence_local_here
#define tlb_shootdown	tlb_shootdown_here
#define tlb_serve	tlb_serve_here
#define tlb_sync_icache tlb_sync_icache_here
#define space_barrier	space_barrier_here
#define space_switch	space_switch_here
#define space_current	space_current_here
void tlb_serve(void);
void space_barrier(struct space *space, bool instructions);
void space_switch(struct space *next);
struct space *space_current(void);
#include "mm/tlb.c"
#undef space_switch

void space_switch(struct space *next);

#define AT UINT64_C(0x10000000)

static struct space *watched, *other;

static void at_fetch_and(const void *of)
{
	if (watched == NULL || of != &watched->cached)
		return;
	watched = NULL;
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
	watched = space;
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

static const struct CMUnitTest tests[] = {
	UNIT_TEST(who_leaves_between_two_looks_is_asked),
};

UNIT_MAIN("tlb_race", tests)
