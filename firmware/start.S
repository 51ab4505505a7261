/*
 * Entry. The Image header, the boot hart's way from the firmware into boot_main, and the other harts' into hart_main.
 *
 * Until the MMU is on, code runs at its physical address and reaches its own symbols relative to the program counter.
 * To turn it on, stvec is pointed at where to go on, at its virtual address, and satp is written: there is no
 * identity mapping, so the very next fetch faults to there. The boot hart uses early_root, which maps all of the
 * direct map by gigapages and only the kernel's own executable; memory.c makes the real one. The others use that from
 * the start.
 */
#include "asm-offsets.h"

#define KERNEL_OFFSET	0xffffffc000000000
#define KERNEL_PHYSICAL 0x80200000
#define SATP_SV39	8
#define BOOT_STACK	16384
/* V R W G A D, and X */
#define GIGAPAGE	0xe7
#define EXECUTABLE	0x08

	.option norvc
	.option norelax
	.section .head, "ax"
	.globl _start
_start:
	/* Linux's RISC-V Image header, version 0.2 */
	j enter
	nop
	.dword 0x200000			/* text_offset */
	.dword kernel_end - _start	/* image_size, bss and all */
	.dword 0			/* flags: little endian */
	.word 2				/* version */
	.word 0
	.dword 0
	.ascii "RISCV\0\0\0"
	.ascii "RSC\x05"
	.word 0

	/* All that must be there to say that the rest is not: still in .head, the image's first page. */
	.balign 8
lottery:
	.word 0
	.balign 8
end_mark:
	.dword IMAGE_END_MARK
enter:
	csrw sie, zero
	/* Firmware without HSM starts all harts at once: the first one boots, the others stay here. */
	la t0, lottery
	li t1, 1
	amoadd.w t1, t1, (t0)
	bnez t1, park

	la t0, _start
	li t1, KERNEL_PHYSICAL
	la s0, wrong_place_message
	bne t0, t1, complain
	la t0, image_end
	ld t0, (t0)
	la t1, end_mark
	ld t1, (t1)
	la s0, cut_off_message
	bne t0, t1, complain
	j clear

/* s0: what is said before there is anything else. */
complain:
	lbu a0, (s0)
	beqz a0, 1f
	li a7, 1		/* legacy console putchar */
	ecall
	addi s0, s0, 1
	j complain
1:	li a7, 8		/* legacy shutdown */
	ecall
/* Stopped, a hart can be started again: hart.c says why that may have to be. Firmware without HSM refuses. */
park:
	li a7, 0x48534d
	li a6, 1		/* hart_stop */
	ecall
1:	wfi
	j 1b
wrong_place_message:
	.asciz "corral: must be loaded at 0x80200000, and was not; stopped.\r\n"
cut_off_message:
	.asciz "corral: the kernel's image is cut off: the end of it was not loaded; stopped.\r\n"

	.text
	.balign 4
clear:
	la t0, bss_start
	la t1, bss_end
1:	sd zero, 0(t0)
	sd zero, 8(t0)
	sd zero, 16(t0)
	sd zero, 24(t0)
	addi t0, t0, 32
	bltu t0, t1, 1b

	la a2, early_root
	la a3, boot_high
	jal mmu_on
boot_high:
	la sp, boot_stack + BOOT_STACK
	la tp, boot_hart
	mv s1, a0
	mv s2, a1
	call trap_init
	mv a0, s1
	mv a1, s2
	mv s0, zero
	call boot_main
	ebreak

/* a2: the root table, a3: where to go on; both physical. Keeps a0 and a1. */
mmu_on:
	li t0, KERNEL_OFFSET
	add a3, a3, t0
	csrw stvec, a3
	srli a2, a2, 12
	li t0, SATP_SV39
	slli t0, t0, 60
	or a2, a2, t0
	sfence.vma
	csrw satp, a2
	/* stvec's low bits are its mode: what it points to is aligned by norvc. Behind the fault nothing is cached. */
	nop
	j park

/* HSM starts harts here: a0 the hart's id, a1 its struct hart. */
	.globl hart_start_entry
hart_start_entry:
	la a2, kernel_root_physical
	ld a2, (a2)
	la a3, hart_high
	j mmu_on
	.balign 4
hart_high:
	sfence.vma
	mv tp, a1
	ld sp, HART_KERNEL_SP(tp)
	call trap_init
	mv s0, zero
	call hart_main
	ebreak

	.data
	.balign 4096
early_root:
	.zero 256 * 8
	.set .Lgigabyte, 0
	.rept 128
	.if .Lgigabyte == KERNEL_PHYSICAL >> 30
	.dword (.Lgigabyte << 28) | GIGAPAGE | EXECUTABLE
	.else
	.dword (.Lgigabyte << 28) | GIGAPAGE
	.endif
	.set .Lgigabyte, .Lgigabyte + 1
	.endr
	.zero 128 * 8

	.bss
#ifdef CORRAL_DEBUG
	.balign 4096
	.globl boot_guard	/* stacks.c */
boot_guard:
	.zero 4096
#else
	.balign 16
#endif
boot_stack:
	.zero BOOT_STACK
