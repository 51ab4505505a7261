/*
 * Traps from user mode, but for the two fast paths, a system call and a page fault, which trap.S sends to their handlers by
 * itself: it checks one word of the thread (work) afterwards, and comes here where that is not 0.
 *
 * Everything that keeps a thread from simply going on (signals, being killed, the end of its time slice, a quiesce) is a
 * bit in thread->work and is dealt with in trap_work, on the way back to user mode and nowhere else.
 */
#include "kernel/trap.h"

#include "drivers/plic.h"
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/cache.h"
#include "kernel/process.h"
#include "kernel/quiesce.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/timer.h"
#include "kernel/touch.h"
#include "mm/space.h"

static void clear_work(struct thread *thread, uint32_t bits)
{
	/* acquire: pairs with the release of whoever set it */
	atomic_fetch_and_explicit(&thread->work, ~bits, memory_order_acquire);
}

static void out_of_memory(struct thread *thread, uint64_t address)
{
	struct process *process = thread->process;
	bool first;

	spin_lock(&process->lock, RANK_PROCESS);
	first = !process->ending;
	process_end_locked(process, SIGKILL);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (first)
		klog("out of memory: %s (process %u) wanted the page at %#lx and is killed", thread->name, process->pid,
		     (unsigned long)address);
}

/* Memory of another space (a new program's, a child's) is the call's to answer for: it fails with ENOMEM. */
void trap_starved(struct space *space, vaddr_t va)
{
	struct thread *thread = current_thread();

	if (thread->process == NULL || thread->process->space != space)
		return;
	thread->starved = va.v;
	atomic_fetch_or_explicit(&thread->work, WORK_STARVED, memory_order_relaxed);
}

/* Until one of them is done that may have made others. */
static __attribute__((noinline)) void work_once(struct thread *thread, struct trap_frame *frame, uint32_t work)
{
	if ((work & WORK_KILL) != 0)
		thread_exit();
	if ((work & WORK_STARVED) != 0) {
		clear_work(thread, WORK_STARVED);
		out_of_memory(thread, thread->starved);
		return;
	}
	if ((work & WORK_QUIESCE) != 0) {
		clear_work(thread, WORK_QUIESCE);
		quiesce_stand();
	}
	if ((work & WORK_DIRTY) != 0) {
		clear_work(thread, WORK_DIRTY);
		cache_throttle();
		return;
	}
	if ((work & WORK_ALARM) != 0) {
		clear_work(thread, WORK_ALARM);
		ptimers_resume(thread->process);
	}
	if ((work & (WORK_RESCHED | WORK_SLICE)) != 0) {
		clear_work(thread, WORK_RESCHED | WORK_SLICE);
		sched_work(work);
	}
	if ((work & WORK_STOP) != 0) {
		clear_work(thread, WORK_STOP);
		job_stand();
		return;
	}
	if ((work & WORK_SIGNAL) != 0)
		signal_deliver(frame, frame->scause == CAUSE_ECALL_U);
}

void trap_work(struct trap_frame *frame)
{
	struct thread *thread = current_thread();
	uint32_t work;

	/* acquire: pairs with the release of whoever set a bit */
	while ((work = atomic_load_explicit(&thread->work, memory_order_acquire)) != 0)
		work_once(thread, frame, work);
}

/* trap.S knows these. */
_Static_assert(offsetof(struct thread, work) == TRAP_THREAD_WORK &&
		       offsetof(struct thread, faults) == TRAP_THREAD_FAULTS,
	       "");
_Static_assert(ACCESS_READ == TRAP_READ && ACCESS_WRITE == TRAP_WRITE && ACCESS_EXEC == TRAP_EXEC && FAULT_OK == 0, "");

static enum access access_of(uint64_t cause)
{
	return cause == CAUSE_STORE_PAGE_FAULT	? ACCESS_WRITE
	       : cause == CAUSE_LOAD_PAGE_FAULT ? ACCESS_READ
						: ACCESS_EXEC;
}

void trap_refused(struct trap_frame *frame, enum fault fault)
{
	struct thread *thread = current_thread();
	uint64_t address = frame->stval;

	thread->faults++;
	switch (touch_settle(thread->process->space, VADDR(address), access_of(frame->scause), fault)) {
	case FAULT_MAPERR:
		signal_fault(SIGSEGV, SEGV_MAPERR, address);
		break;
	case FAULT_ACCERR:
		signal_fault(SIGSEGV, SEGV_ACCERR, address);
		break;
	case FAULT_BUS:
		signal_fault(SIGBUS, BUS_ADRERR, address);
		break;
	case FAULT_OOM:
		out_of_memory(thread, address);
		break;
	case FAULT_OK:
	case FAULT_READ: /* touch_settle never says so */
		break;
	}
}

/* Interrupts, and exceptions that are not page faults. */
void trap_other(struct trap_frame *frame)
{
	switch (frame->scause) {
	case CAUSE_SOFTWARE:
		hart_serve_ipi();
		break;
	case CAUSE_TIMER:
		if (timers_serve())
			sched_slice_over();
		break;
	case CAUSE_EXTERNAL:
		plic_serve();
		break;
	case CAUSE_BREAKPOINT:
		signal_fault(SIGTRAP, TRAP_BRKPT, frame->sepc);
		break;
	case CAUSE_FETCH_MISALIGNED:
	case CAUSE_LOAD_MISALIGNED:
	case CAUSE_STORE_MISALIGNED:
		signal_fault(SIGBUS, BUS_ADRALN, frame->stval);
		break;
	case CAUSE_FETCH_ACCESS:
	case CAUSE_LOAD_ACCESS:
	case CAUSE_STORE_ACCESS:
		signal_fault(SIGSEGV, SEGV_ACCERR, frame->stval);
		break;
	default:
		signal_fault(SIGILL, ILL_ILLOPC, frame->sepc);
		break;
	}
}

void trap_enter_user(void)
{
	struct trap_frame *frame = thread_frame(current_thread());

	trap_work(frame);
	trap_return(frame);
}
