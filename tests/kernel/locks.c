/* Spin locks: exclusion under contention, and no hart that waits for one keeps a shootdown waiting. */
#include <stdatomic.h>

#include "lib/lock.h"
#include "mm/space.h"
#include "tests/kernel/ktest.h"

#define ROUNDS 3000

static struct spinlock lock;
static uint64_t plain, spoilt;

static void count_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned i = 0; i < ROUNDS; i++) {
		spin_lock(&lock, RANK_SLAB);
		uint64_t seen = plain;
		if (i % 50 == 0)
			hw_relax();
		plain = seen + 1;
		spoilt += plain != seen + 1;
		spin_unlock(&lock, RANK_SLAB);
	}
}

static void contention(void)
{
	spin_init(&lock);
	plain = spoilt = 0;
	ktest_on_all(count_body);
	KT_CHECK(plain == (uint64_t)ROUNDS * ktest_harts());
	KT_CHECK(spoilt == 0);
	KT_CHECK(!spin_is_held(&lock));
}

static void try_body(unsigned index)
{
	unsigned got = 0;

	(void)index;
	ktest_barrier();
	while (got < 500) {
		if (!spin_trylock(&lock, RANK_SLAB)) {
			hw_relax();
			continue;
		}
		plain++;
		got++;
		spin_unlock(&lock, RANK_SLAB);
	}
}

static void trylock(void)
{
	spin_init(&lock);
	plain = 0;
	ktest_on_all(try_body);
	KT_CHECK(plain == UINT64_C(500) * ktest_harts());
}

/* One hart holds the lock and shoots down a space that all the others, who wait for the lock, are in. */
static struct space *space;

static void wait_body(unsigned index)
{
	vaddr_t at = VADDR(0x10000 + index * 0x10000);
	uint64_t value = 1;

	space_switch(space);
	ktest_barrier();
	for (unsigned i = 0; ktest_more(i, 40); i++) {
		/* An outer rank, so that mm's own locks may be taken under it. */
		spin_lock(&lock, RANK_PROCESS);
		KT_CHECK(space_map(space, PLACE_FIXED, &at, PAGE_SIZE, PERM_R | PERM_W,
				   mapping_anon(MAPPING_FORK_COPY)) == 0);
		KT_CHECK(user_write(space, at, &value, 8) == 0);
		KT_CHECK(space_unmap(space, at, PAGE_SIZE) == 0);
		spin_unlock(&lock, RANK_PROCESS);
	}
}

static void waiters_serve(void)
{
	spin_init(&lock);
	if (space_create(&space) != 0) {
		KT_FAIL("no memory");
		return;
	}
	ktest_on_all(wait_body);
	space_put(space);
}

static const struct ktest tests[] = {
	{ "contention", contention },
	{ "trylock", trylock },
	{ "waiters_serve", waiters_serve },
};

KTEST_SUITE(ktest_locks, tests);
