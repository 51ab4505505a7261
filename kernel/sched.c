/*
 * The scheduler: which thread runs on which hart, and the switch between them.
 *
 * Invariants
 * - A thread on a ready list is not on a hart (thread->on_hart is 0): its registers are saved and its stack is free to be
 *   switched to. So picking never waits, and two harts never wait for each other's threads. Whoever makes a thread ready
 *   sees to it: sched_wake waits until the blocking thread's hart has left its stack; a thread that gives way is put on
 *   a list by the one that runs after it (finish_switch).
 * - thread->park is PARK_RUNS, PARK_TOKEN or PARK_BLOCKED. Only the thread makes it BLOCKED, by compare-and-swap from
 *   RUNS; whoever changes BLOCKED to TOKEN owns the thread and makes it ready, exactly once.
 * - A dead thread is freed by the one that runs after it on the same hart, never by itself.
 *
 * Races, and where they are prevented
 * - A signal's bit in thread->work is set while the thread is being switched to: finish_switch fences between on_hart = 1
 *   and the look at work on the way to user mode, sched_notify between setting the bit and looking at on_hart.
 * - work set between the last look at it and sret: the setter sends an IPI afterwards, which traps at once in user mode.
 * - A thread is put on an idle hart's list, or a quiesce wanted, when the hart has looked already, and the IPI is taken by an hw_relax on
 *   the way to sleep (a lock of another's list, of the allocator): idle_loop does not sleep when one was taken since it looked.
 * - A thread takes the interrupt of a quiesce in an hw_relax, and blocks: WORK_QUIESCE is left with it. Whoever is switched to gets the bit
 *   anew (switch_to); an idle hart stands before it sleeps.
 *
 * Locks: the run queues' (runqueue.c), never two at once. There is no lock for all harts.
 */
#include "kernel/sched.h"

#include "drivers/plic.h"
#include "kernel/fp.h"
#include "kernel/process.h"
#include "kernel/quiesce.h"
#include "kernel/runqueue.h"
#include "kernel/spare.h"
#include "kernel/trap.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "lib/hw.h"
#include "lib/lock.h"
#include "lib/watch.h"
#include "mm/cleared.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define SLICE_NS UINT64_C(5000000)

enum { PARK_RUNS, PARK_TOKEN, PARK_BLOCKED };

static struct {
	uint64_t slice_ticks;
	struct thread main;
	_Atomic uint64_t alive CACHE_ALIGNED; /* threads with a stack of their own */
	struct wait_queue all_gone;
} sched;

/* ---- The switch. */

void sched_leave_out(void)
{
	/* acq_rel: main's look at 0 comes after all frees */
	if (atomic_fetch_sub_explicit(&sched.alive, 1, memory_order_acq_rel) == 1)
		wake_all(&sched.all_gone);
}

void sched_count_in(void)
{
	/* relaxed: only the last decrement has to be seen */
	atomic_fetch_add_explicit(&sched.alive, 1, memory_order_relaxed);
}

static void free_thread(struct thread *thread)
{
	thread_free(thread);
	sched_leave_out();
}

/* The first thing a thread does when it has been switched to, on its own stack: nobody uses the previous one any more. */
static void finish_switch(void)
{
	struct runqueue *queue = my_queue();
	struct thread *previous = queue->previous;
	struct thread *giving_way = queue->giving_way;

	queue->previous = NULL;
	queue->giving_way = NULL;
	if (previous->dead) {
		free_thread(previous);
		return;
	}
	/* release: pairs with the acquire in sched_wake and switch_to: the registers are saved */
	atomic_store_explicit(&previous->on_hart, 0, memory_order_release);
	if (giving_way != NULL)
		runqueue_make_ready(giving_way);
}

/* started first: whoever reads both in between (sched_ran) counts too little, never twice. */
static void sched_account(struct thread *thread, uint64_t now)
{
	uint64_t started = thread->started;

	__atomic_store_n(&thread->started, now, __ATOMIC_RELAXED);
	__atomic_store_n(&thread->ran, thread->ran + (now - started), __ATOMIC_RELEASE);
}

