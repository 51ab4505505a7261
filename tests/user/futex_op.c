/*
 * FUTEX_WAKE_OP, every operation and comparison; shared keys, by the page that processes share and not its address; the
 * operations that are refused; the robust list of a thread that ends.
 */
#include "check.h"

#include <linux/futex.h>

static long futex(void *at, int operation, unsigned value, const void *timeout, void *other, unsigned value3)
{
	return syscall(SYS_futex, at, operation, value, timeout, other, value3);
}

static long wake_op(_Atomic int *first, _Atomic int *second, int op, int oparg, int cmp, int cmparg)
{
	return futex((void *)first, FUTEX_WAKE_OP, 1, (void *)1L, (void *)second,
		     (unsigned)FUTEX_OP(op, oparg, cmp, cmparg));
}

static void operations(void)
{
	_Atomic int a = 0, b = 10;

	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_SET, -5, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(b, -5);
	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_ADD, 105, FUTEX_OP_CMP_LT, 0), 0);
	CHECK_EQ(b, 100);
	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_OR, 3, FUTEX_OP_CMP_NE, 0), 0);
	CHECK_EQ(b, 103);
	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_ANDN, 7, FUTEX_OP_CMP_LE, 0), 0);
	CHECK_EQ(b, 96);
	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_XOR, 97, FUTEX_OP_CMP_GT, 0), 0);
	CHECK_EQ(b, 1);
	CHECK_EQ(wake_op(&a, &b, FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 12, FUTEX_OP_CMP_GE, 0), 0);
	CHECK_EQ(b, 4097);
	CHECK_ERR(wake_op(&a, &b, 5, 0, 0, 0), ENOSYS);
	CHECK_ERR(futex((void *)&a, FUTEX_WAKE_OP, 1, NULL, (void *)8, 0), EFAULT);
	CHECK_ERR(futex((char *)&a + 1, FUTEX_WAKE_OP, 1, NULL, (void *)&b, 0), EINVAL);
	CHECK_ERR(futex((void *)&a, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex((void *)&a, 77, 1, NULL, NULL, 0), ENOSYS);
}

static _Atomic int *words, *also; /* the same page, mapped twice */

static void *sleeper(void *arg)
{
	_Atomic int *word = arg;

	atomic_fetch_add(&words[100], 1);
	CHECK(futex((void *)word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0);
	atomic_fetch_add(&words[101], 1);
	return NULL;
}

/* The first wakes a process, the second a thread, by other addresses than they sleep on. */
static void wakes_both(void)
{
	pid_t pid = child_fork();
	pthread_t thread;
	long woken = 0;

	if (pid == 0) {
		sleeper((void *)&words[0]);
		_exit(0);
	}
	thread = thread_start(sleeper, (void *)&words[1]);
	while (atomic_load(&words[100]) < 2)
		relax();
	/* Until both sleep. The comparison holds each time: the operation adds 0. */
	while (woken < 2) {
		long n = wake_op(&also[0], &also[1], FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);

		CHECK(n >= 0);
		woken += n;
		relax();
	}
	thread_join(thread);
	child_wait(pid);
	CHECK_EQ(words[101], 2);
}

/* A false comparison leaves the second alone. */
static void wakes_one(void)
{
	pthread_t threads[2] = { thread_start(sleeper, (void *)&words[2]), thread_start(sleeper, (void *)&words[3]) };

	words[100] = 0;
	while (futex((void *)&words[2], FUTEX_WAKE_OP, 1, (void *)1L, (void *)&words[3],
		     (unsigned)FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_NE, 0)) == 0)
		relax();
	thread_join(threads[0]);
	while (futex((void *)&words[3], FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
		relax();
	thread_join(threads[1]);
}

static pthread_mutex_t *mutex;

static void *locks_and_ends(void *unused)
{
	(void)unused;
	CHECK_EQ(pthread_mutex_lock(mutex), 0);
	return NULL;
}

static void robust(void)
{
	pthread_mutexattr_t attr;

	mutex = (pthread_mutex_t *)(void *)(words + 200);
	CHECK(pthread_mutexattr_init(&attr) == 0);
	CHECK_EQ(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
	CHECK_EQ(pthread_mutex_init(mutex, &attr), 0);
	thread_join(thread_start(locks_and_ends, NULL));
	CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(mutex), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = child_fork();

		if (pid == 0) {
			locks_and_ends(NULL);
			if (i % 2 == 0)
				raise(SIGKILL);
			_exit(0);
		}
		(void)child_status(pid);
		CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
		CHECK_EQ(pthread_mutex_consistent(mutex), 0);
		CHECK_EQ(pthread_mutex_unlock(mutex), 0);
	}
}

static void *asks(void *arg)
{
	void *head = NULL, *mine = NULL;
	size_t size = 0;

	CHECK(syscall(SYS_get_robust_list, 0, &mine, &size) == 0 && size == 24);
	CHECK(syscall(SYS_get_robust_list, gettid(), &head, &size) == 0 && head == mine);
	CHECK(syscall(SYS_get_robust_list, *(pid_t *)arg, &head, &size) == 0 && head && head != mine);
	CHECK_ERR(syscall(SYS_get_robust_list, 1 << 22, &head, &size), ESRCH);
	CHECK_ERR(syscall(SYS_restart_syscall), EINTR);
	return NULL;
}

int main(void)
{
	pid_t tid = gettid();
	int fd = memfd_create("words", 0);

	CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
	words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	also = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(words != MAP_FAILED && also != MAP_FAILED && words != also);
	operations();
	wakes_both();
	wakes_one();
	robust();
	thread_join(thread_start(asks, &tid));
	return pass();
}
