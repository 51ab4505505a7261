/* Trap entry and exit, timers, the trap frame. */
#ifndef FIRMWARE_TRAP_H
#define FIRMWARE_TRAP_H

#include "lib/types.h"

/* A user thread's registers, at the top of its kernel stack. trap.S knows the offsets (generated). */
struct trap_frame {
	union {
		uint64_t x[32]; /* x[0] is not a register: it keeps the original a0 for restarting a system call */
		struct {
			uint64_t orig_a0, ra, sp, gp, tp, t0, t1, t2, s0, s1, a0, a1, a2, a3, a4, a5, a6, a7;
			uint64_t s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6;
		};
	};
	uint64_t sepc;
	uint64_t sstatus; /* in a panic only */
	uint64_t scause;
	uint64_t stval;		/* sign-extended by now where an erratum (CIP-453) needs it */
	struct hart *kernel_tp; /* trap.S's: what tp becomes when the thread traps; right while it is in user mode */
	uint64_t unused;
};

/*
 * Traps from user mode, with interrupts off, on the thread's kernel stack. trap.S goes to these, implemented by kernel/ and mm/:
 *
 *   syscall_table[TRAP_CALLS], sys_unknown	a system call; a0 becomes what it returns
 *   space_fault_here (trap_fault_traced)		a page fault; then, where that does not say FAULT_OK, trap_refused
 *   trap_other					anything else
 *   trap_work					before user mode, where the thread's word of work is not 0
 *
 * In the frame that the first two see, s0-s11, gp, sepc and sstatus are not (trap.S says where they are), and they may not
 * change it. The others have all of it, and what they change is what the program finds.
 * Traps from kernel mode are bugs: they panic (firmware/panic.c).
 */
void trap_other(struct trap_frame *frame);
void trap_work(struct trap_frame *frame);

/* In place of space_fault_here after trap_trace_faults, for all harts: before others are started. kernel/trace.c's. */
uint64_t trap_fault_traced(uint64_t va, uint64_t access);
void trap_trace_faults(void);

#define TRAP_CALLS 512
/* What stands for handlers that need all of the frame: the entries of the table. */
int64_t trap_call_clone(const uint64_t *a);
int64_t trap_call_clone3(const uint64_t *a);
int64_t trap_call_execve(const uint64_t *a);
int64_t trap_call_rt_sigreturn(const uint64_t *a);

/* Where struct thread has what trap.S reads: a word that is not 0 where there is work, and the count of page faults. */
#define TRAP_THREAD_WORK   0
#define TRAP_THREAD_FAULTS 16
/* mm's enum access */
#define TRAP_READ  0
#define TRAP_WRITE 1
#define TRAP_EXEC  2

/* Enters user mode with this frame, which lies at the top of the current thread's kernel stack. For new threads. */
_Noreturn void trap_return(struct trap_frame *frame);

/*
 * Saves the callee-saved registers, gp, sepc and sstatus on this stack and its sp to *save_sp, takes load_sp, restores from
 * there.
 */
void context_switch(uint64_t *save_sp, uint64_t load_sp);
/* What a new stack must hold for context_switch to start at entry(arg), FP registers being clean: pushes it and returns the
 * sp to load. */
uint64_t context_init(uint64_t stack_top, void (*entry)(void *), void *arg);

/*
 * FP state: sstatus.FS says whether a thread has used it. 32 registers and fcsr. Turns FS on for the kernel
 * meanwhile.
 */
struct fp_state {
	uint64_t f[32];
	uint64_t fcsr;
};
void fp_save(struct fp_state *to);
void fp_restore(const struct fp_state *from);

/* scause */
#define CAUSE_INTERRUPT	       (UINT64_C(1) << 63)
#define CAUSE_SOFTWARE	       (CAUSE_INTERRUPT | 1)
#define CAUSE_TIMER	       (CAUSE_INTERRUPT | 5)
#define CAUSE_EXTERNAL	       (CAUSE_INTERRUPT | 9)
#define CAUSE_FETCH_MISALIGNED 0
#define CAUSE_FETCH_ACCESS     1
#define CAUSE_ILLEGAL	       2
#define CAUSE_BREAKPOINT       3
#define CAUSE_LOAD_MISALIGNED  4
#define CAUSE_LOAD_ACCESS      5
#define CAUSE_STORE_MISALIGNED 6
#define CAUSE_STORE_ACCESS     7
#define CAUSE_ECALL_U	       8
#define CAUSE_FETCH_PAGE_FAULT 12
#define CAUSE_LOAD_PAGE_FAULT  13
#define CAUSE_STORE_PAGE_FAULT 15

/* sstatus */
#define SSTATUS_SPIE	   (UINT64_C(1) << 5)
#define SSTATUS_SPP	   (UINT64_C(1) << 8)
#define SSTATUS_FS	   (UINT64_C(3) << 13) /* 0 off, 1 initial, 2 clean, 3 dirty */
#define SSTATUS_FS_INITIAL (UINT64_C(1) << 13)
#define SSTATUS_FS_CLEAN   (UINT64_C(2) << 13)
#define SSTATUS_FS_DIRTY   (UINT64_C(3) << 13)

/* ---- Time. Ticks of the `time` CSR; nanoseconds since the machine started. */
uint64_t time_ticks(void);
uint64_t time_ns(void);
uint64_t ns_to_ticks(uint64_t ns); /* rounds up, never overflows */
/* Arms this hart's timer interrupt for an absolute tick; UINT64_MAX: never. Clears a pending one. */
void timer_set(uint64_t ticks);

/* Which interrupts are pending on this hart (sip & sie), in the bits of sip: for idle. */
#define IP_SOFTWARE (UINT64_C(1) << 1)
#define IP_TIMER    (UINT64_C(1) << 5)
#define IP_EXTERNAL (UINT64_C(1) << 9)
uint64_t interrupts_pending(void);

#endif