static void switch_to(struct runqueue *queue, struct thread *next)
{
	struct thread *previous = queue->current;
	struct hart *hart = this_hart();
	uint64_t now = hw_ticks();

	sched_account(previous, now);
	next->started = now;
	fp_leave(queue, previous);
	spin_lock(&queue->lock, RANK_RUNQUEUE);
	queue->current = next;
	queue->slicing = next != &queue->idle && atomic_load_explicit(&queue->count, memory_order_relaxed) != 0;
	if (queue->slicing)
		atomic_fetch_or_explicit(&next->work, WORK_SLICE, memory_order_relaxed);
	spin_unlock(&queue->lock, RANK_RUNQUEUE);
	queue->previous = previous;
	atomic_store_explicit(&next->hart, hart->index, memory_order_relaxed);
	/* relaxed, then a full fence: pairs with the fence in sched_notify, see the top */
	atomic_store_explicit(&next->on_hart, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (quiesce_wanted())
		atomic_fetch_or_explicit(&next->work, WORK_QUIESCE, memory_order_relaxed);
	/* after the fence: pairs with the one in ptimer.c's park */
	if (next->process != NULL && ptimers_parked(next->process))
		atomic_fetch_or_explicit(&next->work, WORK_ALARM, memory_order_relaxed);
	space_switch(next->process == NULL ? NULL : next->process->space);
	fp_enter(queue, next);
	hart->thread = next;
	if (next->process != NULL)
		thread_frame(next)->kernel_tp = hart;
	context_switch(&previous->saved_sp, next->saved_sp);
	finish_switch();
}

/* Leaves the calling thread, which is blocked, dead or giving way. */
static void switch_away(void)
{
	struct runqueue *queue = my_queue();
	struct thread *next = runqueue_pick(hw_hart());

	switch_to(queue, next != NULL ? next : &queue->idle);
}

static void give_way(void)
{
	struct runqueue *queue = my_queue();

	queue->giving_way = queue->current;
	switch_away();
}

/* ---- Blocking and waking. */

bool sched_take_token(struct thread *thread)
{
	uint32_t token = PARK_TOKEN;

	/* acquire: pairs with the release in sched_wake: the waker's change is seen by the look that follows */
	return atomic_load_explicit(&thread->park, memory_order_relaxed) == PARK_TOKEN &&
	       atomic_compare_exchange_strong_explicit(&thread->park, &token, PARK_RUNS, memory_order_acquire,
						       memory_order_relaxed);
}

static void timer_wakes(struct timer *timer)
{
	sched_wake(container_of(timer, struct thread, timer));
}

void sched_block(uint64_t deadline_ns)
{
	struct thread *thread = current_thread();
	uint32_t expected = PARK_RUNS;

	lock_assert_none();
	if (deadline_ns != WAIT_FOREVER)
		timer_arm(&thread->timer, deadline_ns, timer_wakes);
	/* acq_rel: pairs with the exchange in sched_wake, both ways */
	if (atomic_compare_exchange_strong_explicit(&thread->park, &expected, PARK_BLOCKED, memory_order_acq_rel,
						    memory_order_relaxed))
		switch_away();
	if (deadline_ns != WAIT_FOREVER)
		timer_cancel(&thread->timer);
	/* acquire: as in sched_take_token; also takes what the timer has left meanwhile */
	(void)atomic_exchange_explicit(&thread->park, PARK_RUNS, memory_order_acquire);
}

/* Its hart is in switch_away, which needs no lock of ours. */
static __attribute__((noinline)) void await_switch(struct thread *thread)
{
	struct watch watch = { .what = WATCH_SWITCH,
			       .object = thread,
			       .detail = atomic_load_explicit(&thread->hart, memory_order_relaxed) };

	/* acquire: pairs with the release in finish_switch */
	while (atomic_load_explicit(&thread->on_hart, memory_order_acquire) != 0)
		watch_turn(&watch);
	watch_end(&watch);
}

void sched_wake(struct thread *thread)
{
	/* acq_rel: release what the caller changed; acquire the blocking thread's state when we own it */
	if (atomic_exchange_explicit(&thread->park, PARK_TOKEN, memory_order_acq_rel) != PARK_BLOCKED)
		return;
	/* acquire: pairs with the release in finish_switch */
	if (atomic_load_explicit(&thread->on_hart, memory_order_acquire) != 0)
		await_switch(thread);
	runqueue_make_ready(thread);
}

void sched_notify(struct thread *thread)
{
	unsigned hart;

	/* pairs with the fence in switch_to */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&thread->on_hart, memory_order_relaxed) == 0)
		return;
	hart = atomic_load_explicit(&thread->hart, memory_order_relaxed);
	if (hart != hw_hart())
		hw_send_ipi(UINT64_C(1) << hart);
}

