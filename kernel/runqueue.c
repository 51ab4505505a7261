/*
 * Run queues: the ready threads of each hart, and on which hart a thread becomes ready.
 *
 * Invariants
 * - A thread on a ready list is not on a hart: its registers are saved and its stack is free to be switched to.
 * - queue->slicing says that the hart has been told that others wait for it; idle harts are always told.
 *
 * Races, and where they are prevented
 * - A hart goes idle while a thread is put on a busy hart's list: the hart first sets its bit in idle, then looks at all
 *   counts; the other first raises the count, then looks at idle. Both seq_cst, so one sees the other.
 * - Two wakers choose the same idle hart: it belongs to the one whose atomic and cleared its bit.
 *
 * Locks: one per run queue (RANK_RUNQUEUE), never two at once. There is no lock for all harts.
 */
#include "kernel/runqueue.h"

#include "kernel/sched.h"
#include "mm/slab.h"

struct runqueue *runqueues;

static struct {
	_Atomic uint64_t harts CACHE_ALIGNED; /* those with nothing to run */
} idle_set;

void runqueue_init(void)
{
	runqueues = kalloc(sizeof(struct runqueue) * hw_harts());
	CHECK(runqueues != NULL);
	for (unsigned i = 0; i < hw_harts(); i++) {
		spin_init(&runqueues[i].lock);
		list_init(&runqueues[i].ready);
		runqueues[i].current = &runqueues[i].idle;
	}
}

/* ---- Ready lists. */

static void push(unsigned hart, struct thread *thread)
{
	struct runqueue *queue = &runqueues[hart];
	bool tell;

	spin_lock(&queue->lock, RANK_RUNQUEUE);
	atomic_store_explicit(&thread->hart, hart, memory_order_relaxed);
	list_add_tail(&queue->ready, &thread->run_link);
	/* seq_cst: pairs with the look at counts of a hart that goes idle */
	atomic_fetch_add_explicit(&queue->count, 1, memory_order_seq_cst);
	tell = !queue->slicing || queue->current == &queue->idle;
	queue->slicing = true;
	/* relaxed: the lock keeps current alive; it looks at work when it is interrupted, after the IPI's order */
	if (tell)
		atomic_fetch_or_explicit(&queue->current->work, WORK_SLICE, memory_order_relaxed);
	spin_unlock(&queue->lock, RANK_RUNQUEUE);
	if (tell && hart != hw_hart())
		hw_send_ipi(UINT64_C(1) << hart);
}

/* The oldest thread of a queue that may run on one of these harts. */
static struct thread *take(struct runqueue *queue, uint64_t harts)
{
	struct thread *found = NULL;

	/* seq_cst: pairs with push, see the top */
	if (atomic_load_explicit(&queue->count, memory_order_seq_cst) == 0)
		return NULL;
	spin_lock(&queue->lock, RANK_RUNQUEUE);
	list_for_each (pos, &queue->ready) {
		struct thread *thread = list_entry(pos, struct thread, run_link);

		/* relaxed: a thread that just lost this hart finds that out before it reaches user mode */
		if ((atomic_load_explicit(&thread->affinity, memory_order_relaxed) & harts) != 0) {
			found = thread;
			break;
		}
	}
	if (found != NULL) {
		list_del(&found->run_link);
		atomic_fetch_sub_explicit(&queue->count, 1, memory_order_relaxed);
	}
	spin_unlock(&queue->lock, RANK_RUNQUEUE);
	return found;
}

static __attribute__((noinline)) struct thread *steal(unsigned me)
{
	for (unsigned i = 1; i < hw_harts(); i++) {
		unsigned hart = (me + i) % hw_harts();
		struct thread *thread = take(&runqueues[hart], UINT64_C(1) << me);

		if (thread != NULL)
			return thread;
	}
	return NULL;
}

