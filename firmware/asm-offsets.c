/*
 * What start.S and trap.S must know of C: compiled to assembly only; the build makes asm-offsets.h of the marked
 * lines.
 */
#include "firmware/hart.h"
#include "firmware/page.h"
#include "firmware/trap.h"
#include "lib/hw.h"

#define DEFINE(sym, value) __asm__ volatile("\n.ascii \"->" #sym " %0\"" : : "i"(value))
#define FRAME(NAME, field) DEFINE(FRAME_##NAME, offsetof(struct trap_frame, field))

void asm_offsets(void);

static void frame_offsets(void)
{
	DEFINE(FRAME_SIZE, sizeof(struct trap_frame));
	FRAME(ORIG_A0, orig_a0);
	FRAME(X, x);
	FRAME(SP, sp);
	FRAME(TP, tp);
	FRAME(T0, t0);
	FRAME(A0, a0);
	FRAME(SEPC, sepc);
	FRAME(SSTATUS, sstatus);
	FRAME(SCAUSE, scause);
	FRAME(STVAL, stval);
	FRAME(KERNEL_TP, kernel_tp);
}

void asm_offsets(void)
{
	frame_offsets();
	DEFINE(HART_KERNEL_SP, offsetof(struct hart, kernel_sp));
	DEFINE(HART_SCRATCH, offsetof(struct hart, scratch));
	DEFINE(HART_THREAD, offsetof(struct hart, thread));
	DEFINE(HART_USER_PC, offsetof(struct hart, user_pc));
	DEFINE(HART_USER_CAUSE, offsetof(struct hart, user_cause));
	DEFINE(HART_EMERGENCY_SP, offsetof(struct hart, emergency_sp));
	DEFINE(TRAP_CALLS, TRAP_CALLS);
	DEFINE(TRAP_THREAD_WORK, TRAP_THREAD_WORK);
	DEFINE(TRAP_THREAD_FAULTS, TRAP_THREAD_FAULTS);
	DEFINE(TRAP_READ, TRAP_READ);
	DEFINE(TRAP_WRITE, TRAP_WRITE);
	DEFINE(TRAP_EXEC, TRAP_EXEC);
	DEFINE(PAGE_WAYS_COPY, offsetof(struct page_ways, copy));
	DEFINE(PAGE_WAYS_CLEAR, offsetof(struct page_ways, clear));
	DEFINE(PAGE_WAYS_ZERO_BLOCK, offsetof(struct page_ways, zero_block));
	DEFINE(FP_FCSR, offsetof(struct fp_state, fcsr));
}
