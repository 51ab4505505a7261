/* Walks by software through tables that other harts unlink and free. */
#include <stdatomic.h>

#include "lib/errno.h"
#include "mm/space.h"
#include "tests/kernel/ktest.h"

#define AT    UINT64_C(0x40000000)
#define BYTES (UINT64_C(4) << 20) /* two leaf tables */

static struct space *space;
static _Atomic unsigned busy;

static void unlink_tables(void)
{
	for (unsigned step = 0; ktest_more(step, 150); step++) {
		vaddr_t at = VADDR(AT);
		uint64_t value = step;

		KT_CHECK(space_map(space, PLACE_FIXED, &at, BYTES, PERM_R | PERM_W, mapping_anon(MAPPING_FORK_COPY)) ==
			 0);
		for (unsigned i = 0; i < 4; i++)
			KT_CHECK(user_write(space, VADDR(AT + ktest_below(BYTES / PAGE_SIZE) * PAGE_SIZE), &value, 8) ==
				 0);
		if (step % 3 == 0)
			KT_CHECK(space_discard(space, at, BYTES) == 0);
		KT_CHECK(space_unmap(space, at, BYTES) == 0);
	}
	atomic_store(&busy, 0);
}

/* From outside of the space: no shootdown waits for these harts, only the epochs do. */
static void walk_tables(void)
{
	while (atomic_load(&busy) != 0) {
		vaddr_t at = VADDR(AT + ktest_below(BYTES / PAGE_SIZE) * PAGE_SIZE);
		struct space_region region;
		uint64_t value = 0;
		int error = user_read(space, &value, at, 8);

		KT_CHECK(error == 0 || error == -EFAULT);
		KT_CHECK(value < 150);
		error = user_write(space, VADDR(at.v + 8), &value, 8);
		KT_CHECK(error == 0 || error == -EFAULT);
		if (ktest_below(4) == 0)
			(void)space_next_region(space, at, &region);
		hw_relax();
	}
}

static void epoch_body(unsigned index)
{
	ktest_barrier();
	if (index == 0)
		unlink_tables();
	else
		walk_tables();
}

static void walkers_and_unlinkers(void)
{
	if (space_create(&space) != 0) {
		KT_FAIL("no memory");
		return;
	}
	busy = 1;
	ktest_on_all(epoch_body);
	space_put(space);
}

static const struct ktest tests[] = {
	{ "walkers_and_unlinkers", walkers_and_unlinkers },
};

KTEST_SUITE(ktest_epoch, tests);
