/*
 * clone and clone3: new processes and threads.
 *
 * Everything that can fail is made first; the child is published, and can be found, only when nothing can fail any more.
 * What CLONE_FS and CLONE_SIGHAND share between threads of a process is part of struct process; between processes: share.c.
 * Namespaces and tracing are refused.
 */
#include <string.h>

#include "firmware/trap.h"
#include "kernel/cache.h"
#include "kernel/file.h"
#include "kernel/fp.h"
#include "kernel/pidfd.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/syscall.h"
#include "kernel/trace.h"
#include "lib/errno.h"
#include "mm/space.h"

#define ATTEMPTS 8U /* for want of memory */

#define CLONE_VM	     0x100U
#define CLONE_FS	     0x200U
#define CLONE_FILES	     0x400U
#define CLONE_SIGHAND	     0x800U
#define CLONE_PIDFD	     0x1000U
#define CLONE_VFORK	     0x4000U
#define CLONE_PARENT	     0x8000U
#define CLONE_THREAD	     0x10000U
#define CLONE_SYSVSEM	     0x40000U
#define CLONE_SETTLS	     0x80000U
#define CLONE_PARENT_SETTID  0x100000U
#define CLONE_CHILD_CLEARTID 0x200000U
#define CLONE_DETACHED	     0x400000U
#define CLONE_UNTRACED	     0x800000U
#define CLONE_CHILD_SETTID   0x1000000U
#define CLONE_IO	     0x80000000U
#define CLONE_CLEAR_SIGHAND  (UINT64_C(1) << 32)

#define CLONE_KNOWN                                                                                                    \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | CLONE_PARENT | CLONE_THREAD |               \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_UNTRACED | \
	 CLONE_CHILD_SETTID | CLONE_IO | CLONE_CLEAR_SIGHAND | CLONE_PIDFD)

struct request {
	uint64_t flags;
	uint64_t exit_signal;
	uint64_t stack; /* 0: the caller's */
	uint64_t parent_tid, child_tid, tls;
	uint64_t pidfd; /* where it goes */
};

static int check_flags(const struct request *request)
{
	uint64_t flags = request->flags;

	if ((flags & ~(uint64_t)CLONE_KNOWN) != 0 || request->exit_signal > NSIG)
		return -EINVAL;
	if ((flags & CLONE_THREAD) != 0 && (flags & CLONE_SIGHAND) == 0)
		return -EINVAL;
	if ((flags & CLONE_SIGHAND) != 0 && (flags & (CLONE_VM | CLONE_CLEAR_SIGHAND)) != CLONE_VM)
		return -EINVAL;
	/* The first process has nobody above it. */
	if ((flags & CLONE_PARENT) != 0 && current_process()->pid == 1)
		return -EINVAL;
	if ((flags & CLONE_PIDFD) != 0 &&
	    ((flags & (CLONE_DETACHED | CLONE_THREAD)) != 0 ||
	     ((flags & CLONE_PARENT_SETTID) != 0 && request->pidfd == request->parent_tid)))
		return -EINVAL;
	return 0;
}

/* The child starts where the call returns, with 0. */
static int make_thread(const struct request *request, struct thread **out)
{
	struct thread *parent = current_thread();
	struct trap_frame *frame;
	struct thread *thread;
	int error = thread_create(&thread);

	if (error != 0)
		return error;
	frame = thread_frame(thread);
	*frame = *thread_frame(parent);
	frame->a0 = 0;
	if (request->stack != 0)
		frame->sp = request->stack;
	if ((request->flags & CLONE_SETTLS) != 0)
		frame->tp = request->tls;
	fp_inherit(parent, thread);
	thread->blocked = parent->blocked;
	if ((request->flags & CLONE_VM) == 0 || (request->flags & CLONE_VFORK) != 0)
		thread->altstack = parent->altstack;
	if ((request->flags & CLONE_CHILD_CLEARTID) != 0)
		thread->clear_child_tid = request->child_tid;
	/* relaxed: a hint that the child then owns */
	atomic_init(&thread->affinity, atomic_load_explicit(&parent->affinity, memory_order_relaxed));
	policy_inherit(parent, thread);
	thread->timerslack = parent->timerslack;
	memcpy(thread->name, parent->name, sizeof(thread->name));
	*out = thread;
	return 0;
}

