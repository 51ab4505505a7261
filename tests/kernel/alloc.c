/* Frames and small objects from all harts at once. */
#include <stdatomic.h>
#include <string.h>

#include "mm/coremap.h"
#include "mm/slab.h"
#include "tests/kernel/ktest.h"

#define HELD	 64
#define EXCHANGE 128
#define STEPS	 4000

static void frames_body(unsigned index)
{
	pfn_t held[HELD];
	unsigned n = 0;

	ktest_barrier();
	for (unsigned step = 0; step < STEPS; step++) {
		if (n < HELD && ktest_below(2) == 0) {
			uint64_t *data;

			if (frame_alloc_zeroed(FRAME_KERNEL, &held[n]) != 0) {
				KT_FAIL("no memory");
				continue;
			}
			data = frame_data(held[n]);
			KT_CHECK(data[0] == 0 && data[511] == 0);
			data[0] = held[n].v * 64 + index;
			data[511] = ~data[0];
			n++;
		} else if (n != 0) {
			unsigned i = (unsigned)ktest_below(n);
			uint64_t *data = frame_data(held[i]);

			KT_CHECK(data[0] == held[i].v * 64 + index && data[511] == ~data[0]);
			frame_put(held[i]);
			held[i] = held[--n];
		}
		if (step % 64 == 0)
			hw_relax();
	}
	while (n != 0)
		frame_put(held[--n]);
}

static void frame_storm(void)
{
	ktest_on_all(frames_body);
}

static void blocks_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned step = 0; step < 300; step++) {
		unsigned order = (unsigned)ktest_below(7);
		pfn_t pfn;

		if (frame_alloc_block(FRAME_KERNEL, order, &pfn) != 0) {
			KT_FAIL("no memory");
			continue;
		}
		KT_CHECK((pfn.v & ((UINT64_C(1) << order) - 1)) == 0);
		for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
			*(uint64_t *)frame_data(PFN(pfn.v + i)) = pfn.v + i;
		hw_relax();
		for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
			KT_CHECK(*(uint64_t *)frame_data(PFN(pfn.v + i)) == pfn.v + i);
		frame_put(pfn);
	}
}

static void block_storm(void)
{
	ktest_on_all(blocks_body);
}

static _Atomic(uintptr_t) exchange[EXCHANGE];

/* Objects freed by other harts than those that allocated them. */
static void slab_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned step = 0; step < STEPS; step++) {
		size_t bytes = 16 + ktest_below(ktest_below(8) == 0 ? 9000 : 1000);
		uintptr_t *object = kalloc(bytes);

		if (object == NULL) {
			KT_FAIL("no memory");
			continue;
		}
		KT_CHECK(object[0] == 0 && object[1] == 0);
		object[0] = object[1] = (uintptr_t)object;
		object = (uintptr_t *)atomic_exchange(&exchange[ktest_below(EXCHANGE)], (uintptr_t)object);
		KT_CHECK(object == NULL || (object[0] == (uintptr_t)object && object[1] == object[0]));
		kfree(object);
		if (step % 64 == 0)
			hw_relax();
	}
}

static void slab_storm(void)
{
	ktest_on_all(slab_body);
	for (unsigned i = 0; i < EXCHANGE; i++) {
		kfree((void *)exchange[i]);
		exchange[i] = 0;
	}
}

static pfn_t shared;

/* Counts of one frame from all harts: never lost, never freed early. */
static void count_body(unsigned index)
{
	(void)index;
	ktest_barrier();
	for (unsigned step = 0; step < STEPS; step++) {
		KT_CHECK(frame_get(shared));
		KT_CHECK(frame_of(shared)->kind == FRAME_KERNEL);
		frame_put(shared);
	}
}

static void count_storm(void)
{
	if (frame_alloc(FRAME_KERNEL, &shared) != 0) {
		KT_FAIL("no memory");
		return;
	}
	ktest_on_all(count_body);
	KT_CHECK(frame_is_sole(shared));
	frame_put(shared);
	KT_CHECK(frame_of(shared)->kind == FRAME_FREE);
}

static const struct ktest tests[] = {
	{ "frame_storm", frame_storm },
	{ "block_storm", block_storm },
	{ "slab_storm", slab_storm },
	{ "count_storm", count_storm },
};

KTEST_SUITE(ktest_alloc, tests);
