/*
 * Processes: the tree, the tables of ids, how processes and threads end.
 *
 * Invariants
 * - A process is in the tree from process_publish until its parent, or main for those of the kernel, has reaped it. The tree
 *   holds one reference; nothing follows process pointers without the tree lock or a reference.
 * - A thread is in its process and in the table of tids from publish or add_thread until thread_exit. The last thread takes the
 *   process's memory and files down, and only then makes it a zombie, so whoever reaps finds it all given back. If it was alone it
 *   stays in the process meanwhile, which is marked as ending first: nothing is sent to it, no timer is set for it any more.
 * - Every thread has left its space (space_switch(NULL)) before it leaves its process, so no hart is in the space when the
 *   last one puts it.
 *
 * Races, and where they are prevented
 * - Ending against new threads and processes: process_add_thread looks at ending under the process's lock, which
 *   process_end_locked holds while it marks all threads; a child that is published while the machine ends is marked by
 *   process_publish itself.
 * - A vfork parent that is killed while the child still runs: vfork_done is in the child, and the parent holds a reference.
 *
 * Locks: tree, then process; both are let go of before memory, files or directories are.
 */
#include "kernel/process.h"

#include <string.h>

#include "kernel/file.h"
#include "kernel/futex.h"
#include "kernel/ids.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "kernel/spare.h"
#include "kernel/tty_jobs.h"
#include "lib/errno.h"
#include "mm/coremap.h"

static struct {
	struct process *first;	 /* who inherits orphans; NULL: the kernel [tree lock] */
	bool shutdown;		 /* [tree lock] */
	struct wait_queue ended; /* for main */
} tree;

void process_init(void)
{
	ids_init();
	spares_init();
	wait_queue_init(&tree.ended);
}

/* ---- Beginning. */

int process_create(struct process **out)
{
	struct process *process = process_alloc();

	if (process == NULL)
		return -ENOMEM;
	atomic_init(&process->refs, 1);
	process->exit_signal = SIGCHLD;
	process->started_ns = time_ns();
	*out = process;
	return 0;
}

static void set_parent_locked(struct process *process, struct process *parent)
{
	process->parent = parent;
	/* relaxed: a number by itself */
	atomic_store_explicit(&process->parent_pid, parent == NULL ? 0 : parent->pid, memory_order_relaxed);
}

int process_publish(struct process *process, struct thread *thread, struct process *parent, bool sibling)
{
	tree_lock();
	/* Who sends to a group sends to this child, too, or makes its parent look again before there is one. */
	if (parent != NULL && wait_interrupted()) {
		tree_unlock();
		return -EINTR;
	}
	if (sibling && parent != NULL && parent->parent != NULL)
		parent = parent->parent;
	process->pid = ids_new_locked();
	thread->tid = process->pid;
	thread->process = process;
	set_parent_locked(process, parent);
	process->group = parent == NULL ? process->pid : parent->group;
	process->session = parent == NULL ? process->pid : parent->session;
	ids_add_process_locked(process);
	ids_add_thread_locked(thread);
	if (parent != NULL)
		list_add_tail(&parent->children, &process->sibling);
	else
		tree.first = process;
	spin_lock(&process->lock, RANK_PROCESS);
	list_add_tail(&process->threads, &thread->link);
	process->thread_count = 1;
	if (tree.shutdown)
		process_end_locked(process, SIGKILL);
	spin_unlock(&process->lock, RANK_PROCESS);
	tree_unlock();
	return 0;
}

