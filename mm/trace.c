/*
 * The rings. Memory order: a hart fills a record behind a fence, then counts it (release); a reader reads the count (acquire), copies the
 * record, and looks at the count again behind a fence: what the hart may have begun to write over since is thrown away. Both fences are
 * needed: the hart's stores of a record may pass its store of the count before, and the reader's loads each other. Model: ring.
 */
#include "mm/trace.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define WORDS (sizeof(struct trace_record) / sizeof(uint64_t))

union words {
	struct trace_record record;
	uint64_t word[WORDS];
};

struct ring {
	_Atomic uint64_t written CACHE_ALIGNED;
	_Atomic uint64_t (*record)[WORDS];
};

static struct {
	struct ring *ring; /* of each hart */
	uint64_t records;
} trace;

unsigned trace_wanted;

int trace_start(unsigned wanted, uint64_t records)
{
	trace.ring = kalloc(hw_harts() * sizeof(struct ring));
	if (trace.ring == NULL)
		return -ENOMEM;
	trace.records = records;
	for (unsigned h = 0; h < hw_harts(); h++) {
		trace.ring[h].record = kalloc(records * sizeof(union words));
		if (trace.ring[h].record == NULL)
			return -ENOMEM;
	}
	trace_wanted = wanted;
	return 0;
}

void trace_put(const struct trace_record *record)
{
	struct ring *ring = &trace.ring[hw_hart()];
	union words now = { .record = *record };
	uint64_t n = atomic_load_explicit(&ring->written, memory_order_relaxed);
	_Atomic uint64_t *to = ring->record[n % trace.records];

	now.record.end = hw_ticks();
	/* release: who copies a word of what follows finds at its second look that n were written; pairs with the fence in trace_get */
	atomic_thread_fence(memory_order_release);
	/* relaxed: between the fence and the release */
	for (unsigned i = 0; i < WORDS; i++)
		store_relaxed_u64(&to[i], now.word[i]);
	/* release: pairs with the acquire in trace_written */
	store_release_u64(&ring->written, n + 1);
}

uint64_t trace_written(unsigned hart)
{
	/* acquire: pairs with the release in trace_put */
	return trace.ring == NULL ? 0 : atomic_load_explicit(&trace.ring[hart].written, memory_order_acquire);
}

uint64_t trace_records(void)
{
	return trace.records;
}

bool trace_get(unsigned hart, uint64_t n, struct trace_record *out)
{
	const _Atomic uint64_t *from;
	union words copy;

	if (n >= trace_written(hart))
		return false;
	from = trace.ring[hart].record[n % trace.records];
	/* relaxed: behind the acquire in trace_written, before the fence */
	for (unsigned i = 0; i < WORDS; i++)
		copy.word[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	*out = copy.record;
	/* acquire: the copy before the second look; pairs with the fence in trace_put. Record n goes once n + records are counted. */
	atomic_thread_fence(memory_order_acquire);
	return trace_written(hart) < n + trace.records;
}
