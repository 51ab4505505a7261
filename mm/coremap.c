/*
 * Frames: reference counts, and a stock of free ones for each hart in front of the depot and the buddy allocator (buddy.c).
 *
 * A stock has two chains of frames, linked through their entries here, and a run: what is left of a block. Frames are freed to the
 * first chain, and taken from it; when it is full it becomes the second, and what that was goes to the depot. So a hart that
 * takes and gives back by turns stays with its own, and goes to the depot for hundreds at once.
 *
 * Invariants: a frame is free exactly when its count is 0; it then lies in one stock, in the depot, or in one buddy block. Counts
 * neither wrap nor go below 0: both are CHECKed, always.
 * Locks: each stock has one, all but uncontended: only a hart that finds no memory at all looks into another's.
 * Memory order: frame_put releases, and the last put acquires before it frees, so whatever anybody did with a frame is
 * done before it is handed out again; frame_is_sole acquires for the same reason.
 * Does not: know who maps a frame. Callers put a frame only after the fence that takes it out of reach (tlb.c).
 */
#include "mm/coremap.h"

#include "lib/fail.h"

#define CHAIN_ORDER 9		 /* at most: an entry of every 2 MiB that a hart uses */
#define CHAIN_PART  UINT64_C(32) /* all stocks' chains are no more than this part of memory */
#define RUN_BATCH   UINT32_C(64) /* frames of a run that are linked at once */
#define DEPOT_PART  16		 /* nor is the depot more than this */

/* relaxed, all of the numbers: guarded by the lock; atomic for frames_free alone, which asks for no order */
struct stock {
	struct spinlock lock;
	_Atomic uint32_t n;	   /* [lock] of the first chain */
	struct frame *chain;	   /* [lock] the last one freed is given out first: it is in the cache */
	struct frame *spare_chain; /* [lock] */
	_Atomic uint32_t spare;	   /* [lock] of the second chain */
	_Atomic uint32_t run;	   /* [lock] of the run */
	pfn_t run_at;		   /* [lock] */
} CACHE_ALIGNED;

static struct {
	const struct phys_range *ram; /* never written after coremap_init, like everything here */
	size_t nram;
	struct stock *stocks; /* hw_harts() of them */
	uint64_t total;
	unsigned
		chain_order; /* a chain has up to 2^chain_order frames, or one batch, and so has a block that is taken */
	pfn_t zero;
	uint64_t low_frames; /* these two are set when the machine is otherwise idle */
	void (*low)(void);
	uint64_t (*kept)(void);
	void (*reclaim)(void);
} coremap;

bool frame_exists(pfn_t pfn)
{
	uint64_t pa = pfn_paddr(pfn).v;

	for (size_t i = 0; i < coremap.nram; i++)
		if (pa >= coremap.ram[i].start.v && pa < coremap.ram[i].end.v)
			return true;
	return false;
}

pfn_t frame_first(void)
{
	return paddr_pfn(coremap.ram[0].start);
}

pfn_t frame_next(pfn_t pfn)
{
	uint64_t pa = pfn_paddr(pfn).v + PAGE_SIZE;

	for (size_t i = 0; i < coremap.nram; i++) {
		if (pa < coremap.ram[i].start.v)
			return paddr_pfn(coremap.ram[i].start);
		if (pa < coremap.ram[i].end.v)
			return paddr_pfn(PADDR(pa));
	}
	return PFN(0);
}

static void add_free(uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	buddy_add(paddr_pfn(PADDR(start)), (end - start) >> PAGE_SHIFT);
	coremap.total += (end - start) >> PAGE_SHIFT;
}

static void stocks_init(void)
{
	uint64_t bytes = hw_harts() * sizeof(struct stock);
	unsigned order = 0;
	pfn_t pfn;

	while ((PAGE_SIZE << order) < bytes)
		order++;
	if (!buddy_alloc(order, &pfn))
		hw_panic("no memory: not even for %u harts' stocks", hw_harts());
	coremap.stocks = frame_data(pfn);
	for (uint64_t i = 0; i < (UINT64_C(1) << order); i++) {
		hw_page_clear(frame_data(PFN(pfn.v + i)));
		frame_of(PFN(pfn.v + i))->kind = FRAME_RESERVED;
	}
	coremap.total -= UINT64_C(1) << order;
	coremap.chain_order = CHAIN_ORDER;
	while (coremap.chain_order > 0 && (CHAIN_PART * hw_harts() << coremap.chain_order) > coremap.total)
		coremap.chain_order--;
}

