/*
 * Sharing between processes. Contract: share.h.
 *
 * A change of a process that has ever shared is made under the tree lock, to it and all in its ring; of one that has not,
 * under its own lock alone. Whoever joins a ring sets the flag and copies in one hold of that lock, with the tree lock held, so a
 * change is made before the copy, or it sees the flag. A child that joins none needs its parent's lock alone.
 *
 * What a signal itself changes (SA_RESETHAND, a fault that is blocked) changes in the process that got it only.
 *
 * Locks: tree, then process.
 */
#include "kernel/share.h"

#include <string.h>

#include "kernel/file.h"
#include "kernel/process.h"
#include "kernel/signal.h"

void share_init(struct process *process)
{
	list_init(&process->sharing.actions);
	list_init(&process->sharing.fs);
}

void share_reset(struct process *process)
{
	process->sharing.actions_shared = false;
	process->sharing.fs_shared = false;
	for (uint64_t set = process->actions_set; set != 0; set &= set - 1)
		process->action[__builtin_ctzll(set)] = (struct sigaction_kernel){ 0 };
	process->actions_set = 0;
}

void share_inherit_locked(struct process *parent, struct process *child)
{
	child->actions_set = parent->actions_set;
	for (uint64_t set = parent->actions_set; set != 0; set &= set - 1)
		child->action[__builtin_ctzll(set)] = parent->action[__builtin_ctzll(set)];
	child->umask = parent->umask;
	child->cwd = parent->cwd;
	node_get(child->cwd);
}

void share_join_locked(struct process *parent, struct process *child, bool actions, bool fs)
{
	if (actions) {
		child->sharing.actions_shared = parent->sharing.actions_shared = true;
		list_add(&parent->sharing.actions, &child->sharing.actions);
	}
	if (fs) {
		child->sharing.fs_shared = parent->sharing.fs_shared = true;
		list_add(&parent->sharing.fs, &child->sharing.fs);
	}
}

void share_exec(struct process *process)
{
	tree_lock();
	list_del(&process->sharing.actions);
	spin_lock(&process->lock, RANK_PROCESS);
	process->sharing.actions_shared = false;
	spin_unlock(&process->lock, RANK_PROCESS);
	tree_unlock();
	signal_exec(process);
}

void share_end_locked(struct process *process)
{
	list_del(&process->sharing.actions);
	list_del(&process->sharing.fs);
}

/* ---- Actions. */

static void action_everywhere(struct process *self, int signo, const struct sigaction_kernel *action)
{
	tree_lock();
	signal_put_action(self, signo, action);
	list_for_each (pos, &self->sharing.actions)
		signal_put_action(container_of(pos, struct process, sharing.actions), signo, action);
	tree_unlock();
}

void signal_set_action(int signo, const struct sigaction_kernel *action, struct sigaction_kernel *old)
{
	struct process *process = current_process();
	bool shared;

	spin_lock(&process->lock, RANK_PROCESS);
	*old = process->action[signo - 1];
	shared = process->sharing.actions_shared;
	if (action != NULL && !shared)
		signal_put_action_locked(process, signo, action);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (action != NULL && shared)
		action_everywhere(process, signo, action);
}

void signal_exec(struct process *process)
{
	spin_lock(&process->lock, RANK_PROCESS);
	for (uint64_t set = process->actions_set; set != 0; set &= set - 1) {
		struct sigaction_kernel *action = &process->action[__builtin_ctzll(set)];

		if (action->handler != SIG_IGN)
			process->actions_set &= ~(set & -set);
		*action = (struct sigaction_kernel){ .handler = action->handler == SIG_IGN ? SIG_IGN : SIG_DFL };
	}
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* ---- Directory and umask. */

static uint32_t set_umask(struct process *process, uint32_t mask)
{
	uint32_t old;

	spin_lock(&process->lock, RANK_PROCESS);
	old = process->umask;
	process->umask = mask;
	spin_unlock(&process->lock, RANK_PROCESS);
	return old;
}

uint32_t share_set_umask(uint32_t mask)
{
	struct process *self = current_process();
	uint32_t old;

	tree_lock();
	old = set_umask(self, mask);
	list_for_each (pos, &self->sharing.fs)
		(void)set_umask(container_of(pos, struct process, sharing.fs), mask);
	tree_unlock();
	return old;
}

/* The old one, whose count is the caller's then. NULL: it has ended and needs none. */
static struct node *set_cwd(struct process *process, struct node *node)
{
	struct node *old;

	spin_lock(&process->lock, RANK_PROCESS);
	old = process->cwd;
	if (old != NULL) {
		process->cwd = node;
		node_get(node);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	return old;
}

void share_set_cwd(struct node *node)
{
	struct process *self = current_process();
	struct node *old;
	uint64_t others = 0;

	tree_lock();
	old = set_cwd(self, node);
	/* They share it, so theirs was the same; the counts are put without the lock. */
	list_for_each (pos, &self->sharing.fs)
		if (set_cwd(container_of(pos, struct process, sharing.fs), node) != NULL)
			others++;
	tree_unlock();
	for (; others != 0; others--)
		node_put(old);
	node_put(old);
	node_put(node);
}
