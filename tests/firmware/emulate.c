/* What traps because a hart is to lack it: satp's ASIDs, `time`. All else is the kernel's. See firmware.h. */
#include "tests/firmware/firmware.h"

#define CSR_SATP    0x180
#define CSR_TIME    0xc01
#define ASID_MASK   (UINT64_C(0xffff) << 44)
#define SRET	    0x10200073U
#define SFENCE	    0x12000073U
#define SFENCE_MASK 0xfe007fffU
#define SPP	    (UINT64_C(1) << 8)
#define SPIE	    (UINT64_C(1) << 5)
#define SIE	    (UINT64_C(1) << 1)
#define MPRV	    (UINT64_C(1) << 17)
#define MXR	    (UINT64_C(1) << 19)

/* The root that each hart's last whole fence was for. */
static uint64_t fenced[HARTS];

/* At mepc, as the trapped mode sees it. */
static uint32_t instruction(void)
{
	uint64_t at = csr_read(mepc), low, high = 0, status;

	__asm__ volatile("csrrs %[status], mstatus, %[set]\n\t"
			 "lhu %[low], 0(%[at])\n\t"
			 "not t0, %[low]\n\t"
			 "andi t0, t0, 3\n\t"
			 "bnez t0, 1f\n\t"
			 "lhu %[high], 2(%[at])\n\t"
			 "1: csrw mstatus, %[status]"
			 : [low] "=&r"(low), [high] "+&r"(high), [status] "=&r"(status)
			 : [at] "r"(at), [set] "r"(MPRV | MXR)
			 : "t0", "memory");
	return (uint32_t)(low | high << 16);
}

/* A trap from a lower mode becomes one of the kernel's, as if it had been delegated. */
void hand_over(void)
{
	uint64_t status = csr_read(mstatus);
	uint64_t new = status & ~(SPP | SPIE | SIE | MSTATUS_MPP);

	csr_write(sepc, csr_read(mepc));
	csr_write(scause, csr_read(mcause));
	csr_write(stval, csr_read(mtval));
	if ((status & MSTATUS_MPP) != 0)
		new |= SPP;
	if ((status & SIE) != 0)
		new |= SPIE;
	csr_write(mstatus, new | MPP_S);
	csr_write(mepc, csr_read(stvec) & ~UINT64_C(3));
}

static void result(struct registers *regs, uint32_t word, uint64_t value)
{
	if ((word >> 7 & 31) != 0)
		regs->x[word >> 7 & 31] = value;
	csr_write(mepc, csr_read(mepc) + 4);
}

/* csrrw, csrrs, csrrc and their immediate forms: what the register becomes, and whether it is written. */
static uint64_t becomes(const struct registers *regs, uint32_t word, uint64_t old, bool *written)
{
	uint32_t kind = word >> 12 & 7, number = word >> 15 & 31;
	uint64_t operand = (kind & 4) != 0 ? number : regs->x[number];

	*written = (kind & 3) == 1 || number != 0;
	return (kind & 3) == 1 ? operand : (kind & 3) == 2 ? old | operand : old & ~operand;
}

static void satp_access(struct registers *regs, uint32_t word)
{
	uint64_t old = csr_read(satp);
	bool written;
	uint64_t new = becomes(regs, word, old, &written);

	if (written)
		csr_write(satp, new & ~ASID_MASK);
	result(regs, word, old);
}

static void fence(uint32_t word)
{
	__asm__ volatile("sfence.vma" : : : "memory");
	if ((word >> 15 & 31) == 0)
		fenced[csr_read(mhartid)] = csr_read(satp);
	csr_write(mepc, csr_read(mepc) + 4);
}

/* As the hart does it. Without ASIDs what it has cached of another root would be used for this one. */
static void supervisor_return(void)
{
	uint64_t status = csr_read(mstatus);
	uint64_t new = (status & ~(SIE | SPP | MSTATUS_MPP)) | SPIE;

	if ((status & SPP) == 0 && fenced[csr_read(mhartid)] != csr_read(satp)) {
		say("tests/firmware: user mode on another root without a fence\n");
		power_off(3);
	}
	if ((status & SPP) != 0)
		new |= MPP_S;
	if ((status & SPIE) != 0)
		new |= SIE;
	csr_write(mstatus, new);
	csr_write(mepc, csr_read(sepc));
}

static bool supervisor(void)
{
	return (csr_read(mstatus) & MSTATUS_MPP) == MPP_S;
}

static bool may_read_time(void)
{
	return supervisor() || (csr_read(scounteren) & 2) != 0;
}

void emulate(struct registers *regs)
{
	uint32_t word = instruction(), csr = word >> 20;
	bool is_csr = (word & 0x7f) == 0x73 && (word >> 12 & 3) != 0;

	if (NO_ASID && supervisor() && is_csr && csr == CSR_SATP)
		satp_access(regs, word);
	else if (NO_ASID && supervisor() && (word & SFENCE_MASK) == SFENCE)
		fence(word);
	else if (NO_ASID && supervisor() && word == SRET)
		supervisor_return();
	else if (NO_TIME && is_csr && csr == CSR_TIME && may_read_time())
		result(regs, word, mtime());
	else
		hand_over();
}