int process_add_thread(struct process *process, struct thread *thread)
{
	int error = 0;

	tree_lock();
	spin_lock(&process->lock, RANK_PROCESS);
	if (process->ending || process->execing != NULL) {
		error = -EAGAIN;
	} else {
		thread->tid = ids_new_locked();
		thread->process = process;
		list_add_tail(&process->threads, &thread->link);
		process->thread_count++;
		job_join_locked(process, thread);
		ids_add_thread_locked(thread);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	tree_unlock();
	return error;
}

/* ---- Ending. */

static void kill_thread_locked(struct thread *thread)
{
	/* release: pairs with the acquire in trap_work and wait.c */
	atomic_fetch_or_explicit(&thread->work, WORK_KILL, memory_order_release);
	/* The caller itself neither sleeps nor is in user mode. */
	if (thread == current_thread())
		return;
	sched_wake(thread);
	sched_notify(thread);
}

void process_end_locked(struct process *process, int status)
{
	if (process->zombie || process->ending)
		return;
	process->ending = true;
	process->status = status;
	list_for_each (pos, &process->threads)
		kill_thread_locked(list_entry(pos, struct thread, link));
}

void process_exit(int status)
{
	struct process *process = current_process();

	spin_lock(&process->lock, RANK_PROCESS);
	process_end_locked(process, status);
	spin_unlock(&process->lock, RANK_PROCESS);
	thread_exit();
}

/* The thread is the only one, and becomes the first: it has the process's id from now on. */
static void become_leader(struct process *process, struct thread *thread)
{
	tree_lock();
	list_del(&thread->hash_link);
	thread->tid = process->pid;
	ids_add_thread_locked(thread);
	tree_unlock();
}

static bool is_single(struct process *process)
{
	bool single;

	spin_lock(&process->lock, RANK_PROCESS);
	single = process->thread_count == 1;
	spin_unlock(&process->lock, RANK_PROCESS);
	return single;
}

int process_single_thread(void)
{
	struct thread *self = current_thread();
	struct process *process = self->process;
	struct waiter waiter = { 0 };
	int error = 0;

	spin_lock(&process->lock, RANK_PROCESS);
	if (process->ending || process->execing != NULL)
		error = -EINTR;
	else
		process->execing = self;
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (error == 0 && thread != self)
			kill_thread_locked(thread);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	while (error == 0) {
		wait_prepare(&process->threads_gone, &waiter);
		if (is_single(process))
			break;
		error = wait_block_killable(WAIT_FOREVER);
	}
	wait_finish(&process->threads_gone, &waiter);
	spin_lock(&process->lock, RANK_PROCESS);
	if (process->execing == self)
		process->execing = NULL;
	spin_unlock(&process->lock, RANK_PROCESS);
	if (error == 0 && self->tid != process->pid)
		become_leader(process, self);
	return error;
}

void process_vfork_done(struct process *process)
{
	/* Without the lock: it was set before the process ran, and only this changes it. */
	if (!process->vforked)
		return;
	spin_lock(&process->lock, RANK_PROCESS);
	process->vforked = false;
	spin_unlock(&process->lock, RANK_PROCESS);
	wake_all(&process->vfork_done);
}

/* [tree lock, process lock] */
static void take_out_locked(struct process *process, struct thread *thread)
{
	list_del(&thread->hash_link);
	list_del(&thread->link);
	ptimers_leave_locked(process, thread);
	process->thread_count--;
	/* Under the lock, as others may be sending to it until now. */
	sigpending_clear(process, &thread->pending);
	process->usage.ticks += sched_ran(thread);
	process->usage.faults += thread->faults;
}

/* Takes the calling thread out of its process. Whether it was the last one. */
static bool leave_process(struct process *process, struct thread *thread)
{
	bool last, stopped;

	tree_lock();
	spin_lock(&process->lock, RANK_PROCESS);
	take_out_locked(process, thread);
	signal_retarget_locked(process, ~thread->blocked);
	last = process->thread_count == 0;
	if (process->execing != NULL && process->thread_count == 1)
		wake_waiting(&process->threads_gone);
	if (!last)
		thread->process = NULL;
	stopped = job_leave_locked(process);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (stopped)
		job_tell_parent_locked(process, CLD_STOPPED);
	tree_unlock();
	return last;
}

void process_release(struct process *process)
{
	struct space *space;
	struct fd_table *files;
	struct file *exe;
	struct node *cwd;

	spin_lock(&process->lock, RANK_PROCESS);
	space = process->space;
	exe = process->exe;
	files = process->files;
	cwd = process->cwd;
	process->space = NULL;
	process->files = NULL;
	process->cwd = NULL;
	process->exe = NULL;
	process->ending = true;
	/* Nothing is sent to it any more. */
	sigpending_clear(process, &process->pending);
	spin_unlock(&process->lock, RANK_PROCESS);
	space_put(space);
	fdtable_put(files);
	node_put(cwd);
	if (exe != NULL)
		file_put(exe);
}

/* [tree lock] Who gets its children: the next above that wants them, or the first. */
static struct process *heir_locked(const struct process *process)
{
	if (tree.first == process)
		return NULL;
	for (struct process *above = process->parent; above != NULL; above = above->parent)
		if (above->subreaper && !above->zombie)
			return above;
	return tree.first;
}

/* [tree lock] */
static void reparent_children(struct process *process)
{
	struct process *heir;

	if (tree.first != process && list_empty(&process->children))
		return;
	heir = heir_locked(process);
	if (tree.first == process)
		tree.first = NULL;
	list_for_each_safe (pos, next, &process->children) {
		struct process *child = list_entry(pos, struct process, sibling);

		list_del(&child->sibling);
		set_parent_locked(child, heir);
		child->exit_signal = SIGCHLD;
		if (heir != NULL)
			list_add_tail(&heir->children, &child->sibling);
		job_orphan_locked(process, child);
	}
	if (heir != NULL)
		wake_waiting(&heir->child_wait);
}

void process_forget_locked(struct process *process)
{
	list_del(&process->sibling);
	list_del(&process->link);
	list_del(&process->hash_link);
	process->forgotten = true;
	wake_waiting(&process->ended);
}

/* [tree lock] The thread that ends it leaves it, unless it has, and it is a zombie. */
static void end_locked(struct process *process, struct thread *thread)
{
	spin_lock(&process->lock, RANK_PROCESS);
	if (process->thread_count != 0)
		take_out_locked(process, thread);
	job_ended_locked(process);
	spin_unlock(&process->lock, RANK_PROCESS);
	thread->process = NULL;
	process->zombie = true;
}

/* The tree's last word on a process. */
static void become_zombie(struct process *process, struct thread *thread)
{
	struct process *parent;
	bool reap = false;

	tree_lock();
	reparent_children(process);
	parent = process->parent;
	end_locked(process, thread);
	wake_waiting(&process->ended);
	share_end_locked(process);
	job_hang_up_locked(process, process);
	tty_jobs_end_locked(process);
	if (parent != NULL) {
		reap = job_child_ended_locked(parent, process);
		wake_waiting(&parent->child_wait);
	}
	if (reap)
		process_forget_locked(process);
	/* Under the lock: main frees nothing of this, but it ends the machine. */
	if (parent == NULL || tree.shutdown)
		wake_all(&tree.ended);
	tree_unlock();
	if (reap)
		process_put(process);
}

/*
 * A thread that is alone stays in its process until that is a zombie, so that the tree lock is taken once: only threads of a process
 * make it more of them. relaxed: one that has left did so under the lock, which the rest takes.
 */
static bool is_alone(const struct process *process)
{
	return __atomic_load_n(&process->thread_count, __ATOMIC_RELAXED) == 1;
}

void thread_exit(void)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;

	futex_thread_exit(thread);
	space_switch(NULL);
	if (is_alone(process) || leave_process(process, thread)) {
		process_release(process);
		ptimers_end(process);
		process_vfork_done(process);
		become_zombie(process, thread);
	}
	sched_exit();
}

