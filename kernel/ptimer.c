/*
 * Programs' timers. Contract: ptimer.h; the calls: sys_timer.c.
 *
 * Invariants
 * - A timer is armed in the kernel (timer.c) only while expires is not 0, waits and parked are false, and it has something
 *   to send.
 * - Who arms one from outside of fire() holds the process's lock and has made sure, under it, that the timer is idle
 *   (timer_try_cancel). fire() takes that lock, so nobody waits for it with the lock held; but when fire() has let go of the
 *   lock nothing is left for it to wait for, so ptimer_taken_locked may wait.
 * - Timers of running time are timers of the clock, set to when the process could have run that long at the earliest, and set
 *   again when it has not. While none of its threads is on a hart they are parked, so that a sleeping process costs nothing.
 *
 * Memory order: parked = 1, then a full fence, then the look at on_hart, pairs with switch_to: on_hart = 1, a full fence, then
 * the look at parked. So either the timer is not parked, or the thread that is switched to resumes it.
 *
 * Locks: process->lock; inside, the timers' own.
 */
#include "kernel/ptimer.h"

#include <string.h>

#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "lib/hw.h"
#include "mm/slab.h"

/* Signals that nobody takes are not sent more often than this, and running time is not looked at more often. */
#define IGNORED_NS UINT64_C(4000000)
#define LOOK_NS	   UINT64_C(100000)
#define NS_PER_S   UINT64_C(1000000000)

static void fire(struct timer *timer);

/* ---- Clocks. */

static uint64_t cpu_ns(struct process *process)
{
	uint64_t ticks = process->usage.ticks;

	list_for_each (pos, &process->threads)
		ticks += sched_ran(list_entry(pos, struct thread, link));
	return ticks_to_ns(ticks);
}

static uint64_t now_of(const struct ptimer *timer)
{
	if (timer->clock == PTIMER_THREAD)
		return timer->thread == NULL ? 0 : ticks_to_ns(sched_ran(timer->thread));
	return timer->clock == PTIMER_CPU ? cpu_ns(timer->process) : time_ns();
}

static bool counts_running(const struct ptimer *timer)
{
	return timer->clock == PTIMER_CPU || timer->clock == PTIMER_THREAD;
}

/* Somebody whose time it counts. */
static bool somebody_runs(const struct ptimer *timer)
{
	list_for_each (pos, &timer->process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (timer->clock == PTIMER_THREAD && timer->thread != thread)
			continue;
		/* relaxed: after park's fence */
		if (atomic_load_explicit(&thread->on_hart, memory_order_relaxed) != 0)
			return true;
	}
	return false;
}

static bool park(struct ptimer *timer)
{
	atomic_store_explicit(&timer->process->timers.parked, 1, memory_order_relaxed);
	/* pairs with the fence in switch_to, see the top */
	atomic_thread_fence(memory_order_seq_cst);
	timer->parked = !somebody_runs(timer);
	return timer->parked;
}

/* When to look again, in time_ns(); false: it is parked. */
static bool next_look(struct ptimer *timer, uint64_t now, uint64_t *at)
{
	uint64_t left = timer->expires > now ? timer->expires - now : 0;
	uint64_t runners = MAX(1U, MIN(timer->process->thread_count, hw_harts()));

	*at = timer->expires;
	if (!counts_running(timer))
		return true;
	if (timer->clock == PTIMER_THREAD)
		runners = 1;
	if ((timer->clock == PTIMER_THREAD && timer->thread == NULL) || park(timer))
		return false;
	left = MAX(left / runners, LOOK_NS);
	*at = left > UINT64_MAX / 2 ? UINT64_MAX / 2 : time_ns() + left;
	return true;
}

/* ---- Going off. */

/* Past now, by whole intervals: how many. */
static uint64_t forward(struct ptimer *timer, uint64_t now)
{
	uint64_t n;

	if (timer->interval == 0 || now < timer->expires)
		return 0;
	n = (now - timer->expires) / timer->interval + 1;
	timer->expires += n * timer->interval;
	return n;
}

