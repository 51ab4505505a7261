/*
 * hw_page_copy and hw_page_clear: eight cache lines a turn, two instructions a doubleword to copy and one to clear.
 */
	.text

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

	.globl hw_page_copy
	.type hw_page_copy, @function
	.balign 4
hw_page_copy:
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
	.size hw_page_copy, . - hw_page_copy

	.globl hw_page_clear
	.type hw_page_clear, @function
	.balign 4
hw_page_clear:
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
	.size hw_page_clear, . - hw_page_clear