/* ---- main's part. */

static struct process *reap_for_kernel_locked(void)
{
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->zombie && process->parent == NULL) {
			process_forget_locked(process);
			return process;
		}
	}
	return NULL;
}

int process_wait_first(void)
{
	struct waiter waiter = { 0 };
	struct process *first = NULL;
	int status;

	for (;;) {
		wait_prepare(&tree.ended, &waiter);
		tree_lock();
		if (tree.first == NULL)
			first = reap_for_kernel_locked();
		tree_unlock();
		if (first != NULL || wait_block_killable(WAIT_FOREVER) != 0)
			break;
	}
	wait_finish(&tree.ended, &waiter);
	CHECK(first != NULL);
	status = first->status;
	process_put(first);
	return status;
}

static void kill_all_locked(void)
{
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		spin_lock(&process->lock, RANK_PROCESS);
		process_end_locked(process, SIGKILL);
		spin_unlock(&process->lock, RANK_PROCESS);
	}
}

void process_end_all(void)
{
	struct waiter waiter = { 0 };

	for (;;) {
		struct process *dead;
		bool empty;

		wait_prepare(&tree.ended, &waiter);
		tree_lock();
		tree.shutdown = true;
		kill_all_locked();
		dead = reap_for_kernel_locked();
		empty = list_empty(process_list_locked());
		tree_unlock();
		if (dead != NULL)
			process_put(dead);
		else if (empty || wait_block_killable(WAIT_FOREVER) != 0)
			break;
	}
	wait_finish(&tree.ended, &waiter);
	kthreads_stop();
	sched_wait_all_gone();
}
