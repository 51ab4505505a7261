/*
 * Signals: sending, choosing the thread, default actions, masks, restarts. Frames: sigframe.c; the calls: sys_signal.c.
 *
 * Invariants
 * - pending.set has the signals that are pending; pending.queue notes who sent them, at most one entry for each of 1..31
 *   (and one for each timer that sends it), any number for real-time ones. Where no memory was left the bit stands alone and the program sees SI_USER from 0.
 * - thread->work has WORK_SIGNAL whenever a signal is pending that the thread does not block; only the thread clears it,
 *   under the lock, when it finds none. So a signal sent at any moment is seen before the thread is in user mode again.
 * - A signal for the process is told to one thread that does not block it, or waits for it. When that thread comes to block it, no longer
 *   waits, or ends, signal_retarget_locked tells another.
 * - SIGKILL is never pending: it ends the process where it is sent. SIGCONT continues where it is sent, and takes pending
 *   stop signals away, as those take it.
 *
 * Locks: process->lock guards everything here; nothing but the slab's, wait and run queues' locks is taken inside.
 */
#include "kernel/signal.h"

#include <string.h>

#include "kernel/process.h"
#include "kernel/ptimer.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define SIGNALS_UNBLOCKABLE (SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP))
/* Default action: nothing; stopping (job.c). */
#define SIGNALS_IGNORED	 (SIG_BIT(SIGCHLD) | SIG_BIT(SIGCONT) | SIG_BIT(SIGURG) | SIG_BIT(SIGWINCH))
#define SIGNALS_STOPPING (SIG_BIT(SIGSTOP) | SIG_BIT(SIGTSTP) | SIG_BIT(SIGTTIN) | SIG_BIT(SIGTTOU))

struct sigqueue {
	struct list link;
	uint32_t timer; /* the key of the timer that sent it (ptimer.h) and waits until it is taken; 0: none */
	struct siginfo info;
};

void sigpending_init(struct sigpending *pending)
{
	pending->set = 0;
	list_init(&pending->queue);
}

/* A timer's is counted with the timer. */
static void unlink_entry(struct process *process, struct sigqueue *entry)
{
	list_del(&entry->link);
	process->queued -= entry->timer == 0;
}

void sigpending_clear(struct process *process, struct sigpending *pending)
{
	pending->set = 0;
	while (!list_empty(&pending->queue)) {
		struct sigqueue *entry = list_first(&pending->queue, struct sigqueue, link);

		unlink_entry(process, entry);
		kfree(entry);
	}
}

/* ---- Sending. */

static bool ignores(const struct process *process, int signo)
{
	uint64_t handler = process->action[signo - 1].handler;

	return handler == SIG_IGN || (handler == SIG_DFL && (SIG_BIT(signo) & SIGNALS_IGNORED) != 0);
}

static bool accepts(const struct thread *thread, int signo)
{
	return (thread->blocked & ~thread->sigwait & SIG_BIT(signo)) == 0;
}

static void tell(struct thread *thread)
{
	/* release: pairs with the acquire in trap_work and wait.c */
	atomic_fetch_or_explicit(&thread->work, WORK_SIGNAL, memory_order_release);
	sched_wake(thread);
	sched_notify(thread);
}

/* What loses its meaning without its siginfo. */
static bool needs_entry(const struct siginfo *info)
{
	return info->signo >= 32 && info->code != SI_USER && info->code != SI_KERNEL;
}

/* timer: its key, or 0. 1: who sent it has been noted; 0: not; -EAGAIN: and it has not been sent. */
static int add_pending(struct process *process, struct sigpending *pending, const struct siginfo *info, uint32_t timer)
{
	struct sigqueue *entry = NULL;

	if (timer == 0 && info->signo < 32 && (pending->set & SIG_BIT(info->signo)) != 0)
		return 0;
	if (timer != 0 || process->queued < process->limits[RLIMIT_SIGPENDING].soft)
		entry = kalloc(sizeof(*entry));
	if (entry == NULL && timer == 0 && needs_entry(info))
		return -EAGAIN;
	pending->set |= SIG_BIT(info->signo);
	if (entry == NULL)
		return 0;
	process->queued += timer == 0;
	entry->info = *info;
	entry->timer = timer;
	list_add_tail(&pending->queue, &entry->link);
	return 1;
}

