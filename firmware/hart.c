/*
 * Harts: their blocks, and starting them.
 *
 * The blocks and stacks are early memory, one for each usable hart of the tree (up to HW_MAX_HARTS). Until they are
 * there, the boot hart's tp points to a static one. `online` is set by each hart for itself (release) once it can take
 * IPIs, and read (acquire) by whoever sends them.
 *
 * A hart that comes when nobody waits for it any more stays out, as has been said of it: what is made for the harts that are there is made by then.
 * Whoever takes its bit out of `expected` decides, the hart or the boot hart.
 */
#include "firmware/hart.h"

#include <stdatomic.h>

#include "firmware/boot.h"
#include "firmware/csr.h"
#include "firmware/errata.h"
#include "firmware/harts.h"
#include "firmware/hw.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/panic.h"
#include "firmware/pmu.h"
#include "firmware/sbi.h"
#include "firmware/stacks.h"
#include "firmware/trap.h"
#include "firmware/tree.h"
#include "lib/check.h"
#include "lib/hw.h"

#define EMERGENCY_STACK 8192UL
/* Time for an emulated hart on a busy host; only a tree that lies costs a boot all of it. */
#define START_LIMIT_NS UINT64_C(4000000000)
#define START_LOOK_NS  UINT64_C(20000000) /* after which a hart may have been started in vain */
#define SIE_ALL	       (IP_SOFTWARE | IP_TIMER | IP_EXTERNAL)
/* cycle, time and instret for programs */
#define SCOUNTEREN_ALL 7
#define SSTATUS_SIE    (UINT64_C(1) << 1)
#define SSTATUS_SUM    (UINT64_C(1) << 18)
#define SSTATUS_MXR    (UINT64_C(1) << 19)

_Static_assert(offsetof(struct hart, index) == HW_HART_INDEX_OFFSET, "hw_hart() loads it from there");
_Static_assert(offsetof(struct hart, fence_global) == HW_HART_FENCE_OFFSET, "hw_fence_page() loads it from there");
_Static_assert(offsetof(struct hart, local) == HW_HART_LOCAL_OFFSET, "hw_local() loads it from there");

static struct {
	struct hart *block;
	unsigned count;
	void (*entry)(void);
	unsigned starter; /* the hart in harts_start */
	void (*serve_ipi)(void);
	bool faults_traced;
	_Atomic uint64_t expected;
	_Atomic uint64_t online;
} harts;

static char boot_emergency_stack[EMERGENCY_STACK] __attribute__((aligned(16)));

/* tp of the boot hart until harts_find: start.S. */
struct hart boot_hart = { .emergency_sp = (uint64_t)boot_emergency_stack + EMERGENCY_STACK };

unsigned hw_harts(void)
{
	return harts.count;
}

void hw_set_local(unsigned hart, void *local)
{
	hart_get(hart)->local = local;
}

struct hart *hart_get(unsigned index)
{
	return &harts.block[index];
}

uint64_t harts_online(void)
{
	/* acquire: pairs with the release in hart_arrive */
	return atomic_load_explicit(&harts.online, memory_order_acquire);
}

static void set_entry(void)
{
	if (harts.faults_traced)
		csr_write(stvec, errata()->stval_sign ? trap_entry_cip453_traced : trap_entry_traced);
	else
		csr_write(stvec, errata()->stval_sign ? trap_entry_cip453 : trap_entry);
}

void trap_trace_faults(void)
{
	harts.faults_traced = true;
	set_entry();
}

void trap_init(void)
{
	csr_write(sscratch, 0);
	set_entry();
	csr_clear(sstatus, SSTATUS_SIE | SSTATUS_SUM | SSTATUS_MXR | SSTATUS_FS);
	csr_write(scounteren, SCOUNTEREN_ALL);
	csr_write(sie, SIE_ALL);
}

static void hart_arrive(void)
{
	/* release: pairs with the acquire in harts_online */
	atomic_fetch_or_explicit(&harts.online, UINT64_C(1) << hw_hart(), memory_order_release);
}

static void block_init(struct hart *hart, unsigned index, uint64_t id)
{
	hart->index = index;
	hart->id = id;
	hart->kernel_sp = stack_early(KERNEL_STACK_BYTES);
	hart->emergency_sp = stack_early(EMERGENCY_STACK);
}

static unsigned harts_count(const void *fdt)
{
	unsigned count = 0;

	for (int node = tree_next_hart(fdt, 0); node >= 0; node = tree_next_hart(fdt, node))
		count++;
	if (count == 0)
		boot_fail("device tree: no hart with S-mode (an enabled cpu node with an mmu-type)");
	if (count > HW_MAX_HARTS)
		klog("%u harts, of which the first %u are used", count, HW_MAX_HARTS);
	return MIN(count, HW_MAX_HARTS);
}

