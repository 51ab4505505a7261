/* membarrier: what must be registered for, what fork and execve keep; and that it orders a thread that has no barrier itself. */
#include <linux/membarrier.h>

#include "check.h"

#define ROUNDS 1000

static long barrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

static void test_registration(void *unused)
{
	long all = barrier(MEMBARRIER_CMD_QUERY);

	(void)unused;
	CHECK((all & 127) == 127);
	CHECK_ERR(barrier(-1), EINVAL);
	CHECK_ERR(barrier(3), EINVAL);
	CHECK_ERR(syscall(SYS_membarrier, 0, 1, 0), EINVAL);
	CHECK_EQ(barrier(512), 0);
	CHECK_ERR(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), EPERM);
	CHECK_ERR(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), EPERM);
	CHECK_EQ(barrier(MEMBARRIER_CMD_GLOBAL), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE), 0);
	CHECK_EQ(barrier(512), 64 | 16);
	CHECK_ERR(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), EPERM);
	CHECK_EQ(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED), 0);
	CHECK_EQ(barrier(512), 64 | 16 | 4);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0);
}

static void test_inherited(void *unused)
{
	(void)unused;
	CHECK_EQ(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0);
}

/* Dekker's: each stores its own word, then reads the other's. Only one of the two has a barrier between. */
static _Atomic int mine, others, round_of, seen;

static void *light(void *unused)
{
	(void)unused;
	for (int round = 1; round <= ROUNDS; round++) {
		while (atomic_load(&round_of) != round)
			relax();
		atomic_store_explicit(&others, round, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		atomic_store(&seen,
			     atomic_load_explicit(&mine, memory_order_relaxed) == round ? round * 2 : round * 2 - 1);
	}
	return NULL;
}

static void test_order(int which, int rounds)
{
	pthread_t thread;

	atomic_store(&mine, 0);
	atomic_store(&others, 0);
	atomic_store(&seen, 0);
	atomic_store(&round_of, 0);
	thread = thread_start(light, NULL);
	for (int round = 1; round <= ROUNDS; round++) {
		bool saw;

		atomic_store(&round_of, round);
		atomic_store_explicit(&mine, round, memory_order_relaxed);
		if (round <= rounds)
			CHECK_EQ(barrier(which), 0);
		else
			atomic_thread_fence(memory_order_seq_cst);
		saw = atomic_load_explicit(&others, memory_order_relaxed) == round;
		while (atomic_load(&seen) < round * 2 - 1)
			relax();
		if (round <= rounds)
			CHECK(saw || atomic_load(&seen) == round * 2);
	}
	thread_join(thread);
}

int main(void)
{
	child_run(test_registration, NULL);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE), 0);
	child_run(test_inherited, NULL);
	test_order(MEMBARRIER_CMD_PRIVATE_EXPEDITED, ROUNDS);
	test_order(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 100);
	test_order(MEMBARRIER_CMD_GLOBAL, 20);
	return pass();
}
