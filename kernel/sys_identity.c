/*
 * Who programs are, and what they say about themselves: users and groups (there is one, root, with all capabilities), and
 * prctl.
 */
#include <string.h>

#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define NGROUPS_MAX 65536

static int put(uint64_t address, const void *from, uint64_t bytes)
{
	return user_write(current_space(), VADDR(address), from, bytes) != 0 ? -EFAULT : 0;
}

/* getuid, geteuid, getgid, getegid: root. */
int64_t sys_getid(const uint64_t *a)
{
	(void)a;
	return 0;
}

int64_t sys_getresid(const uint64_t *a)
{
	uint32_t id = 0;

	for (int i = 0; i < 3; i++)
		if (put(a[i], &id, sizeof(id)) != 0)
			return -EFAULT;
	return 0;
}

/* To what one is already. */
int64_t sys_setid(const uint64_t *a)
{
	if ((uint32_t)a[0] == UINT32_MAX)
		return -EINVAL;
	return (uint32_t)a[0] == 0 ? 0 : -EPERM;
}

static bool changes(uint64_t id)
{
	return (uint32_t)id != 0 && (uint32_t)id != UINT32_MAX;
}

int64_t sys_setreid(const uint64_t *a)
{
	return changes(a[0]) || changes(a[1]) ? -EPERM : 0;
}

int64_t sys_setresid(const uint64_t *a)
{
	return changes(a[0]) || changes(a[1]) || changes(a[2]) ? -EPERM : 0;
}

/* The old one, whatever becomes of it. */
int64_t sys_setfsid(const uint64_t *a)
{
	(void)a;
	return 0;
}

int64_t sys_getgroups(const uint64_t *a)
{
	return (int32_t)a[0] < 0 ? -EINVAL : 0;
}

/* There is nobody else to share with. */
int64_t sys_setgroups(const uint64_t *a)
{
	if ((uint32_t)a[0] > NGROUPS_MAX)
		return -EINVAL;
	return (uint32_t)a[0] == 0 ? 0 : -EPERM;
}

/* ---- prctl. */

#define PR_SET_PDEATHSIG       1
#define PR_GET_PDEATHSIG       2
#define PR_GET_DUMPABLE	       3
#define PR_SET_DUMPABLE	       4
#define PR_GET_KEEPCAPS	       7
#define PR_GET_TIMING	       13
#define PR_SET_TIMING	       14
#define PR_SET_NAME	       15
#define PR_GET_NAME	       16
#define PR_CAPBSET_READ	       23
#define PR_GET_SECUREBITS      27
#define PR_SET_TIMERSLACK      29
#define PR_GET_TIMERSLACK      30
#define PR_SET_CHILD_SUBREAPER 36
#define PR_GET_CHILD_SUBREAPER 37
#define PR_SET_NO_NEW_PRIVS    38
#define PR_GET_NO_NEW_PRIVS    39
#define PR_GET_TID_ADDRESS     40
#define PR_SET_THP_DISABLE     41
#define PR_GET_THP_DISABLE     42
#define PR_SET_MDWE	       65
#define PR_GET_MDWE	       66
#define CAP_LAST	       40
#define TIMERSLACK_DEFAULT     50000

static int64_t set_name(uint64_t address)
{
	char name[THREAD_NAME_BYTES] = { 0 };
	int64_t length = user_read_string(current_space(), name, VADDR(address), sizeof(name));

	if (length == -ENAMETOOLONG)
		length = user_read(current_space(), name, VADDR(address), sizeof(name) - 1);
	if (length < 0)
		return -EFAULT;
	name[sizeof(name) - 1] = 0;
	memcpy(current_thread()->name, name, sizeof(name));
	return 0;
}

static int64_t put_int(uint64_t address, int32_t value)
{
	return put(address, &value, sizeof(value));
}

/* For calls whose other arguments must be 0. */
static bool zero(const uint64_t *a, unsigned from)
{
	for (unsigned i = from; i < 5; i++)
		if (a[i] != 0)
			return false;
	return true;
}

/* What a parent's end means to it, and what its own end means to its children's children. */
static int64_t prctl_family(const uint64_t *a)
{
	struct process *process = current_process();
	int64_t result = 0;
	int32_t value = 0;

	tree_lock();
	switch ((int32_t)a[0]) {
	case PR_SET_PDEATHSIG:
		if (a[1] > NSIG)
			result = -EINVAL;
		else
			process->death_signal = (int)a[1];
		break;
	case PR_GET_PDEATHSIG:
		value = process->death_signal;
		break;
	case PR_SET_CHILD_SUBREAPER:
		process->subreaper = a[1] != 0;
		break;
	case PR_GET_CHILD_SUBREAPER:
		value = process->subreaper;
		break;
	default:
		result = -EINVAL;
	}
	tree_unlock();
	if (a[0] == PR_GET_PDEATHSIG || a[0] == PR_GET_CHILD_SUBREAPER)
		result = put_int(a[1], value);
	return result;
}

static int64_t prctl_self(const uint64_t *a)
{
	struct thread *thread = current_thread();
	struct process *process = thread->process;

	switch ((int32_t)a[0]) {
	case PR_GET_DUMPABLE:
		return !process->undumpable;
	case PR_SET_DUMPABLE:
		if (a[1] > 1)
			return -EINVAL;
		process->undumpable = a[1] == 0;
		return 0;
	case PR_SET_NO_NEW_PRIVS:
		if (a[1] != 1 || !zero(a, 2))
			return -EINVAL;
		process->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS:
		return zero(a, 1) ? process->no_new_privs : -EINVAL;
	case PR_SET_TIMERSLACK:
		thread->timerslack = (int64_t)a[1] <= 0 ? 0 : a[1];
		return 0;
	case PR_GET_TIMERSLACK:
		return thread->timerslack == 0 ? TIMERSLACK_DEFAULT : (int64_t)thread->timerslack;
	case PR_GET_TID_ADDRESS:
		return put(a[1], &thread->clear_child_tid, sizeof(uint64_t));
	default:
		return -EINVAL;
	}
}

int64_t sys_prctl(const uint64_t *a)
{
	switch ((int32_t)a[0]) {
	case PR_SET_PDEATHSIG:
	case PR_GET_PDEATHSIG:
	case PR_SET_CHILD_SUBREAPER:
	case PR_GET_CHILD_SUBREAPER:
		return prctl_family(a);
	case PR_SET_NAME:
		return set_name(a[1]);
	case PR_GET_NAME:
		return put(a[1], current_thread()->name, THREAD_NAME_BYTES);
	case PR_GET_KEEPCAPS:
	case PR_GET_TIMING:
	case PR_GET_SECUREBITS:
		return 0;
	case PR_SET_TIMING:
		return a[1] == 0 ? 0 : -EINVAL;
	case PR_CAPBSET_READ:
		return a[1] <= CAP_LAST ? 1 : -EINVAL;
	case PR_SET_THP_DISABLE:
		return zero(a, 2) ? 0 : -EINVAL;
	case PR_GET_THP_DISABLE:
		return zero(a, 1) ? 0 : -EINVAL;
	case PR_SET_MDWE:
		return zero(a, 2) ? prctl_set_mdwe(a[1]) : -EINVAL;
	case PR_GET_MDWE:
		return zero(a, 1) ? prctl_get_mdwe() : -EINVAL;
	default:
		return prctl_self(a);
	}
}