int harts_find(const void *fdt, uint64_t boot_id)
{
	int node = tree_next_hart(fdt, 0), boot_node = -1;

	harts.count = harts_count(fdt);
	harts.block = early_alloc(harts.count * sizeof(struct hart), CACHE_LINE);
	for (unsigned i = 0; i < harts.count; i++, node = tree_next_hart(fdt, node)) {
		struct hart *hart = hart_get(i);
		block_init(hart, i, tree_hart_id(fdt, node));
		if (hart->id == boot_id) {
			boot_node = node;
			__asm__ volatile("mv tp, %0" : : "r"(hart) : "memory");
		}
	}
	if (boot_node < 0)
		boot_fail("device tree: the hart that runs, id %lu, is not among the usable ones", boot_id);
	hart_arrive();
	return boot_node;
}

static bool is_expected(void)
{
	uint64_t me = UINT64_C(1) << hw_hart();

	/* relaxed: it decides who comes in; what follows from that is ordered by online */
	return (atomic_fetch_and_explicit(&harts.expected, ~me, memory_order_relaxed) & me) != 0;
}

/* A hart started by harts_start comes here, on its own stack. */
void hart_main(void)
{
	if (hw_asid_bits_probe() < hw_asid_bits()) {
		klog("hart %u (id %lu) has fewer ASID bits than the boot hart and is left out", hw_hart(),
		     this_hart()->id);
		hart_park();
	}
	pmu_start_hart();
	if (!is_expected())
		hart_park();
	hart_arrive();
	/* harts_start sleeps until somebody comes. */
	hw_send_ipi(UINT64_C(1) << harts.starter);
	harts.entry();
	hw_panic("hart %u: entry returned", hw_hart());
}

static bool hart_start(struct hart *hart)
{
	int64_t error = sbi_hart_start(hart->id, hw_paddr(hart_start_entry).v, (uint64_t)hart);

	if (error != SBI_SUCCESS)
		klog("hart %u (id %lu) does not start: %s", hart->index, hart->id, sbi_error_name(error));
	return error == SBI_SUCCESS;
}

/*
 * OpenSBI 1.1 says that a hart is to start before it says where: one that looks in between goes where the boot hart went, and _start
 * stops it. By now it is said where, so the second time it comes.
 */
static void start_stopped(uint64_t missing)
{
	for (; missing != 0; missing &= missing - 1) {
		struct hart *hart = hart_get((unsigned)__builtin_ctzl(missing));

		if (sbi_hart_status(hart->id) == SBI_HART_STOPPED)
			(void)hart_start(hart);
	}
}

/* Sleeps rather than spins: an emulator that runs the harts in turn would let a spinning one go on for long. */
static void harts_await(uint64_t wanted)
{
	uint64_t limit = time_ticks() + ns_to_ticks(START_LIMIT_NS);
	uint64_t look = time_ticks() + ns_to_ticks(START_LOOK_NS);

	while ((harts_online() & wanted) != wanted && time_ticks() < limit) {
		timer_set(MIN(look, limit));
		hart_wait_for_interrupt();
		if ((interrupts_pending() & IP_SOFTWARE) != 0)
			hart_serve_ipi();
		if (time_ticks() >= look) {
			start_stopped(wanted & ~harts_online());
			look = time_ticks() + ns_to_ticks(START_LOOK_NS);
		}
	}
	timer_set(UINT64_MAX);
}

/* Those that have not come, and will not. */
static uint64_t harts_late(uint64_t wanted)
{
	/* relaxed: as is_expected */
	uint64_t late = wanted & atomic_exchange_explicit(&harts.expected, 0, memory_order_relaxed);

	/* Who has taken its bit out is about to come in. */
	while ((harts_online() & wanted & ~late) != (wanted & ~late))
		hw_relax();
	return late;
}

void harts_start(void (*entry)(void))
{
	uint64_t wanted = 0;

	pmu_start_hart();
	harts.entry = entry;
	harts.starter = hw_hart();
	atomic_store_explicit(&harts.expected, UINT64_MAX, memory_order_relaxed);
	/* The others read what was written so far with their caches cold: pairs with the firmware's own barriers. */
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < harts.count; i++)
		if (i != hw_hart() && hart_start(hart_get(i)))
			wanted |= UINT64_C(1) << i;
	harts_await(wanted);
	for (uint64_t late = harts_late(wanted); late != 0; late &= late - 1) {
		unsigned i = (unsigned)__builtin_ctzl(late);
		klog("hart %u (id %lu) was started and has not arrived: left out", i, hart_get(i)->id);
	}
}

void hart_set_ipi_handler(void (*serve)(void))
{
	harts.serve_ipi = serve;
}

void hart_serve_ipi(void)
{
	csr_clear(sip, IP_SOFTWARE);
	hart_count(&this_hart()->ipis_received, 1);
	/* Nothing that the sender wrote is read before the request is taken: pairs with the fence in hw_send_ipi. */
	__asm__ volatile("fence iorw, iorw" : : : "memory");
	panic_stop_check();
	if (LIKELY(harts.serve_ipi != NULL))
		harts.serve_ipi();
}

void hart_wait_for_interrupt(void)
{
	__asm__ volatile("wfi" : : : "memory");
}

uint64_t interrupts_pending(void)
{
	return csr_read(sip) & csr_read(sie);
}

void hart_park(void)
{
	csr_write(sie, 0);
	for (;;)
		__asm__ volatile("wfi" : : : "memory");
}