void coremap_init(const struct phys_range *ram, size_t nram, const struct phys_range *reserved, size_t nreserved)
{
	coremap.ram = ram;
	coremap.nram = nram;
	coremap.total = 0;
	coremap.kept = NULL;
	buddy_init();

	for (size_t i = 0; i < nram; i++) {
		uint64_t at = ram[i].start.v;

		for (size_t r = 0; r < nreserved && at < ram[i].end.v; r++) {
			if (reserved[r].end.v <= at)
				continue;
			add_free(at, MIN(reserved[r].start.v, ram[i].end.v));
			at = MAX(at, reserved[r].end.v);
		}
		add_free(at, ram[i].end.v);
	}
	stocks_init();
	if (frame_alloc_zeroed(FRAME_ZERO, &coremap.zero) != 0)
		hw_panic("no memory: not even for the zero frame");
	coremap.total--;
}

static uint32_t read_n(const _Atomic uint32_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

/* [lock] A frame of the first chain, which is not empty. */
static inline struct frame *pop(struct stock *stock)
{
	struct frame *frame = stock->chain;

	stock->chain = frame->stock.next;
	store_relaxed_u32(&stock->n, read_n(&stock->n) - 1);
	return frame;
}

/* [lock] Frames of the run become the first chain, which is empty. */
static void chain_run(struct stock *stock)
{
	uint32_t n = MIN(read_n(&stock->run), RUN_BATCH);

	store_relaxed_u32(&stock->run, read_n(&stock->run) - n);
	store_relaxed_u32(&stock->n, n);
	for (uint64_t at = stock->run_at.v + n; at != stock->run_at.v; at--) {
		struct frame *frame = frame_of(PFN(at - 1));

		frame->stock.next = stock->chain;
		stock->chain = frame;
	}
	stock->run_at.v += n;
}

/* [lock] The first chain is empty: it becomes what else there is. False: nothing. */
static bool take_reserve(struct stock *stock)
{
	if (stock->spare_chain != NULL) {
		stock->chain = stock->spare_chain;
		store_relaxed_u32(&stock->n, read_n(&stock->spare));
		stock->spare_chain = NULL;
		store_relaxed_u32(&stock->spare, 0);
	} else if (read_n(&stock->run) != 0) {
		chain_run(stock);
	}
	return stock->chain != NULL;
}

/* [lock] It is empty. */
static bool refill(struct stock *stock, unsigned order)
{
	struct frame *chain;
	uint32_t n = buddy_take(order, &chain, &stock->run_at);

	if (n == 0)
		return false;
	stock->chain = chain;
	store_relaxed_u32(&stock->n, chain != NULL ? n : 0);
	store_relaxed_u32(&stock->run, chain != NULL ? 0 : n);
	return true;
}

static struct frame *take_from(struct stock *stock, unsigned order)
{
	struct frame *frame = NULL;

	spin_lock(&stock->lock, RANK_MAGAZINE);
	if (stock->chain != NULL || take_reserve(stock) ||
	    (refill(stock, order) && (stock->chain != NULL || take_reserve(stock))))
		frame = pop(stock);
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	return frame;
}

static struct frame *take_slow(struct stock *mine)
{
	struct frame *frame = take_from(mine, coremap.chain_order);

	if (coremap.low != NULL && buddy_free_guess() < coremap.low_frames)
		coremap.low();
	if (LIKELY(frame != NULL))
		return frame;
	/* What the others have put by. */
	coremap_drain();
	return take_from(mine, 0);
}

static void frame_init(struct frame *frame, enum frame_kind kind, unsigned order)
{
	CHECK(frame->kind == FRAME_FREE && atomic_load_explicit(&frame->count, memory_order_relaxed) == 0);
	frame->kind = (uint8_t)kind;
	frame->order = (uint8_t)order;
	/* relaxed: the frame is published by whatever store makes it reachable, which releases */
	store_relaxed_u32(&frame->count, 1);
}

/* Where the first chain is empty, or the stock in somebody else's hands. */
static __attribute__((noinline)) int alloc_slow(enum frame_kind kind, pfn_t *out)
{
	struct frame *frame = take_slow(&coremap.stocks[hw_hart()]);

	if (frame == NULL)
		return -ENOMEM;
	frame_init(frame, kind, 0);
	*out = frame_pfn(frame);
	return 0;
}

int frame_alloc(enum frame_kind kind, pfn_t *out)
{
	struct stock *mine = &coremap.stocks[hw_hart()];
	struct frame *frame;

	if (FAIL_HERE())
		return -ENOMEM;
	if (UNLIKELY(!spin_trylock(&mine->lock, RANK_MAGAZINE)))
		return alloc_slow(kind, out);
	if (UNLIKELY(mine->chain == NULL)) {
		spin_unlock(&mine->lock, RANK_MAGAZINE);
		return alloc_slow(kind, out);
	}
	frame = pop(mine);
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	frame_init(frame, kind, 0);
	*out = frame_pfn(frame);
	return 0;
}

int frame_alloc_zeroed(enum frame_kind kind, pfn_t *out)
{
	int err = frame_alloc(kind, out);

	if (err == 0)
		hw_page_clear(frame_data(*out));
	return err;
}

int frame_alloc_block(enum frame_kind kind, unsigned order, pfn_t *out)
{
	pfn_t pfn;

	if (order == 0)
		return frame_alloc(kind, out);
	if (order >= BUDDY_ORDERS || FAIL_HERE())
		return -ENOMEM;
	if (!buddy_alloc(order, &pfn)) {
		/* Frames in stocks may be what keeps a block from being whole. */
		coremap_drain();
		if (!buddy_alloc(order, &pfn))
			return -ENOMEM;
	}
	frame_init(frame_of(pfn), kind, order);
	for (uint64_t i = 1; i < (UINT64_C(1) << order); i++)
		frame_init(frame_of(PFN(pfn.v + i)), kind, 0);
	*out = pfn;
	return 0;
}

/* The stock is locked. */
static inline void put_chain(struct stock *mine, struct frame *first, struct frame *last, uint32_t n)
{
	last->stock.next = mine->chain;
	mine->chain = first;
	store_relaxed_u32(&mine->n, n);
	spin_unlock(&mine->lock, RANK_MAGAZINE);
}

/* The chain is full: it becomes the spare one, and what that was goes to the depot. The stock is locked. */
static __attribute__((noinline)) void give_back_full(struct stock *mine, struct frame *first, struct frame *last,
						     uint32_t n)
{
	struct frame *full = mine->spare_chain;
	uint32_t nfull = read_n(&mine->spare);

	mine->spare_chain = mine->chain;
	store_relaxed_u32(&mine->spare, read_n(&mine->n));
	mine->chain = NULL;
	put_chain(mine, first, last, n);
	if (full != NULL)
		buddy_give(full, nfull, coremap.total / DEPOT_PART);
}

/* n frames, linked from first to last. */
static inline void give_back(struct frame *first, struct frame *last, uint32_t n)
{
	struct stock *mine = &coremap.stocks[hw_hart()];
	uint32_t have;

	spin_lock(&mine->lock, RANK_MAGAZINE);
	have = read_n(&mine->n);
	if (UNLIKELY(have != 0 && have + n > UINT32_C(1) << coremap.chain_order))
		give_back_full(mine, first, last, n);
	else
		put_chain(mine, first, last, have + n);
}

static __attribute__((noinline)) void block_free(pfn_t pfn, unsigned order)
{
	for (uint64_t i = 1; i < (UINT64_C(1) << order); i++) {
		frame_of(PFN(pfn.v + i))->kind = FRAME_FREE;
		atomic_store_explicit(&frame_of(PFN(pfn.v + i))->count, 0, memory_order_relaxed);
	}
	buddy_free(pfn, order);
}

static void frame_free(pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);

	shadow_note(SHADOW_FREE, pfn.v, UINT64_C(1) << frame->order, 0, 0);
	frame->kind = FRAME_FREE;
	if (LIKELY(frame->order == 0))
		give_back(frame, frame, 1);
	else
		block_free(pfn, frame->order);
}

