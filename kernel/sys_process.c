/* Processes as programs see them: ending, waiting for children, ids. */
#include "kernel/file.h"
#include "kernel/pidfd.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define WNOHANG	   1U
#define WSTOPPED   2U
#define WEXITED	   4U
#define WCONTINUED 8U
#define WNOWAIT	   0x01000000U
#define W_NOTHREAD 0x20000000U
#define W_ALL	   0x40000000U
#define W_CLONE	   0x80000000U

#define P_ALL	0
#define P_PID	1
#define P_PGID	2
#define P_PIDFD 3

int64_t sys_exit(const uint64_t *a)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;

	spin_lock(&process->lock, RANK_PROCESS);
	/* The first thread's word counts, unless the process is being ended. */
	if (thread->tid == process->pid && !process->ending)
		process->status = (int)(a[0] & 0xff) << 8;
	spin_unlock(&process->lock, RANK_PROCESS);
	thread_exit();
}

int64_t sys_exit_group(const uint64_t *a)
{
	process_exit((int)(a[0] & 0xff) << 8);
}

/* ---- Waiting. */

struct wait_for {
	int64_t pid;		    /* > 0: that one; 0: of group */
	uint32_t group;		    /* 0: any */
	const struct process *only; /* NULL: any */
	uint64_t options;
};

struct waited {
	uint32_t pid;
	int status;
	struct process_usage usage;
};

static bool matches(const struct wait_for *want, const struct process *child)
{
	bool is_clone = child->exit_signal != SIGCHLD;

	if (want->pid > 0 && child->pid != (uint64_t)want->pid)
		return false;
	if (want->only != NULL && child != want->only)
		return false;
	if (want->group != 0 && child->group != want->group)
		return false;
	return (want->options & W_ALL) != 0 || is_clone == ((want->options & W_CLONE) != 0);
}

/* [tree lock] What a living child has to report and the caller wants to know, as wait4's status; 0: nothing. */
static __attribute__((noinline)) int report_locked(struct process *child, uint64_t options)
{
	bool keep = (options & WNOWAIT) != 0;
	int report;

	spin_lock(&child->lock, RANK_PROCESS);
	report = child->job.report;
	if ((options & (report == WAIT_STATUS_CONTINUED ? WCONTINUED : WSTOPPED)) == 0)
		report = 0;
	if (report != 0 && !keep)
		child->job.report = 0;
	spin_unlock(&child->lock, RANK_PROCESS);
	return report;
}

static inline int report_of(struct process *child, uint64_t options)
{
	if (child->zombie)
		return child->status;
	return (options & (WSTOPPED | WCONTINUED)) == 0 ? 0 : report_locked(child, options);
}

/* [tree lock] What this child has to report; *any: whether it may have something, later. NULL: nothing now. */
static ALWAYS_INLINE struct process *ask_child(struct process *child, const struct wait_for *want, bool *any,
					       int *status)
{
	if (!matches(want, child) || (child->zombie && (want->options & WEXITED) == 0))
		return NULL;
	*any = true;
	*status = report_of(child, want->options);
	return child->zombie || *status != 0 ? child : NULL;
}

/* [tree lock] A child that matches and has something to report; *any: whether any may have, later. */
static struct process *find_child(struct process *parent, const struct wait_for *want, bool *any, int *status)
{
	struct process *child = NULL;

	*any = false;
	if (want->pid > 0) {
		child = process_find_locked((uint32_t)want->pid);
		return child != NULL && child->parent == parent ? ask_child(child, want, any, status) : NULL;
	}
	list_for_each (pos, &parent->children) {
		child = ask_child(list_entry(pos, struct process, sibling), want, any, status);
		if (child != NULL)
			break;
	}
	return child;
}

static void note(struct process *parent, const struct process *child, bool keep, struct waited *out)
{
	out->pid = child->pid;
	out->usage.ticks = child->usage.ticks + child->children_usage.ticks;
	out->usage.faults = child->usage.faults + child->children_usage.faults;
	if (keep)
		return;
	spin_lock(&parent->lock, RANK_PROCESS);
	parent->children_usage.ticks += out->usage.ticks;
	parent->children_usage.faults += out->usage.faults;
	spin_unlock(&parent->lock, RANK_PROCESS);
}

/*
 * 1: *out is filled; 0: none yet, and the caller is queued: all that changes what children have to report wakes under the tree lock,
 * afterwards, so between the look and the queueing nothing is missed; -ECHILD.
 */
