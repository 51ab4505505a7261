/* Scheduling policies as root: what is accepted, what is told of it, what children get of it; nothing of what they do. */
#include <sys/resource.h>

#include "check.h"

#define RESET 0x40000000

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t clamp_min, clamp_max;
	uint64_t later;
};

static int set(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return (int)syscall(SYS_sched_setscheduler, 0, policy, &param);
}

static int get(void)
{
	return (int)syscall(SYS_sched_getscheduler, 0);
}

static int priority(void)
{
	struct sched_param param = { .sched_priority = -1 };

	CHECK(syscall(SYS_sched_getparam, 0, &param) == 0);
	return param.sched_priority;
}

static void by_priority(void)
{
	struct sched_param param = { .sched_priority = 5 };
	struct timespec slice;

	CHECK(set(SCHED_FIFO, 1) == 0 && get() == SCHED_FIFO && priority() == 1);
	CHECK(syscall(SYS_sched_rr_get_interval, 0, &slice) == 0 && slice.tv_sec == 0 && slice.tv_nsec == 0);
	CHECK(set(SCHED_RR, 99) == 0 && get() == SCHED_RR && priority() == 99);
	CHECK(syscall(SYS_sched_rr_get_interval, 0, &slice) == 0 && slice.tv_nsec > 0);
	CHECK(syscall(SYS_sched_setparam, 0, &param) == 0 && get() == SCHED_RR && priority() == 5);
	CHECK_ERR(set(SCHED_RR, 0), EINVAL);
	CHECK_ERR(set(SCHED_RR, 100), EINVAL);
	CHECK_ERR(set(SCHED_RR, -1), EINVAL);
	CHECK_ERR(set(SCHED_OTHER, 1), EINVAL);
	CHECK_ERR(set(4, 0), EINVAL);
	CHECK_ERR(set(6, 0), EINVAL);
	CHECK_ERR(set(-1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_RR, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_RR, 8), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setscheduler, -1, SCHED_RR, &param), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 1 << 22, SCHED_RR, &param), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, NULL), EINVAL);
	CHECK(get() == SCHED_RR && priority() == 5);
	CHECK(set(SCHED_BATCH, 0) == 0 && get() == SCHED_BATCH && priority() == 0);
	CHECK_ERR(syscall(SYS_sched_setparam, 0, &param), EINVAL);
	CHECK(set(SCHED_IDLE, 0) == 0 && get() == SCHED_IDLE && set(SCHED_OTHER, 0) == 0 && get() == SCHED_OTHER);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, 6), 0);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_FIFO), 1);
}

static void attributes(void)
{
	struct attr attr = { .size = 48, .policy = SCHED_FIFO, .priority = 7 }, got;

	CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get() == SCHED_FIFO && priority() == 7);
	memset(&got, 0xff, sizeof(got));
	CHECK(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0) == 0);
	CHECK(got.size == 56 && got.policy == SCHED_FIFO && got.priority == 7 && got.nice == 0 && got.flags == 0);
	attr.flags = 8; /* KEEP_POLICY */
	attr.policy = SCHED_OTHER;
	attr.priority = 9;
	CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get() == SCHED_FIFO && priority() == 9);
	attr = (struct attr){ .size = sizeof(attr), .policy = SCHED_BATCH, .nice = 100 };
	CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get() == SCHED_BATCH &&
	      getpriority(PRIO_PROCESS, 0) == 19);
	attr.nice = 0;
	attr.size = 0;
	CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && getpriority(PRIO_PROCESS, 0) == 0);
	attr.size = sizeof(attr);
	attr.later = 1;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 0), E2BIG);
	CHECK_EQ(attr.size, 56);
	attr.size = 47;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 0), E2BIG);
	attr.size = 48;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, 8, 0), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setattr, -1, &attr, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 1 << 22, &attr, 0), ESRCH);
	attr.flags = 0x1000;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 0), EINVAL);
	CHECK(set(SCHED_OTHER, 0) == 0);
}

static void inherited(void)
{
	pid_t pid;

	CHECK(set(SCHED_RR, 3) == 0);
	pid = child_fork();
	if (pid == 0)
		_exit(get() == SCHED_RR && priority() == 3 ? 0 : 1);
	child_wait(pid);
	CHECK(set(SCHED_RR | RESET, 3) == 0 && get() == (SCHED_RR | RESET) && priority() == 3);
	pid = child_fork();
	if (pid == 0)
		_exit(get() == SCHED_OTHER && priority() == 0 ? 0 : 1);
	child_wait(pid);
	CHECK(set(SCHED_OTHER, 0) == 0 && get() == SCHED_OTHER);
}

int main(void)
{
	by_priority();
	attributes();
	inherited();
	return pass();
}
