/*
 * Each allocation of each operation fails in turn: the error is -ENOMEM (or a fault for want of memory), the audit is
 * clean, what a program sees is what it was, and done again with memory it works. At the end nothing is lost.
 */
#include "tests/unit/model_ops.h"

static void every_allocation_in_turn(void **state)
{
	unsigned failures = 0;

	(void)state;
	fake_start(&(struct fake_config){ .harts = 2, .asid_bits = 16 });
	(void)unit_seed();
	model_start();
	for (unsigned step = 0; step < unit_steps(8000); step++) {
		failures += model_step_oom();
		if (step % 300 == 299)
			for (unsigned i = 0; i < MODEL_SPACES; i++)
				if (model.space[i].space != NULL)
					model_compare(&model.space[i]);
	}
	printf("%u failures\n", failures);
	assert_true(failures > unit_steps(8000) / 20);
	model_end();
}

/* No frame left at all, for real: writes say so, and after something is unmapped they go on. */
static void memory_is_exhausted(void **state)
{
	uint64_t total, page = 0;
	struct space *space;
	vaddr_t at;

	(void)state;
	fake_start(&(struct fake_config){ .harts = 2, .asid_bits = 16, .bytes = UINT64_C(8) << 20 });
	slab_drain();
	total = frames_free();
	space = unit_space();
	at = unit_map(space, 0x10000000, total + 100, PERM_R | PERM_W);
	while (fake_store(VADDR(at.v + PAGES(page)), page) == FAULT_OK)
		page++;
	assert_in_range(page, total - 32, total);
	assert_int_equal(fake_store(VADDR(at.v + PAGES(page)), 1), FAULT_OOM);
	assert_int_equal(user_write(space, VADDR(at.v + PAGES(page)), &page, 8), -ENOMEM);
	unit_audit();
	assert_int_equal(space_discard(space, at, PAGES(10)), 0);
	for (unsigned i = 0; i < 5; i++)
		unit_store(VADDR(at.v + PAGES(page + i)), 7);
	for (uint64_t i = 10; i < page; i += 37)
		assert_int_equal(unit_load(VADDR(at.v + PAGES(i))), i);
	unit_drop(space);
	slab_drain();
	assert_int_equal(frames_free(), total);
}

/* Exit never allocates. */
static void exit_without_memory(void **state)
{
	struct space *space, *child;
	uint64_t total;

	(void)state;
	fake_start(&(struct fake_config){ .harts = 2, .asid_bits = 16 });
	slab_drain();
	total = frames_free();
	space = unit_space();
	(void)unit_map(space, 0x10000000, 3000, PERM_R | PERM_W);
	for (uint64_t i = 0; i < 3000; i += 7)
		unit_store(VADDR(0x10000000 + PAGES(i)), i);
	assert_int_equal(space_fork(space, &child), 0);
	fake_fail_at(1, true);
	unit_drop(space);
	unit_drop(child);
	assert_false(fake_fail_hit());
	fake_fail_at(0, false);
	unit_audit();
	slab_drain();
	assert_int_equal(frames_free(), total);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(every_allocation_in_turn),
	UNIT_TEST(memory_is_exhausted),
	UNIT_TEST(exit_without_memory),
};

UNIT_MAIN_SHARING("oom", tests)