static bool send(struct ptimer *timer)
{
	struct siginfo info = { .signo = timer->signo, .code = SI_KERNEL };

	if (timer->key >= PTIMER_FIRST) {
		info.code = SI_TIMER;
		info.timer.id = (int32_t)(timer->key - PTIMER_FIRST);
		info.timer.value = timer->value;
	}
	return signal_timer_locked(timer->process, timer->tid, &info, timer->key);
}

/* Seconds of RLIMIT_CPU as ns of running time: not 0, which is never. */
static uint64_t limit_ns(uint64_t seconds)
{
	return seconds >= UINT64_MAX / 2 / NS_PER_S ? UINT64_MAX / 2 : MAX(UINT64_C(1), seconds * NS_PER_S);
}

/* The process has run for as long as RLIMIT_CPU allows: SIGXCPU, as on Linux each second from then on, in the end SIGKILL. */
static void over_limit_locked(struct process *process, struct ptimer *timer, uint64_t now)
{
	struct rlimit *limit = &process->limits[RLIMIT_CPU];
	bool ends = limit->hard != UINT64_MAX && now >= limit_ns(limit->hard);
	struct siginfo info = { .signo = ends ? SIGKILL : SIGXCPU, .code = SI_KERNEL };

	if (!ends) {
		limit->soft++;
		process_differs_locked(process);
	}
	timer->expires = ends ? 0 : limit_ns(limit->soft);
	signal_send_locked(process, &info);
}

static void fire_locked(struct ptimer *timer)
{
	uint64_t now = now_of(timer);
	uint64_t at;

	if (now >= timer->expires && timer->key == PTIMER_LIMIT) {
		over_limit_locked(timer->process, timer, now);
		if (timer->expires == 0)
			return;
	} else if (now >= timer->expires) {
		timer->waits = send(timer) && timer->interval != 0;
		if (timer->interval == 0)
			timer->expires = 0;
		if (timer->expires == 0 || timer->waits)
			return;
		(void)forward(timer, now);
		timer->expires = MAX(timer->expires, now + MIN(timer->interval, IGNORED_NS));
	}
	if (next_look(timer, now, &at))
		timer_again(&timer->timer, at);
}

