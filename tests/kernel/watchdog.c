/*
 * The watchdog: what a hart waits for in vain is said, and it goes on when the other does. `dies`, with the boot argument watchdog=1 alone: the
 * machine ends. test_kernel.py looks at the lines.
 */
#include "kernel/watchdog.h"

#include <stdatomic.h>
#include <string.h>

#include "firmware/boot.h"
#include "firmware/trap.h"
#include "lib/lock.h"
#include "mm/space.h"
#include "tests/kernel/ktest.h"

#define BOUND_NS UINT64_C(200000000)
#define AT	 UINT64_C(0x10000)

static struct spinlock lock;
static struct space *space;
static bool serves, watched, forever;
static _Atomic bool busy;
static uint64_t reports_before;

/* For as long as a report takes, however slow the emulated hart that makes it; not for ever, but where that is wanted. */
static void be_busy(void)
{
	uint64_t from = time_ns();

	atomic_store(&busy, true);
	while (forever || time_ns() - from < 2 * BOUND_NS ||
	       (watched && watchdog_reports() == reports_before && time_ns() - from < 100 * BOUND_NS))
		if (serves)
			hw_relax();
}

static void lock_body(unsigned index)
{
	if (index == 1)
		spin_lock(&lock, RANK_SLAB);
	ktest_barrier();
	if (index == 0)
		spin_lock(&lock, RANK_SLAB);
	if (index == 1)
		be_busy();
	if (index < 2)
		spin_unlock(&lock, RANK_SLAB);
}

static void shootdown_body(unsigned index)
{
	space_switch(space);
	ktest_barrier();
	/* Not before the other has left the barrier, in which it would answer. */
	while (index == 0 && !atomic_load(&busy))
		hw_relax();
	if (index == 0)
		KT_CHECK(space_unmap(space, VADDR(AT), PAGE_SIZE) == 0);
	if (index == 1)
		be_busy();
}

/* How many waits are reported while fn runs on all harts. */
static uint64_t reports(void (*fn)(unsigned index))
{
	reports_before = watchdog_reports();
	busy = false;
	watchdog_set(BOUND_NS, 0);
	ktest_on_all(fn);
	watchdog_init(boot_arg("watchdog"));
	return watchdog_reports() - reports_before;
}

static void held_lock(void)
{
	spin_init(&lock);
	if (ktest_harts() < 2)
		return;
	watched = true;
	serves = false;
	KT_CHECK(reports(lock_body) >= 1);
	serves = true;
	KT_CHECK(reports(lock_body) >= 1);
	KT_CHECK(!spin_is_held(&lock));
}

static void shootdown(void)
{
	const char *tlb = boot_arg("tlb");
	vaddr_t at = VADDR(AT);
	uint64_t value = 1;

	if (ktest_harts() < 2)
		return;
	if (space_create(&space) != 0) {
		KT_FAIL("no memory");
		return;
	}
	KT_CHECK(space_map(space, PLACE_FIXED, &at, PAGE_SIZE, PERM_R | PERM_W, mapping_anon(MAPPING_FORK_COPY)) == 0);
	KT_CHECK(user_write(space, at, &value, 8) == 0);
	serves = false;
	/* The firmware's own waits nobody watches. */
	watched = tlb == NULL || strcmp(tlb, "rfence") != 0;
	KT_CHECK(reports(shootdown_body) >= watched);
	space_put(space);
}

static void dies(void)
{
	spin_init(&lock);
	serves = false;
	forever = true;
	if (boot_arg("watchdog") != NULL && ktest_harts() > 1)
		ktest_on_all(lock_body);
	forever = false;
}

static void miss_body(unsigned index)
{
	if (index != 1)
		ktest_barrier();
}

/* With the boot argument limit=1 alone: the machine ends. */
static void stands_still(void)
{
	if (boot_arg("limit") != NULL && ktest_harts() > 1)
		ktest_on_all(miss_body);
}

static const struct ktest tests[] = {
	{ "held_lock", held_lock },
	{ "shootdown", shootdown },
	{ "dies", dies },
	{ "stands_still", stands_still },
};

KTEST_SUITE(ktest_watchdog, tests);
