/*
 * Shootdown with real TLBs: harts read a user page through their translations (sstatus.SUM) while others replace the
 * frame behind it by breaking copy-on-write. The page is always present and readable, so that no access faults.
 */
#include <stdatomic.h>

#include "mm/space.h"
#include "tests/kernel/ktest.h"

#define AT	    UINT64_C(0x3ffff000) /* the last page below 1 GiB: its neighbour has other tables */
#define PAGES	    2
#define RW	    (PERM_R | PERM_W)
#define SSTATUS_SUM (UINT64_C(1) << 18)

static struct space *space;
static _Atomic uint64_t written[PAGES]; /* the least that a reader may see now */
static _Atomic unsigned writers;

/* User memory through this hart's own translations; for the whole test, because QEMU drops its TLB when SUM changes. */
static void user_access(bool on)
{
	if (on)
		__asm__ volatile("csrs sstatus, %0" : : "r"(SSTATUS_SUM) : "memory");
	else
		__asm__ volatile("csrc sstatus, %0" : : "r"(SSTATUS_SUM) : "memory");
}

static uint64_t load_user(uint64_t va)
{
	uint64_t value;

	__asm__ volatile("ld %0, (%1)" : "=r"(value) : "r"(va) : "memory");
	return value;
}

static bool start(void)
{
	vaddr_t at = VADDR(AT);
	uint64_t zero = 0;

	if (space_create(&space) != 0)
		return false;
	KT_CHECK(space_map(space, PLACE_FIXED, &at, PAGES * PAGE_SIZE, RW, mapping_anon(MAPPING_FORK_COPY)) == 0);
	for (unsigned i = 0; i < PAGES; i++) {
		KT_CHECK(user_write(space, VADDR(AT + i * PAGE_SIZE), &zero, 8) == 0);
		written[i] = 0;
	}
	return true;
}

/* Fork makes the pages read-only, the write breaks that: a new frame, and the old one is freed with the child. */
static void replace_frames(void)
{
	for (uint64_t step = 1; ktest_more(step, 150); step++) {
		struct space *child;

		KT_CHECK(space_fork(space, &child) == 0);
		for (unsigned i = 0; i < PAGES; i++) {
			KT_CHECK(user_write(space, VADDR(AT + i * PAGE_SIZE), &step, 8) == 0);
			written[i] = step;
		}
		space_put(child);
	}
	atomic_fetch_sub(&writers, 1);
}

static void read_frames(void)
{
	while (atomic_load(&writers) != 0) {
		for (unsigned i = 0; i < PAGES; i++) {
			uint64_t least = written[i];

			KT_CHECK(load_user(AT + i * PAGE_SIZE) >= least);
		}
		hw_relax();
	}
}

static void replace_body(unsigned index)
{
	space_switch(space);
	ktest_barrier();
	user_access(true);
	if (index == 0)
		replace_frames();
	else
		read_frames();
	user_access(false);
}

static void readers_see_the_new_frame(void)
{
	if (!start())
		return;
	writers = 1;
	ktest_on_all(replace_body);
	space_put(space);
}

/* Everybody shoots at everybody, about a space that all are in. */
static void storm_body(unsigned index)
{
	vaddr_t at = VADDR(AT + (1 + index) * PAGES * PAGE_SIZE);

	space_switch(space);
	ktest_barrier();
	user_access(true);
	for (uint64_t step = 0; ktest_more(step, 100); step++) {
		uint64_t value = step + 1, back = 0;

		KT_CHECK(space_map(space, PLACE_FIXED, &at, PAGES * PAGE_SIZE, RW, mapping_anon(MAPPING_FORK_COPY)) ==
			 0);
		KT_CHECK(user_write(space, at, &value, 8) == 0);
		KT_CHECK(load_user(at.v) == value);
		KT_CHECK(space_protect(space, at, PAGES * PAGE_SIZE, PERM_R) == 0);
		KT_CHECK(user_write(space, at, &value, 8) < 0);
		KT_CHECK(user_read(space, &back, at, 8) == 0 && back == value);
		KT_CHECK(space_unmap(space, at, PAGES * PAGE_SIZE) == 0);
	}
	user_access(false);
}

static void shootdown_storm(void)
{
	if (!start())
		return;
	ktest_on_all(storm_body);
	space_put(space);
}

/* Own spaces that come and go, with ASIDs used again, each hart in its own. */
static void spaces_body(unsigned index)
{
	ktest_barrier();
	user_access(true);
	for (uint64_t step = 0; ktest_more(step, 60); step++) {
		uint64_t value = step * 64 + index, zero = 0;
		vaddr_t at = VADDR(AT);
		struct space *own, *child;

		KT_CHECK(space_create(&own) == 0);
		space_switch(own);
		KT_CHECK(space_map(own, PLACE_FIXED, &at, PAGE_SIZE, RW, mapping_anon(MAPPING_FORK_COPY)) == 0);
		KT_CHECK(user_write(own, at, &value, 8) == 0);
		KT_CHECK(load_user(AT) == value);
		KT_CHECK(space_fork(own, &child) == 0);
		KT_CHECK(user_write(own, at, &zero, 8) == 0);
		KT_CHECK(load_user(AT) == 0);
		space_switch(child);
		KT_CHECK(load_user(AT) == value);
		space_put(own);
		KT_CHECK(load_user(AT) == value);
		space_switch(NULL);
		space_put(child);
	}
	user_access(false);
}

static void spaces_come_and_go(void)
{
	ktest_on_all(spaces_body);
}

/* Nobody else runs the space: no hart is asked. Another does: it is, and is counted. */
static _Atomic unsigned resident;

static void stay_body(unsigned index)
{
	uint64_t before, asked, value = 1;

	if (index == 1) {
		space_switch(space);
		atomic_store(&resident, 1);
		while (atomic_load(&resident) == 1)
			hw_relax();
		return;
	}
	if (index != 0)
		return;
	while (ktest_harts() > 1 && atomic_load(&resident) == 0)
		hw_relax();
	before = mm_counter_sum(MM_IPIS) + mm_counter_sum(MM_REMOTE_FENCES);
	KT_CHECK(space_protect(space, VADDR(AT), PAGE_SIZE, PERM_R) == 0);
	asked = mm_counter_sum(MM_IPIS) + mm_counter_sum(MM_REMOTE_FENCES) - before;
	KT_CHECK(asked == (ktest_harts() > 1 ? 1 : 0));
	atomic_store(&resident, 2);
	KT_CHECK(space_protect(space, VADDR(AT), PAGE_SIZE, RW) == 0);
	KT_CHECK(user_write(space, VADDR(AT), &value, 8) == 0);
}

static void fences_are_counted(void)
{
	if (!start())
		return;
	resident = 0;
	ktest_on_all(stay_body);
	space_put(space);
}

static const struct ktest tests[] = {
	{ "readers_see_the_new_frame", readers_see_the_new_frame },
	{ "shootdown_storm", shootdown_storm },
	{ "spaces_come_and_go", spaces_come_and_go },
	{ "fences_are_counted", fences_are_counted },
};

KTEST_SUITE(ktest_shootdown, tests);
