/* The signal calls. What they do is in signal.c. */
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define SIG_BLOCK   0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

#define SIGSET_BYTES 8

/* ---- Sending. */

static struct siginfo sent_by_user(int signo, int code)
{
	return (struct siginfo){ .signo = signo, .code = code, .sent = { .pid = (int32_t)current_process()->pid } };
}

/* [tree lock] Signal 0 only asks. */
static int send_process(struct process *process, const struct siginfo *info)
{
	return info->signo != 0 ? signal_process(process, info) : 0;
}

/* [tree lock] group 0: everybody but init and the caller. */
static int64_t send_many(uint32_t group, const struct siginfo *info)
{
	struct process *self = current_process();
	bool found = false;

	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (group != 0 ? process->group != group : process->pid == 1 || process == self)
			continue;
		found = true;
		(void)send_process(process, info);
	}
	return found ? 0 : -ESRCH;
}

int64_t signal_group(uint32_t group, const struct siginfo *info)
{
	int64_t result;

	tree_lock();
	result = send_many(group, info);
	tree_unlock();
	return result;
}

static int64_t send(int32_t pid, const struct siginfo *info)
{
	struct process *process;
	int64_t result = 0;

	if (info->signo < 0 || info->signo > NSIG)
		return -EINVAL;
	if (pid > 0) {
		process = process_find((uint32_t)pid);
		if (process == NULL)
			return -ESRCH;
		result = send_process(process, info);
		process_put(process);
		return result;
	}
	if (pid == INT32_MIN)
		return -ESRCH;
	tree_lock();
	result = send_many(pid == -1 ? 0 : pid == 0 ? current_process()->group : (uint32_t)-pid, info);
	tree_unlock();
	return result;
}

int64_t sys_kill(const uint64_t *a)
{
	struct siginfo info = sent_by_user((int)a[1], SI_USER);

	return send((int32_t)a[0], &info);
}

static int64_t send_thread(int32_t pid, int32_t tid, const struct siginfo *info)
{
	struct thread *thread;
	int64_t result = -ESRCH;

	if (tid <= 0 || info->signo < 0 || info->signo > NSIG)
		return -EINVAL;
	tree_lock();
	thread = thread_find_locked((uint32_t)tid);
	if (thread != NULL && (pid == 0 || thread->process->pid == (uint32_t)pid)) {
		result = info->signo != 0 ? signal_thread(thread, info) : 0;
	}
	tree_unlock();
	return result;
}

int64_t sys_tkill(const uint64_t *a)
{
	struct siginfo info = sent_by_user((int)a[1], SI_TKILL);

	return send_thread(0, (int32_t)a[0], &info);
}

int64_t sys_tgkill(const uint64_t *a)
{
	struct siginfo info = sent_by_user((int)a[2], SI_TKILL);

	if ((int32_t)a[0] <= 0)
		return -EINVAL;
	return send_thread((int32_t)a[0], (int32_t)a[1], &info);
}

/* A program may not pretend to be the kernel or kill(), but towards itself. */
static int take_info(uint64_t address, int signo, bool self, struct siginfo *info)
{
	if (user_read(current_space(), info, VADDR(address), sizeof(*info)) != 0)
		return -EFAULT;
	info->signo = signo;
	return !self && (info->code >= 0 || info->code == SI_TKILL) ? -EPERM : 0;
}

int64_t sys_rt_sigqueueinfo(const uint64_t *a)
{
	struct siginfo info;
	int error = take_info(a[2], (int)a[1], a[0] == current_process()->pid, &info);

	if (error != 0)
		return error;
	return (int32_t)a[0] <= 0 ? -ESRCH : send((int32_t)a[0], &info);
}

int64_t sys_rt_tgsigqueueinfo(const uint64_t *a)
{
	struct siginfo info;
	int error = take_info(a[3], (int)a[2], a[0] == current_process()->pid, &info);

	if (error != 0)
		return error;
	return (int32_t)a[0] <= 0 ? -EINVAL : send_thread((int32_t)a[0], (int32_t)a[1], &info);
}

