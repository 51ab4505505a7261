/* Each outcome of a page fault, and what it leaves in the entry and in the counters. */
#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

#define RW (PERM_R | PERM_W)
#define AT UINT64_C(0x10000000)

static const struct fake_config calm = { .harts = 2, .asid_bits = 16, .calm = true };
static const struct fake_config traps = { .harts = 2, .asid_bits = 0, .svade = true, .calm = true };

static uint64_t counted(enum mm_counter counter)
{
	return mm_counter_sum(counter);
}

static void reading_untouched_memory_maps_the_zero_frame(void **state)
{
	struct space *space = unit_begin(&calm);
	uint64_t zero_reads = counted(MM_ZERO_READS), used;
	pte_t pte;

	(void)state;
	(void)unit_map(space, AT, 100, RW);
	assert_int_equal(unit_load(VADDR(AT)), 0);
	used = frames_free();
	for (unsigned i = 1; i < 100; i++)
		assert_int_equal(unit_load(VADDR(AT + PAGES(i) + 8)), 0);
	assert_int_equal(frames_free(), used);
	assert_int_equal(counted(MM_ZERO_READS), zero_reads + 100);
	pte = unit_entry(space, VADDR(AT), NULL);
	assert_int_equal(pte_pfn(pte).v, frame_zero().v);
	assert_int_equal(pte.v & (PTE_R | PTE_W | PTE_MAYWRITE), PTE_R | PTE_MAYWRITE);
	unit_store(VADDR(AT), 3); /* and the zero frame stays zero */
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 0);
	assert_int_equal(unit_load(VADDR(AT)), 3);
	unit_end(space);
}

static void writing_untouched_memory_gives_a_clear_page(void **state)
{
	struct space *space = unit_begin(&calm);
	struct fake_op op = { .access = ACCESS_WRITE, .value = 9 };
	pte_t pte;

	(void)state;
	(void)unit_map(space, AT, 1, RW);
	assert_int_equal(fake_user(VADDR(AT + 16), &op), FAULT_OK);
	assert_true(op.faults <= 2); /* one, and a spurious one for the level above that was cached as invalid */
	for (unsigned at = 0; at < PAGE_SIZE; at += 8)
		assert_int_equal(unit_load(VADDR(AT + at)), at == 16 ? 9 : 0);
	pte = unit_entry(space, VADDR(AT), NULL);
	assert_int_equal(pte.v & (PTE_V | PTE_RWX | PTE_U | PTE_A | PTE_D), PTE_V | RW | PTE_U | PTE_A | PTE_D);
	assert_int_equal(frame_of(pte_pfn(pte))->kind, FRAME_ANON);
	assert_true(frame_is_sole(pte_pfn(pte)));
	unit_end(space);
}

static void permissions(void **state)
{
	static const uint64_t perms[] = { 0, PERM_R, RW, PERM_X, PERM_R | PERM_X };
	static const uint64_t need[] = { [ACCESS_READ] = PERM_R, [ACCESS_WRITE] = PERM_W, [ACCESS_EXEC] = PERM_X };
	struct space *space = unit_begin(&calm);

	(void)state;
	for (unsigned p = 0; p < ARRAY_LEN(perms); p++) {
		for (enum access access = ACCESS_READ; access <= ACCESS_EXEC; access++) {
			bool may = (perms[p] & need[access]) != 0;
			struct fake_op op = { .access = access };

			(void)unit_map(space, AT, 600, perms[p]); /* on both levels */
			assert_int_equal(fake_user(VADDR(AT), &op), may ? FAULT_OK : FAULT_ACCERR);
			assert_int_equal(fake_user(VADDR(AT + PAGES(599)), &op), may ? FAULT_OK : FAULT_ACCERR);
			assert_int_equal(space_unmap(space, VADDR(AT), PAGES(600)), 0);
			assert_int_equal(fake_user(VADDR(AT), &op), FAULT_MAPERR);
		}
	}
	unit_end(space);
}

static void past_the_end_of_an_object(void **state)
{
	struct space *space = unit_begin(&calm);
	struct object *object;

	(void)state;
	assert_int_equal(object_create(PAGES(3) + 1, NULL, 0, &object), 0);
	(void)unit_map_object(space, AT, 10, RW, object, 0, true);
	(void)unit_map_object(space, AT + PAGES(100), 10, RW, object, 2, false);
	unit_store(VADDR(AT + PAGES(3) + 4088), 1);
	unit_expect_fault(VADDR(AT + PAGES(4)), ACCESS_READ, FAULT_BUS);
	unit_expect_fault(VADDR(AT + PAGES(4)), ACCESS_WRITE, FAULT_BUS);
	unit_expect_fault(VADDR(AT + PAGES(4)), ACCESS_EXEC, FAULT_ACCERR);
	unit_store(VADDR(AT + PAGES(101)), 1);
	unit_expect_fault(VADDR(AT + PAGES(102)), ACCESS_WRITE, FAULT_BUS);
	object_put(object);
	unit_end(space);
}

static void no_memory(void **state)
{
	struct space *space = unit_begin(&calm);

	(void)state;
	(void)unit_map(space, AT, 1, RW);
	fake_fail_at(1, true);
	assert_int_equal(space_fault(space, VADDR(AT), ACCESS_WRITE), FAULT_OOM);
	fake_fail_at(0, false);
	unit_store(VADDR(AT), 1);
	unit_end(space);
}

