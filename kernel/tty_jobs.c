/*
 * Job control: the session whose controlling terminal the console is, and the group in its foreground.
 *
 * There is one terminal, so a session has it or none does. The first program's has it from the start, as nothing else
 * could give it to it. What Linux does in the same place: drivers/tty/tty_jobctrl.c.
 *
 * Locks: the tree lock guards both numbers, as it does those of processes. Signals are sent outside of it, by
 * process_visit: whoever changes groups meanwhile may be before or after. But for the leader's end, which is under it.
 */
#include "kernel/tty_jobs.h"

#include "kernel/process.h"
#include "kernel/tty.h"
#include "lib/errno.h"

#define SIG_IGN 1

static struct {
	uint32_t session;    /* 0: nobody's [tree lock] */
	uint32_t foreground; /* process group that the keys signal [tree lock] */
} jobs;

void tty_jobs_init(void)
{
	jobs.session = 1;
	jobs.foreground = 1;
}

static bool ours_locked(void)
{
	return jobs.session != 0 && current_process()->session == jobs.session;
}

bool tty_jobs_ours(void)
{
	bool ours;

	tree_lock();
	ours = ours_locked();
	tree_unlock();
	return ours;
}

/* ---- Signals */

struct group_signal {
	uint32_t group;
	uint64_t signals;
};

static void signal_member(void *ctx, struct process *process)
{
	const struct group_signal *what = ctx;

	if (process->group != what->group)
		return;
	for (int signo = 1; signo < 32; signo++) {
		struct siginfo info = { .signo = signo, .code = SI_KERNEL };

		if ((what->signals & SIG_BIT(signo)) != 0)
			signal_process(process, &info);
	}
}

void tty_jobs_signal(uint64_t signals)
{
	struct group_signal what = { .signals = signals };

	if (signals == 0)
		return;
	tree_lock();
	what.group = jobs.foreground;
	tree_unlock();
	process_visit(signal_member, &what);
}

/* As Linux hangs up a terminal that is no pty: SIGHUP alone; groups that stand get theirs as orphans (job.c). */
static void hang_up_locked(void)
{
	struct siginfo info = { .signo = SIGHUP, .code = SI_KERNEL };

	list_for_each (pos, process_list_locked()) {
		struct process *one = list_entry(pos, struct process, link);

		if (one->group == jobs.foreground)
			signal_process(one, &info);
	}
	jobs.session = jobs.foreground = 0;
}

void tty_jobs_end_locked(const struct process *process)
{
	if (process->pid == process->session && jobs.session == process->session)
		hang_up_locked();
}

/* ---- Who may use it */

static bool deaf_to(int signo)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;
	bool deaf;

	spin_lock(&process->lock, RANK_PROCESS);
	deaf = (thread->blocked & SIG_BIT(signo)) != 0 || process->action[signo - 1].handler == SIG_IGN;
	spin_unlock(&process->lock, RANK_PROCESS);
	return deaf;
}

int tty_jobs_check(int signo)
{
	struct group_signal what = { .signals = SIG_BIT(signo) };
	bool foreground, orphaned;

	tree_lock();
	what.group = current_process()->group;
	foreground = !ours_locked() || jobs.foreground == 0 || jobs.foreground == what.group;
	orphaned = !foreground && job_orphaned_locked(what.group, NULL);
	tree_unlock();
	if (foreground)
		return 0;
	if (deaf_to(signo))
		return signo == SIGTTIN ? -EIO : 0;
	if (orphaned)
		return -EIO;
	process_visit(signal_member, &what);
	return -EINTR;
}

/* ---- ioctl */

static int64_t jobs_take(uint64_t steal)
{
	struct process *self = current_process();
	bool leads, has;
	int64_t result = 0;

	tree_lock();
	leads = self->session == self->pid;
	has = jobs.session == self->session;
	if (!leads || (!has && jobs.session != 0 && steal != 1)) {
		result = -EPERM;
	} else if (!has) {
		jobs.session = self->session;
		jobs.foreground = self->group;
	}
	tree_unlock();
	return result;
}

/* The session's leader gives it up for all of them; nobody else can for himself, as the session is all that is noted. */
static int64_t jobs_leave(void)
{
	struct process *self = current_process();
	uint32_t foreground = 0;
	int64_t result = -ENOTTY;

	tree_lock();
	if (ours_locked()) {
		result = 0;
		if (self->session == self->pid) {
			foreground = jobs.foreground;
			jobs.session = jobs.foreground = 0;
		}
	}
	tree_unlock();
	if (foreground != 0) {
		struct group_signal what = { foreground, SIG_BIT(SIGHUP) | SIG_BIT(SIGCONT) };

		process_visit(signal_member, &what);
	}
	return result;
}

static int64_t jobs_get(const uint32_t *id, uint64_t argument)
{
	uint32_t value = 0;
	bool ours;

	tree_lock();
	ours = ours_locked();
	if (ours)
		value = *id;
	tree_unlock();
	return ours ? user_write(current_space(), VADDR(argument), &value, sizeof(value)) : -ENOTTY;
}

/* [tree lock] */
static int64_t set_foreground_locked(uint32_t group)
{
	int64_t result = -ESRCH;

	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->group != group)
			continue;
		if (process->session == jobs.session) {
			jobs.foreground = group;
			return 0;
		}
		result = -EPERM;
	}
	return result;
}

static int64_t jobs_set_foreground(uint64_t argument)
{
	int32_t group;
	int64_t error = tty_jobs_check(SIGTTOU);

	if (error != 0)
		return error == -EIO ? -ENOTTY : error;
	if (!tty_jobs_ours())
		return -ENOTTY;
	error = user_read(current_space(), &group, VADDR(argument), sizeof(group));
	if (error != 0)
		return error;
	if (group < 0)
		return -EINVAL;
	tree_lock();
	error = ours_locked() ? set_foreground_locked((uint32_t)group) : -ENOTTY;
	tree_unlock();
	return error;
}

int64_t tty_jobs_ioctl(uint64_t request, uint64_t argument)
{
	switch (request) {
	case TIOCSCTTY:
		return jobs_take(argument);
	case TIOCNOTTY:
		return jobs_leave();
	case TIOCGSID:
		return jobs_get(&jobs.session, argument);
	case TIOCGPGRP:
		return jobs_get(&jobs.foreground, argument);
	case TIOCSPGRP:
		return jobs_set_foreground(argument);
	default:
		return -ENOTTY;
	}
}