static int try_wait(struct process *parent, const struct wait_for *want, struct waiter *waiter, struct waited *out)
{
	bool keep = (want->options & WNOWAIT) != 0;
	struct process *child;
	bool any;

	tree_lock();
	child = find_child(parent, want, &any, &out->status);
	if (child != NULL) {
		keep = keep || !child->zombie;
		note(parent, child, keep, out);
		if (!keep)
			process_forget_locked(child);
	} else if (any && (want->options & WNOHANG) == 0) {
		wait_prepare(&parent->child_wait, waiter);
	}
	tree_unlock();
	if (child == NULL)
		return any ? 0 : -ECHILD;
	if (!keep)
		process_put(child);
	return 1;
}

static int wait_for_child(const struct wait_for *want, struct waited *out)
{
	struct process *parent = current_process();
	struct waiter waiter = { 0 };
	int result;

	do {
		result = try_wait(parent, want, &waiter, out);
		if (result != 0 || (want->options & WNOHANG) != 0)
			break;
		result = wait_block(WAIT_FOREVER);
	} while (result == 0);
	wait_finish(&parent->child_wait, &waiter);
	return result;
}

static uint32_t own_group(void)
{
	uint32_t group;

	tree_lock();
	group = current_process()->group;
	tree_unlock();
	return group;
}

int64_t sys_wait4(const uint64_t *a)
{
	int32_t pid = (int32_t)a[0];
	struct wait_for want = { .pid = pid > 0 ? pid : 0, .options = a[2] & UINT32_MAX };
	struct waited got = { 0 };
	int result;

	if ((want.options & ~(uint64_t)(WNOHANG | WSTOPPED | WCONTINUED | W_NOTHREAD | W_ALL | W_CLONE)) != 0)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	want.options |= WEXITED;
	if (pid == 0)
		want.group = own_group();
	else if (pid < -1)
		want.group = (uint32_t)-pid;
	result = wait_for_child(&want, &got);
	if (result <= 0)
		return result;
	if (a[1] != 0 && user_write(current_space(), VADDR(a[1]), &got.status, sizeof(got.status)) != 0)
		return -EFAULT;
	if (a[3] != 0 && user_put_rusage(a[3], &got.usage) != 0)
		return -EFAULT;
	return got.pid;
}

static void tell_status(int status, struct siginfo *info)
{
	int signo = status & 0x7f;

	info->sent.status = status >> 8 & 0xff;
	if (status == WAIT_STATUS_CONTINUED) {
		info->code = CLD_CONTINUED;
		info->sent.status = SIGCONT;
	} else if (signo == 0x7f) {
		info->code = CLD_STOPPED;
	} else if (signo != 0) {
		info->code = CLD_KILLED;
		info->sent.status = signo;
	} else {
		info->code = CLD_EXITED;
	}
}

/* What waitid's first two arguments choose; *only with a reference, where that is a pidfd, whose flags are *flags. */
static int choose(const uint64_t *a, struct wait_for *want, struct process **only, unsigned *flags)
{
	int32_t id = (int32_t)a[1];
	int error = 0;

	switch (a[0]) {
	case P_ALL:
		return 0;
	case P_PID:
		want->pid = id;
		return id <= 0 ? -EINVAL : 0;
	case P_PGID:
		want->group = id == 0 ? own_group() : (uint32_t)id;
		return id < 0 ? -EINVAL : 0;
	case P_PIDFD:
		error = id < 0 ? -EINVAL : pidfd_process(id, only, flags);
		want->only = *only;
		return error;
	default:
		return -EINVAL;
	}
}

static int put_waited(const uint64_t *a, const struct waited *got)
{
	struct siginfo info = { 0 };

	if (got->pid != 0) {
		info.signo = SIGCHLD;
		info.sent.pid = (int32_t)got->pid;
		tell_status(got->status, &info);
	}
	if (a[2] != 0 && user_write(current_space(), VADDR(a[2]), &info, sizeof(info)) != 0)
		return -EFAULT;
	return got->pid != 0 && a[4] != 0 ? user_put_rusage(a[4], &got->usage) : 0;
}