void sched_start(struct thread *thread)
{
	runqueue_make_ready(thread);
}

void sched_yield(void)
{
	if (atomic_load_explicit(&my_queue()->count, memory_order_relaxed) != 0)
		give_way();
}

void sched_exit(void)
{
	current_thread()->dead = true;
	switch_away();
	__builtin_unreachable();
}

void sched_slice_over(void)
{
	struct runqueue *queue = my_queue();

	if (runqueue_contended(queue))
		atomic_fetch_or_explicit(&queue->current->work, WORK_RESCHED, memory_order_relaxed);
}

static bool misplaced(const struct thread *thread)
{
	uint64_t allowed = atomic_load_explicit(&thread->affinity, memory_order_relaxed);

	return (allowed >> hw_hart() & 1) == 0;
}

void sched_work(uint32_t work)
{
	struct thread *thread = current_thread();

	if ((work & WORK_RESCHED) != 0) {
		if (misplaced(thread))
			give_way();
		else
			sched_yield();
	}
	if (runqueue_contended(my_queue()))
		timer_slice(sched.slice_ticks);
}

void sched_set_affinity(struct thread *thread, uint64_t harts)
{
	atomic_store_explicit(&thread->affinity, harts, memory_order_relaxed);
	/* It looks when it next goes to user mode, wherever it is now. */
	atomic_fetch_or_explicit(&thread->work, WORK_RESCHED, memory_order_relaxed);
	sched_notify(thread);
}

uint64_t sched_ran(const struct thread *thread)
{
	uint64_t ran = __atomic_load_n(&thread->ran, __ATOMIC_ACQUIRE);
	uint64_t started, now;

	if (thread != current_thread() && atomic_load_explicit(&thread->on_hart, memory_order_acquire) == 0)
		return ran;
	started = __atomic_load_n(&thread->started, __ATOMIC_RELAXED);
	now = hw_ticks();
	return now > started ? ran + (now - started) : ran;
}

void sched_wait_all_gone(void)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&sched.all_gone, &waiter);
		/* acquire: pairs with free_thread */
		if (atomic_load_explicit(&sched.alive, memory_order_acquire) == 0)
			break;
		if (wait_block_killable(WAIT_FOREVER) != 0)
			break;
	}
	wait_finish(&sched.all_gone, &waiter);
}

/* ---- Threads. */

/* Where a new thread starts, in the kernel. */
static void thread_entry(void *unused)
{
	(void)unused;
	finish_switch();
	trap_enter_user();
}

void thread_init(struct thread *thread)
{
	list_init(&thread->run_link);
	list_init(&thread->link);
	list_init(&thread->hash_link);
	sigpending_init(&thread->pending);
}

int thread_create(struct thread **out)
{
	struct thread *thread = thread_alloc();

	if (thread == NULL)
		return -ENOMEM;
	atomic_init(&thread->affinity, UINT64_MAX);
	atomic_init(&thread->hart, hw_hart());
	thread->saved_sp = context_init((uint64_t)thread_frame(thread), thread_entry, NULL);
	sched_count_in();
	*out = thread;
	return 0;
}

/* One of the kernel's own: its trap frame, which user mode never sees, holds what it calls. */
static void kernel_thread_entry(void *unused)
{
	struct trap_frame *frame = thread_frame(current_thread());

	(void)unused;
	finish_switch();
	((void (*)(void *))frame->a0)((void *)frame->a1);
	sched_exit();
}

