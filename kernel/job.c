/*
 * Job control. Contract: job.h.
 *
 * A stop signal is taken like any other, by one thread, which then marks all threads of its process with WORK_STOP. Each
 * stands as soon as it would return to user mode; waits are interrupted for it and the calls start again afterwards. The
 * last to stand tells the parent. SIGCONT lets them go where it is sent, and the first that goes on tells the parent.
 *
 * Races, and where they are prevented
 * - SIGCONT between the taking of a stop signal and job_stop, which has to let go of the lock: job.taken.
 * - SIGCONT and another stop before all have gone on: whoever still stands, stands on, and is still counted.
 * - A thread that is made or ends meanwhile: job_join_locked, job_leave_locked.
 *
 * Locks: tree, then process. The count of stopping processes only saves looking for them.
 */
#include "kernel/job.h"

#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/signal.h"

/* relaxed throughout: changed under the process's lock; who orphans a group meanwhile is before or after */
static _Atomic uint32_t stopping_processes;

void job_init(struct process *process)
{
	wait_queue_init(&process->job.queue);
}

void job_reset(struct process *process)
{
	struct job *job = &process->job;

	job->stopping = job->stopped = job->taken = false;
	job->signo = job->report = job->tell = 0;
	job->standing = 0;
}

/* ---- Telling the parent. */

static bool wants_no_stops(const struct sigaction_kernel *action)
{
	return action->handler == SIG_IGN || (action->flags & SA_NOCLDSTOP) != 0;
}

void job_tell_parent_locked(struct process *process, int code)
{
	struct process *parent = process->parent;
	struct siginfo info = {
		.signo = SIGCHLD,
		.code = code,
		.sent = { .pid = (int32_t)process->pid,
			  .status = code == CLD_CONTINUED ? SIGCONT : process->job.signo },
	};

	if (parent == NULL)
		return;
	spin_lock(&parent->lock, RANK_PROCESS);
	if (!wants_no_stops(&parent->action[SIGCHLD - 1]))
		signal_send_locked(parent, &info);
	spin_unlock(&parent->lock, RANK_PROCESS);
	wake_all(&parent->child_wait);
}

static void tell_parent(struct process *process, int code)
{
	tree_lock();
	job_tell_parent_locked(process, code);
	tree_unlock();
}

static void tell_end_locked(struct process *parent, const struct process *child)
{
	int core = child->status & 0x7f;
	struct siginfo info = {
		.signo = (int)child->exit_signal,
		.code = core != 0 ? CLD_KILLED : CLD_EXITED,
		.sent = { .pid = (int32_t)child->pid, .status = core != 0 ? core : child->status >> 8 & 0xff },
	};

	signal_send_locked(parent, &info);
}

bool job_child_ended_locked(struct process *parent, struct process *child)
{
	const struct sigaction_kernel *action = &parent->action[SIGCHLD - 1];
	bool reap = false;

	if (child->exit_signal == 0)
		return false;
	spin_lock(&parent->lock, RANK_PROCESS);
	if (child->exit_signal == SIGCHLD)
		reap = action->handler == SIG_IGN || (action->flags & SA_NOCLDWAIT) != 0;
	if (!signal_is_dropped_locked(parent, (int)child->exit_signal))
		tell_end_locked(parent, child);
	spin_unlock(&parent->lock, RANK_PROCESS);
	return reap;
}

/* ---- Stopping. */

static void mark(struct thread *thread)
{
	/* release: pairs with the acquire in trap_work and wait.c */
	atomic_fetch_or_explicit(&thread->work, WORK_STOP, memory_order_release);
	sched_wake(thread);
	sched_notify(thread);
}

void job_stop(int signo)
{
	struct process *process = current_process();
	struct job *job = &process->job;
	bool orphaned;

	tree_lock();
	orphaned = signo != SIGSTOP && job_orphaned_locked(process->group, NULL);
	spin_lock(&process->lock, RANK_PROCESS);
	if (job->taken && !orphaned && !process->ending && !job->stopping) {
		job->stopping = true;
		job->stopped = false;
		job->signo = signo;
		job->report = 0;
		atomic_fetch_add_explicit(&stopping_processes, 1, memory_order_relaxed);
		list_for_each (pos, &process->threads)
			mark(list_entry(pos, struct thread, link));
	}
	job->taken = false;
	spin_unlock(&process->lock, RANK_PROCESS);
	tree_unlock();
}

