/*
 * Trap entry and return, context switch, FP state.
 *
 * While a hart is in user mode sscratch holds the thread's trap frame, which has the hart's block in it; in the kernel it is
 * 0. The kernel needs no gp: it is linked without gp relaxation.
 *
 * A system call and a page fault, the two fast paths, save what C may change (ra, tp, sp, t0-t6, a0-a7) and nothing else. s0-s11
 * and gp are in the registers, or where C has saved them; sepc and sstatus in their CSRs: the kernel takes no traps, so only
 * another thread can change those, and context_switch keeps them as it keeps s0-s11. What needs them in the frame (signals,
 * fork, exec, interrupts) is reached through save_rest and leaves through return_all, which loads them again.
 *
 * A reservation (lr) of one thread must not let another's sc succeed: context_switch breaks it. Nor one of a signal's handler the sc that it
 * came between: rt_sigreturn does. Any other trap that comes back to the same thread needs no such thing: the specification lets
 * sc fail, and lets it succeed only if nobody wrote.
 */
#include "asm-offsets.h"

#define CAUSE_CALL  8
#define CAUSE_FETCH 12
#define CAUSE_LOAD  13
#define CAUSE_STORE 15
#define NO_CALL	    -1

	.text

/* All but t0, which the code around it needs; a0 alone, as a system call leaves it. */
	.macro for_clobbered do:vararg
	.irp n, 1, 6, 7, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	\do x\n, FRAME_X + 8 * \n(sp)
	.endr
	.endm

	.macro for_rest do:vararg
	.irp n, 3, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
	\do x\n, FRAME_X + 8 * \n(sp)
	.endr
	.endm

/* From user mode: sp is the frame, tp the hart's block, t0 scause. */
	.macro save_clobbered
	csrrw sp, sscratch, sp
	beqz sp, trap_from_kernel
	sd t0, FRAME_T0(sp)
	csrrw t0, sscratch, zero	/* from here on a trap is one from the kernel */
	sd tp, FRAME_TP(sp)
	ld tp, FRAME_KERNEL_TP(sp)
	sd t0, FRAME_SP(sp)
	sd a0, FRAME_A0(sp)
	for_clobbered sd
	csrr t0, scause
#ifdef CORRAL_DEBUG
	csrr t1, sepc
	sd t0, HART_USER_CAUSE(tp)
	sd t1, HART_USER_PC(tp)
#endif
	.endm

	.macro return_clobbered
#ifdef CORRAL_DEBUG
	li t0, -1
	sd t0, HART_USER_CAUSE(tp)
#endif
	csrw sscratch, sp
	ld t0, FRAME_T0(sp)
	ld tp, FRAME_TP(sp)
	for_clobbered ld
	ld sp, FRAME_SP(sp)
	sret
	.endm

/* What the fast paths have left where it was. Changes t0. */
	.macro save_rest
	csrr t0, sepc
	for_rest sd
	sd t0, FRAME_SEPC(sp)
	.endm

	.macro save_cause
	csrr t0, scause
	sd t0, FRAME_SCAUSE(sp)
	.endm

	.balign 4
	.globl trap_entry
trap_entry:
	save_clobbered
	li t1, CAUSE_CALL
	bne t0, t1, trap_not_call
trap_call:
	csrr t0, sepc
	slli t1, a7, 3
	li t2, TRAP_CALLS
	addi t0, t0, 4
	csrw sepc, t0
	bgeu a7, t2, 1f
	la t0, syscall_table
	add t0, t0, t1
	ld t0, (t0)
	addi a0, sp, FRAME_A0
	beqz t0, 1f
	jalr t0
trap_call_done:
	ld t0, HART_THREAD(tp)
	lw t0, TRAP_THREAD_WORK(t0)
	bnez t0, 2f
	return_clobbered

1:	addi a0, sp, FRAME_A0
	call sys_unknown
	j trap_call_done

	/* The call has happened, and may have to happen again: what it was called with stays. */
2:	save_rest
	li t1, CAUSE_CALL
	ld t0, FRAME_A0(sp)
	sd t1, FRAME_SCAUSE(sp)
	sd a0, FRAME_A0(sp)
	sd t0, FRAME_ORIG_A0(sp)
	j return_work

	/* t0: the cause, a0: the address */
trap_not_call:
	csrr a0, stval
trap_at:
	sd a0, FRAME_STVAL(sp)
	li t1, CAUSE_STORE
	li a1, TRAP_WRITE
	bne t0, t1, 2f
1:	call space_fault_here
trap_faulted:
	bnez a0, trap_refuse
	ld t0, HART_THREAD(tp)
	ld t1, TRAP_THREAD_FAULTS(t0)
	lw t2, TRAP_THREAD_WORK(t0)
	addi t1, t1, 1
	sd t1, TRAP_THREAD_FAULTS(t0)
	bnez t2, 3f
	ld a0, FRAME_A0(sp)
	return_clobbered

