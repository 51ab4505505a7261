/*
 * Waits that last, reported: what the hart waits for, and of every other hart what can be learnt from here. Contract: watchdog.h.
 *
 * A hart that waits, is idle or in user mode takes the interrupt that asks where it is, and answers with its calls. One that does not is
 * described from outside: the firmware's state of it, its thread, and in debug kernels with what it came from user mode, what it waits for, and
 * the ranks of its locks. Its registers nobody can have: S-mode has no interrupt that cannot be held off.
 *
 * The report comes from inside of the wait, with whatever locks that hart holds: it takes none but the console's, and nobody is watched who waits
 * for that (lib/lock.c). With requests by the firmware (tlb=rfence) the firmware waits, and nobody can watch it.
 */
#include "kernel/watchdog.h"

#include <stdio.h>

#include "firmware/boot.h"
#include "firmware/hart.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/runqueue.h"
#include "kernel/thread.h"
#include "lib/atomic.h"
#include "lib/lock.h"
#include "lib/watch.h"

/* A debug kernel that hangs ends within a minute; a release kernel says so, and waits on. */
#define BOUND_S	    20
#define NS_PER_S    UINT64_C(1000000000)
#define SECONDS_MAX 3600
/* On the stack of whoever waits, wherever that is. */
#define LINE_BYTES  80
#define LOCKS_BYTES 112
#ifdef CORRAL_DEBUG
#define REPORTS_MAX 3
#else
#define REPORTS_MAX 0
#endif

static struct {
	uint64_t bound_ns;
	unsigned reports_max;
	_Atomic uint64_t reports;
	_Atomic uint64_t full; /* the tick until which the harts are not described again */
} watchdog;

static const char *text_of(struct watch_seen wait, char *line, size_t room)
{
	switch (wait.what) {
	case WATCH_LOCK:
		snprintf(line, room, "the %s lock at %p", lock_rank_name((enum lock_rank)wait.detail), wait.object);
		break;
	case WATCH_SHOOTDOWN:
		snprintf(line, room, "harts %#lx to answer a shootdown from %#lx on",
			 *(const volatile uint64_t *)wait.object, wait.detail);
		break;
	case WATCH_WALK:
		snprintf(line, room, "the end of a walk on hart %lu", wait.detail);
		break;
	case WATCH_SWITCH:
		snprintf(line, room, "hart %lu to leave the stack of the thread at %p", wait.detail, wait.object);
		break;
	case WATCH_TIMER:
		snprintf(line, room, "the timer at %p, which is firing", wait.object);
		break;
	case WATCH_STANDING:
		snprintf(line, room, "all harts to stand still");
		break;
	case WATCH_NOTHING:
		snprintf(line, room, "nothing");
		break;
	}
	return line;
}

#ifdef CORRAL_DEBUG
static void say_locks(unsigned index)
{
	char line[LOCKS_BYTES] = " none";
	size_t n = 0;

	for (unsigned rank = 0; rank < RANK_COUNT && n < sizeof(line); rank++)
		if (lock_rank_held_by(index, (enum lock_rank)rank) != 0)
			n += (size_t)snprintf(line + n, sizeof(line) - n, " %s", lock_rank_name((enum lock_rank)rank));
	klog("watchdog: hart %u: holds, or waits for, locks:%s", index, line);
}

static void say_entry(const struct hart *hart)
{
	if (hart->user_cause == HART_IN_USER)
		klog("watchdog: hart %u: in user mode", hart->index);
	else if (hart->user_pc != 0)
		klog("watchdog: hart %u: in the kernel; last from user mode at %#lx, cause %#lx", hart->index,
		     hart->user_pc, hart->user_cause);
}
#else
static void say_locks(unsigned index)
{
	(void)index;
}

static void say_entry(const struct hart *hart)
{
	(void)hart;
}
#endif

