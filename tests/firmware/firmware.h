/*
 * A small SBI 0.2 for QEMU's virt: base, time, IPI, RFENCE, HSM, and of the legacy calls the console's output and the shutdown. It plays
 * hardware and firmware that QEMU and OpenSBI do not: no SRST, PMU or DBCN; and, by what it is built with:
 *
 *   NO_ASID	harts without ASIDs: satp and sfence.vma trap (mstatus.TVM), the ASID field is always 0. That a root is never used in
 *		user mode without a fence behind it is checked at each sret, which traps, too (mstatus.TSR)
 *   NO_TIME	`time` traps (mcounteren.TM is 0), and is answered here
 *   NO_HSM	firmware older still: all harts enter the kernel at once
 *   EARLY	a hart that is started reads too early where it is to go, as may be with OpenSBI 1.1
 *   LATE_MS	a hart that is started comes so many milliseconds later
 *   FENCE_MS	remote fences take so many milliseconds
 *   BOOT_HART	the hart that enters the kernel first; without it, whichever comes first
 */
#ifndef TESTS_FIRMWARE_H
#define TESTS_FIRMWARE_H

#include <stdbool.h>
#include <stdint.h>

#ifndef NO_ASID
#define NO_ASID 0
#endif
#ifndef NO_TIME
#define NO_TIME 0
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef NO_HSM
#define NO_HSM 0
#endif
#ifndef FENCE_MS
#define FENCE_MS 0
#endif
#ifndef LATE_MS
#define LATE_MS 0
#endif
#ifndef BOOT_HART
#define BOOT_HART (-1)
#endif

#define HARTS 8

#define csr_read(name)                                                                                                 \
	({                                                                                                             \
		uint64_t csr_value;                                                                                    \
		__asm__ volatile("csrr %0, " #name : "=r"(csr_value) : : "memory");                                    \
		csr_value;                                                                                             \
	})
#define csr_write(name, value) __asm__ volatile("csrw " #name ", %0" : : "rK"((uint64_t)(value)) : "memory")
#define csr_set(name, bits)    __asm__ volatile("csrs " #name ", %0" : : "rK"((uint64_t)(bits)) : "memory")
#define csr_clear(name, bits)  __asm__ volatile("csrc " #name ", %0" : : "rK"((uint64_t)(bits)) : "memory")

#define IP_SSI	    (UINT64_C(1) << 1)
#define IP_MSI	    (UINT64_C(1) << 3)
#define IP_STI	    (UINT64_C(1) << 5)
#define IP_MTI	    (UINT64_C(1) << 7)
#define MSTATUS_MPP (UINT64_C(3) << 11)
#define MSTATUS_IE  UINT64_C(0xa)
#define MSTATUS_TVM (UINT64_C(1) << 20)
#define MSTATUS_TSR (UINT64_C(1) << 22)
#define MPP_S	    (UINT64_C(1) << 11)

struct registers {
	uint64_t x[32];
};

/* sbi.c */
void sbi_call(struct registers *regs);
/* What other harts ask of this one. */
void serve(void);
uint64_t mtime(void);
void say(const char *text);
_Noreturn void power_off(unsigned status);

/* emulate.c: an illegal instruction of the kernel or a program, which is done here or handed to the kernel. */
void emulate(struct registers *regs);
/* The trap that brought us here becomes the kernel's. */
void hand_over(void);

/* entry.S */
_Noreturn void restart(uint64_t a0, uint64_t a1);
struct dynamic_info;
_Noreturn void hart_boot(uint64_t hart, uint64_t tree, const struct dynamic_info *info);
void trap_main(struct registers *regs);

#endif
