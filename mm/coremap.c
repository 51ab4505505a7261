/*
 * Frames: reference counts, and a magazine of free ones for each hart in front of the buddy allocator.
 *
 * Invariants: a frame is free exactly when its count is 0; it then lies in one magazine or in one buddy block. Counts
 * neither wrap nor go below 0: both are CHECKed, always.
 * Locks: each magazine has one, all but uncontended: only a hart that finds no memory at all looks into another's.
 * Memory order: frame_put releases, and the last put acquires before it frees, so whatever anybody did with a frame is
 * done before it is handed out again; frame_is_sole acquires for the same reason.
 * Does not: know who maps a frame. Callers put a frame only after the fence that takes it out of reach (tlb.c).
 */
#include "mm/coremap.h"

#define MAGAZINE_FRAMES 62 /* eight lines with the header */
#define MAGAZINE_BATCH	32

struct magazine {
	struct spinlock lock;
	_Atomic uint32_t n;	       /* [lock]; read by frames_free without it */
	pfn_t frames[MAGAZINE_FRAMES]; /* [lock] the last one freed is given out first: it is in the cache */
} CACHE_ALIGNED;

static struct {
	const struct phys_range *ram; /* never written after coremap_init, like everything here */
	size_t nram;
	struct magazine *magazines; /* hw_harts() of them */
	uint64_t total;
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

static void magazines_init(void)
{
	uint64_t bytes = hw_harts() * sizeof(struct magazine);
	unsigned order = 0;
	pfn_t pfn;

	while ((PAGE_SIZE << order) < bytes)
		order++;
	if (!buddy_alloc(order, &pfn))
		hw_panic("no memory: not even for %u harts' magazines", hw_harts());
	coremap.magazines = frame_data(pfn);
	for (uint64_t i = 0; i < (UINT64_C(1) << order); i++) {
		hw_page_clear(frame_data(PFN(pfn.v + i)));
		frame_of(PFN(pfn.v + i))->kind = FRAME_RESERVED;
	}
	coremap.total -= UINT64_C(1) << order;
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
	magazines_init();
	if (frame_alloc_zeroed(FRAME_ZERO, &coremap.zero) != 0)
		hw_panic("no memory: not even for the zero frame");
	coremap.total--;
}

/* Half of what another hart has put by, so that neither is left with nothing. */
static unsigned magazine_steal(pfn_t *out)
{
	for (unsigned h = 0; h < hw_harts(); h++) {
		struct magazine *from = &coremap.magazines[h];

		spin_lock(&from->lock, RANK_MAGAZINE);
		uint32_t n = atomic_load_explicit(&from->n, memory_order_relaxed);
		uint32_t take = MIN((n + 1) / 2, MAGAZINE_BATCH);

		for (uint32_t i = 0; i < take; i++)
			out[i] = from->frames[n - 1 - i];
		store_relaxed_u32(&from->n, n - take);
		spin_unlock(&from->lock, RANK_MAGAZINE);
		if (take != 0)
			return take;
	}
	return 0;
}

static bool take_slow(pfn_t *out)
{
	pfn_t batch[MAGAZINE_BATCH];
	unsigned n = buddy_alloc_batch(batch, MAGAZINE_BATCH);

	if (coremap.low != NULL && buddy_free_guess() < coremap.low_frames)
		coremap.low();
	if (n == 0)
		n = magazine_steal(batch);
	if (n == 0 && coremap.kept != NULL && coremap.kept() != 0) {
		coremap.reclaim();
		n = magazine_steal(batch);
	}
	if (n == 0)
		return false;
	*out = batch[--n];

	struct magazine *mine = &coremap.magazines[hw_hart()];

	spin_lock(&mine->lock, RANK_MAGAZINE);
	uint32_t have = atomic_load_explicit(&mine->n, memory_order_relaxed);

	while (n != 0 && have < MAGAZINE_FRAMES)
		mine->frames[have++] = batch[--n];
	store_relaxed_u32(&mine->n, have);
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	if (n != 0)
		buddy_free_batch(batch, n);
	return true;
}

static void frame_init(struct frame *frame, enum frame_kind kind, unsigned order)
{
	CHECK(frame->kind == FRAME_FREE && atomic_load_explicit(&frame->count, memory_order_relaxed) == 0);
	frame->kind = (uint8_t)kind;
	frame->order = (uint8_t)order;
	/* relaxed: the frame is published by whatever store makes it reachable, which releases */
	store_relaxed_u32(&frame->count, 1);
}

/* Where the magazine is empty, or in somebody else's hands. */
static __attribute__((noinline)) int alloc_slow(enum frame_kind kind, pfn_t *out)
{
	struct magazine *mine = &coremap.magazines[hw_hart()];
	uint32_t n;

	spin_lock(&mine->lock, RANK_MAGAZINE);
	n = atomic_load_explicit(&mine->n, memory_order_relaxed);
	if (n != 0) {
		*out = mine->frames[n - 1];
		store_relaxed_u32(&mine->n, n - 1);
	}
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	if (n == 0 && !take_slow(out))
		return -ENOMEM;
	frame_init(frame_of(*out), kind, 0);
	return 0;
}

int frame_alloc(enum frame_kind kind, pfn_t *out)
{
	struct magazine *mine = &coremap.magazines[hw_hart()];
	uint32_t n;
	pfn_t pfn;

	if (UNLIKELY(!spin_trylock(&mine->lock, RANK_MAGAZINE)))
		return alloc_slow(kind, out);
	/* relaxed: n is guarded by the lock; it is atomic for frames_free alone, which asks for no order */
	n = atomic_load_explicit(&mine->n, memory_order_relaxed);
	if (UNLIKELY(n == 0)) {
		spin_unlock(&mine->lock, RANK_MAGAZINE);
		return alloc_slow(kind, out);
	}
	pfn = mine->frames[n - 1];
	store_relaxed_u32(&mine->n, n - 1);
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	frame_init(frame_of(pfn), kind, 0);
	*out = pfn;
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
	if (order >= BUDDY_ORDERS)
		return -ENOMEM;
	if (!buddy_alloc(order, &pfn)) {
		/* Frames in magazines may be what keeps a block from being whole. */
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

static void give_back(pfn_t pfn)
{
	struct magazine *mine = &coremap.magazines[hw_hart()];
	pfn_t batch[MAGAZINE_BATCH];
	unsigned over = 0;

	spin_lock(&mine->lock, RANK_MAGAZINE);
	uint32_t n = atomic_load_explicit(&mine->n, memory_order_relaxed);

	if (UNLIKELY(n == MAGAZINE_FRAMES)) {
		/* The oldest go: the newest are still in the cache. */
		over = MAGAZINE_BATCH;
		for (unsigned i = 0; i < over; i++)
			batch[i] = mine->frames[i];
		n -= over;
		for (unsigned i = 0; i < n; i++)
			mine->frames[i] = mine->frames[i + over];
	}
	mine->frames[n] = pfn;
	store_relaxed_u32(&mine->n, n + 1);
	spin_unlock(&mine->lock, RANK_MAGAZINE);
	if (UNLIKELY(over != 0))
		buddy_free_batch(batch, over);
}

static void frame_free(pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);
	unsigned order = frame->order;

	frame->kind = FRAME_FREE;
	if (LIKELY(order == 0)) {
		give_back(pfn);
		return;
	}
	for (uint64_t i = 1; i < (UINT64_C(1) << order); i++) {
		frame_of(PFN(pfn.v + i))->kind = FRAME_FREE;
		atomic_store_explicit(&frame_of(PFN(pfn.v + i))->count, 0, memory_order_relaxed);
	}
	buddy_free(pfn, order);
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

	for (unsigned h = 0; h < hw_harts(); h++)
		n += atomic_load_explicit(&coremap.magazines[h].n, memory_order_relaxed);
	return coremap.kept == NULL ? n : n + coremap.kept();
}

void coremap_drain(void)
{
	if (coremap.kept != NULL)
		coremap.reclaim();
	for (unsigned h = 0; h < hw_harts(); h++) {
		struct magazine *m = &coremap.magazines[h];

		spin_lock(&m->lock, RANK_MAGAZINE);
		uint32_t n = atomic_load_explicit(&m->n, memory_order_relaxed);

		buddy_free_batch(m->frames, n);
		store_relaxed_u32(&m->n, 0);
		spin_unlock(&m->lock, RANK_MAGAZINE);
	}
}
