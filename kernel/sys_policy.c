/*
 * Scheduling policies: what sched_setscheduler, sched_setparam and sched_setattr say of a thread is checked as Linux does it for
 * root, kept, passed on by fork, and told. The run queues are round robin for all: nothing here has an effect on them.
 *
 * A thread's policy, its real-time priority and whether its children begin without them are one word, so that whoever looks sees
 * what belongs together. No lock; the tree lock keeps the thread that was found.
 */
#include <string.h>

#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define SCHED_OTHER	    0
#define SCHED_FIFO	    1
#define SCHED_RR	    2
#define SCHED_BATCH	    3
#define SCHED_IDLE	    5
#define SCHED_DEADLINE	    6
#define SCHED_RESET_ON_FORK 0x40000000
#define POLICY_KEEP	    (-1)
#define PRIORITY_MAX	    99U

#define FLAG_RESET_ON_FORK UINT64_C(0x01)
#define FLAG_KEEP_POLICY   UINT64_C(0x08)
#define FLAG_KEEP_PARAMS   UINT64_C(0x10)
#define FLAGS_CLAMP	   UINT64_C(0x60)
#define FLAGS_ALL	   UINT64_C(0x7f)

#define SLICE_NS 5000000

/* thread->policy */
#define WORD_POLICY		      0xff
#define WORD_PRIORITY		      8
#define WORD_RESET		      0x10000
#define WORD(policy, priority, reset) ((policy) | (int)(priority) << WORD_PRIORITY | ((reset) ? WORD_RESET : 0))

/* Linux's struct sched_attr, all of it. */
struct sched_attr_user {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t clamp_min, clamp_max;
};

#define ATTR_FIRST 48U /* bytes of the first version */
_Static_assert(sizeof(struct sched_attr_user) == 56, "as Linux has it");

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

/* What a new thread gets of its parent's. */
void policy_inherit(const struct thread *parent, struct thread *child)
{
	/* relaxed: numbers by themselves */
	int word = atomic_load_explicit(&parent->policy, memory_order_relaxed);
	int nice = atomic_load_explicit(&parent->nice, memory_order_relaxed);

	if ((word & WORD_RESET) != 0) {
		nice = is_realtime(word & WORD_POLICY) ? 0 : MAX(nice, 0);
		word = is_realtime(word & WORD_POLICY) ? SCHED_OTHER : word & WORD_POLICY;
	}
	atomic_init(&child->policy, word);
	atomic_init(&child->nice, nice);
}

void policy_show(const struct thread *thread, unsigned *policy, unsigned *priority)
{
	/* relaxed: as above */
	int word = atomic_load_explicit(&thread->policy, memory_order_relaxed);

	*policy = (unsigned)word & WORD_POLICY;
	*priority = (unsigned)word >> WORD_PRIORITY & 0xff;
}

static int policy_check(int policy, const struct sched_attr_user *attr)
{
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE && !is_realtime(policy))
		return -EINVAL;
	if ((attr->flags & ~FLAGS_ALL) != 0 || attr->priority > PRIORITY_MAX ||
	    is_realtime(policy) != (attr->priority != 0))
		return -EINVAL;
	return (attr->flags & FLAGS_CLAMP) != 0 ? -EOPNOTSUPP : 0;
}

/* policy POLICY_KEEP: the thread's. sets_nice: attr->nice is what was asked for. */
static int64_t policy_set(uint64_t tid, int policy, struct sched_attr_user *attr, bool sets_nice)
{
	struct thread *thread;
	int result = -ESRCH;

	tree_lock();
	thread = user_thread_locked(tid);
	if (thread != NULL) {
		/* relaxed: as above */
		int word = atomic_load_explicit(&thread->policy, memory_order_relaxed);
		bool reset = (attr->flags & FLAG_RESET_ON_FORK) != 0;

		if (policy == POLICY_KEEP) {
			policy = word & WORD_POLICY;
			reset = (word & WORD_RESET) != 0;
		}
		if ((attr->flags & FLAG_KEEP_PARAMS) != 0) {
			attr->priority = (uint32_t)word >> WORD_PRIORITY & 0xff;
			sets_nice = false;
		}
		result = policy_check(policy, attr);
		if (result == 0)
			atomic_store_explicit(&thread->policy, WORD(policy, attr->priority, reset),
					      memory_order_relaxed);
		if (result == 0 && sets_nice && (policy == SCHED_OTHER || policy == SCHED_BATCH))
			atomic_store_explicit(&thread->nice, attr->nice, memory_order_relaxed);
	}
	tree_unlock();
	return result;
}

/* The thread's, as sched_getattr tells it. */
static int64_t policy_get(uint64_t tid, struct sched_attr_user *attr)
{
	struct thread *thread;

	if ((int32_t)tid < 0)
		return -EINVAL;
	memset(attr, 0, sizeof(*attr));
	tree_lock();
	thread = user_thread_locked(tid);
	if (thread != NULL) {
		policy_show(thread, &attr->policy, &attr->priority);
		/* relaxed: as above */
		if ((atomic_load_explicit(&thread->policy, memory_order_relaxed) & WORD_RESET) != 0)
			attr->flags = FLAG_RESET_ON_FORK;
		if (!is_realtime((int)attr->policy)) {
			attr->nice = atomic_load_explicit(&thread->nice, memory_order_relaxed);
			attr->runtime = SLICE_NS;
		}
	}
	tree_unlock();
	return thread == NULL ? -ESRCH : 0;
}

