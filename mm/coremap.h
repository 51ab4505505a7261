/*
 * The coremap: one entry for each physical frame, and the ways to get and give back frames.
 *
 * HW_COREMAP[pfn] is the entry of frame pfn; only entries of RAM are backed by memory. An entry is exactly one cache
 * line, so that harts working on different frames never write the same line.
 */
#ifndef MM_COREMAP_H
#define MM_COREMAP_H

#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "lib/shadow.h"
#include "lib/types.h"

struct mapping;
struct object;
struct slab_class;

enum frame_kind {
	FRAME_RESERVED, /* not ours: firmware, the kernel image, the device tree, the coremap, holes */
	FRAME_FREE,	/* on a buddy list, in the depot, or in a stock; count is 0 */
	FRAME_KERNEL,	/* kernel memory: stacks, slabs */
	FRAME_ANON,	/* a private page of user memory */
	FRAME_OBJECT,	/* a page of a memory object; the object holds one count */
	FRAME_TABLE,	/* a page table */
	FRAME_ZERO,	/* the shared zero frame: immortal, not counted */
	FRAME_SIDE,	/* the side page of a page table, or of several */
	FRAME_KINDS
};

struct frame {
	_Atomic uint32_t count; /* PTE and object slots that name it; tables: parents that name it */
	uint8_t kind;	  /* enum frame_kind; written by the frame's owner while count is 0 or 1 and unpublished */
	uint8_t order;	  /* of the block that this frame heads: free, or allocated as a block */
	bool buddy;	  /* heads a block on a buddy list [buddy lock] */
	uint8_t level;	  /* FRAME_TABLE: 2 root, 1, 0 leaf table */
	uint32_t audited; /* the audit's own count; otherwise 0 */
	bool emptied;	  /* FRAME_TABLE: munmap has counted it as empty: edit.c [the table's lock] */
	union {
		struct list free;		  /* FRAME_FREE, heading a buddy block [buddy lock] */
		struct {			  /* FRAME_FREE, in a chain of a stock or of the depot */
			struct frame *next;	  /* NULL: the last one */
			struct frame *next_chain; /* of the first one, in the depot [buddy lock] */
			uint32_t n;		  /* of the first one, in the depot: frames of the chain [buddy lock] */
		} stock;
		struct {		      /* FRAME_TABLE */
			struct spinlock lock; /* guards the entries but for A and D bits, and the rest here */
			bool stale;	      /* unlinked: whoever gets the lock now must walk again */
			bool shared;	      /* several entries name it, or once did: share.h */
			uint16_t used;	      /* entries that are not zero */
			uint64_t groups;      /* bit i clear: entries 8 i to 8 i + 7 are all zero */
			union {
				struct mapping
					*mapping; /* leaf table: what its present pages belong to, if no side page */
				_Atomic uint64_t
					linked; /* a view's: as groups, but bits are set before the entries: view.c */
			};
			struct mapping **side; /* leaf table: per entry, where one table mixes mappings; or NULL */
			pfn_t next_dead;       /* next in a list of unlinked tables, see range.h */
			uint64_t harts;	       /* leaf table: those whose view leads here, or did: view.h */
		} table;
		struct {		  /* FRAME_OBJECT */
			uint32_t written; /* of its counts, those that are held while it is written back [object] */
		} object;
		struct { /* FRAME_KERNEL, used as a slab: see slab.c */
			struct list link;
			void *free;
			struct slab_class *class;
			uint32_t live;
		} slab;
	};
} CACHE_ALIGNED;

_Static_assert(sizeof(struct frame) == CACHE_LINE, "a coremap entry is one cache line");

static inline struct frame *frame_of(pfn_t pfn)
{
	return &HW_COREMAP[pfn.v];
}

static inline pfn_t frame_pfn(const struct frame *frame)
{
	return PFN((uint64_t)(frame - HW_COREMAP));
}

static inline void *frame_data(pfn_t pfn)
{
	return hw_direct(pfn_paddr(pfn));
}

/*
 * Starts the allocator. ram: what the machine has; reserved: what is taken already, the memory behind the coremap
 * included; both sorted by address, page-aligned, ram not overlapping itself. The coremap entries of all of ram must be
 * backed and zero. Called once, on one hart, after hw_harts() is known. Panics if nothing is left.
 */