int thread_create_kernel(void (*fn)(void *), void *arg, struct thread **out)
{
	int error = thread_create(out);

	if (error != 0)
		return error;
	thread_frame(*out)->a0 = (uint64_t)fn;
	thread_frame(*out)->a1 = (uint64_t)arg;
	(*out)->saved_sp = context_init((uint64_t)thread_frame(*out), kernel_thread_entry, NULL);
	return 0;
}

void thread_destroy(struct thread *thread)
{
	free_thread(thread);
}

/* ---- Idle. */

static void serve_pending(void)
{
	uint64_t pending = interrupts_pending();

	if ((pending & IP_SOFTWARE) != 0)
		hart_serve_ipi();
	if ((pending & IP_TIMER) != 0 && timers_serve())
		sched_slice_over();
	if ((pending & IP_EXTERNAL) != 0)
		plic_serve();
}

void sched_breathe(void)
{
	struct thread *thread = current_thread();
	uint32_t work;

	serve_pending();
	/* acquire: as in trap_work */
	work = atomic_fetch_and_explicit(&thread->work, ~(WORK_RESCHED | WORK_SLICE | WORK_QUIESCE),
					 memory_order_acquire);
	if ((work & WORK_QUIESCE) != 0)
		quiesce_stand();
	if ((work & (WORK_RESCHED | WORK_SLICE)) != 0)
		sched_work(work);
}

static _Noreturn void idle_loop(void)
{
	struct runqueue *queue = my_queue();

	for (;;) {
		uint64_t taken = hart_ipis_taken();
		struct thread *next;

		/* Before it sleeps: the thread that has just blocked may have taken the interrupt. */
		if (quiesce_wanted())
			quiesce_stand();
		runqueue_idle(true);
		next = runqueue_pick(hw_hart());
		if (next == NULL) {
			/* A thread that is given to an idle hart comes with an interrupt: pending, or taken meanwhile. */
			while (interrupts_pending() == 0 && hart_ipis_taken() == taken && cleared_prepare())
				continue;
			if (hart_ipis_taken() == taken)
				hart_wait_for_interrupt();
			serve_pending();
			continue;
		}
		runqueue_idle(false);
		switch_to(queue, next);
	}
}

static void idle_entry(void *unused)
{
	(void)unused;
	finish_switch();
	idle_loop();
}

static void adopt(struct runqueue *queue, struct thread *thread)
{
	atomic_init(&thread->on_hart, 1);
	thread->started = time_ticks();
	queue->current = thread;
	this_hart()->thread = thread;
}

void sched_hart_main(void)
{
	struct runqueue *queue = my_queue();

	plic_init_hart();
	timer_set(UINT64_MAX);
	adopt(queue, &queue->idle);
	idle_loop();
}

/* From the trap, idle, or hw_relax with locks held: takes no lock and wakes nobody. */
static void ipi_serve(void)
{
	struct thread *thread = this_hart()->thread;

	tlb_serve();
	if (thread != NULL && quiesce_wanted())
		atomic_fetch_or_explicit(&thread->work, WORK_QUIESCE, memory_order_relaxed);
}

void sched_init(void)
{
	struct runqueue *mine;

	timers_init();
	wait_queue_init(&sched.all_gone);
	sched.slice_ticks = ns_to_ticks(SLICE_NS);
	runqueue_init();
	for (unsigned i = 0; i < hw_harts(); i++) {
		thread_init(&runqueues[i].idle);
		atomic_init(&runqueues[i].idle.affinity, UINT64_MAX);
		atomic_init(&runqueues[i].idle.hart, i);
		fp_init(&runqueues[i]);
	}
	mine = my_queue();
	CHECK(thread_stack_alloc(&mine->idle));
	mine->idle.saved_sp = context_init(mine->idle.stack_top, idle_entry, NULL);
	thread_init(&sched.main);
	atomic_init(&sched.main.affinity, UINT64_MAX);
	atomic_init(&sched.main.hart, hw_hart());
	adopt(mine, &sched.main);
	hart_set_ipi_handler(ipi_serve);
}
