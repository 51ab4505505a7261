/* Harts as threads. See threads.h. */
#define _GNU_SOURCE
#include "tests/unit/threads.h"

#include <pthread.h>

struct space *common;
static uint64_t free_before, seed;
_Atomic unsigned running;
static void (*body)(unsigned hart);

static void *thread_main(void *arg)
{
	unsigned hart = (unsigned)(uintptr_t)arg;

	fake_seed(seed * 31 + hart);
	fake_hart_enter(hart);
	fake_nervous();
	space_switch(common);
	body(hart);
	atomic_fetch_sub(&running, 1);
	space_switch(NULL);
	fake_hart_leave();
	return NULL;
}

void start(const struct fake_config *config)
{
	fake_start(config);
	seed = unit_seed();
	fake_max_faults = 100000;
	slab_drain();
	free_before = frames_free();
	common = unit_space();
	space_switch(NULL);
}

void run(void (*fn)(unsigned hart))
{
	pthread_t thread[HARTS];

	body = fn;
	running = HARTS;
	fake_hart_leave();
	for (unsigned i = 0; i < HARTS; i++)
		pthread_create(&thread[i], NULL, thread_main, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < HARTS; i++)
		pthread_join(thread[i], NULL);
	fake_hart_enter(0);
	unit_audit();
}

void end(void)
{
	unit_drop(common);
	unit_audit();
	slab_drain();
	coremap_drain();
	assert_int_equal(frames_free(), free_before);
}

const struct fake_config by_ipi = { .harts = HARTS, .asid_bits = 16 };
const struct fake_config by_rfence = { .harts = HARTS, .asid_bits = 16, .rfence = true };
const struct fake_config no_asid = { .harts = HARTS, .asid_bits = 0, .svade = true };
const struct fake_config few_asids = { .harts = HARTS, .asid_bits = 3 };

void must_store(vaddr_t va, uint64_t value)
{
	enum fault fault = fake_store(va, value);

	if (fault != FAULT_OK)
		fake_fail("store to %#llx: fault %u", (unsigned long long)va.v, fault);
}

uint64_t must_load(vaddr_t va)
{
	uint64_t value = 0;
	enum fault fault = fake_load(va, &value);

	if (fault != FAULT_OK)
		fake_fail("load from %#llx: fault %u", (unsigned long long)va.v, fault);
	return value;
}

vaddr_t slot_va(unsigned page, unsigned hart)
{
	return VADDR(BASE + PAGES(page) + 64 * hart);
}
