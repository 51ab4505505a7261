/*
 * Shootdown, and which harts need one.
 *
 * A space has two sets of harts. `active`: those that have it in satp now. `cached`: those that may still hold entries of
 * its ASID, a superset of active; without an ASID of its own (0) nothing outlives a switch and the set is not used.
 *
 *   shootdown:  change PTEs; read active; take harts that are cached and not active out of cached; read active again, ask
 *               those of either reading: who was not taken out was in the first.
 *   switch to:  join active; if not in cached: flush the ASID, join cached; run.
 *
 * Both are sequentially consistent, so of a shootdown and a switch at the same time either the hart sees that it is no
 * longer in cached and flushes, or the shootdown sees it in active and asks it. In the steady state, threads that stay
 * where they are, neither writes either set.
 *
 * With tlb=broadcast all harts are in every space's active from its beginning to its end, and none leaves.
 *
 * A request is the initiator's own (start, bytes, asid, waiting); it sets its bit in each target's mailbox and sends an
 * interrupt to those whose mailbox was empty: others have one under way. A target takes its whole mailbox at once,
 * fences, and takes its bit out of each initiator's `waiting`. The initiator serves its own mailbox while it waits, and
 * so does everybody who spins for a lock, so no cycle of waiting harts can close.
 *
 * Memory order: the PTE stores come before the release of the mailbox bit, the target's acquire of it before its fence
 * (sfence.vma orders them before later implicit reads), the fence before the release of `waiting`, and the initiator's
 * acquire of that before it frees anything.
 *
 * Does not: decide what to free or when tables may go (range.c); an acknowledged shootdown says that no hart reaches a
 * frame through a translation, not that no hart walks by software (walk.c).
 */
#include "mm/tlb.h"

#include "lib/check.h"
#include "lib/watch.h"
#include "mm/hart.h"
#include "mm/trace.h"
#include "mm/view.h"

/* Beyond this many pages one fence of the whole ASID is cheaper than one a page. */
#define FENCE_PAGES_MAX 8
/* Ranges beyond this are one request whatever `batch` says: they are mostly holes. */
#define BATCHED_MAX (UINT64_C(64) << 20)

static bool by_ipi;
static uint64_t batch_bytes = UINT64_MAX; /* set once, before programs run */
uint64_t tlb_everyone;

void tlb_init(bool ipi)
{
	by_ipi = ipi;
}

static void fence(vaddr_t start, uint64_t bytes, uint16_t asid)
{
	mm_count(MM_FENCES_LOCAL);
	if (LIKELY(bytes == PAGE_SIZE)) {
		hw_fence_page(start, asid);
		return;
	}
	if (bytes == 0 || bytes > FENCE_PAGES_MAX * PAGE_SIZE) {
		hw_fence_asid(asid);
		return;
	}
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)
		hw_fence_page(VADDR(start.v + at), asid);
}

void tlb_fence_local(struct space *space, vaddr_t start, uint64_t bytes)
{
	fence(start, bytes, space->asid);
}

/* Harts other than this one that must be asked: of those in no view all, of the others `holders`. */
static uint64_t targets(struct space *space, uint64_t holders)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	/* Orders our PTE stores before the loads below: pairs with the seq_cst join of active in space_switch. */
	atomic_thread_fence(memory_order_seq_cst);
	if (UNLIKELY(tlb_everyone != 0))
		return tlb_everyone & ~me;
	/* acquire: pairs with the release in leave: what harts that have left read and wrote is before what we free */
	uint64_t active = atomic_load_explicit(&space->active, memory_order_acquire);
	/* acquire: pairs with the release in view.c: what the hart had before it has flushed */
	uint64_t may = (holders | ~atomic_load_explicit(&space->viewed, memory_order_acquire)) & ~me;
	uint64_t resting = atomic_load_explicit(&space->cached, memory_order_relaxed) & ~active & may;

	if (UNLIKELY(resting != 0)) {
		/*
		 * seq_cst, and active read again behind it: pairs with joining active, then reading cached. Those that have left
		 * since it was read first are in cached still, and would not flush when they come back: they are asked, too.
		 */
		atomic_fetch_and_explicit(&space->cached, ~resting, memory_order_seq_cst);
		active |= atomic_load_explicit(&space->active, memory_order_seq_cst);
	}
	return active & may;
}

