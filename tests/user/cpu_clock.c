/* CPU clocks of other threads and processes: they run while those do, wherever that is, and stand while they sleep. */
#include "check.h"

static _Atomic int phase;

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	CHECK(clock_gettime(clock, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void *worker(void *unused)
{
	(void)unused;
	while (atomic_load(&phase) == 0)
		;
	while (atomic_load(&phase) == 1)
		usleep(1000);
	return NULL;
}

static void runs(clockid_t clock)
{
	uint64_t before = read_ns(clock), until = before + 20000000;

	/* The other's time passes without it giving way, on a hart of its own or while this one sleeps. */
	while (read_ns(clock) < until)
		usleep(1000);
}

static void of_thread(void)
{
	pthread_t thread = thread_start(worker, NULL);
	uint64_t before;
	clockid_t clock;

	CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
	runs(clock);
	atomic_store(&phase, 1);
	usleep(20000);
	before = read_ns(clock);
	usleep(100000);
	CHECK(read_ns(clock) - before < 50000000);
	CHECK(read_ns(CLOCK_PROCESS_CPUTIME_ID) >= before);
	atomic_store(&phase, 2);
	thread_join(thread);
}

static void of_process(void)
{
	pid_t pid = child_fork();
	struct timespec now;
	clockid_t clock;

	if (pid == 0)
		for (;;)
			;
	CHECK_EQ(clock_getcpuclockid(pid, &clock), 0);
	runs(clock);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK_EQ(child_status(pid), SIGKILL);
	CHECK_ERR(clock_gettime(clock, &now), EINVAL);
}

static void errors(void)
{
	struct timespec now;
	unsigned attr[20];

	CHECK_ERR(clock_gettime((clockid_t)(~1U << 3 | 7), &now), EINVAL);
	CHECK_ERR(clock_gettime((clockid_t)(~(1U << 22) << 3 | 2), &now), EINVAL);
	CHECK_ERR(clock_gettime((clockid_t)(~(1U << 22) << 3 | 6), &now), EINVAL);
	CHECK(syscall(SYS_sched_getattr, 0, attr, 48, 0) == 0);
	CHECK(attr[0] == 48 && attr[1] == SCHED_OTHER && attr[5] == 0);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, attr, 47, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 1 << 22, attr, 48, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, attr, 48, 1), EINVAL);
}

int main(void)
{
	of_thread();
	of_process();
	errors();
	return pass();
}
