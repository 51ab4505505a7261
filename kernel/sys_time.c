/*
 * Clocks and sleeping. There is no real-time clock: CLOCK_REALTIME is the time since the start, from a fixed day on.
 * The CPU-time clocks count what a thread has run since it was switched to, user and kernel together.
 */
#include "firmware/boot.h"
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define NS_PER_S UINT64_C(1000000000)
/* 2025-01-01 00:00:00 UTC */
#define REALTIME_BASE_NS (UINT64_C(1735689600) * NS_PER_S)

#define CLOCK_REALTIME		 0
#define CLOCK_MONOTONIC		 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID	 3
#define CLOCK_MONOTONIC_RAW	 4
#define CLOCK_REALTIME_COARSE	 5
#define CLOCK_MONOTONIC_COARSE	 6
#define CLOCK_BOOTTIME		 7
#define CLOCK_REALTIME_ALARM	 8
#define CLOCK_BOOTTIME_ALARM	 9
#define CLOCK_TAI		 11

#define TIMER_ABSTIME 1U

uint64_t time_realtime_ns(void)
{
	return REALTIME_BASE_NS + time_ns();
}

uint64_t time_realtime_at(uint64_t ticks)
{
	return REALTIME_BASE_NS + ticks_to_ns(ticks);
}

uint64_t time_from_realtime(uint64_t ns)
{
	return ns <= REALTIME_BASE_NS ? 0 : ns - REALTIME_BASE_NS;
}

uint64_t ticks_to_ns(uint64_t ticks)
{
	uint64_t hz = boot_info()->timebase_hz;

	return ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz;
}

/* Saturates: a time that is too far away is for ever. */
int user_timespec(uint64_t address, uint64_t *ns)
{
	struct timespec time;

	if (user_read(current_space(), &time, VADDR(address), sizeof(time)) != 0)
		return -EFAULT;
	if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= (int64_t)NS_PER_S)
		return -EINVAL;
	if ((uint64_t)time.tv_sec >= UINT64_MAX / NS_PER_S)
		*ns = UINT64_MAX - 1;
	else
		*ns = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	return 0;
}

static int put_timespec(uint64_t address, uint64_t ns)
{
	struct timespec time = { (int64_t)(ns / NS_PER_S), (int64_t)(ns % NS_PER_S) };

	return user_write(current_space(), VADDR(address), &time, sizeof(time)) != 0 ? -EFAULT : 0;
}

uint64_t deadline_after(uint64_t ns)
{
	struct thread *thread = current_thread();
	uint64_t now = time_ns();

	if (!thread->restarting)
		thread->restart_deadline = ns >= UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + ns;
	thread->restarting = false;
	return thread->restart_deadline;
}

void deadline_done(void)
{
	current_thread()->restart_deadline = 0;
}

static uint64_t process_ns(struct process *process)
{
	uint64_t ticks;

	spin_lock(&process->lock, RANK_PROCESS);
	ticks = process->usage.ticks;
	list_for_each (pos, &process->threads)
		ticks += sched_ran(list_entry(pos, struct thread, link));
	/* What another hart is just adding up is missing for a moment: the clock stands then. */
	ticks = MAX(ticks, process->cpu_seen);
	process->cpu_seen = ticks;
	spin_unlock(&process->lock, RANK_PROCESS);
	return ticks_to_ns(ticks);
}

/* The CPU clock of a process or, if of_thread, of a thread of one's own; 0: oneself. */
static int read_cpu_clock(uint32_t id, bool of_thread, uint64_t *ns)
{
	struct process *self = current_process();
	struct process *process;
	struct thread *thread;
	int error = -EINVAL;

	if (of_thread) {
		tree_lock();
		thread = id == 0 ? current_thread() : thread_find_locked(id);
		if (thread != NULL && thread->process == self) {
			*ns = ticks_to_ns(sched_ran(thread));
			error = 0;
		}
		tree_unlock();
		return error;
	}
	process = process_find(id == 0 ? self->pid : id);
	if (process == NULL)
		return -EINVAL;
	*ns = process_ns(process);
	process_put(process);
	return 0;
}