2:	li t1, CAUSE_LOAD
	li a1, TRAP_READ
	beq t0, t1, 1b
	li t1, CAUSE_FETCH
	li a1, TRAP_EXEC
	beq t0, t1, 1b
	/* Interrupts, and exceptions that are not page faults. */
	save_rest
	save_cause
	mv a0, sp
	call trap_other
	j return_work

3:	save_rest
	li t0, NO_CALL
	sd t0, FRAME_SCAUSE(sp)
	j return_work

trap_refuse:
	mv a1, a0
	save_rest
	save_cause
	mv a0, sp
	call trap_refused
return_work:
	mv a0, sp
	call trap_work
return_all:
	ld t0, FRAME_SEPC(sp)
	sd tp, FRAME_KERNEL_TP(sp)
	csrw sepc, t0
	for_rest ld
	ld a0, FRAME_A0(sp)
	return_clobbered

/* For harts with CIP-453: stval of an instruction fault lacks the sign above bit 38. */
	.macro repair_stval
	slli t1, a0, 25
	srai t1, t1, 63
	slli t1, t1, 39
	or a0, a0, t1
	.endm

	.balign 4
	.globl trap_entry_cip453
trap_entry_cip453:
	save_clobbered
	li t1, CAUSE_CALL
	beq t0, t1, trap_call
	csrr a0, stval
	repair_stval
	j trap_at

/* The same two where page faults are traced: stvec says which (trap_trace_faults), so that the others need not ask. */
	.balign 4
	.globl trap_entry_cip453_traced
trap_entry_cip453_traced:
	save_clobbered
	li t1, CAUSE_CALL
	beq t0, t1, trap_call
	csrr a0, stval
	repair_stval
	j trap_at_traced

	.balign 4
	.globl trap_entry_traced
trap_entry_traced:
	save_clobbered
	li t1, CAUSE_CALL
	beq t0, t1, trap_call
	csrr a0, stval
trap_at_traced:
	sd a0, FRAME_STVAL(sp)
	li t1, CAUSE_STORE
	li a1, TRAP_WRITE
	beq t0, t1, 1f
	li t1, CAUSE_LOAD
	li a1, TRAP_READ
	beq t0, t1, 1f
	li t1, CAUSE_FETCH
	li a1, TRAP_EXEC
	bne t0, t1, trap_at
1:	call trap_fault_traced
	j trap_faulted

	.globl trap_return
trap_return:
	mv sp, a0
	j return_all

/* The calls whose handlers want all of the frame, and may change it. */
	.macro whole_frame call, handler
	.globl \call
\call:
	save_rest
	li t1, CAUSE_CALL
	ld t0, FRAME_A0(sp)
	sd t1, FRAME_SCAUSE(sp)
	sd t0, FRAME_ORIG_A0(sp)
	call \handler
	sd a0, FRAME_A0(sp)
	j return_work
	.endm

	whole_frame trap_call_clone, sys_clone
	whole_frame trap_call_clone3, sys_clone3
	whole_frame trap_call_execve, sys_execve
	whole_frame trap_call_sigreturn, sys_rt_sigreturn

	.globl trap_call_rt_sigreturn
trap_call_rt_sigreturn:
	addi t0, sp, -16	/* nothing is there */
	sc.d zero, zero, (t0)
	j trap_call_sigreturn

/* A bug: nothing to come back to. */
trap_from_kernel:
	csrrw sp, sscratch, sp
	sd sp, HART_SCRATCH(tp)
	ld sp, HART_EMERGENCY_SP(tp)
	addi sp, sp, -FRAME_SIZE
	sd t0, FRAME_T0(sp)
	sd tp, FRAME_TP(sp)
	sd a0, FRAME_A0(sp)
	for_clobbered sd
	ld t0, HART_SCRATCH(tp)
	sd t0, FRAME_SP(sp)
	save_rest
	save_cause
	csrr t0, stval
	csrr t1, sstatus
	sd t0, FRAME_STVAL(sp)
	sd t1, FRAME_SSTATUS(sp)
	mv a0, sp
	call panic_trap
	ebreak

/* Whether this hart lets us at stimecmp (0x14d): 1 or 0, by catching the trap if it does not. Not after a user trap. */
	.globl trap_probe_stimecmp
trap_probe_stimecmp:
	li a0, 0
	la t0, 1f
	csrrw t1, stvec, t0
	csrr t0, 0x14d
	li a0, 1
	.balign 4
1:	csrw stvec, t1
	ret

/* Counter a0, 0 to 31, by its CSR: 0xc00 and on. Each of the reads is 8 bytes long. */
	.globl hpm_read