static int put(uint64_t address, const void *from, uint64_t bytes)
{
	return user_write(current_space(), VADDR(address), from, bytes) != 0 ? -EFAULT : 0;
}

int64_t sys_sched_getscheduler(const uint64_t *a)
{
	struct sched_attr_user attr;
	int64_t error = policy_get(a[0], &attr);

	return error != 0 ? error : (int64_t)(attr.policy | (attr.flags != 0 ? SCHED_RESET_ON_FORK : 0));
}

/* FIFO has no slices. */
int64_t sys_sched_rr_get_interval(const uint64_t *a)
{
	struct timespec slice = { 0, SLICE_NS };
	struct sched_attr_user attr;
	int64_t error = policy_get(a[0], &attr);

	if (error == 0 && attr.policy == SCHED_FIFO)
		slice.tv_nsec = 0;
	return error != 0 ? error : put(a[1], &slice, sizeof(slice));
}

static int64_t set_by_priority(const uint64_t *a, int policy, uint64_t address)
{
	struct sched_attr_user attr = { 0 };

	if (address == 0 || (int32_t)a[0] < 0)
		return -EINVAL;
	if (user_read(current_space(), &attr.priority, VADDR(address), sizeof(attr.priority)) != 0)
		return -EFAULT;
	if (policy != POLICY_KEEP && (policy & SCHED_RESET_ON_FORK) != 0) {
		attr.flags = FLAG_RESET_ON_FORK;
		policy &= ~SCHED_RESET_ON_FORK;
	}
	return policy_set(a[0], policy, &attr, false);
}

int64_t sys_sched_setscheduler(const uint64_t *a)
{
	return (int32_t)a[1] < 0 ? -EINVAL : set_by_priority(a, (int32_t)a[1], a[2]);
}

int64_t sys_sched_setparam(const uint64_t *a)
{
	return set_by_priority(a, POLICY_KEEP, a[1]);
}

int64_t sys_sched_getparam(const uint64_t *a)
{
	struct sched_attr_user attr;
	int64_t error = a[1] == 0 ? -EINVAL : policy_get(a[0], &attr);

	return error != 0 ? error : put(a[1], &attr.priority, sizeof(attr.priority));
}

int64_t sys_sched_get_priority_max(const uint64_t *a)
{
	switch ((int32_t)a[0]) {
	case SCHED_FIFO:
	case SCHED_RR:
		return PRIORITY_MAX;
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
	case SCHED_DEADLINE:
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

/* What a program that knows more says of it must be 0. */
static int64_t attr_read(uint64_t address, struct sched_attr_user *attr)
{
	uint32_t size, known = sizeof(*attr);
	uint8_t byte = 0;

	if (user_read(current_space(), &size, VADDR(address), sizeof(size)) != 0)
		return -EFAULT;
	if (size == 0)
		size = ATTR_FIRST;
	for (uint32_t i = known; size <= PAGE_SIZE && i < size && byte == 0; i++)
		if (user_read(current_space(), &byte, VADDR(address + i), 1) != 0)
			return -EFAULT;
	if (size < ATTR_FIRST || size > PAGE_SIZE || byte != 0)
		return put(address, &known, sizeof(known)) != 0 ? -EFAULT : -E2BIG;
	if (user_read(current_space(), attr, VADDR(address), MIN(size, known)) != 0)
		return -EFAULT;
	if ((attr->flags & FLAGS_CLAMP) != 0 && size < known)
		return -EINVAL;
	attr->nice = MAX(-20, MIN(19, attr->nice));
	return 0;
}

int64_t sys_sched_setattr(const uint64_t *a)
{
	struct sched_attr_user attr = { 0 };
	int64_t error;

	if (a[1] == 0 || (int32_t)a[0] < 0 || (uint32_t)a[2] != 0)
		return -EINVAL;
	error = attr_read(a[1], &attr);
	if (error != 0)
		return error;
	if ((int32_t)attr.policy < 0)
		return -EINVAL;
	return policy_set(a[0], (attr.flags & FLAG_KEEP_POLICY) != 0 ? POLICY_KEEP : (int)attr.policy, &attr, true);
}

int64_t sys_sched_getattr(const uint64_t *a)
{
	struct sched_attr_user attr;
	uint32_t bytes = (uint32_t)a[2];
	int64_t error;

	if (a[1] == 0 || bytes < ATTR_FIRST || bytes > PAGE_SIZE || (uint32_t)a[3] != 0)
		return -EINVAL;
	error = policy_get(a[0], &attr);
	attr.size = MIN(bytes, (uint32_t)sizeof(attr));
	return error != 0 ? error : put(a[1], &attr, attr.size);
}
