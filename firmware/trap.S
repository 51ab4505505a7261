/*
 * Trap entry and return, context switch, FP state.
 *
 * sscratch holds this hart's struct hart while it is in user mode and 0 while it is in the kernel. Nothing is called on
 * the way, and everything that user code can see is saved once and restored once. The kernel needs no gp: it is linked
 * without gp relaxation.
 *
 * A reservation (lr) of one thread must not let another's sc succeed: context_switch breaks it. A trap that comes back
 * to the same thread needs no such thing: the specification lets sc fail, and lets it succeed only if nobody wrote.
 */
#include "asm-offsets.h"

	.text

	.macro for_saved do:vararg
	.irp n, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\do x\n, FRAME_X + 8 * \n(sp)
	.endr
	.endm

	.macro save_csrs
	csrr t0, sepc
	csrr t1, sstatus
	csrr t2, scause
	csrr t3, stval
	.endm

	.macro store_csrs
	sd t0, FRAME_SEPC(sp)
	sd t1, FRAME_SSTATUS(sp)
	sd t2, FRAME_SCAUSE(sp)
	sd t3, FRAME_STVAL(sp)
	.endm

	.macro save_user
	csrrw tp, sscratch, tp
	beqz tp, trap_from_kernel
	sd sp, HART_SCRATCH(tp)
	ld sp, HART_KERNEL_SP(tp)
	addi sp, sp, -FRAME_SIZE
	sd t0, FRAME_T0(sp)
	csrrw t0, sscratch, zero	/* from here on a trap is one from the kernel */
	sd t0, FRAME_TP(sp)
	ld t0, HART_SCRATCH(tp)
	sd ra, FRAME_RA(sp)
	sd gp, FRAME_X + 8 * 3(sp)
	sd t1, FRAME_T1(sp)
	for_saved sd
	sd t0, FRAME_SP(sp)
	sd a0, FRAME_ORIG_A0(sp)
	save_csrs
	.endm

	.balign 4
	.globl trap_entry
trap_entry:
	save_user
	store_csrs
	mv a0, sp
	call trap_from_user
return_to_user:
	ld t0, FRAME_SEPC(sp)
	ld t1, FRAME_SSTATUS(sp)
	csrw sepc, t0
	csrw sstatus, t1
	csrw sscratch, tp
	ld ra, FRAME_RA(sp)
	ld gp, FRAME_X + 8 * 3(sp)
	ld tp, FRAME_TP(sp)
	ld t0, FRAME_T0(sp)
	ld t1, FRAME_T1(sp)
	for_saved ld
	ld sp, FRAME_SP(sp)
	sret

/* The same for harts with CIP-453: stval of an instruction fault lacks the sign above bit 38. */
	.balign 4
	.globl trap_entry_cip453
trap_entry_cip453:
	save_user
	slli t4, t3, 25
	srai t4, t4, 63
	slli t4, t4, 39
	or t3, t3, t4
	store_csrs
	mv a0, sp
	la ra, return_to_user
	tail trap_from_user

	.globl trap_return
trap_return:
	mv sp, a0
	j return_to_user

/* tp is what sscratch was, 0; the kernel's tp is in sscratch. A bug: nothing to come back to. */
trap_from_kernel:
	csrrw tp, sscratch, tp
	sd sp, HART_SCRATCH(tp)
	ld sp, HART_EMERGENCY_SP(tp)
	addi sp, sp, -FRAME_SIZE
	sd ra, FRAME_RA(sp)
	sd gp, FRAME_X + 8 * 3(sp)
	sd tp, FRAME_TP(sp)
	sd t0, FRAME_T0(sp)
	sd t1, FRAME_T1(sp)
	for_saved sd
	ld t0, HART_SCRATCH(tp)
	sd t0, FRAME_SP(sp)
	save_csrs
	store_csrs
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

/* ra, s0-s11, and a word for sc to fail on */
#define SWITCH_BYTES 112

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
	.endm

	.globl context_switch
context_switch:
	addi sp, sp, -SWITCH_BYTES
	for_switched sd
	addi t0, sp, 104
	sc.d zero, zero, (t0)
	sd sp, (a0)
	mv sp, a1
	for_switched ld
	addi sp, sp, SWITCH_BYTES
	ret

/* A new stack: s1 is the entry, s2 its argument, s0 ends the chain of frames. */
	.globl context_init
context_init:
	andi a0, a0, -16
	addi a0, a0, -SWITCH_BYTES
	la t0, context_start
	sd t0, 0(a0)
	sd zero, 8(a0)
	sd a1, 16(a0)
	sd a2, 24(a0)
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