static void discard(struct process *process, struct sigpending *pending, int signo)
{
	pending->set &= ~SIG_BIT(signo);
	list_for_each_safe (pos, next, &pending->queue) {
		struct sigqueue *entry = list_entry(pos, struct sigqueue, link);

		if (entry->info.signo != signo)
			continue;
		unlink_entry(process, entry);
		if (entry->timer != 0)
			ptimer_taken_locked(process, entry->timer, &entry->info);
		kfree(entry);
	}
}

static void discard_everywhere(struct process *process, uint64_t set)
{
	for (; set != 0; set &= set - 1) {
		int signo = __builtin_ctzll(set) + 1;

		discard(process, &process->pending, signo);
		list_for_each (pos, &process->threads)
			discard(process, &list_entry(pos, struct thread, link)->pending, signo);
	}
}

/* What is done where they are sent, whether they are blocked, ignored or neither. */
static void stop_or_continue(struct process *process, int signo)
{
	if ((SIG_BIT(signo) & SIGNALS_STOPPING) != 0)
		discard_everywhere(process, SIG_BIT(SIGCONT));
	if (signo != SIGCONT)
		return;
	discard_everywhere(process, SIGNALS_STOPPING);
	job_continue_locked(process);
}

/* The thread that is to take a signal of its process: the caller itself, or the oldest that accepts it. */
static struct thread *choose_locked(struct process *process, int signo)
{
	struct thread *self = current_thread();

	if (self->process == process && accepts(self, signo) && !list_empty(&self->link))
		return self;
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (accepts(thread, signo))
			return thread;
	}
	return NULL;
}

/* Nobody learns of it: ignored ones are dropped, unless they are blocked: the action may change before they no longer are. */
static bool is_dropped(const struct process *process, const struct thread *taker, int signo)
{
	return taker != NULL && ignores(process, signo) && (taker->sigwait & SIG_BIT(signo)) == 0;
}

bool signal_is_dropped_locked(struct process *process, int signo)
{
	return process->ending || (signo == SIGCHLD && is_dropped(process, choose_locked(process, signo), signo));
}

/* As add_pending. */
static int send_locked(struct process *process, struct thread *thread, const struct siginfo *info, uint32_t timer)
{
	struct thread *taker = thread;
	int noted;

	if (process->zombie || process->ending)
		return 0;
	if (info->signo == SIGKILL) {
		process_end_locked(process, SIGKILL);
		return 0;
	}
	stop_or_continue(process, info->signo);
	if (taker == NULL)
		taker = choose_locked(process, info->signo);
	else if (!accepts(taker, info->signo))
		taker = NULL;
	if (is_dropped(process, taker, info->signo))
		return 0;
	noted = add_pending(process, thread != NULL ? &thread->pending : &process->pending, info, timer);
	if (taker != NULL && noted >= 0)
		tell(taker);
	return noted;
}

void signal_send_locked(struct process *process, const struct siginfo *info)
{
	(void)send_locked(process, NULL, info, 0);
}

bool signal_timer_locked(struct process *process, uint32_t tid, const struct siginfo *info, uint32_t key)
{
	if (tid == 0)
		return send_locked(process, NULL, info, key) > 0;
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (thread->tid == tid)
			return send_locked(process, thread, info, key) > 0;
	}
	return false;
}

int signal_process(struct process *process, const struct siginfo *info)
{
	int result;

	spin_lock(&process->lock, RANK_PROCESS);
	result = send_locked(process, NULL, info, 0);
	spin_unlock(&process->lock, RANK_PROCESS);
	return MIN(result, 0);
}

int signal_thread(struct thread *thread, const struct siginfo *info)
{
	struct process *process = thread->process;
	int result;

	spin_lock(&process->lock, RANK_PROCESS);
	result = send_locked(process, thread, info, 0);
	spin_unlock(&process->lock, RANK_PROCESS);
	return MIN(result, 0);
}

void signal_self(int signo)
{
	struct siginfo info = { .signo = signo, .code = SI_KERNEL };

	signal_thread(current_thread(), &info);
}

