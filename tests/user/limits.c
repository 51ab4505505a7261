/*
 * RLIMIT_FSIZE: writes up to it, SIGXFSZ and EFBIG from there on, also for truncate and fallocate. RLIMIT_CPU: SIGXCPU at the
 * soft limit and each second after it, SIGKILL at the hard one; children have it, and count from nothing.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/resource.h>

static volatile sig_atomic_t signals;

static void count(int number)
{
	(void)number;
	signals++;
}

static void limit(int which, rlim_t soft, rlim_t hard)
{
	struct rlimit value = { soft, hard };

	CHECK_EQ(setrlimit(which, &value), 0);
}

static void sizes(int fd)
{
	static char bytes[3 * PAGE];
	struct sigaction action = { .sa_handler = count };

	CHECK(sigaction(SIGXFSZ, &action, NULL) == 0);
	limit(RLIMIT_FSIZE, 2 * PAGE + 5, RLIM_INFINITY);
	CHECK_EQ(write(fd, bytes, 10), 10);
	CHECK_EQ(write(fd, bytes, sizeof(bytes)), 2 * PAGE - 5);
	CHECK_EQ(signals, 0);
	CHECK_EQ(write(fd, bytes, 0), 0);
	CHECK_ERR(write(fd, bytes, 1), EFBIG);
	CHECK_EQ(signals, 1);
	CHECK_ERR(pwrite(fd, bytes, 1, 2 * PAGE + 5), EFBIG);
	CHECK_EQ(signals, 2);
	CHECK_EQ(pwrite(fd, bytes, 2, 2 * PAGE + 4), 1);
	CHECK_EQ(ftruncate(fd, 2 * PAGE + 5), 0);
	CHECK_ERR(ftruncate(fd, 2 * PAGE + 6), EFBIG);
	CHECK_EQ(signals, 3);
	CHECK_ERR(fallocate(fd, 0, 0, 3 * PAGE), EFBIG);
	CHECK_EQ(signals, 4);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 2 * PAGE + 5);
	limit(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY);
	CHECK_EQ(write(fd, bytes, 5), 5);
	/* It is longer than the limit already: what is there can be written, shorter it can become. */
	limit(RLIMIT_FSIZE, PAGE, RLIM_INFINITY);
	CHECK_EQ(pwrite(fd, bytes, 5, PAGE - 5), 5);
	CHECK_ERR(pwrite(fd, bytes, 5, PAGE), EFBIG);
	CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
	CHECK_EQ(signals, 5);
	signals = 0;
}

static void too_long(void *arg)
{
	limit(RLIMIT_FSIZE, 1, RLIM_INFINITY);
	CHECK_EQ(write(*(int *)arg, "ab", 2), 1);
	CHECK_EQ(write(*(int *)arg, "ab", 2), -1);
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void runs_out(void *arg)
{
	(void)arg;
	limit(RLIMIT_CPU, 1, RLIM_INFINITY);
	spin();
}

static void is_killed(void *arg)
{
	struct sigaction action = { .sa_handler = count };
	struct rlimit now;

	(void)arg;
	CHECK(sigaction(SIGXCPU, &action, NULL) == 0);
	limit(RLIMIT_CPU, 1, 3);
	while (signals < 2)
		__asm__ volatile("" ::: "memory");
	CHECK(getrlimit(RLIMIT_CPU, &now) == 0);
	CHECK_EQ(now.rlim_cur, 3);
	spin();
}

static void inherits(void *arg)
{
	limit(RLIMIT_CPU, 1, RLIM_INFINITY);
	/* Its child runs out, it does not: it only waits. */
	child_dies((void (*)(void *))(void *)spin, arg, SIGXCPU);
}

int main(void)
{
	int fd = open("/tmp/corral-limits", O_RDWR | O_CREAT | O_TRUNC, 0600), memory = memfd_create("limits", 0);

	if (fd < 0)
		fd = open("/corral-limits", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && memory >= 0);
	sizes(fd);
	limit(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY);
	sizes(memory);
	limit(RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY);
	signal(SIGXFSZ, SIG_DFL);
	CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	child_dies(too_long, &fd, SIGXFSZ);
	child_dies(runs_out, NULL, SIGXCPU);
	child_dies(is_killed, NULL, SIGKILL);
	child_run(inherits, NULL);
	unlink("/tmp/corral-limits");
	unlink("/corral-limits");
	return pass();
}