void coremap_init(const struct phys_range *ram, size_t nram, const struct phys_range *reserved, size_t nreserved);

/* Every frame of RAM in turn, lowest first; 0 behind the last. */
pfn_t frame_first(void);
pfn_t frame_next(pfn_t pfn);

/* Whether pfn lies in a RAM range that coremap_init was given. */
bool frame_exists(pfn_t pfn);

/*
 * One frame of the given kind with count 1, its contents undefined (frame_alloc) or zero (frame_alloc_zeroed). Takes
 * frames from the calling hart's stock, refills that in large batches, and takes from the other harts' stocks before it
 * fails. 0 or -ENOMEM.
 */
int frame_alloc(enum frame_kind kind, pfn_t *out) MUST_CHECK;
int frame_alloc_zeroed(enum frame_kind kind, pfn_t *out) MUST_CHECK;

/* 2^order contiguous frames, aligned to their size; the first carries the count and the order. 0 or -ENOMEM. */
int frame_alloc_block(enum frame_kind kind, unsigned order, pfn_t *out) MUST_CHECK;

/*
 * One more slot names the frame. The caller holds a count, or the lock of a slot that does. False, and nothing done, when
 * it has FRAME_COUNT_MAX already: a program that maps a page that often gets -ENOMEM, and the count cannot wrap.
 */
#define FRAME_COUNT_MAX (UINT32_C(1) << 31)
bool frame_get_refused(struct frame *frame, uint32_t old) MUST_CHECK;

/*
 * For loops over many frames: the count goes up or down by one, relaxed, and what it was is returned with its sign: not above zero where
 * frame_get would refuse. On the target in one instruction; compilers extend the sign once more, and make `by` anew each time.
 */
static inline int64_t frame_count_step(struct frame *frame, int64_t by)
{
#ifdef __riscv
	int64_t old;

	__asm__ volatile("amoadd.w %0, %2, %1" : "=r"(old), "+A"(frame->count) : "r"(by));
	return old;
#else
	return (int32_t)(by > 0 ? atomic_fetch_add_explicit(&frame->count, 1, memory_order_relaxed)
				: atomic_fetch_sub_explicit(&frame->count, 1, memory_order_relaxed));
#endif
}

/* A constant that the compiler is to keep in a register. */
static ALWAYS_INLINE uint64_t kept_constant(uint64_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

static inline MUST_CHECK bool frame_get(pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);

	if (frame->kind == FRAME_ZERO)
		return true;
	/* relaxed: whoever counts up holds a count already, or the lock of a slot that does */
	uint32_t old = atomic_fetch_add_explicit(&frame->count, 1, memory_order_relaxed);

	return LIKELY(old - 1 < FRAME_COUNT_MAX - 1) || frame_get_refused(frame, old);
}

/* The same where it cannot be refused: for who has few at a time, as FRAME_COUNT_MAX is far from where the count would wrap. */
static inline void frame_get_more(pfn_t pfn)
{
	/* relaxed: as frame_get */
	uint32_t old = atomic_fetch_add_explicit(&frame_of(pfn)->count, 1, memory_order_relaxed);

	CHECK(old != 0);
}

/* The same for a frame that may be on its way out: found in an object's index within a walk epoch. -EAGAIN: it is; -ENOMEM. */
int frame_try_get(pfn_t pfn) MUST_CHECK;

/* Where the caller's slot is the only one: nobody gets it any more. Then, when nobody can be looking at it any more, it is freed. */
bool frame_freeze(pfn_t pfn) MUST_CHECK;
void frame_free_frozen(pfn_t pfn);

/*
 * One slot fewer names the frame; the last one frees it (the block that it heads). Before the last put, every hart that
 * could reach the frame through a translation has acknowledged its fence. CHECKs underflow.
 */
void frame_put_last(pfn_t pfn, uint32_t old);

static inline void frame_put(pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);

	if (frame->kind == FRAME_ZERO)
		return;
	/* release: pairs with the acquire in frame_put_last and in frame_is_sole */
	uint32_t old = atomic_fetch_sub_explicit(&frame->count, 1, memory_order_release);

	if (old <= 1)
		frame_put_last(pfn, old);
}