void signal_fault(int signo, int code, uint64_t address)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	struct sigaction_kernel *action = &process->action[signo - 1];

	spin_lock(&process->lock, RANK_PROCESS);
	/* A fault cannot wait: blocked or ignored, it ends the process. */
	if ((thread->blocked & SIG_BIT(signo)) != 0 || action->handler == SIG_IGN) {
		thread->blocked &= ~SIG_BIT(signo);
		action->handler = SIG_DFL;
	}
	thread->fault.signo = signo;
	thread->fault.code = code;
	thread->fault.addr = address;
	thread->pending.set |= SIG_BIT(signo);
	atomic_fetch_or_explicit(&thread->work, WORK_SIGNAL, memory_order_relaxed);
	spin_unlock(&process->lock, RANK_PROCESS);
}

void signal_retarget_locked(struct process *process, uint64_t set)
{
	uint64_t pending = process->pending.set & set;

	while (pending != 0) {
		int signo = __builtin_ctzll(pending) + 1;
		struct thread *taker = choose_locked(process, signo);

		if (taker != NULL)
			tell(taker);
		pending &= pending - 1;
	}
}

bool signal_waiting(const struct thread *thread)
{
	/* Without the lock: whoever adds one afterwards also leaves a token, so a thread that blocks on this is woken. */
	return ((thread->pending.set | thread->process->pending.set) & ~(thread->blocked & ~thread->sigwait)) != 0;
}

/* ---- Masks and actions: the calling thread's. */

void signal_set_mask(uint64_t mask)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	uint64_t newly;

	mask &= ~SIGNALS_UNBLOCKABLE;
	spin_lock(&process->lock, RANK_PROCESS);
	newly = mask & ~thread->blocked;
	thread->blocked = mask;
	if (newly != 0)
		signal_retarget_locked(process, newly);
	if (((thread->pending.set | process->pending.set) & ~mask) != 0)
		atomic_fetch_or_explicit(&thread->work, WORK_SIGNAL, memory_order_relaxed);
	spin_unlock(&process->lock, RANK_PROCESS);
}

void signal_put_action_locked(struct process *process, int signo, const struct sigaction_kernel *action)
{
	process->actions_set |= SIG_BIT(signo);
	process->action[signo - 1] = *action;
	process->action[signo - 1].mask &= ~SIGNALS_UNBLOCKABLE;
	if (ignores(process, signo))
		discard_everywhere(process, SIG_BIT(signo));
}

void signal_put_action(struct process *process, int signo, const struct sigaction_kernel *action)
{
	spin_lock(&process->lock, RANK_PROCESS);
	signal_put_action_locked(process, signo, action);
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* ---- Taking. */

static bool take_from(struct process *process, struct sigpending *pending, uint64_t set, struct siginfo *info)
{
	bool found = false, more = false;
	int signo;

	set &= pending->set;
	if (set == 0)
		return false;
	signo = __builtin_ctzll(set) + 1;
	*info = (struct siginfo){ .signo = signo, .code = SI_USER };
	list_for_each_safe (pos, next, &pending->queue) {
		struct sigqueue *entry = list_entry(pos, struct sigqueue, link);

		if (entry->info.signo != signo)
			continue;
		more = found;
		if (found)
			break;
		found = true;
		*info = entry->info;
		unlink_entry(process, entry);
		if (entry->timer != 0)
			ptimer_taken_locked(process, entry->timer, info);
		kfree(entry);
	}
	if (!more)
		pending->set &= ~SIG_BIT(signo);
	return true;
}

/* The thread's own fault comes first, then its own signals, then the process's. */
static bool take_locked(struct thread *thread, uint64_t set, struct siginfo *info)
{
	if (thread->fault.signo != 0 && (set & SIG_BIT(thread->fault.signo)) != 0) {
		*info = (struct siginfo){ .signo = thread->fault.signo,
					  .code = thread->fault.code,
					  .addr = thread->fault.addr };
		thread->fault.signo = 0;
		discard(thread->process, &thread->pending, info->signo);
		return true;
	}
	return take_from(thread->process, &thread->pending, set, info) ||
	       take_from(thread->process, &thread->process->pending, set, info);
}

bool signal_take(uint64_t set, struct siginfo *info)
{
	struct process *process = current_process();
	bool taken;

	spin_lock(&process->lock, RANK_PROCESS);
	taken = take_locked(current_thread(), set, info);
	spin_unlock(&process->lock, RANK_PROCESS);
	return taken;
}

void signal_accept(uint64_t set)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	uint64_t no_longer = thread->sigwait & ~set & thread->blocked;

	spin_lock(&process->lock, RANK_PROCESS);
	thread->sigwait = set;
	signal_retarget_locked(process, no_longer);
	spin_unlock(&process->lock, RANK_PROCESS);
}

