/* Faults, copies and forks by the kernel's own access to user memory, from all harts in one space. */
#include <stdatomic.h>

#include "mm/object.h"
#include "mm/space.h"
#include "tests/kernel/ktest.h"

#define AT    UINT64_C(0x3ffe0000)
#define PAGES 64
#define RW    (PERM_R | PERM_W)

static struct space *space;

static vaddr_t slot(unsigned page, unsigned index)
{
	return VADDR(AT + page * PAGE_SIZE + index * 64);
}

/* Own words on common pages, while the space is forked: every word stays, and every child is a snapshot of ours. */
static void slots_body(unsigned index)
{
	space_switch(space);
	ktest_barrier();
	for (uint64_t round = 1; ktest_more(round, 13); round++) {
		struct space *child;
		uint64_t value;

		for (unsigned page = 0; page < PAGES; page++) {
			KT_CHECK(user_read(space, &value, slot(page, index), 8) == 0 && value == round - 1);
			KT_CHECK(user_write(space, slot(page, index), &round, 8) == 0);
		}
		KT_CHECK(space_fork(space, &child) == 0);
		for (unsigned page = 0; page < PAGES; page++) {
			uint64_t other = UINT64_C(0xbad);

			KT_CHECK(user_read(child, &value, slot(page, index), 8) == 0 && value == round);
			KT_CHECK(user_write(child, slot(page, index), &other, 8) == 0);
		}
		space_put(child);
		hw_relax();
	}
}

static void faults_and_forks(void)
{
	vaddr_t at = VADDR(AT);

	if (space_create(&space) != 0) {
		KT_FAIL("no memory");
		return;
	}
	KT_CHECK(space_map(space, PLACE_FIXED, &at, PAGES * PAGE_SIZE, RW, mapping_anon(MAPPING_FORK_COPY)) == 0);
	ktest_on_all(slots_body);
	space_put(space);
}

/* A shared object, mapped by a space a hart: all see each other's words. */
static struct object *object;
static _Atomic uint64_t said[HW_MAX_HARTS];

static void object_body(unsigned index)
{
	struct space *own;
	vaddr_t at = VADDR(AT);

	KT_CHECK(space_create(&own) == 0);
	KT_CHECK(space_map_object(own, PLACE_FIXED, &at, PAGES * PAGE_SIZE, RW, RW, object, 0, true) == 0);
	space_switch(own);
	ktest_barrier();
	for (uint64_t step = 1; step <= 300; step++) {
		unsigned other = (unsigned)ktest_below(ktest_harts());
		uint64_t least = said[other], value = 0;

		KT_CHECK(user_write(own, slot(index, 1), &step, 8) == 0);
		said[index] = step;
		KT_CHECK(user_read(own, &value, slot(other, 1), 8) == 0 && value >= least);
		if (step % 16 == 0)
			KT_CHECK(space_discard(own, at, PAGES * PAGE_SIZE) == 0);
		hw_relax();
	}
	space_switch(NULL);
	space_put(own);
}

static void shared_object(void)
{
	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		said[i] = 0;
	if (object_create(PAGES * PAGE_SIZE, NULL, 0, &object) != 0) {
		KT_FAIL("no memory");
		return;
	}
	ktest_on_all(object_body);
	object_put(object);
}

static const struct ktest tests[] = {
	{ "faults_and_forks", faults_and_forks },
	{ "shared_object", shared_object },
};

KTEST_SUITE(ktest_user, tests);
