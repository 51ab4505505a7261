/* The calls of the SBI, harts' starting and stopping, and traps. See firmware.h. */
#include <stdatomic.h>

#include "tests/firmware/firmware.h"

#define CLINT	  UINT64_C(0x2000000)
#define UART	  UINT64_C(0x10000000)
#define TEST	  UINT64_C(0x100000)
#define OWN_BYTES UINT64_C(0x40000)
#define ALL_ONES  UINT64_MAX

#define TICKS_PER_MS UINT64_C(10000)

enum { OK = 0, NOT_SUPPORTED = -2, INVALID = -3, ALREADY_AVAILABLE = -6 };
enum { STARTED, STOPPED, START_PENDING };
enum { TIME = 0x54494d45, IPI = 0x735049, RFENCE = 0x52464e43, HSM = 0x48534d, BASE = 0x10, PUTCHAR = 1, SHUTDOWN = 8 };

static struct {
	_Atomic uint64_t lottery;
	_Atomic int ready;
	uint64_t tree, entry;
	uint64_t present; /* a set of harts */
	struct {
		_Atomic int state;
		uint64_t entry, argument;
		_Atomic uint64_t asked, done; /* fences, counted */
		_Atomic int ipi;
	} hart[HARTS];
} all;

static volatile uint32_t *msip(uint64_t hart)
{
	return (volatile uint32_t *)(CLINT + 4 * hart);
}

static volatile uint64_t *mtimecmp(uint64_t hart)
{
	return (volatile uint64_t *)(CLINT + 0x4000 + 8 * hart);
}

uint64_t mtime(void)
{
	return *(volatile uint64_t *)(CLINT + 0xbff8);
}

void say(const char *text)
{
	for (; *text != '\0'; text++)
		*(volatile uint8_t *)UART = (uint8_t)*text;
}

void power_off(unsigned status)
{
	*(volatile uint32_t *)TEST = status == 0 ? 0x5555 : status << 16 | 0x3333;
	for (;;)
		__asm__ volatile("wfi");
}

static void set_up(uint64_t entry)
{
	/* This firmware is nobody else's, the rest everybody's. */
	csr_write(pmpaddr0, (UINT64_C(0x80000000) | (OWN_BYTES / 2 - 1)) >> 2);
	csr_write(pmpaddr1, ALL_ONES >> 10);
	csr_write(pmpcfg0, 0x1f18);
	csr_write(mideleg, 0x222);
	csr_write(medeleg, 0xb109);
	csr_write(mcounteren, NO_TIME ? 5 : 7);
	csr_write(satp, 0);
	csr_clear(mstatus, MSTATUS_MPP | MSTATUS_IE);
	csr_set(mstatus, MPP_S | (NO_ASID ? MSTATUS_TVM | MSTATUS_TSR : 0));
	csr_write(mie, IP_MSI);
	csr_write(mepc, entry);
	__asm__ volatile("sfence.vma; fence.i" : : : "memory");
}

/* Until somebody starts this hart. */
_Noreturn static void wait_for_start(uint64_t hart)
{
	csr_write(mie, IP_MSI);
	/* acquire: pairs with the release in hart_start */
	while (atomic_load_explicit(&all.hart[hart].state, memory_order_acquire) != START_PENDING) {
		__asm__ volatile("wfi");
		*msip(hart) = 0;
		serve();
	}
	for (uint64_t until = mtime() + LATE_MS * TICKS_PER_MS; LATE_MS != 0 && mtime() < until;)
		serve();
	set_up(all.hart[hart].entry);
	atomic_store(&all.hart[hart].state, STARTED);
	restart(hart, all.hart[hart].argument);
}

/* A hart that is there keeps what is written to its comparator. */
static void look_around(void)
{
	for (uint64_t hart = 0; hart < HARTS; hart++) {
		*mtimecmp(hart) = ALL_ONES;
		if (*mtimecmp(hart) == ALL_ONES)
			all.present |= UINT64_C(1) << hart;
		atomic_store(&all.hart[hart].state, STOPPED);
	}
}

