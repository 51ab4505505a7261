/* What programs ask about the system and themselves: names, limits, usage. Users: sys_identity.c. */
#include <string.h>

#include "firmware/boot.h"
#include "firmware/trap.h"
#include "kernel/file.h"
#include "kernel/process.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "mm/coremap.h"

static int put(uint64_t address, const void *from, uint64_t bytes)
{
	return user_write(current_space(), VADDR(address), from, bytes) != 0 ? -EFAULT : 0;
}

/* ---- Limits. */

static void set_limit_locked(struct process *process, unsigned which, const struct rlimit *new)
{
	process->limits[which] = *new;
	process_differs_locked(process);
}

static int64_t limit_of(struct process *process, unsigned which, const struct rlimit *new, struct rlimit *old)
{
	int64_t result = 0;

	if (which >= RLIMITS)
		return -EINVAL;
	if (new != NULL &&new->soft > new->hard)
		return -EINVAL;
	if (new != NULL && which == RLIMIT_NOFILE &&new->hard > FD_LIMIT_MAX)
		return -EPERM;
	spin_lock(&process->lock, RANK_PROCESS);
	*old = process->limits[which];
	if (process->ending)
		result = -ESRCH;
	else if (new != NULL)
		set_limit_locked(process, which, new);
	/* The soft limit on descriptors is the table's: see fdtable_set_limit. */
	if (result == 0 && new != NULL && which == RLIMIT_NOFILE && process->files != NULL)
		fdtable_set_limit(process->files, (unsigned)new->soft);
	/* relaxed: a limit */
	if (result == 0 && new != NULL && which == RLIMIT_STACK && process->space != NULL)
		atomic_store_explicit(&process->space->grow_limit, new->soft, memory_order_relaxed);
	spin_unlock(&process->lock, RANK_PROCESS);
	return result;
}

int64_t sys_prlimit64(const uint64_t *a)
{
	struct process *process;
	struct rlimit new, old;
	int64_t result;

	if (a[2] != 0 && user_read(current_space(), &new, VADDR(a[2]), sizeof(new)) != 0)
		return -EFAULT;
	process = process_find(a[0] == 0 ? current_process()->pid : (uint32_t)a[0]);
	if (process == NULL)
		return -ESRCH;
	result = limit_of(process, (unsigned)a[1], a[2] == 0 ? NULL : &new, &old);
	if (result == 0 && a[2] != 0 && (uint32_t)a[1] == RLIMIT_CPU)
		ptimer_limit(process);
	process_put(process);
	if (result == 0 && a[3] != 0)
		result = put(a[3], &old, sizeof(old));
	return result;
}

int64_t sys_getrlimit(const uint64_t *a)
{
	const uint64_t args[6] = { 0, a[0], 0, a[1] };

	return sys_prlimit64(args);
}

int64_t sys_setrlimit(const uint64_t *a)
{
	const uint64_t args[6] = { 0, a[0], a[1], 0 };

	return sys_prlimit64(args);
}

/* ---- Usage. */

struct rusage {
	int64_t utime[2], stime[2];
	int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw,
		nivcsw;
};

/* All time is called user time: the kernel does not look at the clock when it is entered. */
int user_put_rusage(uint64_t address, const struct process_usage *usage)
{
	uint64_t us = ticks_to_ns(usage->ticks) / 1000;
	struct rusage out = {
		.utime = { (int64_t)(us / 1000000), (int64_t)(us % 1000000) },
		.maxrss = (int64_t)usage->resident_kib,
		.minflt = (int64_t)usage->faults,
	};

	return put(address, &out, sizeof(out));
}

/* What is resident now: the most there ever was is not recorded. */
static uint64_t resident_kib(struct space *space)
{
	struct space_region region;
	vaddr_t at = VADDR(0);
	uint64_t pages = 0;

	while (space_next_region(space, at, &region)) {
		pages += region.resident;
		at = region.end;
	}
	return pages * (PAGE_SIZE / 1024);
}

static struct process_usage own_usage(struct process *process)
{
	struct process_usage usage;

	spin_lock(&process->lock, RANK_PROCESS);
	usage = process->usage;
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		usage.ticks += sched_ran(thread);
		usage.faults += thread->faults;
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	usage.resident_kib = resident_kib(process->space);
	return usage;
}

int64_t sys_getrusage(const uint64_t *a)
{
	struct process *process = current_process();
	struct thread *thread = current_thread();
	struct process_usage usage = { .ticks = sched_ran(thread), .faults = thread->faults };

	switch ((int32_t)a[0]) {
	case 0:
		usage = own_usage(process);
		break;
	case -1:
		spin_lock(&process->lock, RANK_PROCESS);
		usage = process->children_usage;
		spin_unlock(&process->lock, RANK_PROCESS);
		break;
	case 1:
		usage.resident_kib = resident_kib(process->space);
		break;
	default:
		return -EINVAL;
	}
	return user_put_rusage(a[1], &usage);
}

static unsigned count_processes(void)
{
	unsigned count = 0;

	tree_lock();
	list_for_each (pos, process_list_locked())
		count++;
	tree_unlock();
	return count;
}

int64_t sys_sysinfo(const uint64_t *a)
{
	struct {
		int64_t uptime;
		uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
		uint16_t procs, pad;
		uint32_t pad2;
		uint64_t totalhigh, freehigh;
		uint32_t mem_unit, pad3;
	} info = { .uptime = (int64_t)(time_ns() / 1000000000),
		   .totalram = frames_total() * PAGE_SIZE,
		   .freeram = frames_free() * PAGE_SIZE,
		   .procs = (uint16_t)count_processes(),
		   .mem_unit = 1 };

	return put(a[0], &info, sizeof(info));
}

/* ---- The rest. */

int64_t sys_getrandom(const uint64_t *a)
{
	uint8_t bytes[256];
	uint64_t total = MIN(a[1], (uint64_t)INT32_MAX & ~PAGE_MASK);
	uint64_t done = 0;

	if ((a[2] & ~UINT64_C(7)) != 0 || (a[2] & 6) == 6)
		return -EINVAL;
	while (done < total) {
		uint64_t n = MIN(total - done, sizeof(bytes));

		random_bytes(bytes, n);
		if (put(a[0] + done, bytes, n) != 0)
			break;
		done += n;
		sched_breathe();
		/* relaxed: only to end early what is long */
		if ((atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & (WORK_KILL | WORK_SIGNAL)) !=
		    0)
			break;
	}
	memset(bytes, 0, sizeof(bytes));
	return done == 0 && total != 0 ? -EFAULT : (int64_t)done;
}

int64_t sys_personality(const uint64_t *a)
{
	return (uint32_t)a[0] == UINT32_MAX || (uint32_t)a[0] == 0 ? 0 : -EINVAL;
}
