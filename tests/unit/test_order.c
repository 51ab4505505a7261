/*
 * A frame is cleared before anybody can have it: while nobody's entry names it, or under the lock that hides it. One instruction apart, so
 * around.c and cleared.c are compiled here once more, with a step of the test's own where they clear. And a page's entry is changed before the look
 * at who may hold it: tlb.h has a step at the fence between.
 */
#include "tests/unit/unit.h"

#include "mm/hart.h"
#include "mm/object.h"

static void at_fence(void);

#undef atomic_thread_fence
#define atomic_thread_fence(order) (at_fence(), __atomic_thread_fence(order))
#include "mm/tlb.h"
#undef atomic_thread_fence
#define atomic_thread_fence(order) __atomic_thread_fence(order)

static void at_clear(void *page);

#define hw_page_clear	       at_clear
#define space_set_fault_around space_set_fault_around_here
#define around_object	       around_object_here
#define around_anon	       around_anon_here
#define cleared_enable	       cleared_enable_here
#define cleared_prepare	       cleared_prepare_here
#define cleared_take	       cleared_take_here
#define cleared_drain	       cleared_drain_here
#define cleared_frames	       cleared_frames_here
#define read_n		       cleared_read_n
void space_set_fault_around(unsigned object, unsigned anon);
bool cleared_take(struct cleared *mine, enum frame_kind kind, pfn_t *out) MUST_CHECK;
#include "mm/around.c"
#include "mm/cleared.c"
#undef hw_page_clear

#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 1, .asid_bits = 16 };
static unsigned clears;
static struct space *watched;

static void at_clear(void *page)
{
	clears++;
	if (watched != NULL) {
		for (unsigned i = 0; i < 16; i++) {
			pte_t pte = unit_entry(watched, VADDR(AT + PAGES(i)), NULL);

			assert_false(pte_is_page(pte) && frame_data(pte_pfn(pte)) == page);
		}
	} else {
		assert_true(spin_is_held(&mm_this_hart()->cleared.lock));
	}
	hw_page_clear(page);
}

static struct space *joined;
static unsigned fences;

/* The last moment to come to the space unseen. */
static void at_fence(void)
{
	fences++;
	if (joined == NULL)
		return;
	fake_hart_enter(1);
	space_switch(joined);
	fake_hart_enter(0);
}

static void who_comes_before_the_look_is_asked(void **state)
{
	const struct fake_config two = { .harts = 2, .asid_bits = 16, .calm = true };
	struct space *space = unit_begin(&two);
	pfn_t leaf = space->root;

	(void)state;
	(void)unit_map(space, AT, 1, PERM_R | PERM_W);
	unit_store(VADDR(AT), 1);
	for (unsigned level = PT_ROOT; level > 0; level--)
		leaf = pte_pfn(pte_load(pt_slot(leaf, pt_index(VADDR(AT), level))));
	fake_counts_reset();
	tlb_shootdown_page(mm_this_hart(), space, frame_of(leaf), VADDR(AT));
	assert_int_equal(fences, 1);
	assert_int_equal(fake_counts(1)->ipis, 0);
	joined = space;
	tlb_shootdown_page(mm_this_hart(), space, frame_of(leaf), VADDR(AT));
	joined = NULL;
	assert_int_equal(fences, 2);
	assert_int_equal(fake_counts(1)->ipis, 1);
	unit_end(space);
}

static void no_entry_names_it(void **state)
{
	struct space *space = unit_begin(&machine);
	struct mm_hart *mine = mm_this_hart();
	_Atomic uint64_t *slot;
	pfn_t table = space->root;
	pte_t was;

	(void)state;
	(void)unit_map(space, AT, 16, PERM_R | PERM_W);
	unit_store(VADDR(AT), 1);
	for (unsigned level = PT_ROOT; level > 0; level--)
		table = pte_pfn(pte_load(pt_slot(table, pt_index(VADDR(AT), level))));
	slot = pt_slot(table, pt_index(VADDR(AT + PAGES(5)), 0));
	was = pte_load(slot);
	mine->anon_group = 8;
	watched = space;
	around_anon(mine, slot, was, VADDR(AT + PAGES(5)));
	watched = NULL;
	assert_int_equal(clears, 7);
	mine->anon_group = 1;
	assert_int_equal(space_unmap(space, VADDR(AT), PAGES(16)), 0);
	(void)around_object;
	(void)space_set_fault_around;
	unit_drop(space);
}

static void the_lock_hides_it(void **state)
{
	(void)state;
	(void)unit_begin(&machine);
	cleared_enable(true);
	assert_true(cleared_prepare());
	assert_int_equal(clears, 1);
	assert_int_equal(cleared_frames(), 1);
	cleared_drain();
	assert_int_equal(cleared_frames(), 0);
	unit_end(space_current());
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(no_entry_names_it),
	UNIT_TEST(the_lock_hides_it),
	UNIT_TEST(who_comes_before_the_look_is_asked),
};

UNIT_MAIN("order", tests)