/* What QEMU gives firmware: see OpenSBI's docs/firmware/fw_dynamic.md. */
struct dynamic_info {
	uint64_t magic, version, entry;
};

void hart_boot(uint64_t hart, uint64_t tree, const struct dynamic_info *info)
{
	if (BOOT_HART < 0 ? atomic_fetch_add(&all.lottery, 1) == 0 : hart == (uint64_t)BOOT_HART) {
		all.tree = tree;
		all.entry = info->entry;
		look_around();
		atomic_store(&all.hart[hart].state, STARTED);
		say("tests/firmware: SBI 0.2, hart ");
		say((const char[]){ (char)('0' + hart), '\n', '\0' });
		atomic_store(&all.ready, 1);
	}
	while (atomic_load(&all.ready) == 0)
		;
	if (NO_HSM)
		atomic_store(&all.hart[hart].state, STARTED);
	if (atomic_load(&all.hart[hart].state) != STARTED)
		wait_for_start(hart);
	set_up(all.entry);
	restart(hart, all.tree);
}

void serve(void)
{
	uint64_t hart = csr_read(mhartid), asked = atomic_load(&all.hart[hart].asked);

	if (atomic_exchange(&all.hart[hart].ipi, 0) != 0)
		csr_set(mip, IP_SSI);
	if (asked != atomic_load(&all.hart[hart].done)) {
		__asm__ volatile("sfence.vma; fence.i" : : : "memory");
		atomic_store(&all.hart[hart].done, asked);
	}
}

/* The set of harts that (mask, base) means; false: one of them is none. */
static bool harts_of(uint64_t mask, uint64_t base, uint64_t *set)
{
	*set = base == ALL_ONES ? all.present : base < 64 ? mask << base : 0;
	return base == ALL_ONES || (base < 64 && *set >> base == mask && (*set & ~all.present) == 0);
}

static int send_ipi(uint64_t set)
{
	for (uint64_t hart = 0; hart < HARTS; hart++) {
		if ((set >> hart & 1) == 0)
			continue;
		atomic_store(&all.hart[hart].ipi, 1);
		*msip(hart) = 1;
	}
	return OK;
}

static bool runs(uint64_t hart)
{
	return atomic_load(&all.hart[hart].state) == STARTED;
}

static int remote_fence(uint64_t set)
{
	uint64_t wanted[HARTS] = { 0 };

	for (uint64_t hart = 0; hart < HARTS; hart++) {
		if ((set >> hart & 1) == 0 || !runs(hart))
			continue;
		wanted[hart] = atomic_fetch_add(&all.hart[hart].asked, 1) + 1;
		*msip(hart) = 1;
	}
	/* Another hart may be waiting for this one. */
	for (uint64_t hart = 0; hart < HARTS; hart++)
		while (wanted[hart] != 0 && atomic_load(&all.hart[hart].done) < wanted[hart])
			serve();
	for (uint64_t until = mtime() + FENCE_MS * TICKS_PER_MS; FENCE_MS != 0 && mtime() < until;)
		serve();
	return OK;
}

static int hart_start(uint64_t hart, uint64_t entry, uint64_t argument)
{
	int stopped = STOPPED;

	if (hart >= HARTS || (all.present >> hart & 1) == 0)
		return INVALID;
	if (atomic_load(&all.hart[hart].state) != STOPPED)
		return ALREADY_AVAILABLE;
	/* EARLY: the first time it goes where the boot hart went, that is where the words still lead. */
	all.hart[hart].entry = EARLY && all.hart[hart].entry == 0 ? all.entry : entry;
	all.hart[hart].argument = argument;
	if (!atomic_compare_exchange_strong(&all.hart[hart].state, &stopped, START_PENDING))
		return ALREADY_AVAILABLE;
	*msip(hart) = 1;
	return OK;
}

