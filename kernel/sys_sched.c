/* Scheduling calls but for policies (sys_policy.c): who runs where, and nice values. Affinity masks have the sizes that Linux gives them. */
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

int64_t sys_sched_yield(const uint64_t *a)
{
	(void)a;
	sched_yield();
	return 0;
}

struct thread *user_thread_locked(uint64_t tid)
{
	return (uint32_t)tid == 0 ? current_thread() : thread_find_locked((uint32_t)tid);
}

int64_t sys_sched_setaffinity(const uint64_t *a)
{
	struct thread *thread;
	uint64_t mask = 0;
	int64_t result = 0;

	if (user_read(current_space(), &mask, VADDR(a[2]), MIN(a[1], sizeof(mask))) != 0)
		return -EFAULT;
	mask &= sched_harts();
	tree_lock();
	thread = user_thread_locked(a[0]);
	if (thread == NULL)
		result = -ESRCH;
	else if (mask == 0)
		result = -EINVAL;
	else
		sched_set_affinity(thread, mask);
	tree_unlock();
	return result;
}

int64_t sys_sched_getaffinity(const uint64_t *a)
{
	struct thread *thread;
	uint64_t mask = 0;
	int64_t result = 0;

	/* Linux's conditions: as many bits as there are CPUs, and whole words. */
	if (a[1] * 8 < hw_harts() || (a[1] & 7) != 0)
		return -EINVAL;
	tree_lock();
	thread = user_thread_locked(a[0]);
	if (thread == NULL)
		result = -ESRCH;
	else
		/* relaxed: what it was a moment ago is an answer */
		mask = atomic_load_explicit(&thread->affinity, memory_order_relaxed) & sched_harts();
	tree_unlock();
	if (result != 0)
		return result;
	return user_write(current_space(), VADDR(a[2]), &mask, sizeof(mask)) != 0 ? -EFAULT : (int64_t)sizeof(mask);
}

int64_t sys_getcpu(const uint64_t *a)
{
	uint32_t hart = hw_hart();
	uint32_t node = 0;

	if (a[0] != 0 && user_write(current_space(), VADDR(a[0]), &hart, sizeof(hart)) != 0)
		return -EFAULT;
	if (a[1] != 0 && user_write(current_space(), VADDR(a[1]), &node, sizeof(node)) != 0)
		return -EFAULT;
	return 0;
}

/* ---- Nice values: kept, and without effect. */

#define PRIO_PROCESS 0
#define PRIO_PGRP    1
#define PRIO_USER    2

/* What a call is about, and what comes of it: the lowest nice value found, or the new one. */
struct nice_call {
	int32_t which;
	uint32_t who;
	bool sets;
	int nice;
	bool found;
};

static void nice_visit(struct nice_call *call, struct thread *thread)
{
	/* relaxed: a number by itself, which only these calls look at */
	if (call->sets)
		atomic_store_explicit(&thread->nice, call->nice, memory_order_relaxed);
	else
		call->nice = MIN(call->nice, atomic_load_explicit(&thread->nice, memory_order_relaxed));
	call->found = true;
}

/* [tree lock] */
static void nice_visit_many(struct nice_call *call)
{
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (call->which == PRIO_PGRP && process->group != call->who)
			continue;
		spin_lock(&process->lock, RANK_PROCESS);
		list_for_each (inner, &process->threads)
			nice_visit(call, list_entry(inner, struct thread, link));
		spin_unlock(&process->lock, RANK_PROCESS);
	}
}

static int64_t nice_do(struct nice_call *call)
{
	struct thread *thread;

	if ((uint32_t)call->which > PRIO_USER)
		return -EINVAL;
	tree_lock();
	if (call->which == PRIO_PROCESS) {
		thread = user_thread_locked(call->who);
		if (thread != NULL)
			nice_visit(call, thread);
	} else if (call->which == PRIO_PGRP || call->who == 0) {
		if (call->who == 0)
			call->who = current_process()->group;
		nice_visit_many(call);
	}
	tree_unlock();
	return call->found ? 0 : -ESRCH;
}

/* The kernel's form: 20 - nice, so that it is no error. */
int64_t sys_getpriority(const uint64_t *a)
{
	struct nice_call call = { .which = (int32_t)a[0], .who = (uint32_t)a[1], .nice = 19 };
	int64_t error = nice_do(&call);

	return error != 0 ? error : 20 - call.nice;
}

int64_t sys_setpriority(const uint64_t *a)
{
	struct nice_call call = { .which = (int32_t)a[0], .who = (uint32_t)a[1], .sets = true };

	call.nice = MAX(-20, MIN(19, (int32_t)a[2]));
	return nice_do(&call);
}
