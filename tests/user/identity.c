/* uname, process and thread ids, users, limits, getrandom, and the file descriptors a program starts with. */
#include "check.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static void *thread_ids(void *arg)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);

	CHECK_EQ(getpid(), *(pid_t *)arg);
	CHECK(tid != getpid() && tid > 0);
	return NULL;
}

static void randomness(void)
{
	unsigned char first[256] = { 0 }, second[256] = { 0 };
	unsigned bits = 0;

	CHECK_EQ(getrandom(first, sizeof(first), 0), sizeof(first));
	CHECK_EQ(getrandom(second, sizeof(second), GRND_NONBLOCK), sizeof(second));
	CHECK(memcmp(first, second, sizeof(first)) != 0);
	for (unsigned i = 0; i < sizeof(first); i++)
		bits += (unsigned)__builtin_popcount(first[i]);
	CHECK(bits > 800 && bits < 1250);
	CHECK_ERR(getrandom(first, 1, 0xff00), EINVAL);
	CHECK_EQ(getrandom(first, 0, 0), 0);
}

static void limits(void)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
	CHECK(limit.rlim_cur > 0 && limit.rlim_cur <= limit.rlim_max);
	CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(limit.rlim_cur >= 64);
	CHECK_ERR(getrlimit((__rlimit_resource_t)1000, &limit), EINVAL);
}

static void descriptors(void)
{
	int fd, ends[2];

	for (fd = 0; fd < 3; fd++)
		CHECK(fcntl(fd, F_GETFD) >= 0);
	CHECK_ERR(read(12345, &fd, 1), EBADF);
	CHECK_ERR(write(-1, &fd, 1), EBADF);
	CHECK_ERR(close(500), EBADF);
	CHECK_ERR(open("/no/such/file", O_RDONLY), ENOENT);
	CHECK(pipe(ends) == 0);
	fd = dup(ends[0]);
	CHECK(fd >= 0 && fd != ends[0]);
	CHECK(dup2(ends[1], 40) == 40);
	CHECK_EQ(write(40, "d", 1), 1);
	CHECK(close(ends[0]) == 0);
	CHECK_ERR(close(ends[0]), EBADF);
	char got = 0;
	CHECK_EQ(read(fd, &got, 1), 1);
	CHECK_EQ(got, 'd');
	CHECK_ERR(read(ends[1], &got, 1), EBADF);
	CHECK_ERR(write(fd, &got, 1), EBADF);
}

int main(void)
{
	struct utsname name;
	pid_t pid = getpid(), child;

	CHECK(uname(&name) == 0);
	CHECK(name.sysname[0] && name.release[0] && name.version[0]);
	CHECK(strcmp(name.machine, "riscv64") == 0 || strcmp(name.machine, "x86_64") == 0);
	CHECK(pid > 0 && syscall(SYS_gettid) == pid);
	thread_join(thread_start(thread_ids, &pid));
	child = child_fork();
	if (child == 0) {
		CHECK_EQ(getppid(), pid);
		CHECK(getpid() != pid && syscall(SYS_gettid) == getpid());
		_exit(0);
	}
	child_wait(child);
	CHECK_EQ(getuid(), geteuid());
	CHECK_EQ(getgid(), getegid());
	randomness();
	limits();
	descriptors();
	return pass();
}