static int hsm(uint64_t function, const struct registers *regs, uint64_t *value)
{
	uint64_t hart = csr_read(mhartid);

	if (function == 0)
		return hart_start(regs->x[10], regs->x[11], regs->x[12]);
	if (function == 1) {
		atomic_store(&all.hart[hart].state, STOPPED);
		wait_for_start(hart);
	}
	if (function != 2)
		return NOT_SUPPORTED;
	if (regs->x[10] >= HARTS || (all.present >> regs->x[10] & 1) == 0)
		return INVALID;
	*value = (uint64_t)atomic_load(&all.hart[regs->x[10]].state);
	return OK;
}

static bool has(uint64_t extension)
{
	if (extension == HSM)
		return !NO_HSM;
	return extension == BASE || extension == TIME || extension == IPI || extension == RFENCE ||
	       extension == PUTCHAR || extension == SHUTDOWN;
}

static int base(uint64_t function, uint64_t argument, uint64_t *value)
{
	switch (function) {
	case 0:
		*value = 2; /* 0.2 */
		return OK;
	case 3:
		*value = has(argument);
		return OK;
	case 4:
		*value = csr_read(mvendorid);
		return OK;
	case 5:
		*value = csr_read(marchid);
		return OK;
	case 6:
		*value = csr_read(mimpid);
		return OK;
	default:
		*value = 0;
		return function < 3 ? OK : NOT_SUPPORTED;
	}
}

static int set_timer(uint64_t when)
{
	*mtimecmp(csr_read(mhartid)) = when;
	csr_clear(mip, IP_STI);
	csr_set(mie, IP_MTI);
	return OK;
}

static int with_harts(uint64_t extension, const struct registers *regs)
{
	bool all_types = extension == RFENCE;
	uint64_t set;

	if (regs->x[16] > (all_types ? 2U : 0U))
		return NOT_SUPPORTED;
	if (!harts_of(regs->x[10], regs->x[11], &set))
		return INVALID;
	return extension == IPI ? send_ipi(set) : remote_fence(set);
}

static int do_call(struct registers *regs, uint64_t *value)
{
	uint64_t extension = regs->x[17], function = regs->x[16];

	if (!has(extension))
		return NOT_SUPPORTED;
	switch (extension) {
	case BASE:
		return base(function, regs->x[10], value);
	case TIME:
		return function == 0 ? set_timer(regs->x[10]) : NOT_SUPPORTED;
	case HSM:
		return hsm(function, regs, value);
	default:
		return with_harts(extension, regs);
	}
}

void sbi_call(struct registers *regs)
{
	char letter[2] = { (char)regs->x[10], '\0' };

	csr_write(mepc, csr_read(mepc) + 4);
	if (regs->x[17] == PUTCHAR) {
		say(letter);
		regs->x[10] = 0;
	} else if (regs->x[17] == SHUTDOWN) {
		power_off(0);
	} else {
		uint64_t value = 0;
		int error = do_call(regs, &value);
		regs->x[10] = (uint64_t)(int64_t)error;
		regs->x[11] = value;
	}
}

static void bug(const char *what)
{
	say(what);
	power_off(3);
}

void trap_main(struct registers *regs)
{
	uint64_t hart = csr_read(mhartid);

	switch (csr_read(mcause)) {
	case UINT64_C(1) << 63 | 3:
		*msip(hart) = 0;
		serve();
		break;
	case UINT64_C(1) << 63 | 7:
		csr_clear(mie, IP_MTI);
		csr_set(mip, IP_STI);
		break;
	case 9:
		sbi_call(regs);
		break;
	case 1:
	case 5:
	case 7:
		hand_over();
		break;
	case 2:
		emulate(regs);
		break;
	default:
		bug("tests/firmware: a trap that it does not know\n");
	}
}