struct thread *runqueue_pick(unsigned me)
{
	/* One that may no longer run here runs all the same, until it is to go to user mode and moves itself. */
	struct thread *thread = take(&runqueues[me], UINT64_MAX);

	return thread != NULL ? thread : steal(me);
}

/* ---- Placement. */

static bool claim_idle(unsigned hart)
{
	uint64_t bit = UINT64_C(1) << hart;

	/* acq_rel: whoever clears the bit owns the right to fill the hart */
	return (atomic_fetch_and_explicit(&idle_set.harts, ~bit, memory_order_acq_rel) & bit) != 0;
}

static __attribute__((noinline)) unsigned search_shortest(uint64_t allowed, unsigned favourite, uint32_t best_count)
{
	unsigned best = favourite;

	for (uint64_t left = allowed; left != 0; left &= left - 1) {
		unsigned hart = (unsigned)__builtin_ctzll(left);
		uint32_t count = atomic_load_explicit(&runqueues[hart].count, memory_order_relaxed);

		if (best_count == UINT32_MAX || count + 1 < best_count) {
			best = hart;
			best_count = count;
		}
	}
	return best;
}

static inline unsigned shortest_queue(uint64_t allowed, unsigned favourite)
{
	uint32_t count = UINT32_MAX;

	if (LIKELY((allowed >> favourite & 1) != 0))
		count = atomic_load_explicit(&runqueues[favourite].count, memory_order_relaxed);
	/* None is shorter by more than that. */
	return LIKELY(count <= 1) ? favourite : search_shortest(allowed, favourite, count);
}

/* Onto an idle hart, its last one if that is idle; false: there is none. */
static bool push_idle(struct thread *thread, uint64_t idle, unsigned last)
{
	while (idle != 0) {
		unsigned hart = (idle >> last & 1) != 0 ? last : (unsigned)__builtin_ctzll(idle);

		if (claim_idle(hart)) {
			push(hart, thread);
			return true;
		}
		idle &= ~(UINT64_C(1) << hart);
	}
	return false;
}

/* A thread that is on no hart and no list becomes ready: on an idle hart, its last one if that is idle, or where it ran. */
void runqueue_make_ready(struct thread *thread)
{
	uint64_t allowed = atomic_load_explicit(&thread->affinity, memory_order_relaxed) & sched_harts();
	unsigned hart, last = atomic_load_explicit(&thread->hart, memory_order_relaxed);
	uint64_t idle = atomic_load_explicit(&idle_set.harts, memory_order_relaxed) & allowed;

	if (UNLIKELY(allowed == 0))
		allowed = sched_harts();
	if (idle != 0 && push_idle(thread, idle, last))
		return;
	hart = shortest_queue(allowed, last);
	push(hart, thread);
	/* seq_cst: a hart may have gone idle after we looked and before it could see the count: it must look again */
	idle = atomic_load_explicit(&idle_set.harts, memory_order_seq_cst) & allowed;
	if (idle != 0 && (idle >> hart & 1) == 0)
		hw_send_ipi(idle & -idle);
}

/* Whether somebody waits for this hart; if not, the next who comes has to say so again. */
bool runqueue_contended(struct runqueue *queue)
{
	bool waiting;

	if (LIKELY(atomic_load_explicit(&queue->count, memory_order_relaxed) != 0))
		return true;
	spin_lock(&queue->lock, RANK_RUNQUEUE);
	waiting = !list_empty(&queue->ready);
	if (!waiting)
		queue->slicing = false;
	spin_unlock(&queue->lock, RANK_RUNQUEUE);
	return waiting;
}

void runqueue_idle(bool idle)
{
	uint64_t bit = UINT64_C(1) << hw_hart();

	/* seq_cst: before the look at the counts, see the top */
	if (idle)
		atomic_fetch_or_explicit(&idle_set.harts, bit, memory_order_seq_cst);
	else
		atomic_fetch_and_explicit(&idle_set.harts, ~bit, memory_order_relaxed);
}