/* [process lock] Whether this completed the stop. */
static bool complete_locked(struct process *process)
{
	struct job *job = &process->job;

	if (!job->stopping || job->stopped || job->standing != process->thread_count || job->standing == 0)
		return false;
	job->stopped = true;
	job->report = job->signo << 8 | 0x7f;
	return true;
}

static void stand_until_continued(struct process *process)
{
	struct waiter waiter = { 0 };

	for (;;) {
		bool stands;

		wait_prepare(&process->job.queue, &waiter);
		spin_lock(&process->lock, RANK_PROCESS);
		stands = process->job.stopping;
		spin_unlock(&process->lock, RANK_PROCESS);
		if (!stands || wait_block_killable(WAIT_FOREVER) != 0)
			break;
	}
	wait_finish(&process->job.queue, &waiter);
}

void job_stand(void)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	struct job *job = &process->job;
	bool complete;
	int tell;

	/* Makes an interrupted call start again; see signal_deliver. */
	atomic_fetch_or_explicit(&thread->work, WORK_SIGNAL, memory_order_relaxed);
	spin_lock(&process->lock, RANK_PROCESS);
	job->standing++;
	complete = complete_locked(process);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (complete)
		tell_parent(process, CLD_STOPPED);
	stand_until_continued(process);
	spin_lock(&process->lock, RANK_PROCESS);
	job->standing--;
	tell = job->tell;
	job->tell = 0;
	spin_unlock(&process->lock, RANK_PROCESS);
	if (tell != 0)
		tell_parent(process, tell);
}

void job_continue_locked(struct process *process)
{
	struct job *job = &process->job;

	job->taken = false;
	if (!job->stopping)
		return;
	atomic_fetch_sub_explicit(&stopping_processes, 1, memory_order_relaxed);
	job->tell = job->stopped ? CLD_CONTINUED : CLD_STOPPED;
	job->stopping = false;
	job->stopped = false;
	job->report = WAIT_STATUS_CONTINUED;
	wake_all(&job->queue);
}

void job_join_locked(struct process *process, struct thread *thread)
{
	if (process->job.stopping)
		atomic_fetch_or_explicit(&thread->work, WORK_STOP, memory_order_relaxed);
}

bool job_leave_locked(struct process *process)
{
	return complete_locked(process);
}

void job_ended_locked(struct process *process)
{
	if (process->job.stopping)
		atomic_fetch_sub_explicit(&stopping_processes, 1, memory_order_relaxed);
	process->job.stopping = false;
	process->job.report = 0;
}

/* ---- Orphaned groups: nobody is left who would continue them. */

bool job_orphaned_locked(uint32_t group, const struct process *ignored)
{
	list_for_each (pos, process_list_locked()) {
		const struct process *process = list_entry(pos, struct process, link);
		const struct process *parent = process->parent;

		if (process->zombie || process->group != group || parent == NULL)
			continue;
		if (parent->group != group && parent->session == process->session && ignored != process)
			return false;
	}
	return true;
}

static bool has_stopped_locked(uint32_t group)
{
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);
		bool stopped;

		if (process->group != group || process->zombie)
			continue;
		spin_lock(&process->lock, RANK_PROCESS);
		stopped = process->job.stopped;
		spin_unlock(&process->lock, RANK_PROCESS);
		if (stopped)
			return true;
	}
	return false;
}

void job_orphan_locked(const struct process *parent, struct process *child)
{
	struct siginfo info = { .signo = child->death_signal, .sent = { .pid = (int32_t)parent->pid } };

	if (info.signo != 0)
		signal_process(child, &info);
	job_hang_up_locked(parent, child);
}

static void hang_up_locked(const struct process *process, const struct process *child)
{
	static const int signals[] = { SIGHUP, SIGCONT };
	const struct process *parent = child == process ? process->parent : process;
	const struct process *ignored = child == process ? process : NULL;

	if (parent == NULL)
		return;
	if (parent->group == child->group || parent->session != child->session ||
	    !job_orphaned_locked(child->group, ignored) || !has_stopped_locked(child->group))
		return;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct siginfo info = { .signo = signals[i], .code = SI_KERNEL };

		list_for_each (pos, process_list_locked()) {
			struct process *one = list_entry(pos, struct process, link);

			if (one->group == child->group)
				signal_process(one, &info);
		}
	}
}

void job_hang_up_locked(const struct process *process, const struct process *child)
{
	if (atomic_load_explicit(&stopping_processes, memory_order_relaxed) != 0)
		hang_up_locked(process, child);
}