int64_t sys_waitid(const uint64_t *a)
{
	struct wait_for want = { .options = a[3] & UINT32_MAX };
	bool waits = (want.options & WNOHANG) == 0;
	struct process *only = NULL;
	struct waited got = { 0 };
	unsigned flags = 0;
	int result;

	if ((want.options &
	     ~(uint64_t)(WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT | W_NOTHREAD | W_ALL | W_CLONE)) != 0 ||
	    (want.options & (WEXITED | WSTOPPED | WCONTINUED)) == 0)
		return -EINVAL;
	result = choose(a, &want, &only, &flags);
	if (result != 0)
		return result;
	if ((flags & O_NONBLOCK) != 0)
		want.options |= WNOHANG;
	result = wait_for_child(&want, &got);
	if (only != NULL)
		process_put(only);
	if (result == 0 && waits && (flags & O_NONBLOCK) != 0)
		return -EAGAIN;
	return result < 0 ? result : put_waited(a, &got);
}

/* ---- Ids. */

int64_t sys_getpid(const uint64_t *a)
{
	(void)a;
	return current_process()->pid;
}

int64_t sys_gettid(const uint64_t *a)
{
	(void)a;
	return current_thread()->tid;
}

int64_t sys_getppid(const uint64_t *a)
{
	(void)a;
	/* relaxed: a number by itself */
	return atomic_load_explicit(&current_process()->parent_pid, memory_order_relaxed);
}

int64_t sys_set_tid_address(const uint64_t *a)
{
	struct thread *thread = current_thread();

	thread->clear_child_tid = a[0];
	return thread->tid;
}

int64_t sys_set_robust_list(const uint64_t *a)
{
	if (a[1] != 24)
		return -EINVAL;
	current_thread()->robust_list = a[0];
	return 0;
}

int64_t sys_get_robust_list(const uint64_t *a)
{
	const struct thread *thread = current_thread();
	uint64_t size = 24;
	uint64_t list = 0;

	tree_lock();
	if ((uint32_t)a[0] != 0)
		thread = thread_find_locked((uint32_t)a[0]);
	if (thread != NULL)
		list = thread->robust_list;
	tree_unlock();
	if (thread == NULL)
		return -ESRCH;
	if (user_write(current_space(), VADDR(a[2]), &size, sizeof(size)) != 0 ||
	    user_write(current_space(), VADDR(a[1]), &list, sizeof(list)) != 0)
		return -EFAULT;
	return 0;
}

/* [tree lock] */
static struct process *by_pid(int32_t pid)
{
	if (pid == 0)
		return current_process();
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->pid == (uint32_t)pid)
			return process;
	}
	return NULL;
}

/* [tree lock] */
static bool group_in_session(uint32_t group, uint32_t session)
{
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->group == group && process->session == session)
			return true;
	}
	return false;
}

/* [tree lock] */
static int64_t set_group(int32_t pid, int32_t wanted)
{
	struct process *self = current_process();
	struct process *process = by_pid(pid);
	uint32_t group;

	if (process == NULL || (process != self && process->parent != self))
		return -ESRCH;
	group = wanted == 0 ? process->pid : (uint32_t)wanted;
	if (process != self && process->session == self->session && process->execed)
		return -EACCES;
	if (process->session != self->session || process->session == process->pid)
		return -EPERM;
	if (group != process->pid && !group_in_session(group, self->session))
		return -EPERM;
	process->group = group;
	return 0;
}

int64_t sys_setpgid(const uint64_t *a)
{
	int64_t result;

	if ((int32_t)a[0] < 0 || (int32_t)a[1] < 0)
		return -EINVAL;
	tree_lock();
	result = set_group((int32_t)a[0], (int32_t)a[1]);
	tree_unlock();
	return result;
}

int64_t sys_getpgid(const uint64_t *a)
{
	struct process *process;
	int64_t result = -ESRCH;

	tree_lock();
	process = by_pid((int32_t)a[0]);
	if (process != NULL)
		result = process->group;
	tree_unlock();
	return result;
}

int64_t sys_getsid(const uint64_t *a)
{
	struct process *process;
	int64_t result = -ESRCH;

	tree_lock();
	process = by_pid((int32_t)a[0]);
	if (process != NULL)
		result = process->session;
	tree_unlock();
	return result;
}

/* [tree lock] */
static bool group_exists(uint32_t group)
{
	list_for_each (pos, process_list_locked()) {
		if (list_entry(pos, struct process, link)->group == group)
			return true;
	}
	return false;
}

int64_t sys_setsid(const uint64_t *a)
{
	struct process *self = current_process();
	int64_t result = -EPERM;

	(void)a;
	tree_lock();
	if (!group_exists(self->pid)) {
		self->group = self->pid;
		self->session = self->pid;
		result = self->pid;
	}
	tree_unlock();
	return result;
}