/*
 * frame_put for many, at one visit to the allocator: each frame that goes is kept in the batch, which lies on the caller's stack, until
 * frame_batch_end. Whoever puts a frame here has the lock of the slot that named it, or has it out of everybody's reach.
 */
struct frame_batch {
	struct frame *first, *last; /* linked by stock.next */
	uint32_t n;
};

void frame_batch_end(struct frame_batch *batch);
void frame_batch_put_slow(struct frame_batch *batch, struct frame *frame);

static inline void frame_batch_add(struct frame_batch *batch, struct frame *frame)
{
	shadow_note(SHADOW_FREE, frame_pfn(frame).v, 1, 0, 0);
	frame->kind = FRAME_FREE;
	frame->stock.next = batch->first;
	if (batch->first == NULL)
		batch->last = frame;
	batch->first = frame;
	batch->n++;
}

static inline void frame_batch_put(struct frame_batch *batch, pfn_t pfn)
{
	struct frame *frame = frame_of(pfn);

	/*
	 * An anonymous page that only our slot names: only who has the slot could count it up. So no atomic operation.
	 * acquire: as in frame_is_sole. relaxed: whoever gets the frame next has it from the allocator, whose locks order it.
	 */
	if (LIKELY(frame->kind == FRAME_ANON && frame->order == 0 &&
		   atomic_load_explicit(&frame->count, memory_order_acquire) == 1)) {
		store_relaxed_u32(&frame->count, 0);
		frame_batch_add(batch, frame);
	} else {
		frame_batch_put_slow(batch, frame);
	}
}

/*
 * Whether the caller's slot is the only one. Acquire: pairs with the release in frame_put, so that what others did with
 * the frame before they let go of it is done.
 */
static inline bool frame_is_sole(pfn_t pfn)
{
	/* acquire: pairs with the release in frame_put */
	return atomic_load_explicit(&frame_of(pfn)->count, memory_order_acquire) == 1;
}

/* The shared zero frame: mapped read-only wherever memory was read and never written. Never counted, never freed. */
pfn_t frame_zero(void);

/* Frames of RAM that the allocator was given, and those now free (exact when nothing allocates meanwhile). */
uint64_t frames_total(void);
uint64_t frames_free(void);

/*
 * Whoever can give frames back is told when fewer than `low` are left to refill stocks from: on the hart that wants them, with
 * whatever locks it holds, so low() only wakes somebody. low NULL: nobody. Once, or on a machine that stands still.
 */
void frames_set_low(uint64_t frames, void (*low)(void));

/*
 * Free frames that mm/ puts by elsewhere: how many there are, and giving them back. kept NULL: none. Once, on a machine that stands
 * still.
 */
void frames_set_keeper(uint64_t (*kept)(void), void (*reclaim)(void));

/* Gives every hart's stock, and the depot, back to the buddy lists. For the audit and for the last attempt before -ENOMEM. */
void coremap_drain(void);

/* ---- buddy.c, for coremap.c and the tests alone. */
void buddy_init(void);
void buddy_add(pfn_t start, uint64_t count);
bool buddy_alloc(unsigned order, pfn_t *out);
void buddy_free(pfn_t pfn, unsigned order);
uint64_t buddy_free_frames(void);
uint64_t buddy_free_guess(void); /* without a lock */

/* For the stocks: a chain that was given (*first), or a block of up to 2^order frames; how many. 0: there is nothing. */
uint32_t buddy_take(unsigned order, struct frame **first, pfn_t *block);
/* A chain of n frames: the next that asks gets it as it is, where no more than `keep` frames are kept so. */
void buddy_give(struct frame *first, uint32_t n, uint64_t keep);
/* A chain's frames, or those of a block that a stock has begun to use, become blocks. */
void buddy_free_chain(struct frame *first);
void buddy_give_run(pfn_t pfn, uint32_t n);
/* No chain is kept any more: all are on the lists of blocks. */
void buddy_settle(void);
#define BUDDY_ORDERS 19 /* up to 2^18 frames, 1 GiB */

#endif
