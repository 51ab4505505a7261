/* setitimer and timer_create as programs see them. What they do is in ptimer.c. */
#include "kernel/process.h"
#include "kernel/ptimer.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)

#define CLOCK_REALTIME		 0
#define CLOCK_MONOTONIC		 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID	 3
#define CLOCK_MONOTONIC_RAW	 4
#define CLOCK_REALTIME_COARSE	 5
#define CLOCK_MONOTONIC_COARSE	 6
#define CLOCK_BOOTTIME		 7
#define CLOCK_TAI		 11

#define TIMER_ABSTIME 1U

struct interval_user {
	int64_t interval_s, interval_part; /* us or ns */
	int64_t value_s, value_part;
};

/* Saturates: what is too far away never comes. */
static int to_ns(int64_t s, int64_t part, uint64_t unit, uint64_t *ns)
{
	if (s < 0 || part < 0 || (uint64_t)part >= NS_PER_S / unit)
		return -EINVAL;
	*ns = (uint64_t)s >= INT64_MAX / NS_PER_S ? INT64_MAX : (uint64_t)s * NS_PER_S + (uint64_t)part * unit;
	return 0;
}

static int get_interval(uint64_t address, uint64_t unit, uint64_t *interval, uint64_t *value)
{
	struct interval_user in;
	int error;

	if (user_read(current_space(), &in, VADDR(address), sizeof(in)) != 0)
		return -EFAULT;
	error = to_ns(in.value_s, in.value_part, unit, value);
	return error != 0 ? error : to_ns(in.interval_s, in.interval_part, unit, interval);
}

static int put_interval(uint64_t address, uint64_t unit, uint64_t interval, uint64_t value)
{
	struct interval_user out = {
		.interval_s = (int64_t)(interval / NS_PER_S),
		.interval_part = (int64_t)(interval % NS_PER_S / unit),
		.value_s = (int64_t)(value / NS_PER_S),
		.value_part = (int64_t)(value % NS_PER_S / unit),
	};

	/* Something that is still to come is never 0. */
	if (value != 0 && value < unit)
		out.value_part = 1;
	return user_write(current_space(), VADDR(address), &out, sizeof(out)) != 0 ? -EFAULT : 0;
}

/* ---- setitimer. */

int64_t sys_getitimer(const uint64_t *a)
{
	uint64_t interval, left;
	int error;

	if ((uint32_t)a[0] >= PTIMER_ITIMERS)
		return -EINVAL;
	error = ptimer_get(current_process(), (uint32_t)a[0] + 1, &interval, &left);
	return error != 0 ? error : put_interval(a[1], NS_PER_US, interval, left);
}

int64_t sys_setitimer(const uint64_t *a)
{
	uint64_t interval = 0, value = 0, left;
	int error = 0;

	/* As on Linux no address means 0. */
	if (a[1] != 0)
		error = get_interval(a[1], NS_PER_US, &interval, &value);
	if (error != 0)
		return error;
	if ((uint32_t)a[0] >= PTIMER_ITIMERS)
		return -EINVAL;
	error = ptimer_set(current_process(), (uint32_t)a[0] + 1, value, false, &interval, &left);
	if (error == 0 && a[2] != 0)
		error = put_interval(a[2], NS_PER_US, interval, left);
	return error;
}

/* ---- timer_create. */

struct sigevent_user {
	uint64_t value;
	int32_t signo;
	int32_t notify;
	uint32_t tid;
	uint32_t pad[11];
};
_Static_assert(sizeof(struct sigevent_user) == 64, "Linux's layout");

/* Negative numbers name whose time (see sys_time.c, read_clock): one's own process, or a thread of it. */
static int cpu_clock_of(int32_t clock, enum ptimer_clock *out, uint32_t *thread)
{
	uint32_t id = ~(uint32_t)(clock >> 3);
	const struct thread *self = current_thread();

	if ((clock & 3) == 3)
		return -EINVAL;
	if ((clock & 4) != 0) {
		*out = PTIMER_THREAD;
		*thread = id == 0 ? self->tid : id;
		return 0;
	}
	*out = PTIMER_CPU;
	return id == 0 || id == self->process->pid ? 0 : -EINVAL;
}

static int clock_of(int32_t clock, enum ptimer_clock *out, uint32_t *thread)
{
	if (clock < 0)
		return cpu_clock_of(clock, out, thread);
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
		*out = PTIMER_REALTIME;
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
		*out = PTIMER_MONOTONIC;
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*out = PTIMER_CPU;
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*out = PTIMER_THREAD;
		*thread = current_thread()->tid;
		return 0;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static bool is_own_thread(uint32_t tid)
{
	struct thread *thread;
	bool own;

	tree_lock();
	thread = thread_find_locked(tid);
	own = thread != NULL && thread->process == current_process();
	tree_unlock();
	return own;
}

static int event_of(uint64_t address, struct ptimer *out)
{
	struct sigevent_user event;

	/* By default SIGALRM, with the timer's id as its value, which ptimer_create knows. */
	out->notify = -1;
	out->signo = SIGALRM;
	if (address == 0)
		return 0;
	if (user_read(current_space(), &event, VADDR(address), sizeof(event)) != 0)
		return -EFAULT;
	out->notify = event.notify;
	out->signo = event.signo;
	out->value = event.value;
	switch (event.notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_THREAD_ID:
		if (!is_own_thread(event.tid))
			return -EINVAL;
		out->tid = event.tid;
		break;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		break;
	default:
		return -EINVAL;
	}
	return event.signo < 1 || event.signo > NSIG ? -EINVAL : 0;
}

static uint32_t key_of(uint64_t id)
{
	return (int32_t)id < 0 || (uint32_t)id > INT32_MAX >> 1 ? UINT32_MAX : PTIMER_FIRST + (uint32_t)id;
}

int64_t sys_timer_create(const uint64_t *a)
{
	struct ptimer like = { .process = NULL };
	int32_t id;
	uint32_t thread = 0;
	int error = clock_of((int32_t)a[0], &like.clock, &thread);

	if (error == 0)
		error = event_of(a[1], &like);
	if (error == 0)
		error = ptimer_create(current_process(), &like, thread, &id);
	if (error != 0)
		return error;
	if (user_write(current_space(), VADDR(a[2]), &id, sizeof(id)) == 0)
		return 0;
	(void)!ptimer_delete(current_process(), key_of((uint64_t)id));
	return -EFAULT;
}

int64_t sys_timer_settime(const uint64_t *a)
{
	uint64_t interval, value, left;
	int error;

	if (a[2] == 0)
		return -EINVAL;
	error = get_interval(a[2], 1, &interval, &value);
	if (error == 0)
		error = ptimer_set(current_process(), key_of(a[0]), value, (a[1] & TIMER_ABSTIME) != 0, &interval,
				   &left);
	if (error == 0 && a[3] != 0)
		error = put_interval(a[3], 1, interval, left);
	return error;
}

int64_t sys_timer_gettime(const uint64_t *a)
{
	uint64_t interval, left;
	int error = ptimer_get(current_process(), key_of(a[0]), &interval, &left);

	return error != 0 ? error : put_interval(a[1], 1, interval, left);
}

int64_t sys_timer_getoverrun(const uint64_t *a)
{
	return ptimer_overrun(current_process(), key_of(a[0]));
}

int64_t sys_timer_delete(const uint64_t *a)
{
	return ptimer_delete(current_process(), key_of(a[0]));
}
