/*
 * Panics: stop the other harts, say what happened, end the machine with status 125.
 *
 * The first hart to panic has it (owner, by compare-and-swap); others that panic meanwhile stop as if asked to. A panic
 * within the panic prints one line and ends. Nothing here takes a lock, allocates, or waits without a limit. Backtraces
 * follow frame pointers, and look up the kernel's tables before each step, so that they can follow anything.
 */
#include "firmware/panic.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "firmware/boot.h"
#include "firmware/csr.h"
#include "firmware/harts.h"
#include "firmware/ksyms.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/sbi.h"
#include "firmware/stacks.h"
#include "firmware/trap.h"
#include "lib/check.h"
#include "lib/hw.h"

#define STATUS_PANIC  125
#define STOP_LIMIT_NS UINT64_C(200000000)
#define DEPTH	      32
#define DEPTH_OTHERS  8
#define FRAME_LIMIT   16384
#define MESSAGE_BYTES 256
#define NOBODY	      0

static struct {
	_Atomic uint32_t asked; /* somebody panics, or has asked where harts are: all that hart_serve_ipi looks at */
	_Atomic uint32_t owner; /* hart index + 1 */
	_Atomic uint32_t depth; /* panics on the owner */
} panic;

/* The address's function, by bisection; NULL before the first. */
static const struct ksym *symbol_find(uint64_t addr)
{
	unsigned low = 0, high = ksyms_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (ksyms[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : &ksyms[low - 1];
}

static bool in_text(uint64_t addr)
{
	return addr >= (uint64_t)kernel_start && addr < (uint64_t)text_end;
}

/* A return address may be the first of the next function: it belongs to the one that the call before it is in. */
static void print_address(const char *lead, uint64_t addr, bool is_return)
{
	const struct ksym *symbol = in_text(addr) ? symbol_find(addr - is_return) : NULL;

	if (symbol != NULL)
		log_raw("%s%016lx %s+0x%lx\n", lead, addr, symbol->name, addr - symbol->addr);
	else
		log_raw("%s%016lx\n", lead, addr);
}

/* A frame: the return address at fp - 8, the caller's fp at fp - 16. */
static void backtrace(uint64_t fp, unsigned depth)
{
	while (depth-- > 0 && kmap_readable(fp - 8) && kmap_readable(fp - 16)) {
		uint64_t ra = ((const uint64_t *)fp)[-1], next = ((const uint64_t *)fp)[-2];
		if (!in_text(ra))
			return;
		print_address("  ", ra, true);
		if (next <= fp || next - fp > FRAME_LIMIT)
			return;
		fp = next;
	}
}

static void print_registers(const struct trap_frame *frame)
{
	static const char *const names[] = { "",   "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
					     "a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
					     "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6" };

	log_raw("sepc %016lx sstatus %016lx scause %016lx stval %016lx\n", frame->sepc, frame->sstatus, frame->scause,
		frame->stval);
	for (unsigned i = 1; i < ARRAY_LEN(names); i++)
		log_raw("%4s %016lx%s", names[i], frame->x[i], i % 4 == 0 || i == 31 ? "\n" : "");
}

static const char *cause_name(uint64_t cause)
{
	static const char *const names[] = {
		"instruction misaligned",
		"instruction access fault",
		"illegal instruction",
		"breakpoint",
		"load misaligned",
		"load access fault",
		"store misaligned",
		"store access fault",
		"ecall from user mode",
		"ecall from S-mode",
		"cause 10",
		"cause 11",
		"instruction page fault",
		"load page fault",
		"cause 14",
		"store page fault",
	};

	if ((cause & CAUSE_INTERRUPT) != 0)
		return "interrupt";
	return cause < ARRAY_LEN(names) ? names[cause] : "unknown cause";
}

static void stop_others(void)
{
	uint64_t others = harts_online() & ~(UINT64_C(1) << hw_hart());

	if (others == 0)
		return;
	hw_send_ipi(others);
	uint64_t limit = time_ticks() + ns_to_ticks(STOP_LIMIT_NS);
	for (uint64_t left = others; left != 0 && time_ticks() < limit;) {
		unsigned i = (unsigned)__builtin_ctzl(left);
		/* acquire: pairs with the release in stop_here */
		if (atomic_load_explicit(&hart_get(i)->stopped, memory_order_acquire) != 0)
			left &= left - 1;
	}
}

static void print_others(void)
{
	for (uint64_t others = harts_online() & ~(UINT64_C(1) << hw_hart()); others != 0; others &= others - 1) {
		const struct hart *hart = hart_get((unsigned)__builtin_ctzl(others));
		/* acquire: pairs with the release in stop_here */
		bool stopped = atomic_load_explicit(&hart->stopped, memory_order_acquire) != 0;
		log_raw("hart %u (id %lu) %s\n", hart->index, hart->id, stopped ? "stopped at" : "does not answer");
		if (stopped)
			backtrace(hart->stop_fp, DEPTH_OTHERS);
	}
}

static _Noreturn void stop_here(void)
{
	struct hart *hart = this_hart();

	hart->stop_fp = (uint64_t)__builtin_frame_address(0);
	/* release: pairs with the acquires in stop_others and print_others */
	atomic_store_explicit(&hart->stopped, 1, memory_order_release);
	hart_park();
}

static void take_sample(struct hart *hart, uint64_t fp)
{
	hart->sampled = 0;
	while (hart->sampled < HART_SAMPLE_MAX && kmap_readable(fp - 8) && kmap_readable(fp - 16)) {
		uint64_t ra = ((const uint64_t *)fp)[-1], next = ((const uint64_t *)fp)[-2];

		if (!in_text(ra))
			break;
		hart->sample_pc[hart->sampled++] = ra;
		if (next <= fp || next - fp > FRAME_LIMIT)
			break;
		fp = next;
	}
	/* release: pairs with the acquire in harts_sample */
	atomic_store_explicit(&hart->sample, HART_SAMPLE_TAKEN, memory_order_release);
}

uint64_t harts_sample(uint64_t wanted)
{
	uint64_t answered = 0, limit = time_ticks() + ns_to_ticks(STOP_LIMIT_NS);

	/* relaxed: ordered by the fence in hw_send_ipi */
	for (uint64_t left = wanted; left != 0; left &= left - 1)
		atomic_store_explicit(&hart_get((unsigned)__builtin_ctzl(left))->sample, HART_SAMPLE_WANTED,
				      memory_order_relaxed);
	atomic_store_explicit(&panic.asked, 1, memory_order_relaxed);
	if (wanted != 0)
		hw_send_ipi(wanted);
	while (answered != wanted && time_ticks() < limit) {
		hw_relax();
		for (uint64_t left = wanted & ~answered; left != 0; left &= left - 1)
			/* acquire: pairs with the release in take_sample */
			if (atomic_load_explicit(&hart_get((unsigned)__builtin_ctzl(left))->sample,
						 memory_order_acquire) == HART_SAMPLE_TAKEN)
				answered |= left & -left;
	}
	return answered;
}

void hart_sample_print(unsigned index)
{
	const struct hart *hart = hart_get(index);

	for (uint32_t i = 0; i < hart->sampled; i++)
		print_address("  ", hart->sample_pc[i], true);
}

void harts_print_here(void)
{
	backtrace((uint64_t)__builtin_frame_address(0), DEPTH_OTHERS);
}

const char *hart_state(unsigned index)
{
	static const char *const names[] = { "started",	  "stopped",	     "being started", "being stopped",
					     "suspended", "being suspended", "being resumed" };
	int64_t status = sbi_hart_status(hart_get(index)->id);

	if (status < 0)
		return sbi_error_name(status);
	return status < (int64_t)ARRAY_LEN(names) ? names[status] : "unknown state";
}

static __attribute__((noinline)) void attend(uint64_t fp)
{
	struct hart *hart = this_hart();
	/* relaxed: the IPI that brought us here was sent after it was written, and hart_serve_ipi has fenced */
	uint32_t owner = atomic_load_explicit(&panic.owner, memory_order_relaxed);

	if (owner != NOBODY && owner != hw_hart() + 1)
		stop_here();
	if (atomic_load_explicit(&hart->sample, memory_order_relaxed) == HART_SAMPLE_WANTED)
		take_sample(hart, fp);
}

void panic_stop_check(void)
{
	/* relaxed: as in attend */
	if (UNLIKELY(atomic_load_explicit(&panic.asked, memory_order_relaxed) != 0))
		attend((uint64_t)__builtin_frame_address(0));
}

static void panic_begin(void)
{
	uint32_t nobody = NOBODY, me = hw_hart() + 1;

	/* relaxed: who has it decides nothing but who goes on; stop_others fences before it asks the others to look */
	if (!atomic_compare_exchange_strong_explicit(&panic.owner, &nobody, me, memory_order_relaxed,
						     memory_order_relaxed) &&
	    nobody != me)
		stop_here();
	atomic_store_explicit(&panic.asked, 1, memory_order_relaxed);
	/* relaxed: only this hart counts */
	uint32_t depth = atomic_fetch_add_explicit(&panic.depth, 1, memory_order_relaxed);
	if (depth == 1)
		log_raw("panic within the panic\n");
	if (depth >= 1)
		machine_power_off(STATUS_PANIC);
	stop_others();
	log_panic_begin();
}

static _Noreturn void panic_end(uint64_t fp)
{
	log_raw("backtrace of hart %u (id %lu):\n", hw_hart(), this_hart()->id);
	backtrace(fp, DEPTH);
	print_others();
	machine_power_off(STATUS_PANIC);
}

#ifdef CORRAL_DEBUG
/* The page below the stack that sp is in, or has left. */
static bool is_overrun(const struct trap_frame *frame)
{
	uint64_t guard = ALIGN_DOWN(frame->stval, PAGE_SIZE);

	return kmap_is_guard(guard) && frame->sp < guard + PAGE_SIZE + KERNEL_STACK_BYTES &&
	       frame->sp + KERNEL_STACK_BYTES > guard;
}

/* The compiler's name for where a function goes whose canary is not what it was. */
_Noreturn void stack_overwritten(void) __asm__("__stack_chk_fail");

void stack_overwritten(void)
{
	uint64_t from = (uint64_t)__builtin_return_address(0) - 1;
	const struct ksym *symbol = in_text(from) ? symbol_find(from) : NULL;

	hw_panic("kernel stack overwritten: the canary of %s has changed",
		 symbol != NULL ? symbol->name : "a function");
}
#else
static bool is_overrun(const struct trap_frame *frame)
{
	(void)frame;
	return false;
}
#endif

void panic_trap(const struct trap_frame *frame)
{
	panic_begin();
	if (is_overrun(frame))
		log_raw("\npanic: hart %u: kernel stack overrun: 0x%lx is in the guard page below the stack\n",
			hw_hart(), frame->stval);
	else
		log_raw("\npanic: hart %u: %s in the kernel, address 0x%lx\n", hw_hart(), cause_name(frame->scause),
			frame->stval);
	print_registers(frame);
	print_address("at ", frame->sepc, false);
	print_address("from ", frame->ra, true);
	panic_end(frame->s0);
}

void hw_panic(const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	panic_begin();
	log_raw("\npanic: hart %u: %s\n", hw_hart(), message);
	panic_end((uint64_t)__builtin_frame_address(0));
}