bool frame_get_refused(struct frame *frame, uint32_t old)
{
	CHECK(old != 0);
	/* Harts that are here at the same time overshoot by one each, far below where it would wrap. */
	atomic_fetch_sub_explicit(&frame->count, 1, memory_order_relaxed);
	return false;
}

int frame_try_get(pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);
	/* relaxed: the index that it was found in orders what is in it */
	uint32_t count = atomic_load_explicit(&frame->count, memory_order_relaxed);

	do {
		if (count == 0)
			return -EAGAIN;
		if (count >= FRAME_COUNT_MAX)
			return -ENOMEM;
	} while (!atomic_compare_exchange_weak_explicit(&frame->count, &count, count + 1, memory_order_relaxed,
							memory_order_relaxed));
	return 0;
}

bool frame_freeze(pfn_t pfn)
{
	uint32_t count = 1;

	/* acquire: as frame_is_sole */
	return atomic_compare_exchange_strong_explicit(&frame_of(pfn)->count, &count, 0, memory_order_acquire,
						       memory_order_relaxed);
}

void frame_free_frozen(pfn_t pfn)
{
	CHECK(atomic_load_explicit(&frame_of(pfn)->count, memory_order_relaxed) == 0);
	frame_free(pfn);
}

void frame_put_last(pfn_t pfn, uint32_t old)
{
	CHECK(old != 0);
	atomic_thread_fence(memory_order_acquire);
	frame_free(pfn);
}

