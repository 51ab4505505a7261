/*
 * Allocations under a test's eye: linked with --wrap, each frame that is handed out gets a new generation (so that a
 * translation to what it was before can be told) and, where its contents are undefined, garbage; and the n-th
 * allocation can be made to fail.
 */
#include "tests/fakes/fake.h"
#include "mm/slab.h"

#include <stdlib.h>
#include <string.h>

int __real_frame_alloc(enum frame_kind kind, pfn_t *out);
int __real_frame_alloc_zeroed(enum frame_kind kind, pfn_t *out);
int __real_frame_alloc_block(enum frame_kind kind, unsigned order, pfn_t *out);
void *__real_kalloc(size_t bytes);
int __wrap_frame_alloc(enum frame_kind kind, pfn_t *out);
int __wrap_frame_alloc_zeroed(enum frame_kind kind, pfn_t *out);
int __wrap_frame_alloc_block(enum frame_kind kind, unsigned order, pfn_t *out);
void *__wrap_kalloc(size_t bytes);

static _Atomic uint32_t *generation;
static uint64_t first_frame;
static _Atomic int64_t fail_in; /* 0: no failure wanted; -1: all from now on */
static _Atomic bool fail_all;
static _Atomic bool fail_hit;

void fake_alloc_init(uint64_t frames, uint64_t first)
{
	generation = calloc(frames, sizeof(*generation));
	first_frame = first;
}

/* relaxed: a hart that sees the frame through a translation has synchronised by that already */
uint32_t fake_generation(pfn_t pfn)
{
	return atomic_load_explicit(&generation[pfn.v - first_frame], memory_order_relaxed);
}

static void handed_out(pfn_t pfn)
{
	atomic_fetch_add_explicit(&generation[pfn.v - first_frame], 1, memory_order_relaxed);
}

void fake_fail_at(uint64_t n, bool all)
{
	fail_all = all;
	fail_hit = false;
	fail_in = (int64_t)n;
}

bool fake_fail_hit(void)
{
	return fail_hit;
}

void (*fake_allocating)(void);

static bool fail_now(void)
{
	int64_t left;

	if (fake_allocating != NULL)
		fake_allocating();
	left = fail_in;
	if (left == 0)
		return false;
	if (left == -1 || (left = --fail_in) == 0) {
		fail_hit = true;
		fail_in = fail_all ? -1 : 0;
		return true;
	}
	return false;
}

int __wrap_frame_alloc(enum frame_kind kind, pfn_t *out)
{
	int error;

	if (fail_now())
		return -12;
	error = __real_frame_alloc(kind, out);
	if (error == 0) {
		handed_out(*out);
		memset(frame_data(*out), 0xa5, PAGE_SIZE);
	}
	return error;
}

int __wrap_frame_alloc_zeroed(enum frame_kind kind, pfn_t *out)
{
	int error;

	if (fail_now())
		return -12;
	error = __real_frame_alloc_zeroed(kind, out);
	if (error == 0)
		handed_out(*out);
	return error;
}

int __wrap_frame_alloc_block(enum frame_kind kind, unsigned order, pfn_t *out)
{
	int error;

	if (fail_now())
		return -12;
	error = __real_frame_alloc_block(kind, order, out);
	for (uint64_t i = 0; error == 0 && i < UINT64_C(1) << order; i++)
		handed_out(PFN(out->v + i));
	return error;
}

void *__wrap_kalloc(size_t bytes)
{
	return fail_now() ? NULL : __real_kalloc(bytes);
}
