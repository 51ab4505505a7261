/*
 * Allocations that fail on demand. Contract: fail.h. There is one thread at a time whose allocations do.
 * Locks: none. Who sets it up is that thread itself, or waits for it; a count that goes wrong by one on another hart is no harm.
 */
#include "lib/fail.h"

#include "lib/atomic.h"
#include "lib/types.h"

/* All relaxed: see above. */
static struct {
	_Atomic uint64_t stack, stack_end; /* the thread's; 0: of none */
	_Atomic uint64_t nth, only;
	_Atomic bool and_on;
	_Atomic uint64_t calls, failed, site;
	_Atomic uint64_t each, each_only, all;
} fail;

static uint64_t get(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void set(_Atomic uint64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static bool counts(const _Atomic uint64_t *only, uint64_t site)
{
	uint64_t wanted = get(only);

	return wanted == 0 || wanted == site;
}

static bool fails_anyway(uint64_t site)
{
	uint64_t each = get(&fail.each);

	return each != 0 && counts(&fail.each_only, site) &&
	       atomic_fetch_add_explicit(&fail.all, 1, memory_order_relaxed) % each == each - 1;
}

bool fail_here(uint64_t site)
{
	uint64_t at = (uint64_t)__builtin_frame_address(0), nth = get(&fail.nth), calls;

	if (UNLIKELY(fails_anyway(site)))
		return true;
	if (LIKELY(at >= get(&fail.stack_end) || at < get(&fail.stack) || !counts(&fail.only, site)))
		return false;
	calls = get(&fail.calls) + 1;
	set(&fail.calls, calls);
	if (calls != nth && (calls < nth || !atomic_load_explicit(&fail.and_on, memory_order_relaxed)))
		return false;
	if (get(&fail.failed) == 0)
		set(&fail.site, site);
	set(&fail.failed, get(&fail.failed) + 1);
	return true;
}

void fail_thread(uint64_t stack, uint64_t stack_end, const struct fail_when *when)
{
	if (when->nth == 0) {
		set(&fail.stack_end, 0);
		return;
	}
	set(&fail.calls, 0);
	set(&fail.failed, 0);
	set(&fail.site, 0);
	set(&fail.nth, when->nth);
	set(&fail.only, when->site);
	atomic_store_explicit(&fail.and_on, when->and_on, memory_order_relaxed);
	set(&fail.stack, stack);
	set(&fail.stack_end, stack_end);
}

void fail_forget(uint64_t stack_end)
{
	if (get(&fail.stack_end) == stack_end)
		set(&fail.stack_end, 0);
}

void fail_each(const struct fail_when *when)
{
	set(&fail.each_only, when->site);
	set(&fail.each, when->nth);
}

struct fail_seen fail_seen(void)
{
	return (struct fail_seen){ get(&fail.calls), get(&fail.failed), get(&fail.site) };
}