void frame_batch_put_slow(struct frame_batch *batch, struct frame *frame)
{
	if (frame->kind == FRAME_ZERO)
		return;
	/* release, acquire: as frame_put */
	uint32_t old = atomic_fetch_sub_explicit(&frame->count, 1, memory_order_release);

	CHECK(old != 0);
	if (old != 1)
		return;
	atomic_thread_fence(memory_order_acquire);
	if (frame->order == 0)
		frame_batch_add(batch, frame);
	else
		frame_free(frame_pfn(frame));
}

void frame_batch_end(struct frame_batch *batch)
{
	if (batch->first != NULL)
		give_back(batch->first, batch->last, batch->n);
	*batch = (struct frame_batch){ .first = NULL };
}

pfn_t frame_zero(void)
{
	return coremap.zero;
}

void frames_set_low(uint64_t frames, void (*low)(void))
{
	coremap.low_frames = frames;
	coremap.low = low;
}

void frames_set_keeper(uint64_t (*kept)(void), void (*reclaim)(void))
{
	coremap.kept = kept;
	coremap.reclaim = reclaim;
}

uint64_t frames_total(void)
{
	return coremap.total;
}

uint64_t frames_free(void)
{
	uint64_t n = buddy_free_frames();

	for (unsigned h = 0; h < hw_harts(); h++) {
		const struct stock *stock = &coremap.stocks[h];

		n += (uint64_t)read_n(&stock->n) + read_n(&stock->spare) + read_n(&stock->run);
	}
	return coremap.kept == NULL ? n : n + coremap.kept();
}

static void drain(struct stock *stock)
{
	struct frame *chain, *spare;
	pfn_t run_at;
	uint32_t run;

	spin_lock(&stock->lock, RANK_MAGAZINE);
	chain = stock->chain;
	spare = stock->spare_chain;
	run = read_n(&stock->run);
	run_at = stock->run_at;
	stock->chain = stock->spare_chain = NULL;
	store_relaxed_u32(&stock->n, 0);
	store_relaxed_u32(&stock->spare, 0);
	store_relaxed_u32(&stock->run, 0);
	spin_unlock(&stock->lock, RANK_MAGAZINE);
	buddy_free_chain(chain);
	buddy_free_chain(spare);
	if (run != 0)
		buddy_give_run(run_at, run);
}

void coremap_drain(void)
{
	if (coremap.kept != NULL)
		coremap.reclaim();
	for (unsigned h = 0; h < hw_harts(); h++)
		drain(&coremap.stocks[h]);
	buddy_settle();
}