/* An entry that became good while this hart held on to the old one: a fence and another try, and it is counted. */
static void a_spurious_fault_is_answered_by_a_fence(void **state)
{
	struct space *space = unit_begin(&calm);
	struct fake_op op = { .access = ACCESS_READ };
	uint64_t spurious;

	(void)state;
	(void)unit_map(space, AT, 1024, RW);
	fake_hart_enter(1);
	space_switch(space);
	assert_false(fake_access(VADDR(AT), &op)); /* hart 1's TLB holds that nothing is there, on an upper level */
	fake_hart_enter(0);
	unit_store(VADDR(AT), 42);
	fake_hart_enter(1);
	assert_int_not_equal(fake_tlb_holds(1, VADDR(AT), space->asid), 0);
	assert_false(fake_access(VADDR(AT), &op));
	spurious = counted(MM_SPURIOUS);
	assert_int_equal(unit_load(VADDR(AT)), 42);
	assert_true(counted(MM_SPURIOUS) > spurious);
	/* The same for a permission that was given: no shootdown for it. */
	assert_int_equal(space_protect(space, VADDR(AT), PAGE_SIZE, PERM_R), 0);
	fake_hart_enter(0);
	assert_int_equal(unit_load(VADDR(AT)), 42);
	fake_hart_enter(1);
	fake_counts_reset();
	assert_int_equal(space_protect(space, VADDR(AT), PAGE_SIZE, RW), 0);
	assert_int_equal(fake_counts(0)->ipis, 0);
	fake_hart_enter(0);
	unit_store(VADDR(AT), 43);
	unit_end(space);
}

/* Harts that trap on A and D: entries are made with both, and a trap on a clear one sets it. */
static void harts_that_trap_on_a_and_d(void **state)
{
	struct space *space = unit_begin(&traps);
	pte_t pte;

	(void)state;
	(void)unit_map(space, AT, 4, RW);
	unit_store(VADDR(AT), 1);
	assert_int_equal(unit_load(VADDR(AT + PAGES(1))), 0);
	unit_store(VADDR(AT + PAGES(1)), 2);
	pte = unit_entry(space, VADDR(AT), NULL);
	/* As the kernel of another day might leave it: accessed and dirty taken back. */
	for (unsigned pass = 0; pass < 2; pass++) {
		pfn_t table = space->root;

		for (unsigned level = PT_ROOT; level > 0; level--)
			table = pte_pfn(pte_load(pt_slot(table, pt_index(VADDR(AT), level))));
		pte_clear(pt_slot(table, pt_index(VADDR(AT), 0)), PTE_A | PTE_D);
		fake_tlb_flush(0);
		if (pass == 0)
			assert_int_equal(unit_load(VADDR(AT)), 1);
		else
			unit_store(VADDR(AT), 5);
	}
	assert_int_equal(unit_entry(space, VADDR(AT), NULL).v, pte.v);
	assert_int_equal(unit_load(VADDR(AT)), 5);
	unit_end(space);
}

/* Code: what was written is what is fetched: each hart that runs it has fenced its fetches. */
static void mapping_code_syncs_instruction_fetches(void **state)
{
	static uint64_t code[PAGE_SIZE / 8] = { 0x1234 };
	struct space *space = unit_begin(&calm);
	struct object *object;
	struct fake_op op = { .access = ACCESS_EXEC };

	(void)state;
	assert_int_equal(object_create(PAGE_SIZE, code, sizeof(code), &object), 0);
	(void)unit_map_object(space, AT, 1, PERM_R | PERM_X, object, 0, false);
	object_put(object);
	fake_hart_enter(1);
	space_switch(space);
	fake_hart_enter(0);
	fake_counts_reset();
	assert_int_equal(fake_user(VADDR(AT), &op), FAULT_OK);
	assert_int_equal(op.value, 0x1234);
	assert_int_not_equal(fake_counts(0)->fence_i, 0);
	assert_int_not_equal(fake_counts(1)->fence_i, 0);
	(void)unit_map(space, AT + PAGES(1), 1, RW);
	unit_store(VADDR(AT + PAGES(1)), 0x5678);
	fake_hart_enter(1);
	space_switch(NULL); /* away while the page becomes code */
	fake_hart_enter(0);
	fake_counts_reset();
	assert_int_equal(space_protect(space, VADDR(AT + PAGES(1)), PAGE_SIZE, PERM_R | PERM_X), 0);
	assert_int_equal(fake_user(VADDR(AT + PAGES(1)), &op), FAULT_OK);
	assert_int_equal(op.value, 0x5678);
	assert_int_not_equal(fake_counts(0)->fence_i, 0);
	assert_int_equal(fake_counts(1)->fence_i, 0);
	fake_hart_enter(1);
	space_switch(space);
	assert_int_not_equal(fake_counts(1)->fence_i, 0);
	fake_hart_enter(0);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(reading_untouched_memory_maps_the_zero_frame),
	UNIT_TEST(writing_untouched_memory_gives_a_clear_page),
	UNIT_TEST(permissions),
	UNIT_TEST(past_the_end_of_an_object),
	UNIT_TEST(no_memory),
	UNIT_TEST(a_spurious_fault_is_answered_by_a_fence),
	UNIT_TEST(harts_that_trap_on_a_and_d),
	UNIT_TEST(mapping_code_syncs_instruction_fetches),
};

UNIT_MAIN("fault", tests)
