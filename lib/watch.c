/*
 * Waits for other harts, watched. Contract: watch.h. What each hart waits for is written by itself alone; relaxed, as whoever reads it
 * wants a hint.
 */
#include "lib/watch.h"

static struct {
	uint64_t bound; /* in ticks */
	void (*report)(const struct watch *watch, uint64_t ticks);
} watching;

static struct {
	_Atomic uint32_t what;
	const void *_Atomic object;
	_Atomic uint64_t detail;
} CACHE_ALIGNED waits[HW_MAX_HARTS];

void watch_init(uint64_t bound_ticks, void (*report)(const struct watch *watch, uint64_t ticks))
{
	watching.report = report;
	watching.bound = bound_ticks;
}

struct watch_seen watch_of(unsigned hart)
{
	return (struct watch_seen){
		.what = (enum watch_for)atomic_load_explicit(&waits[hart].what, memory_order_relaxed),
		.object = atomic_load_explicit(&waits[hart].object, memory_order_relaxed),
		.detail = atomic_load_explicit(&waits[hart].detail, memory_order_relaxed),
	};
}

static void say(unsigned hart, enum watch_for what, const void *object, uint64_t detail)
{
	atomic_store_explicit(&waits[hart].object, object, memory_order_relaxed);
	atomic_store_explicit(&waits[hart].detail, detail, memory_order_relaxed);
	atomic_store_explicit(&waits[hart].what, what, memory_order_relaxed);
}

void watch_look(struct watch *watch)
{
	uint64_t now;

	if (watching.bound == 0)
		return;
	now = hw_ticks();
	if (watch->since == 0) {
		watch->since = MAX(now, 1U);
		say(hw_hart(), watch->what, watch->object, watch->detail);
		return;
	}
	if (now - watch->since < watching.bound * (watch->reports + 1))
		return;
	watch->reports++;
	watching.report(watch, now - watch->since);
}

void watch_over(struct watch *watch)
{
	say(hw_hart(), WATCH_NOTHING, NULL, 0);
	if (watch->reports != 0) {
		watch->what = WATCH_NOTHING;
		watching.report(watch, hw_ticks() - watch->since);
	}
}
