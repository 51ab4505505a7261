/*
 * hw_page_copy and hw_page_clear, in the ways that page.c chooses from.
 *
 * Plain: eight cache lines a turn, two instructions a doubleword to copy and one to clear. Zicboz: four blocks a turn. Vectors: eight
 * registers at a time; they are off but here. Both are written by their encodings: not every assembler can be told of them.
 */
#include "asm-offsets.h"

#define VS_INITIAL 0x200
#define VS	   0x600
#define VLENB	   0xc22
#define CBO_ZERO_A0   .word 0x0045200f
#define VL8RE64_V0_A1 .word 0xe285f007
#define VS8R_V0_A0    .word 0xe2850027
/* vsetvli t0, zero, e64, m8, ta, ma */
#define VSETVLI_E64_M8 .word 0x0db072d7
/* vmv.v.i v0, 0 */
#define VMV_V0_0 .word 0x5e003057

	.text

	.macro function name
	.globl \name
	.type \name, @function
	.balign 4
\name:
	.endm

	.macro end name
	.size \name, . - \name
	.endm

	.macro copy_line at
	ld a3, \at + 0(a1)
	ld a4, \at + 8(a1)
	ld a5, \at + 16(a1)
	ld a6, \at + 24(a1)
	ld a7, \at + 32(a1)
	ld t0, \at + 40(a1)
	ld t1, \at + 48(a1)
	ld t2, \at + 56(a1)
	sd a3, \at + 0(a0)
	sd a4, \at + 8(a0)
	sd a5, \at + 16(a0)
	sd a6, \at + 24(a0)
	sd a7, \at + 32(a0)
	sd t0, \at + 40(a0)
	sd t1, \at + 48(a0)
	sd t2, \at + 56(a0)
	.endm

function hw_page_copy
	ld t0, page_ways_now + PAGE_WAYS_COPY
	jr t0
end hw_page_copy

function hw_page_clear
	ld t0, page_ways_now + PAGE_WAYS_CLEAR
	jr t0
end hw_page_clear

function page_copy_plain
	li a2, 4096
	add a2, a2, a0
1:
	.irp line, 0, 64, 128, 192, 256, 320, 384, 448
	copy_line \line
	.endr
	addi a0, a0, 512
	addi a1, a1, 512
	bne a0, a2, 1b
	ret
end page_copy_plain

function page_clear_plain
	li a2, 4096
	add a2, a2, a0
1:
	.irp line, 0, 64, 128, 192, 256, 320, 384, 448
	.irp n, 0, 8, 16, 24, 32, 40, 48, 56
	sd zero, \line + \n(a0)
	.endr
	.endr
	addi a0, a0, 512
	bne a0, a2, 1b
	ret
end page_clear_plain

function page_clear_zicboz
	lwu a1, page_ways_now + PAGE_WAYS_ZERO_BLOCK
	li a2, 4096
	add a2, a2, a0
1:
	.rept 4
	CBO_ZERO_A0
	add a0, a0, a1
	.endr
	bne a0, a2, 1b
	ret
end page_clear_zicboz

	.macro vectors_on
	li t0, VS_INITIAL
	csrs sstatus, t0
	csrr t1, VLENB
	li a2, 4096
	slli t1, t1, 3
	add a2, a2, a0
	.endm

	.macro vectors_off
	li t0, VS
	csrc sstatus, t0
	.endm

function page_copy_vector
	vectors_on
1:	VL8RE64_V0_A1
	add a1, a1, t1
	VS8R_V0_A0
	add a0, a0, t1
	bne a0, a2, 1b
	vectors_off
	ret
end page_copy_vector

function page_clear_vector
	vectors_on
	VSETVLI_E64_M8
	VMV_V0_0
1:	VS8R_V0_A0
	add a0, a0, t1
	bne a0, a2, 1b
	vectors_off
	ret
end page_clear_vector

/* Whether this hart lets us, by catching the trap if it does not. Not after a user trap. 1 or 0. */
function page_probe_zicboz
	la t0, 1f
	csrrw t1, stvec, t0
	la a0, probed
	CBO_ZERO_A0
	li a0, 1
	csrw stvec, t1
	ret
	.balign 4
1:	li a0, 0
	csrw stvec, t1
	ret
end page_probe_zicboz

/* The same: a vector register's bytes, or 0. */
function page_probe_vector
	la t0, 1f
	csrrw t1, stvec, t0
	li t0, VS_INITIAL
	csrs sstatus, t0
	li a0, 0
	csrr a0, VLENB
	.balign 4
1:	csrw stvec, t1
	vectors_off
	ret
end page_probe_vector

	.bss
	.balign 1024
probed:
	.zero 1024