uint64_t signal_pending_set(void)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	uint64_t set;

	spin_lock(&process->lock, RANK_PROCESS);
	set = (thread->pending.set | process->pending.set) & thread->blocked;
	spin_unlock(&process->lock, RANK_PROCESS);
	return set;
}

/* ---- Delivery. */

static void restart_call(struct trap_frame *frame)
{
	frame->a0 = frame->orig_a0;
	frame->sepc -= 4;
}

/* No handler ran: the mask goes back, an interrupted call starts again with the deadline it had. */
static void nothing_to_handle(struct thread *thread, struct trap_frame *frame, bool call)
{
	if (thread->restore_blocked) {
		thread->restore_blocked = false;
		signal_set_mask(thread->saved_blocked);
	}
	if (call && (int64_t)frame->a0 == -EINTR) {
		restart_call(frame);
		thread->restarting = thread->restart_deadline != 0;
	}
}

static void run_handler(struct thread *thread, struct trap_frame *frame, const struct siginfo *info,
			const struct sigaction_kernel *action, bool call)
{
	uint64_t mask = thread->blocked | action->mask;
	uint64_t put_back = thread->restore_blocked ? thread->saved_blocked : thread->blocked;

	thread->restore_blocked = false;
	thread->restarting = false;
	thread->restart_deadline = 0;
	if ((action->flags & SA_NODEFER) == 0)
		mask |= SIG_BIT(info->signo);
	if (call && (int64_t)frame->a0 == -EINTR && syscall_restarts(frame->a7, (action->flags & SA_RESTART) != 0))
		restart_call(frame);
	/* What comes next is no longer about this call. */
	frame->scause = UINT64_MAX;
	if (sigframe_push(frame, info, action, put_back) != 0) {
		process_exit(SIGSEGV);
	}
	signal_set_mask(mask);
}

enum verdict { VERDICT_NONE, VERDICT_HANDLER, VERDICT_STOP, VERDICT_END };

static enum verdict judge(const struct sigaction_kernel *action, int signo)
{
	if (action->handler != SIG_DFL)
		return VERDICT_HANDLER;
	return (SIG_BIT(signo) & SIGNALS_STOPPING) != 0 ? VERDICT_STOP : VERDICT_END;
}

/* Takes signals until one needs something done. */
static enum verdict next_signal(struct thread *thread, struct siginfo *info, struct sigaction_kernel *action)
{
	struct process *process = thread->process;
	enum verdict verdict = VERDICT_NONE;

	spin_lock(&process->lock, RANK_PROCESS);
	while (verdict == VERDICT_NONE) {
		if (!take_locked(thread, ~thread->blocked, info)) {
			atomic_fetch_and_explicit(&thread->work, ~WORK_SIGNAL, memory_order_relaxed);
			break;
		}
		*action = process->action[info->signo - 1];
		if (ignores(process, info->signo))
			continue;
		verdict = judge(action, info->signo);
		if (verdict == VERDICT_HANDLER && (action->flags & SA_RESETHAND) != 0)
			process->action[info->signo - 1].handler = SIG_DFL;
		if (verdict == VERDICT_STOP)
			process->job.taken = true;
		if (verdict == VERDICT_END)
			process_end_locked(process, info->signo);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	return verdict;
}

void signal_deliver(struct trap_frame *frame, bool call)
{
	struct thread *thread = current_thread();
	struct sigaction_kernel action;
	struct siginfo info;

	switch (next_signal(thread, &info, &action)) {
	case VERDICT_NONE:
		nothing_to_handle(thread, frame, call);
		break;
	case VERDICT_HANDLER:
		run_handler(thread, frame, &info, &action, call);
		break;
	case VERDICT_STOP:
		job_stop(info.signo);
		break;
	case VERDICT_END:
		break;
	}
}
