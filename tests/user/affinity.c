/*
 * sched_setaffinity moves the caller, threads stay where they were put, getcpu agrees, and memory is the same
 * anywhere.
 */
#include "check.h"

static long harts;
static uint64_t *area;

static void pin(unsigned hart)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(hart, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	CHECK_EQ(sched_getcpu(), hart);
}

static unsigned allowed(unsigned *list, unsigned max)
{
	unsigned count = 0;
	cpu_set_t set;

	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	for (unsigned i = 0; i < CPU_SETSIZE && count < max; i++)
		if (CPU_ISSET(i, &set))
			list[count++] = i;
	return count;
}

static void *pinned(void *arg)
{
	unsigned hart = (unsigned)(uintptr_t)arg;
	unsigned list[8];

	pin(hart);
	for (int i = 0; i < 300; i++) {
		relax();
		CHECK_EQ(sched_getcpu(), hart);
	}
	CHECK_EQ(allowed(list, 8), 1);
	CHECK_EQ(list[0], hart);
	return NULL;
}

int main(void)
{
	unsigned list[64], count = allowed(list, 64);
	pthread_t threads[64];
	cpu_set_t none;

	harts = sysconf(_SC_NPROCESSORS_ONLN);
	CHECK(count >= 1);
	CHECK(harts >= 1);
	area = map_anon(64 * PAGE);
	for (int round = 0; round < 20; round++) {
		for (unsigned i = 0; i < count; i++) {
			pin(list[i]);
			CHECK_EQ(area[round * (int)PAGE / 8], i);
			area[round * (int)PAGE / 8] = i + 1;
		}
	}
	for (unsigned i = 0; i < count; i++)
		threads[i] = thread_start(pinned, (void *)(uintptr_t)list[i]);
	for (unsigned i = 0; i < count; i++)
		thread_join(threads[i]);
	pid_t pid = child_fork();
	if (pid == 0) {
		unsigned inherited[8];

		CHECK_EQ(allowed(inherited, 8), 1);
		CHECK_EQ(inherited[0], list[count - 1]);
		CHECK_EQ(sched_getcpu(), list[count - 1]);
		_exit(0);
	}
	child_wait(pid);
	CPU_ZERO(&none);
	CHECK_ERR(sched_setaffinity(0, sizeof(none), &none), EINVAL);
	CPU_SET(list[0], &none);
	CHECK_ERR(sched_setaffinity(999999, sizeof(none), &none), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 1, &none), EINVAL);
	return pass();
}