static void answer(struct mm_hart *asker, uint64_t me)
{
	fence(VADDR(asker->start), asker->bytes, asker->asid);
	/* release: our fence is done; pairs with the acquire in tlb_shootdown */
	atomic_fetch_and_explicit(&asker->waiting, ~me, memory_order_release);
}

static __attribute__((noinline, cold)) void answer_traced(unsigned hart, uint64_t me)
{
	struct mm_hart *asker = &mm_harts[hart];
	struct trace_record record = { .begin = hw_ticks(),
				       .event = TRACE_ANSWER,
				       .argument = { asker->start, asker->bytes, hart, asker->serial } };

	answer(asker, me); /* from here on the request may be another one */
	trace_put(&record);
}

void tlb_serve(void)
{
	struct mm_hart *mine = mm_this_hart();
	uint64_t me = UINT64_C(1) << hw_hart();

	if (atomic_load_explicit(&mine->requests, memory_order_relaxed) == 0)
		return;
	/* acquire: pairs with the release in ask */
	uint64_t from = atomic_exchange_explicit(&mine->requests, 0, memory_order_acquire);

	mm_count_add(MM_SERVED, (uint64_t)__builtin_popcountll(from));
	for (uint64_t left = from; left != 0; left &= left - 1) {
		unsigned asker = (unsigned)__builtin_ctzll(left);

		if (trace_wants(TRACE_TLB))
			answer_traced(asker, me);
		else
			answer(&mm_harts[asker], me);
	}
}

static void ask(struct mm_hart *mine, uint64_t harts)
{
	uint64_t me = UINT64_C(1) << hw_hart();
	uint64_t interrupt = 0;

	/* relaxed: published by the release below */
	atomic_store_explicit(&mine->waiting, harts, memory_order_relaxed);
	for (uint64_t left = harts; left != 0; left &= left - 1) {
		unsigned hart = (unsigned)__builtin_ctzll(left);

		/* release: pairs with the acquire in tlb_serve */
		if (atomic_fetch_or_explicit(&mm_harts[hart].requests, me, memory_order_release) == 0)
			interrupt |= UINT64_C(1) << hart;
	}
	if (interrupt != 0) {
		mm_count_add(MM_IPIS, (uint64_t)__builtin_popcountll(interrupt));
		hw_send_ipi(interrupt);
	}
}

static __attribute__((noinline)) void await_answers(struct mm_hart *mine)
{
	struct watch watch = { .what = WATCH_SHOOTDOWN, .object = &mine->waiting, .detail = mine->start };

	/* acquire: pairs with the release in tlb_serve */
	while (atomic_load_explicit(&mine->waiting, memory_order_acquire) != 0)
		watch_turn(&watch);
	watch_end(&watch);
}

static void ask_once(struct space *space, uint64_t harts, vaddr_t start, uint64_t bytes)
{
	struct mm_hart *mine = mm_this_hart();

	mm_count(MM_SHOOTDOWNS);
	if (!by_ipi) {
		mm_count_add(MM_REMOTE_FENCES, (uint64_t)__builtin_popcountll(harts));
		hw_remote_fence(harts, start, bytes, space->asid);
		fence(start, bytes, space->asid);
		return;
	}
	mine->start = start.v;
	mine->bytes = bytes;
	mine->asid = space->asid;
	ask(mine, harts);
	fence(start, bytes, space->asid); /* ours, while the others are at theirs */
	/* acquire: pairs with the release in tlb_serve */
	if (atomic_load_explicit(&mine->waiting, memory_order_acquire) != 0)
		await_answers(mine);
}

static __attribute__((noinline, cold)) void ask_traced(struct space *space, uint64_t harts, vaddr_t start,
						       uint64_t bytes)
{
	struct trace_record record = { .begin = hw_ticks(),
				       .event = TRACE_SHOOTDOWN,
				       .argument = { start.v, bytes, harts, ++mm_this_hart()->serial } };

	ask_once(space, harts, start, bytes);
	trace_put(&record);
}

