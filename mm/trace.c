/*
 * The rings. Memory order: a hart fills a record, then counts it (release); a reader reads the count (acquire), copies the record,
 * and looks at the count again: what the hart may have begun to write over since is thrown away.
 */
#include "mm/trace.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "mm/slab.h"

struct ring {
	_Atomic uint64_t written CACHE_ALIGNED;
	struct trace_record *record;
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
		trace.ring[h].record = kalloc(records * sizeof(struct trace_record));
		if (trace.ring[h].record == NULL)
			return -ENOMEM;
	}
	trace_wanted = wanted;
	return 0;
}

void trace_put(const struct trace_record *record)
{
	struct ring *ring = &trace.ring[hw_hart()];
	uint64_t n = atomic_load_explicit(&ring->written, memory_order_relaxed);
	struct trace_record *to = &ring->record[n % trace.records];

	*to = *record;
	to->end = hw_ticks();
	/* release: pairs with the acquire in trace_written */
	atomic_store_explicit(&ring->written, n + 1, memory_order_release);
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
	if (n >= trace_written(hart))
		return false;
	*out = trace.ring[hart].record[n % trace.records];
	/* The copy before the second look: the hart writes over record n once it has counted n + records. */
	atomic_thread_fence(memory_order_acquire);
	return trace_written(hart) < n + trace.records;
}