static void fire(struct timer *timer)
{
	struct ptimer *self = container_of(timer, struct ptimer, timer);
	struct process *process = self->process;

	spin_lock(&process->lock, RANK_PROCESS);
	if (self->expires != 0 && !self->waits)
		fire_locked(self);
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* It is idle. */
static void start_locked(struct ptimer *timer)
{
	uint64_t at;

	if (timer->expires != 0 && timer->notify != SIGEV_NONE && next_look(timer, now_of(timer), &at))
		timer_arm(&timer->timer, at, fire);
}

static struct ptimer *find_locked(struct process *process, uint32_t key)
{
	if (key < PTIMER_FIRST)
		return &process->timers.itimers[key - 1];
	list_for_each (pos, &process->timers.list) {
		struct ptimer *timer = list_entry(pos, struct ptimer, link);

		if (timer->key == key)
			return timer;
	}
	return NULL;
}

void ptimer_taken_locked(struct process *process, uint32_t key, struct siginfo *info)
{
	struct ptimer *timer = find_locked(process, key);
	uint64_t missed;

	if (timer == NULL || !timer->waits)
		return;
	timer->waits = false;
	missed = forward(timer, now_of(timer));
	timer->overrun = missed <= 1 ? 0 : (int32_t)MIN(missed - 1, (uint64_t)INT32_MAX);
	if (key >= PTIMER_FIRST)
		info->timer.overrun = timer->overrun;
	while (!timer_try_cancel(&timer->timer))
		hw_relax();
	start_locked(timer);
}

static void resume_locked(struct ptimer *timer)
{
	if (!timer->parked)
		return;
	timer->parked = false;
	while (!timer_try_cancel(&timer->timer))
		hw_relax();
	start_locked(timer);
}

void ptimers_resume(struct process *process)
{
	spin_lock(&process->lock, RANK_PROCESS);
	/* relaxed: the lock orders it; whoever parks again says so again */
	atomic_store_explicit(&process->timers.parked, 0, memory_order_relaxed);
	for (unsigned i = 0; i < PTIMER_FIRST - 1; i++)
		resume_locked(&process->timers.itimers[i]);
	list_for_each (pos, &process->timers.list)
		resume_locked(list_entry(pos, struct ptimer, link));
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* ---- Setting. */

/* With the process's lock held and the timer idle; NULL: there is none, and no lock is held. It may be set then. */
static struct ptimer *take(struct process *process, uint32_t key)
{
	for (;;) {
		struct ptimer *timer;

		spin_lock(&process->lock, RANK_PROCESS);
		timer = find_locked(process, key);
		if (timer != NULL && timer_try_cancel(&timer->timer)) {
			process->timers.used = true;
			return timer;
		}
		spin_unlock(&process->lock, RANK_PROCESS);
		if (timer == NULL)
			return NULL;
		hw_relax();
	}
}

/* What is left is at least 1 ns while something is to come. */
static uint64_t left_locked(const struct ptimer *timer)
{
	uint64_t now;

	if (timer->expires == 0 || (timer->clock == PTIMER_THREAD && timer->thread == NULL))
		return 0;
	now = now_of(timer);
	if (now < timer->expires)
		return timer->expires - now;
	if (timer->interval != 0 && (timer->waits || timer->notify == SIGEV_NONE))
		return timer->interval - (now - timer->expires) % timer->interval;
	return timer->notify == SIGEV_NONE ? 0 : 1;
}

int ptimer_set(struct process *process, uint32_t key, uint64_t first_ns, bool absolute, uint64_t *interval_ns,
	       uint64_t *left_ns)
{
	struct ptimer *timer = take(process, key);
	uint64_t interval = *interval_ns;

	if (timer == NULL)
		return -EINVAL;
	if (timer->clock == PTIMER_THREAD && timer->thread == NULL) {
		spin_unlock(&process->lock, RANK_PROCESS);
		return -ESRCH;
	}
	*left_ns = left_locked(timer);
	*interval_ns = timer->interval;
	timer->waits = false;
	timer->parked = false;
	timer->overrun = 0;
	timer->interval = first_ns == 0 ? 0 : interval;
	timer->expires = 0;
	if (first_ns != 0 && !absolute)
		timer->expires = MIN(first_ns, UINT64_MAX / 2) + now_of(timer);
	else if (first_ns != 0)
		timer->expires =
			MAX(UINT64_C(1), timer->clock == PTIMER_REALTIME ? time_from_realtime(first_ns) : first_ns);
	start_locked(timer);
	spin_unlock(&process->lock, RANK_PROCESS);
	return 0;
}

int ptimer_get(struct process *process, uint32_t key, uint64_t *interval_ns, uint64_t *left_ns)
{
	const struct ptimer *timer;

	spin_lock(&process->lock, RANK_PROCESS);
	timer = find_locked(process, key);
	if (timer != NULL) {
		*left_ns = left_locked(timer);
		*interval_ns = timer->interval;
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	return timer == NULL ? -EINVAL : 0;
}

int ptimer_overrun(struct process *process, uint32_t key)
{
	const struct ptimer *timer;
	int overrun = -EINVAL;

	spin_lock(&process->lock, RANK_PROCESS);
	timer = find_locked(process, key);
	if (timer != NULL)
		overrun = timer->overrun;
	spin_unlock(&process->lock, RANK_PROCESS);
	return overrun;
}

static struct thread *thread_locked(struct process *process, uint32_t tid)
{
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}

/* Counted in the process, or -EAGAIN, -EINVAL. */
static int add_locked(struct process *process, struct ptimer *timer, uint32_t of)
{
	if (timer->clock == PTIMER_THREAD) {
		timer->thread = thread_locked(process, of);
		if (timer->thread == NULL)
			return -EINVAL;
	}
	if (process->queued >= process->limits[RLIMIT_SIGPENDING].soft)
		return -EAGAIN;
	process->queued++;
	process->timers.used = true;
	do {
		timer->key = PTIMER_FIRST + process->timers.next_id;
		process->timers.next_id = (process->timers.next_id + 1) & (INT32_MAX >> 1);
	} while (find_locked(process, timer->key) != NULL);
	list_add_tail(&process->timers.list, &timer->link);
	return 0;
}

int ptimer_create(struct process *process, const struct ptimer *like, uint32_t of, int32_t *id)
{
	struct ptimer *timer = kalloc(sizeof(*timer));
	int error;

	if (timer == NULL)
		return -EAGAIN;
	timer->process = process;
	timer->clock = like->clock;
	timer->notify = like->notify;
	timer->signo = like->signo;
	timer->tid = like->tid;
	spin_lock(&process->lock, RANK_PROCESS);
	error = add_locked(process, timer, of);
	if (error == 0) {
		*id = (int32_t)(timer->key - PTIMER_FIRST);
		timer->value = like->notify < 0 ? (uint64_t)*id : like->value;
		if (timer->notify < 0)
			timer->notify = SIGEV_SIGNAL;
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	if (error != 0)
		kfree(timer);
	return error;
}

void ptimers_leave_locked(struct process *process, const struct thread *thread)
{
	list_for_each (pos, &process->timers.list) {
		struct ptimer *timer = list_entry(pos, struct ptimer, link);

		if (timer->thread == thread)
			timer->thread = NULL;
	}
}

int ptimer_delete(struct process *process, uint32_t key)
{
	struct ptimer *timer = take(process, key);

	if (timer == NULL)
		return -EINVAL;
	list_del(&timer->link);
	process->queued--;
	spin_unlock(&process->lock, RANK_PROCESS);
	kfree(timer);
	return 0;
}

/* ---- With the process. */

static uint64_t cpu_limit(const struct process *process)
{
	uint64_t soft = process->limits[RLIMIT_CPU].soft;

	return soft == UINT64_MAX ? 0 : limit_ns(soft);
}

void ptimer_limit(struct process *process)
{
	struct ptimer *timer = take(process, PTIMER_LIMIT);

	/* When it is ending it is over: ptimers_end has been here, or will be. */
	if (!process->ending && process->thread_count != 0) {
		timer->parked = false;
		timer->expires = cpu_limit(process);
		start_locked(timer);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
}

void ptimers_inherit(struct process *process)
{
	struct ptimer *timer = &process->timers.itimers[PTIMER_LIMIT - 1];
	uint64_t limit = cpu_limit(process);

	if (LIKELY(limit == 0))
		return;
	process->timers.used = true;
	timer->expires = limit;
	timer->parked = true;
	/* relaxed: nobody of it runs yet */
	atomic_store_explicit(&process->timers.parked, 1, memory_order_relaxed);
}

void ptimers_init(struct process *process)
{
	static const int signals[PTIMER_FIRST - 1] = { SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU };

	memset(&process->timers, 0, sizeof(process->timers));
	list_init(&process->timers.list);
	for (unsigned i = 0; i < PTIMER_FIRST - 1; i++) {
		process->timers.itimers[i].process = process;
		process->timers.itimers[i].key = i + 1;
		process->timers.itimers[i].clock = i == 0 ? PTIMER_MONOTONIC : PTIMER_CPU;
		process->timers.itimers[i].signo = signals[i];
	}
}

/* Only one thread is left, so nobody makes new ones. */
void ptimers_exec(struct process *process)
{
	while (!list_empty(&process->timers.list)) {
		const struct ptimer *timer = list_first(&process->timers.list, struct ptimer, link);

		CHECK(ptimer_delete(process, timer->key) == 0);
	}
	process->timers.next_id = 0;
}

/* Nobody is left who could set it. */
static bool is_off(struct ptimer *timer)
{
	bool off;

	spin_lock(&timer->process->lock, RANK_PROCESS);
	off = timer->expires == 0 && timer_try_cancel(&timer->timer);
	spin_unlock(&timer->process->lock, RANK_PROCESS);
	return off;
}

void ptimers_end(struct process *process)
{
	if (LIKELY(!process->timers.used))
		return;
	ptimers_exec(process);
	for (uint32_t key = 1; key < PTIMER_FIRST; key++) {
		uint64_t interval = 0, left;

		if (is_off(&process->timers.itimers[key - 1]))
			continue;
		CHECK(ptimer_set(process, key, 0, false, &interval, &left) == 0);
	}
}