static int fork_space(struct space *parent, const vaddr_t *hot, struct space **child)
{
	uint64_t began, tables;
	int error;

	if (!trace_wants(TRACE_FORKS))
		return space_fork_near(parent, hot, child);
	began = hw_ticks();
	tables = mm_counter_of(hw_hart(), MM_TABLES_SHARED);
	error = space_fork_near(parent, hot, child);
	if (error == 0)
		trace_fork(began, *child, tables);
	return error;
}

/* Memory and files: what can fail. */
static int share_or_copy(const struct request *request, struct process *parent, struct process *child)
{
	int error;

	if ((request->flags & CLONE_FILES) != 0) {
		fdtable_get(parent->files);
		child->files = parent->files;
		child->files_shared = parent->files_shared = true;
	} else {
		error = fdtable_clone(parent->files, &child->files);
		if (error != 0)
			return error;
	}
	if ((request->flags & CLONE_VM) != 0) {
		space_get(parent->space);
		child->space = parent->space;
		return 0;
	}
	const struct trap_frame *frame = thread_frame(current_thread());
	const vaddr_t tid = VADDR((request->flags & CLONE_CHILD_SETTID) != 0 ? request->child_tid : USER_END);
	const vaddr_t hot[SPACE_HOT] = { VADDR(frame->sp), tid, VADDR(frame->sepc), VADDR(frame->gp),
					 VADDR(frame->tp) };

	error = fork_space(parent->space, hot, &child->space);
	if (error != 0)
		fdtable_put(child->files);
	else
		memory_inherit(parent->space, child->space);
	return error;
}

int process_unshare_files(void)
{
	struct process *process = current_process();
	struct fd_table *old = process->files, *copy;
	int error;

	if (!process->files_shared)
		return 0;
	error = fdtable_clone(old, &copy);
	if (error != 0)
		return error;
	/* Under the lock: prlimit64 of another process may be setting the table's limit. */
	spin_lock(&process->lock, RANK_PROCESS);
	process->files = copy;
	spin_unlock(&process->lock, RANK_PROCESS);
	process->files_shared = false;
	fdtable_put(old);
	return 0;
}

/* What cannot fail: in one hold of the parent's lock, and of the tree's only where something is shared from now on. */
static void inherit(const struct request *request, struct process *parent, struct process *child)
{
	bool shared = (request->flags & (CLONE_FS | CLONE_SIGHAND)) != 0;

	if (shared)
		tree_lock();
	spin_lock(&parent->lock, RANK_PROCESS);
	process_inherit_locked(parent, child);
	share_inherit_locked(parent, child);
	if (shared)
		share_join_locked(parent, child, (request->flags & CLONE_SIGHAND) != 0,
				  (request->flags & CLONE_FS) != 0);
	spin_unlock(&parent->lock, RANK_PROCESS);
	if (shared)
		tree_unlock();
	if ((request->flags & CLONE_CLEAR_SIGHAND) != 0)
		signal_exec(child);
	child->exit_signal = (uint32_t)request->exit_signal;
	child->vforked = (request->flags & CLONE_VFORK) != 0;
}

static int make_process(const struct request *request, struct process **out)
{
	struct process *parent = current_process();
	struct process *child;
	int error = process_create(&child);

	if (error != 0)
		return error;
	error = share_or_copy(request, parent, child);
	if (error != 0) {
		process_put(child);
		return error;
	}
	inherit(request, parent, child);
	*out = child;
	return 0;
}

/* As on Linux a bad address is no error: the child exists by then. */
static void store_tids(const struct request *request, struct space *child_space, uint32_t tid)
{
	if ((request->flags & CLONE_PARENT_SETTID) != 0)
		(void)!user_write(current_space(), VADDR(request->parent_tid), &tid, sizeof(tid));
	if ((request->flags & CLONE_CHILD_SETTID) != 0)
		(void)!user_write(child_space, VADDR(request->child_tid), &tid, sizeof(tid));
}

static void wait_vfork(struct process *child)
{
	struct waiter waiter = { 0 };

	for (;;) {
		bool waits;

		wait_prepare(&child->vfork_done, &waiter);
		spin_lock(&child->lock, RANK_PROCESS);
		waits = child->vforked;
		spin_unlock(&child->lock, RANK_PROCESS);
		if (!waits || wait_block_killable(WAIT_FOREVER) != 0)
			break;
	}
	wait_finish(&child->vfork_done, &waiter);
}

