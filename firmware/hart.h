/* Harts: their per-hart block, bringing them up, stopping them. Indices as in lib/hw.h. */
#ifndef FIRMWARE_HART_H
#define FIRMWARE_HART_H

#include "lib/atomic.h"
#include "lib/types.h"

struct thread;

#define HART_SAMPLE_MAX 8
#define HART_IN_USER	UINT64_MAX
enum hart_sample { HART_SAMPLE_NONE, HART_SAMPLE_WANTED, HART_SAMPLE_TAKEN };

/*
 * What tp points to in the kernel, on every hart, always. In user mode sscratch holds the trap frame, which names it; in the
 * kernel sscratch is 0, so that trap entry can tell. trap.S knows the first fields by generated offsets.
 */
struct hart {
	uint64_t kernel_sp;    /* the stack it starts on */
	uint64_t scratch[2];   /* of a trap from the kernel */
	struct thread *thread; /* kernel/'s current thread; NULL before the scheduler runs */
	uint32_t index;	       /* 0 .. hw_harts() - 1 */
	uint32_t fence_global; /* hw_fence_page must fence everything; the same on all harts */
	void *local;	       /* mm's block of this hart: hw_local() */
	uint64_t id;	       /* what the SBI and the device tree call it */
	/* The rest is firmware/'s own. */
	uint64_t emergency_sp; /* stack for traps from the kernel */
	uint64_t stop_fp;      /* frame pointer of a hart that a panic stopped, once stopped is set */
	_Atomic uint32_t stopped;
	uint32_t relaxed;			   /* calls of hw_relax */
	uint64_t timer;				   /* what timer_set was told last */
	_Atomic uint64_t ipis_sent, ipis_received; /* written by this hart only */
	/* Debug kernels: where it was in user mode when it came here last, and why; HART_IN_USER while it is there. trap.S. */
	uint64_t user_pc, user_cause;
	/* Where it is, for harts_sample. */
	_Atomic uint32_t sample; /* enum hart_sample */
	uint32_t sampled;
	uint64_t sample_pc[HART_SAMPLE_MAX];
} CACHE_ALIGNED;

static inline struct hart *this_hart(void)
{
	struct hart *hart;
	/* volatile: a thread may be on another hart after context_switch */
	__asm__ volatile("mv %0, tp" : "=r"(hart));
	return hart;
}

/* One of this hart's own counters. relaxed: it alone writes them, and sums are snapshots */
static inline void hart_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/*
 * How many inter-hart interrupts this hart has taken. Who is to sleep reads it before he looks for what they are sent for: if it is another
 * number by then, hw_relax took one in between, and he looks again.
 */
static inline uint64_t hart_ipis_taken(void)
{
	return atomic_load_explicit(&this_hart()->ipis_received, memory_order_relaxed);
}

/* Any usable hart, by index. */
struct hart *hart_get(unsigned index);

/* Harts that have come up, as a set. */
uint64_t harts_online(void);

/*
 * Starts the other usable harts (SBI HSM), each on a stack of its own from the coremap, in entry() with the MMU, the
 * kernel root and its per-hart block set up and interrupts off. Waits for them, with a time limit: one that does not
 * arrive is named in a line and left out of harts_online().
 */
void harts_start(void (*entry)(void));

/*
 * Inter-hart interrupts: hw_send_ipi(harts) makes each run this handler: from the trap, from idle, or from hw_relax
 * while it waits for something. Registered once, before harts_start.
 */
void hart_set_ipi_handler(void (*serve)(void));
/* Clears sip.SSIP, then runs the handler. For kernel/'s interrupt dispatch. */
void hart_serve_ipi(void);

/*
 * Interrupts stay off in the kernel; an idle hart sleeps in wfi until one is pending and returns. See trap.h for
 * which.
 */
void hart_wait_for_interrupt(void);

/*
 * Asks harts where they are, and waits a moment for those that answer: from user mode, idle, or hw_relax. Those that did, as a set;
 * hart_sample_print says what one said, a line a call; harts_print_here the calling hart's. Any context; one hart at a time.
 */
uint64_t harts_sample(uint64_t harts);
void hart_sample_print(unsigned index);
void harts_print_here(void);
/* The SBI's state of a hart, in words. */
const char *hart_state(unsigned index);

/* Ends the machine with an exit status for whoever started it: the test device, SRST, or what the board has. */
_Noreturn void machine_power_off(unsigned status);
/* Whether a machine without a way to cut its power stops, rather than starting anew. */
void machine_power_stops(bool stops);

#endif
