/* Scheduling calls. There is one policy, SCHED_OTHER; affinity masks have the sizes that Linux gives them. */
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define SCHED_OTHER 0
#define SCHED_FIFO  1
#define SCHED_RR    2
#define SCHED_BATCH 3
#define SCHED_IDLE  5

int64_t sys_sched_yield(const uint64_t *a)
{
	(void)a;
	sched_yield();
	return 0;
}

/* [tree lock] 0: the caller. */
static struct thread *find(uint64_t tid)
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
	thread = find(a[0]);
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
	thread = find(a[0]);
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

static int64_t exists(uint64_t tid)
{
	bool found;

	if ((int32_t)tid < 0)
		return -EINVAL;
	tree_lock();
	found = find(tid) != NULL;
	tree_unlock();
	return found ? 0 : -ESRCH;
}

/* The kernel's form of nice 0. */
int64_t sys_getpriority(const uint64_t *a)
{
	return a[0] > 2 ? -EINVAL : 20;
}

int64_t sys_setpriority(const uint64_t *a)
{
	return a[0] > 2 ? -EINVAL : 0;
}

int64_t sys_sched_getscheduler(const uint64_t *a)
{
	return exists(a[0]);
}

int64_t sys_sched_setscheduler(const uint64_t *a)
{
	int32_t policy = (int32_t)a[1];
	int32_t priority;

	if (user_read(current_space(), &priority, VADDR(a[2]), sizeof(priority)) != 0)
		return -EFAULT;
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return -EPERM;
	if ((policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE) || priority != 0)
		return -EINVAL;
	return exists(a[0]);
}

int64_t sys_sched_getparam(const uint64_t *a)
{
	int64_t error = exists(a[0]);
	int32_t priority = 0;

	if (error != 0)
		return error;
	return user_write(current_space(), VADDR(a[1]), &priority, sizeof(priority)) != 0 ? -EFAULT : 0;
}

int64_t sys_sched_setparam(const uint64_t *a)
{
	int64_t error = exists(a[0]);
	int32_t priority;

	if (error != 0)
		return error;
	if (user_read(current_space(), &priority, VADDR(a[1]), sizeof(priority)) != 0)
		return -EFAULT;
	return priority != 0 ? -EINVAL : 0;
}

int64_t sys_sched_get_priority_max(const uint64_t *a)
{
	switch ((int32_t)a[0]) {
	case SCHED_FIFO:
	case SCHED_RR:
		return 99;
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_get_priority_min(const uint64_t *a)
{
	int64_t max = sys_sched_get_priority_max(a);

	return max > 0 ? 1 : max;
}
