/* Inter-hart interrupts: none is lost, from any hart to any, at any time. */
#include <stdatomic.h>

#include "kernel/sched.h"
#include "mm/space.h"
#include "tests/kernel/ktest.h"

/* All to all, with nothing to serve: harts survive being interrupted for nothing. */
static void storm_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned step = 0; step < 200; step++) {
		uint64_t others = sched_harts() & ~(UINT64_C(1) << hw_hart());

		if (others != 0)
			hw_send_ipi(ktest_below(2) == 0 ? others : others & -others);
		hw_relax();
	}
	ktest_barrier();
}

static void storm(void)
{
	ktest_on_all(storm_body);
}

/* Remote fences of both kinds return, and so do those to oneself among others. */
static void fences_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned step = 0; ktest_more(step, 30); step++) {
		uint64_t others = sched_harts() & ~(UINT64_C(1) << hw_hart());

		if (others != 0) {
			hw_remote_fence(others, VADDR(0x10000), ktest_below(2) * PAGE_SIZE, 1);
			hw_remote_fence_i(others);
		}
		hw_fence_asid(1);
		hw_fence_page(VADDR(0x10000), 1);
		hw_fence_i();
		hw_relax();
	}
	ktest_barrier();
}

static void remote_fences(void)
{
	ktest_on_all(fences_body);
}

/* Idle harts wake for an interrupt: a thread is put on each in turn, from one hart, again and again. */
static _Atomic unsigned woken;

static void note(void *arg)
{
	(void)arg;
	atomic_fetch_add(&woken, 1);
}

static void idle_harts_wake(void)
{
	unsigned started = 0;

	woken = 0;
	for (unsigned round = 0; round < 20; round++) {
		for (uint64_t left = sched_harts(); left != 0; left &= left - 1) {
			ktest_start(note, NULL, left & -left);
			started++;
		}
		ktest_wait();
		KT_CHECK(atomic_load(&woken) == started);
	}
}

static const struct ktest tests[] = {
	{ "storm", storm },
	{ "remote_fences", remote_fences },
	{ "idle_harts_wake", idle_harts_wake },
};

KTEST_SUITE(ktest_ipi, tests);
