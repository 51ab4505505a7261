/* Entry of all harts, and the trap vector: saves all registers on the hart's stack, as struct registers (sbi.c). Machine mode. */
#define STACK 4096

	.section .head, "ax"
	.globl _start
_start:
	csrr a0, mhartid
	lla sp, first_stack
	li t0, STACK
	mul t0, t0, a0
	add sp, sp, t0
	lla t0, trap
	csrw mtvec, t0
	csrw mscratch, sp
	j hart_boot

	.balign 4
trap:
	csrrw sp, mscratch, sp
	addi sp, sp, -256
	.irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	sd x\n, 8 * \n(sp)
	.endr
	csrr t0, mscratch
	sd t0, 16(sp)
	sd zero, 0(sp)
	addi t0, sp, 256
	csrw mscratch, t0
	mv a0, sp
	call trap_main
	.irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld x\n, 8 * \n(sp)
	.endr
	ld sp, 16(sp)
	mret

/* To where mepc says, on an empty stack, with a0 and a1; from hart_boot, and from within a trap. */
	.globl restart
restart:
	csrr t0, mhartid
	lla sp, first_stack
	li t1, STACK
	mul t0, t0, t1
	add sp, sp, t0
	csrw mscratch, sp
	mret

	.bss
	.balign 16
	/* of eight harts, each below its label */
	.zero STACK
first_stack:
	.zero STACK * 7