static __attribute__((noinline)) void fence_others(struct space *space, uint64_t harts, vaddr_t start, uint64_t bytes)
{
	uint64_t most = bytes <= BATCHED_MAX ? batch_bytes : bytes;
	uint64_t done = 0;

	do {
		if (trace_wants(TRACE_TLB))
			ask_traced(space, harts, VADDR(start.v + done), MIN(bytes - done, most));
		else
			ask_once(space, harts, VADDR(start.v + done), MIN(bytes - done, most));
		done = bytes - done > most ? done + most : bytes;
	} while (done != bytes);
}

void tlb_shootdown(struct space *space, uint64_t holders, vaddr_t start, uint64_t bytes)
{
	uint64_t harts = targets(space, holders);

	if (LIKELY(harts == 0))
		fence(start, bytes, space->asid);
	else
		fence_others(space, harts, start, bytes);
}

void tlb_sync_icache(struct space *space)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	/*
	 * Harts not in the space are left a note, which they read after they have joined active; harts in it are asked.
	 * seq_cst on both sides, as for cached above. Asking one that also has the note is harmless.
	 */
	atomic_fetch_or_explicit(&space->icache_stale, ~me, memory_order_seq_cst);
	uint64_t harts = atomic_load_explicit(&space->active, memory_order_seq_cst) & ~me;

	hw_fence_i();
	if (harts != 0)
		hw_remote_fence_i(harts);
}

void space_barrier(struct space *space, bool instructions)
{
	/*
	 * A request and its answer order what a hart does before with what this one does behind, and the reverse; harts that
	 * are not asked have left, or will join, across a full fence. The page is one that no entry is about.
	 */
	tlb_shootdown(space, TLB_ALL, VADDR(0), PAGE_SIZE);
	if (instructions)
		tlb_sync_icache(space);
	/* pairs with the same in whoever joins (space_switch) */
	atomic_thread_fence(memory_order_seq_cst);
}

void space_set_shootdown(uint64_t harts, uint64_t batch)
{
	tlb_everyone = harts;
	batch_bytes = batch > UINT64_MAX / PAGE_SIZE ? UINT64_MAX : batch * PAGE_SIZE;
}

static void leave(struct space *space)
{
	/* release: what this hart did with its translations of the space is done before anyone sees it gone */
	atomic_fetch_and_explicit(&space->active, ~(UINT64_C(1) << hw_hart()) | tlb_everyone, memory_order_release);
}

static void enter(struct space *space)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	/* seq_cst, before cached and icache_stale are read: see the top of this file */
	atomic_fetch_or_explicit(&space->active, me, memory_order_seq_cst);
	if (space->asid != 0 && (atomic_load_explicit(&space->cached, memory_order_seq_cst) & me) == 0) {
		/*
		 * Joined before the flush: a shootdown that takes us out again between the two finds us active. Flushed
		 * before the ASID is used: what is left of the space that had it names tables that are gone.
		 */
		atomic_fetch_or_explicit(&space->cached, me, memory_order_seq_cst);
		hw_fence_asid(space->asid);
		mm_count(MM_FENCES_LOCAL);
	}
	view_enter(space);
	if ((atomic_load_explicit(&space->icache_stale, memory_order_seq_cst) & me) != 0) {
		atomic_fetch_and_explicit(&space->icache_stale, ~me, memory_order_seq_cst);
		hw_fence_i();
	}
}

static bool has_asid(const struct space *space)
{
	return space == NULL || LIKELY(space->asid != 0);
}

void space_switch(struct space *next)
{
	struct mm_hart *mine = mm_this_hart();
	struct space *last = mine->space;

	if (last == next)
		return;
	mine->space = next;
	if (next != NULL)
		enter(next);
	else
		hw_set_kernel_root();
	/*
	 * ASID 0 is the kernel's own, too: entries of the last space would stay usable for a hart's speculation, now or when it goes to the
	 * kernel's root, which may set A bits in tables that are by then something else. Until here the last space is not left, and its
	 * tables are there.
	 */
	if (!has_asid(last) || !has_asid(next)) {
		hw_fence_asid(0);
		mm_count(MM_FENCES_LOCAL);
	}
	if (last != NULL)
		leave(last);
}

struct space *space_current(void)
{
	return mm_this_hart()->space;
}
