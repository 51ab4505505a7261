/*
 * lib/hw.h on the target: fences, inter-hart interrupts and satp. What a fence must be on this machine (errata) is read
 * once. Sets of hart indices become the SBI's masks of ids here. No locks.
 */
#include "lib/hw.h"

#include "firmware/csr.h"
#include "firmware/errata.h"
#include "firmware/hart.h"
#include "firmware/hw.h"
#include "firmware/memory.h"
#include "firmware/sbi.h"
#include "firmware/trap.h"
#include "lib/check.h"

#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK	UINT64_C(0xffff)
#define SATP_SV39	(UINT64_C(8) << 60)

static struct {
	bool fence_global;
	unsigned asid_bits;
	/* Where the ids are index + id_offset, as they nearly always are, a set is its own mask. */
	bool ids_dense;
	uint64_t id_offset;
} hw;

/* This hart's ASID bits: what stays of all ones. The same root stays in satp meanwhile. */
unsigned hw_asid_bits_probe(void)
{
	uint64_t satp = csr_read(satp);

	csr_write(satp, satp | SATP_ASID_MASK << SATP_ASID_SHIFT);
	uint64_t got = csr_read(satp) >> SATP_ASID_SHIFT & SATP_ASID_MASK;
	csr_write(satp, satp);
	hw_fence_all();
	return (unsigned)__builtin_popcountl(got);
}

#define RELAX_CALLS  2048U
#define RELAX_NAP_NS UINT64_C(50000)

static bool ids_are_dense(void)
{
	for (unsigned i = 0; i < hw_harts(); i++)
		if (hart_get(i)->id != hart_get(0)->id + i)
			return false;
	return true;
}

void hw_init(void)
{
	hw.fence_global = errata()->fence_global;
	for (unsigned i = 0; i < hw_harts(); i++)
		hart_get(i)->fence_global = hw.fence_global;
	hw.asid_bits = hw_asid_bits_probe();
	hw.ids_dense = ids_are_dense();
	hw.id_offset = hart_get(0)->id;
}

/*
 * Under an emulator, or a hypervisor, the hart that we wait for may be waiting for the host's processor that we burn: every
 * so often sleep a moment instead, until an interrupt is pending. On real harts, which wait for microseconds, that comes
 * about once in a hundred waits.
 */
static void nap(struct hart *hart)
{
	uint64_t armed = hart->timer;
	uint64_t until = time_ticks() + ns_to_ticks(RELAX_NAP_NS);

	/* Not before the hart has its interrupts and its timer: nothing would wake it. */
	if (armed == 0 || (csr_read(sie) & (IP_TIMER | IP_SOFTWARE)) != (IP_TIMER | IP_SOFTWARE))
		return;
	if (until < armed)
		timer_set(until);
	hart_wait_for_interrupt();
	if (until < armed)
		timer_set(armed);
}

void hw_relax(void)
{
	struct hart *hart = this_hart();

	/* A request of another hart is an S-mode software interrupt, which stays pending while interrupts are off. */
	if (UNLIKELY((csr_read(sip) & IP_SOFTWARE) != 0))
		hart_serve_ipi();
	/* pause (Zihintpause), a hint that every hart has */
	__asm__ volatile(".word 0x0100000f" : : : "memory");
	if (UNLIKELY(++hart->relaxed % RELAX_CALLS == 0))
		nap(hart);
}

void hw_fence_all(void)
{
	__asm__ volatile("sfence.vma" : : : "memory");
}

void hw_fence_asid(uint16_t asid)
{
	shadow_note(SHADOW_FENCE, 0, asid, 0, 0);
	if (UNLIKELY(hw.fence_global))
		hw_fence_all();
	else
		__asm__ volatile("sfence.vma zero, %0" : : "r"((uint64_t)asid) : "memory");
}

/* Takes from *harts those whose ids fit one mask, and gives that mask and its base. */
static uint64_t take_mask(uint64_t *harts, uint64_t *base)
{
	uint64_t mask = 0, left = 0;

	if (LIKELY(hw.ids_dense)) {
		mask = *harts;
		*base = hw.id_offset;
		*harts = 0;
		return mask;
	}
	*base = UINT64_MAX;
	for (uint64_t set = *harts; set != 0; set &= set - 1)
		*base = MIN(*base, hart_get((unsigned)__builtin_ctzl(set))->id);
	for (uint64_t set = *harts; set != 0; set &= set - 1) {
		uint64_t bit = hart_get((unsigned)__builtin_ctzl(set))->id - *base;
		if (bit < 64)
			mask |= UINT64_C(1) << bit;
		else
			left |= set & -set;
	}
	*harts = left;
	return mask;
}

static void sbi_check(int64_t error, const char *what)
{
	if (UNLIKELY(error != SBI_SUCCESS))
		hw_panic("SBI: %s: %s", what, sbi_error_name(error));
}

void hw_send_ipi(uint64_t harts)
{
	uint64_t base;

	hart_count(&this_hart()->ipis_sent, (uint64_t)__builtin_popcountll(harts));
	/* Before the firmware raises the interrupt: pairs with the fence in hart_serve_ipi. */
	__asm__ volatile("fence rw, rw" : : : "memory");
	while (harts != 0) {
		uint64_t mask = take_mask(&harts, &base);
		sbi_check(sbi_send_ipi(mask, base), "sending an IPI");
	}
}

/*
 * Remote fences by the firmware. It waits for the other harts in M-mode, where nobody serves this hart's mailbox; so that is done behind each:
 * a caller that fences page after page would let those who wait for this hart wait for all of that.
 */
void hw_remote_fence(uint64_t harts, vaddr_t start, uint64_t bytes, uint16_t asid)
{
	uint64_t base;

	if (bytes == 0) {
		start = VADDR(0);
		bytes = UINT64_MAX;
	}
	shadow_note(SHADOW_REMOTE, harts, start.v, bytes == UINT64_MAX ? 0 : bytes, asid);
	while (harts != 0) {
		uint64_t mask = take_mask(&harts, &base);
		if (hw.fence_global || hw.asid_bits == 0)
			sbi_check(sbi_remote_sfence(mask, base, start.v, bytes), "remote fence");
		else
			sbi_check(sbi_remote_sfence_asid(mask, base, start.v, bytes, asid), "remote fence of an ASID");
		hw_relax();
	}
}

void hw_remote_fence_i(uint64_t harts)
{
	uint64_t base;

	while (harts != 0) {
		uint64_t mask = take_mask(&harts, &base);
		sbi_check(sbi_remote_fence_i(mask, base), "remote fence.i");
		hw_relax();
	}
}

void hw_fence_i(void)
{
	__asm__ volatile("fence.i" : : : "memory");
}

void hw_forget_asids(void)
{
	hw.asid_bits = 0;
}

unsigned hw_asid_bits(void)
{
	return hw.asid_bits;
}

void hw_set_root(pfn_t root, uint16_t asid)
{
	csr_write(satp, SATP_SV39 | (uint64_t)asid << SATP_ASID_SHIFT | root.v);
	shadow_note(SHADOW_ROOT, root.v, asid, 0, 0);
}

void hw_set_kernel_root(void)
{
	csr_write(satp, kmap_satp());
	shadow_note(SHADOW_ROOT, 0, 0, 0, 0);
}