/* Its thread may be on its way: what is read may be of another, but is there to be read. */
static void say_thread(const struct hart *hart)
{
	const struct thread *thread = *(struct thread *const volatile *)&hart->thread;
	const struct process *process;

	if (thread == NULL || !kmap_readable((uint64_t)thread) || !kmap_readable((uint64_t)&thread->stack_top))
		return;
	process = *(struct process *const volatile *)&thread->process;
	if (process == NULL || !kmap_readable((uint64_t)&process->pid & ~UINT64_C(7)))
		klog("watchdog: hart %u: a thread of the kernel's", hart->index);
	else if (kmap_readable((uint64_t)&thread_frame(thread)->a7))
		klog("watchdog: hart %u: thread %u of process %u, %.15s; last call %lu", hart->index, thread->tid,
		     process->pid, thread->name, thread_frame(thread)->a7);
}

static void describe(unsigned index, bool answered)
{
	const struct hart *hart = hart_get(index);
	struct watch_seen wait = watch_of(index);
	char line[LINE_BYTES];

	if (answered && hart->thread == &runqueues[index].idle && wait.what == WATCH_NOTHING) {
		klog("watchdog: hart %u (id %lu, %s) answers; it is idle%s", index, hart->id, hart_state(index),
		     atomic_load_explicit(&runqueues[index].count, memory_order_relaxed) != 0 ? ", with threads to run"
											      : "");
		return;
	}
	klog("watchdog: hart %u (id %lu, %s) %s", index, hart->id, hart_state(index),
	     answered ? "answers" : "does not answer interrupts");
	say_thread(hart);
	say_entry(hart);
	say_locks(index);
	if (wait.what != WATCH_NOTHING)
		klog("watchdog: hart %u: waits for %s", index, text_of(wait, line, sizeof(line)));
	if (answered)
		hart_sample_print(index);
}

void watchdog_describe(void)
{
	uint64_t others = harts_online() & ~(UINT64_C(1) << hw_hart());
	uint64_t answered = harts_sample(others);

	say_thread(this_hart());
	say_locks(hw_hart());
	harts_print_here();
	for (; others != 0; others &= others - 1)
		describe((unsigned)__builtin_ctzl(others), (answered & others & -others) != 0);
}

/* One hart at a time, and not again at once where several wait for the same. */
static bool may_describe(void)
{
	uint64_t now = time_ticks(), until = atomic_load_explicit(&watchdog.full, memory_order_relaxed);

	/* relaxed: who gets it decides nothing but who writes */
	return now >= until &&
	       atomic_compare_exchange_strong_explicit(&watchdog.full, &until, now + ns_to_ticks(watchdog.bound_ns / 2),
						       memory_order_relaxed, memory_order_relaxed);
}

static void report(const struct watch *watch, uint64_t ticks)
{
	struct watch_seen wait = { watch->what, watch->object, watch->detail };
	uint64_t ms = ticks / ns_to_ticks(NS_PER_S / 1000);
	char line[LINE_BYTES];

	if (watch->what == WATCH_NOTHING) {
		klog("watchdog: hart %u goes on after %lu ms", hw_hart(), ms);
		return;
	}
	klog("watchdog: hart %u has waited %lu ms for %s", hw_hart(), ms, text_of(wait, line, sizeof(line)));
	if (may_describe())
		watchdog_describe();
	/* relaxed: a count, of those that are written */
	atomic_fetch_add_explicit(&watchdog.reports, 1, memory_order_relaxed);
	if (watch->reports == watchdog.reports_max)
		hw_panic("watchdog: hart %u has waited %lu ms for %s", hw_hart(), ms, line);
}

void watchdog_set(uint64_t bound_ns, unsigned reports)
{
	watchdog.bound_ns = bound_ns;
	watchdog.reports_max = reports;
	watch_init(ns_to_ticks(bound_ns), report);
}

uint64_t watchdog_reports(void)
{
	return atomic_load_explicit(&watchdog.reports, memory_order_relaxed);
}

void watchdog_init(const char *seconds)
{
	uint64_t n = seconds == NULL ? BOUND_S : 0;

	for (const char *at = seconds; at != NULL && (*at != '\0' || at == seconds); at++) {
		n = n * 10 + (uint64_t)(*at - '0');
		if (*at < '0' || *at > '9' || n > SECONDS_MAX)
			boot_fail("boot argument watchdog=%s: must be seconds, 0 to %u", seconds, SECONDS_MAX);
	}
	watchdog_set(n * NS_PER_S, REPORTS_MAX);
}