hpm_read:
	la t2, 1f
	slli a0, a0, 3
	add t2, t2, a0
	jr t2
	.balign 4 /* before norvc: clang knows no nop of 2 bytes there */
	.option push
	.option norvc
1:
	.set number, 0
	.rept 32
	csrr a0, 0xc00 + number
	ret
	.set number, number + 1
	.endr
	.option pop

/* Whether this hart lets us at counter a0: 1 or 0, as trap_probe_stimecmp. */
	.globl trap_probe_hpm
trap_probe_hpm:
	mv t3, ra
	la t0, 1f
	csrrw t1, stvec, t0
	call hpm_read
	csrw stvec, t1
	li a0, 1
	jr t3
	.balign 4
1:	csrw stvec, t1
	li a0, 0
	jr t3

/*
 * Whether there is memory at a0: 1 or 0, as trap_probe_stimecmp. a1: 0: whether it can be read; else also, whether it keeps what is
 * written; it holds what it held afterwards.
 */
	.globl trap_probe_memory
trap_probe_memory:
	mv t3, a0
	li a0, 0
	la t0, 1f
	csrrw t1, stvec, t0
	ld t4, (t3)
	beqz a1, 2f
	not t5, t4
	sd t5, (t3)
	fence rw, rw
	ld t6, (t3)
	sd t4, (t3)
	bne t5, t6, 1f
2:	li a0, 1
	.balign 4
1:	csrw stvec, t1
	ret

/* Whether a device's register, of a1 bytes (1 or 4), answers at a0: 1 or 0, as trap_probe_stimecmp. */
	.globl trap_probe_device
trap_probe_device:
	mv t3, a0
	li a0, 0
	la t0, 1f
	csrrw t1, stvec, t0
	addi a1, a1, -1
	bnez a1, 2f
	lbu t4, (t3)
	j 3f
2:	lw t4, (t3)
3:	fence i, i
	li a0, 1
	.balign 4
1:	csrw stvec, t1
	ret

/* ra, s0-s11, gp, sepc, sstatus; sc fails on the first */
#define SWITCH_BYTES 128

	.macro for_switched do:vararg
	\do ra, 0(sp)
	\do s0, 8(sp)
	\do s1, 16(sp)
	\do s2, 24(sp)
	\do s3, 32(sp)
	\do s4, 40(sp)
	\do s5, 48(sp)
	\do s6, 56(sp)
	\do s7, 64(sp)
	\do s8, 72(sp)
	\do s9, 80(sp)
	\do s10, 88(sp)
	\do s11, 96(sp)
	\do gp, 104(sp)
	\do t1, 112(sp)
	\do t2, 120(sp)
	.endm

	.globl context_switch
context_switch:
	csrr t1, sepc
	csrr t2, sstatus
	addi sp, sp, -SWITCH_BYTES
	sc.d zero, zero, (sp)
	for_switched sd
	sd sp, (a0)
	mv sp, a1
	for_switched ld
	csrw sepc, t1
	csrw sstatus, t2
	addi sp, sp, SWITCH_BYTES
	ret

/* sstatus: SPP and VS off, SPIE on, FS clean */
#define STATUS_KEPT ~0x6700
#define STATUS_NEW  0x4020

/* A new stack: s1 is the entry, s2 its argument, s0 ends the chain of frames. */
	.globl context_init
context_init:
	andi a0, a0, -16
	addi a0, a0, -SWITCH_BYTES
	la t0, context_start
	csrr t1, sstatus
	li t2, STATUS_KEPT
	li t3, STATUS_NEW
	and t1, t1, t2
	or t1, t1, t3
	sd t0, 0(a0)
	sd zero, 8(a0)
	sd a1, 16(a0)
	sd a2, 24(a0)
	sd zero, 104(a0)
	sd zero, 112(a0)
	sd t1, 120(a0)
	ret
context_start:
	mv a0, s2
	jalr s1
	ebreak

/* fsd and fld by their encodings: the kernel's own instruction set has no D, and not every assembler can be told. */
	.macro for_fp do:vararg
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.insn \do, x\n, 8 * \n(a0)
	.endr
	.irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.insn \do, x\n, 8 * \n(a0)
	.endr
	.endm
#define FSD s 0x27, 3
#define FLD i 0x07, 3

/* FS on while we do it, then as it was. */
	.globl fp_save
fp_save:
	li t0, 0x6000
	csrrs t1, sstatus, t0
	for_fp FSD
	csrr t2, 0x003
	sd t2, FP_FCSR(a0)
	csrw sstatus, t1
	ret

	.globl fp_restore
fp_restore:
	li t0, 0x6000
	csrrs t1, sstatus, t0
	for_fp FLD
	ld t2, FP_FCSR(a0)
	csrw 0x003, t2
	csrw sstatus, t1
	ret
