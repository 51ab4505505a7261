/* What mm/ keeps for each hart: its walk epoch, its mailbox, its counters. Private to mm/. */
#ifndef MM_HART_H
#define MM_HART_H

#include "lib/atomic.h"
#include "lib/hw.h"
#include "mm/coremap.h"
#include "mm/space.h"

/* Tables without entries, and roots with the kernel's alone: table.c. */
enum { STOCK_LOWER, STOCK_ROOT, STOCK_KINDS };
#define STOCK_TABLES 14 /* two lines with the header */
struct table_stock {
	struct spinlock lock;
	_Atomic uint32_t n;	   /* [lock]; read by tables_kept without it */
	pfn_t table[STOCK_TABLES]; /* [lock] */
} CACHE_ALIGNED;

#define CLEARED_MAX 62 /* eight lines with the header */

struct cleared {
	struct spinlock lock;
	_Atomic uint32_t n;	  /* [lock]; read without it to see whether there are any */
	pfn_t frame[CLEARED_MAX]; /* [lock] */
};

struct mm_hart {
	/* Written by its own hart only, read by harts that wait for a walk to end. */
	_Atomic uint32_t epoch CACHE_ALIGNED; /* odd: in a walk without locks */
	_Atomic uint32_t look;		      /* odd: looking up an object's page without locks */
	struct space *space;		      /* in satp; NULL: the kernel's own root */
	pfn_t root;	     /* by which faults in it are looked up here: the space's own, or this hart's view */
	pfn_t zero;	     /* frame_zero(), at hand */
	unsigned anon_group; /* see space_set_fault_around */
	_Atomic uint64_t counter[MM_COUNTERS];
	uint64_t looked;	/* the page that a read() had last: transfer.c */
	_Atomic uint64_t dirty; /* pages that became dirty here, less those that became clean here: modulo 2^64 */

	/* The mailbox: harts whose request this one has yet to serve. Written by all. */
	_Atomic uint64_t requests CACHE_ALIGNED;

	/* This hart's own request, written by it; `waiting` is cleared bit by bit by those it asks. */
	_Atomic uint64_t waiting CACHE_ALIGNED;
	uint64_t start;
	uint64_t bytes;
	uint16_t asid;
	uint32_t serial; /* among its requests, where they are traced */

	struct table_stock tables[STOCK_KINDS];

	struct cleared cleared CACHE_ALIGNED; /* cleared.c */
};

extern struct mm_hart *mm_harts; /* hw_harts() of them; set once by mm_hart_init */

void mm_hart_init(void);

/* A frame of this hart's that is all zeros, with a count of one. False: there is none. */
bool cleared_take(struct cleared *mine, enum frame_kind kind, pfn_t *out) MUST_CHECK;

static inline struct mm_hart *mm_this_hart(void)
{
	return hw_local();
}

/* relaxed: each hart adds to its own; sums are snapshots */
static inline void mm_count_here(struct mm_hart *mine, enum mm_counter counter, uint64_t n)
{
	_Atomic uint64_t *at = &mine->counter[counter];

	store_relaxed_u64(at, atomic_load_explicit(at, memory_order_relaxed) + n);
}

static inline void mm_count_add(enum mm_counter counter, uint64_t n)
{
	mm_count_here(mm_this_hart(), counter, n);
}

/* The same for pages that became dirty, or clean (n "negative"). */
static inline void mm_dirty_add(uint64_t n)
{
	_Atomic uint64_t *at = &mm_this_hart()->dirty;

	store_relaxed_u64(at, atomic_load_explicit(at, memory_order_relaxed) + n);
}

static inline void mm_count(enum mm_counter counter)
{
	mm_count_add(counter, 1);
}

#endif