/* CLONE_PIDFD: the descriptor (*fd; -1: none), told the program before the child exists; or the child does not. */
static int make_pidfd(const struct request *request, struct process *child, int *fd)
{
	*fd = -1;
	if ((request->flags & CLONE_PIDFD) == 0)
		return 0;
	*fd = pidfd_install(child, 0);
	return *fd < 0 ? *fd : user_write(current_space(), VADDR(request->pidfd), fd, sizeof(*fd));
}

/* One that make_process made and nobody has found but by the pidfd. */
static void discard_process(struct process *child, int fd)
{
	if (fd >= 0)
		(void)!fdtable_close(current_process()->files, fd);
	tree_lock();
	share_end_locked(child);
	tree_unlock();
	process_release(child);
	process_put(child);
}

static int64_t clone_process(const struct request *request, struct thread *thread)
{
	struct process *child;
	uint32_t pid;
	int fd, error = make_process(request, &child);

	if (error != 0)
		return error;
	error = make_pidfd(request, child, &fd);
	if (error == 0)
		error = process_publish(child, thread, current_process(), (request->flags & CLONE_PARENT) != 0);
	if (error != 0) {
		discard_process(child, fd);
		return error;
	}
	/* Until its thread runs it cannot end, whoever has found it. */
	pid = child->pid;
	store_tids(request, child->space, pid);
	if ((request->flags & CLONE_VFORK) == 0) {
		sched_start(thread);
		return pid;
	}
	process_get(child);
	sched_start(thread);
	wait_vfork(child);
	process_put(child);
	return pid;
}

static int64_t clone_thread(const struct request *request, struct thread *thread)
{
	uint32_t tid;
	int error = process_add_thread(current_process(), thread);

	if (error != 0)
		return error;
	/* Before it runs: it may end, and be freed, at once. */
	tid = thread->tid;
	store_tids(request, current_space(), tid);
	sched_start(thread);
	return tid;
}

static int64_t clone_once(const struct request *request)
{
	struct thread *thread;
	int64_t result = check_flags(request);

	if (result != 0)
		return result;
	if ((request->flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM)
		space_threads(current_space());
	result = make_thread(request, &thread);
	if (result != 0)
		return result;
	if ((request->flags & CLONE_THREAD) != 0)
		result = clone_thread(request, thread);
	else
		result = clone_process(request, thread);
	if (result < 0)
		thread_destroy(thread);
	return result;
}

/* For want of memory, or of frames that lie side by side (a stack's), files' pages go first, each time twice as many. */
static int64_t do_clone(const struct request *request)
{
	int64_t result = clone_once(request);

	for (unsigned i = 0; result == -ENOMEM && i < ATTEMPTS && cache_relieve(i); i++)
		result = clone_once(request);
	return result;
}

int64_t sys_clone(const uint64_t *a)
{
	struct request request = {
		.flags = a[0] & UINT32_MAX & ~UINT64_C(0xff),
		.exit_signal = a[0] & 0xff,
		.stack = a[1],
		.parent_tid = a[2],
		.pidfd = a[2],
		.tls = a[3],
		.child_tid = a[4],
	};

	return do_clone(&request);
}

struct clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

int64_t sys_clone3(const uint64_t *a)
{
	struct clone_args args = { 0 };
	struct request request;

	if (a[1] < 64)
		return -EINVAL;
	if (a[1] > PAGE_SIZE)
		return -E2BIG;
	if (user_read(current_space(), &args, VADDR(a[0]), MIN(a[1], sizeof(args))) != 0)
		return -EFAULT;
	/* A later version of the structure, whose additions are not used, is as good. */
	for (uint64_t at = sizeof(args); at < a[1]; at++) {
		uint8_t byte;

		if (user_read(current_space(), &byte, VADDR(a[0] + at), 1) != 0)
			return -EFAULT;
		if (byte != 0)
			return -E2BIG;
	}
	if (args.set_tid != 0 || args.set_tid_size != 0 || (args.flags & (0xff | CLONE_DETACHED)) != 0)
		return -EINVAL;
	if ((args.stack == 0) != (args.stack_size == 0) || args.stack > USER_END ||
	    args.stack_size > USER_END - args.stack)
		return -EINVAL;
	if ((args.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && args.exit_signal != 0)
		return -EINVAL;
	request = (struct request){
		.flags = args.flags,
		.exit_signal = args.exit_signal,
		.stack = args.stack + args.stack_size,
		.parent_tid = args.parent_tid,
		.pidfd = args.pidfd,
		.child_tid = args.child_tid,
		.tls = args.tls,
	};
	return do_clone(&request);
}