static int read_clock(int clock, uint64_t *ns)
{
	/* Negative ones name a process or thread: its number, inverted, then one bit for which, two for what is counted. */
	if (clock < 0)
		return (clock & 3) == 3 ? -EINVAL : read_cpu_clock(~(uint32_t)(clock >> 3), (clock & 4) != 0, ns);
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		*ns = time_realtime_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ns = time_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = process_ns(current_process());
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = ticks_to_ns(sched_ran(current_thread()));
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_clock_gettime(const uint64_t *a)
{
	uint64_t ns;
	int error = read_clock((int)a[0], &ns);

	return error != 0 ? error : put_timespec(a[1], ns);
}

int64_t sys_clock_getres(const uint64_t *a)
{
	uint64_t ns;
	int error = read_clock((int)a[0], &ns);

	if (error != 0 || a[1] == 0)
		return error;
	return put_timespec(a[1], MAX(UINT64_C(1), NS_PER_S / boot_info()->timebase_hz));
}

int64_t sys_gettimeofday(const uint64_t *a)
{
	uint64_t now = time_realtime_ns();
	uint64_t zone = 0;
	int64_t time[2] = { (int64_t)(now / NS_PER_S), (int64_t)(now % NS_PER_S / 1000) };

	if (a[0] != 0 && user_write(current_space(), VADDR(a[0]), time, sizeof(time)) != 0)
		return -EFAULT;
	if (a[1] != 0 && user_write(current_space(), VADDR(a[1]), &zone, sizeof(zone)) != 0)
		return -EFAULT;
	return 0;
}

/* ---- Sleeping. */

static int sleep_until(uint64_t deadline_ns)
{
	int result = 0;

	while (result == 0)
		result = wait_block(deadline_ns);
	return result == -ETIMEDOUT ? 0 : result;
}

/* remain: where an interrupted sleep says what is left; 0: nowhere. */
static int64_t sleep_for(uint64_t ns, uint64_t remain)
{
	uint64_t deadline = deadline_after(ns);
	int64_t result = sleep_until(deadline);
	uint64_t now = time_ns();

	if (result == 0)
		deadline_done();
	else if (remain != 0 && put_timespec(remain, deadline > now ? deadline - now : 0) != 0)
		return -EFAULT;
	return result;
}

int64_t sys_nanosleep(const uint64_t *a)
{
	uint64_t ns;
	int error = user_timespec(a[0], &ns);

	return error != 0 ? error : sleep_for(ns, a[1]);
}

int64_t sys_clock_nanosleep(const uint64_t *a)
{
	int clock = (int)a[0];
	uint64_t ns;
	int error;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_TAI)
		return clock == CLOCK_PROCESS_CPUTIME_ID ? -EOPNOTSUPP : -EINVAL;
	error = user_timespec(a[2], &ns);
	if (error != 0)
		return error;
	if ((a[1] & TIMER_ABSTIME) == 0)
		return sleep_for(ns, a[3]);
	if (clock == CLOCK_REALTIME || clock == CLOCK_TAI)
		ns = time_from_realtime(ns);
	return sleep_until(ns);
}

int64_t sys_times(const uint64_t *a)
{
	struct process *process = current_process();
	uint64_t own = process_ns(process) / 10000000;
	uint64_t children;

	spin_lock(&process->lock, RANK_PROCESS);
	children = ticks_to_ns(process->children_usage.ticks) / 10000000;
	spin_unlock(&process->lock, RANK_PROCESS);
	int64_t times[4] = { (int64_t)own, 0, (int64_t)children, 0 };

	if (a[0] != 0 && user_write(current_space(), VADDR(a[0]), times, sizeof(times)) != 0)
		return -EFAULT;
	return (int64_t)(time_ns() / 10000000);
}