/* Linux's way to go on with an interrupted call; here the call itself starts again, so there is never one to go on with. */
int64_t sys_restart_syscall(const uint64_t *a)
{
	(void)a;
	return -EINTR;
}

/* ---- Actions and masks. */

int64_t sys_rt_sigaction(const uint64_t *a)
{
	int signo = (int)a[0];
	struct sigaction_kernel new, old;

	if (a[3] != SIGSET_BYTES || signo < 1 || signo > NSIG)
		return -EINVAL;
	if (a[1] != 0) {
		if (signo == SIGKILL || signo == SIGSTOP)
			return -EINVAL;
		if (user_read(current_space(), &new, VADDR(a[1]), sizeof(new)) != 0)
			return -EFAULT;
	}
	signal_set_action(signo, a[1] == 0 ? NULL : &new, &old);
	if (a[2] != 0 && user_write(current_space(), VADDR(a[2]), &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

void signal_swap_mask(uint64_t mask)
{
	struct thread *thread = current_thread();

	thread->saved_blocked = thread->blocked;
	thread->restore_blocked = true;
	signal_set_mask(mask);
	/* Makes the return to user mode put the mask back, also when no signal came. */
	atomic_fetch_or_explicit(&thread->work, WORK_SIGNAL, memory_order_relaxed);
}

int64_t sys_rt_sigprocmask(const uint64_t *a)
{
	uint64_t old = current_thread()->blocked;
	uint64_t set;

	if (a[3] != SIGSET_BYTES)
		return -EINVAL;
	if (a[1] != 0) {
		if (user_read(current_space(), &set, VADDR(a[1]), sizeof(set)) != 0)
			return -EFAULT;
		switch ((int)a[0]) {
		case SIG_BLOCK:
			signal_set_mask(old | set);
			break;
		case SIG_UNBLOCK:
			signal_set_mask(old & ~set);
			break;
		case SIG_SETMASK:
			signal_set_mask(set);
			break;
		default:
			return -EINVAL;
		}
	}
	if (a[2] != 0 && user_write(current_space(), VADDR(a[2]), &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

int64_t sys_rt_sigpending(const uint64_t *a)
{
	uint64_t set = signal_pending_set();

	if (a[1] > SIGSET_BYTES)
		return -EINVAL;
	return user_write(current_space(), VADDR(a[0]), &set, a[1]) != 0 ? -EFAULT : 0;
}

int64_t sys_rt_sigsuspend(const uint64_t *a)
{
	uint64_t set;
	int error = 0;

	if (a[1] != SIGSET_BYTES)
		return -EINVAL;
	if (user_read(current_space(), &set, VADDR(a[0]), sizeof(set)) != 0)
		return -EFAULT;
	signal_swap_mask(set);
	while (error == 0)
		error = wait_block(WAIT_FOREVER);
	return error;
}

/* Takes one of the set, waiting for it: they are blocked, and accepted meanwhile all the same (thread->sigwait). */
static int64_t wait_for_signal(uint64_t set, uint64_t deadline_ns, struct siginfo *info)
{
	int64_t result = 0;

	signal_accept(set);
	while (!signal_take(set, info)) {
		result = wait_block(deadline_ns);
		if (result != 0)
			break;
	}
	/* One that came between the last look and here. */
	if (result != 0 && signal_take(set, info))
		result = 0;
	signal_accept(0);
	deadline_done();
	if (result == 0)
		return info->signo;
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

int64_t sys_rt_sigtimedwait(const uint64_t *a)
{
	uint64_t deadline = WAIT_FOREVER;
	struct siginfo info;
	uint64_t set, ns;
	int64_t result;

	if (a[3] != SIGSET_BYTES)
		return -EINVAL;
	if (user_read(current_space(), &set, VADDR(a[0]), sizeof(set)) != 0)
		return -EFAULT;
	if (a[2] != 0) {
		int error = user_timespec(a[2], &ns);

		if (error != 0)
			return error;
		deadline = deadline_after(ns);
	}
	result = wait_for_signal(set & ~(SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP)), deadline, &info);
	if (result > 0 && a[1] != 0 && user_write(current_space(), VADDR(a[1]), &info, sizeof(info)) != 0)
		return -EFAULT;
	return result;
}
