/*
 * Stands for the kernel to try the firmware itself: says what it finds, a letter each, then enters user mode on a root that it has
 * not fenced, from which a page fault brings it back. test_firmware.py has the letters.
 */
	.macro put letter
	li a0, \letter
	li a7, 1
	ecall
	.endm
	/* '1' or '0', by t0 */
	.macro put_bool
	snez t0, t0
	addi a0, t0, '0'
	li a7, 1
	ecall
	.endm
	.macro base function, argument
	li a7, 0x10
	li a6, \function
	li a0, \argument
	ecall
	.endm

	.globl _start
_start:
	put 'v'			/* the version of the SBI */
	base 0, 0
	addi a0, a1, '0'
	li a7, 1
	ecall
	.irp extension, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x504d55, 0x4442434e
	base 3, \extension
	mv t0, a1
	put_bool
	.endr

	put 'a'			/* whether a root has an ASID: a root that maps this gigabyte to itself */
	lla t0, root
	srli t0, t0, 12
	li t1, 0x8ffff
	slli t1, t1, 44
	or s0, t0, t1
	sfence.vma
	csrw satp, s0
	csrr t0, satp
	slli t0, t0, 4
	srli t0, t0, 48
	put_bool

	put 't'			/* whether time goes on */
	rdtime s1
1:	rdtime t0
	beq t0, s1, 1b
	sltu t0, s1, t0
	put_bool

	put 'i'			/* an illegal instruction comes back to us, as one */
	lla t0, 2f
	csrw stvec, t0
	csrr t0, 0x14d
	put '-'
	.balign 4
2:	csrr t0, scause
	addi t0, t0, -2
	seqz t0, t0
	put_bool

	put 'f'			/* user mode, fenced and then not */
	sfence.vma
	lla s2, again
	j enter_user
again:	csrw satp, zero
	lla t0, other_root
	srli t0, t0, 12
	li t1, 8
	slli t1, t1, 60
	or t0, t0, t1
	csrw satp, t0
	put 'u'
	lla s2, end
enter_user:
	csrw stvec, s2
	lla t0, user
	csrw sepc, t0
	li t0, 0x100
	csrc sstatus, t0
	sret
	.balign 4
end:	put 'e'
	put '\n'
	li a7, 8
	ecall
	.balign 4096
user:	ecall
	.balign 4
	j user

	/* The third gigabyte, where we are; not for programs: a fault brings us back as a system call would. */
	.macro gigabytes
	.zero 8 * 2
	.dword 0x200000cf
	.zero 8 * 509
	.endm
	.balign 4096
root:	gigabytes
other_root:
	gigabytes
