/*
 * The fake machine of the host tests: RAM, harts, inter-hart interrupts, a TLB a hart that forgives nothing, and
 * allocations that fail when a test wants them to. One machine a process, started once.
 *
 * A hart is run by whichever thread has entered it. A hart that nobody has entered is a hart in user mode: its
 * interrupts are taken by whoever waits for it (hw_relax), so a test with one thread has harts that answer, and a test
 * with a thread a hart leaves its hart between two instructions of its "program".
 */
#ifndef FAKES_FAKE_H
#define FAKES_FAKE_H

#include "lib/hw.h"
#include "mm/coremap.h"
#include "mm/space.h"

struct fake_config {
	unsigned harts; /* 0: 1 */
	unsigned asid_bits;
	bool svade;	     /* harts trap instead of setting A and D */
	bool rfence;	     /* mm_init(tlb_ipi = false) */
	uint64_t bytes;	     /* of RAM; 0: 32 MiB */
	uint64_t hole_start; /* bytes from the start of RAM, page-aligned, with hole_bytes: not RAM */
	uint64_t hole_bytes;
	uint64_t reserved;    /* bytes reserved at the start of RAM; 0: 1 MiB */
	uint64_t reserved_at; /* and reserved_bytes: a second reservation, offset from the start of RAM */
	uint64_t reserved_bytes;
	bool coremap_only; /* no mm_init */
	bool calm;	   /* no random eviction and speculation: for tests that count */
};

/* Starts the machine, and mm on it, on hart 0, which the caller has then entered. */
void fake_start(const struct fake_config *config);

/* The calling thread gives way now and then in the middle of mm/'s work, from now on. */
void fake_nervous(void);

/* The calling thread runs hart i from now on, and takes an interrupt that is pending there. Leaves the one it had. */
void fake_hart_enter(unsigned hart);
void fake_hart_leave(void);
/* Takes this hart's pending interrupts, as between two instructions of its program. */
void fake_interrupts(void);

/* ---- Programs. */

/* What became of a program's access: FAULT_OK, or the fault that ended it. */
struct fake_op {
	enum access access;
	uint64_t value;	 /* read: what was read (8 bytes); write: what to write */
	pfn_t frame;	 /* where it went */
	unsigned faults; /* how many faults it took */
};
/* One aligned 8-byte access by the program on the calling hart, in this hart's current space, faulting as it must. */
enum fault fake_user(vaddr_t va, struct fake_op *op);
enum fault fake_load(vaddr_t va, uint64_t *value);
enum fault fake_store(vaddr_t va, uint64_t value);
/* So many faults in a row without the access going through are a failure; with other harts at work more than the usual 12
 * may be right. */
extern unsigned fake_max_faults;
/* Without the fault handler: whether the access went through. */
bool fake_access(vaddr_t va, struct fake_op *op);

/* ---- The TLB. */
/* Entries of any kind for va in this hart's TLB under asid: what it would use if it had that satp. */
unsigned fake_tlb_holds(unsigned hart, vaddr_t va, uint16_t asid);
void fake_tlb_flush(unsigned hart);
pfn_t fake_hart_root(unsigned hart); /* what satp says; 0: the kernel's */
uint16_t fake_hart_asid(unsigned hart);

/* Called when a hart is about to ask others, before they know of it: what the machine looks like then. One thread only. */
extern void (*fake_window)(void);
/* Called in each turn of a loop that waits. */
extern void (*fake_waiting)(void);
/* In fake_window: one access by another hart, without its fault handler. */
bool fake_access_on(unsigned hart, vaddr_t va, struct fake_op *op);

struct fake_counts {
	uint64_t fence_page, fence_asid, fence_all; /* by this hart, on itself */
	uint64_t remote_calls, ipi_calls;	    /* by this hart */
	uint64_t ipis, remotes;			    /* at this hart */
	uint64_t fence_i;
};
struct fake_counts *fake_counts(unsigned hart);
void fake_counts_reset(void);

/* ---- Allocations that fail: frame_alloc, _zeroed, _block and kalloc, by link-time wrapping. */
/* The n-th allocation from now on fails, once (n = 1: the next); 0: none does. all: and every one after it. */
void fake_fail_at(uint64_t n, bool all);
bool fake_fail_hit(void);
/* Called before each of them. One thread only. */
extern void (*fake_allocating)(void);

/* ---- Random numbers, a stream a thread. */
void fake_seed(uint64_t seed);
uint64_t fake_random(void);
uint64_t fake_below(uint64_t limit);

/* ---- Panics. */
/* Runs fn(arg); returns the panic's message, or NULL if there was none. mm's state is lost after a panic. */
const char *fake_panic_of(void (*fn)(void *), void *arg);
/* The test has failed: says so and aborts. From any thread. */
_Noreturn void fake_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- Between hw.c, tlb.c and alloc.c. */
void fake_tlb_init(const struct fake_config *config);
void fake_tlb_root(unsigned hart, pfn_t root, uint16_t asid);
void fake_jitter(void); /* a moment at which anything may happen: yields, speculation */
void fake_speculate(unsigned hart);
void fake_alloc_init(uint64_t frames, uint64_t first);
uint32_t fake_generation(pfn_t pfn);
extern bool fake_calm;

#endif
