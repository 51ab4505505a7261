/*
 * Every system call that takes a pointer is given addresses of the kernel, non-canonical ones, ones just below and
 * above what a program may have, and unmapped ones: EFAULT (or, where the kernel refuses something else first,
 * that), never a panic, and never a byte of the kernel's memory read or written.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/futex.h>

static const uint64_t bad[] = {
	0x8,
	0xffffffc080200000, /* Corral's text */
	0xffffffc080200001,
	0xffffffc000000000, /* its direct map */
	0xffffffe000000000, /* its coremap */
	0xffffffffffffffff,
	0xfffffffffffffff8,
	0xfffffffffffff000,
	0x8000000000000000,
	0x0000004000000000, /* the first address no program has on Sv39 */
	0x0000003ffffffff8,
	0xffffffbffffffff8,
	0x00ffffc080200000,
	0x80200000, /* where the kernel lies in physical memory, and devices */
	0x10000000,
	0x100000,
};

static int ends[2];

static bool fault_or(long result, int other)
{
	return result == -1 && (errno == EFAULT || errno == ENOSYS || errno == other);
}

static void input_output(uint64_t at)
{
	static struct {
		uint64_t base, bytes;
	} part;

	CHECK(fault_or(syscall(SYS_write, ends[1], at, 1), 0));
	CHECK(fault_or(syscall(SYS_write, ends[1], at, 10000), 0));
	CHECK(fault_or(syscall(SYS_read, ends[0], at, 1), 0));
	part.base = at;
	part.bytes = 16;
	CHECK(fault_or(syscall(SYS_writev, ends[1], &part, 1), 0));
	CHECK(fault_or(syscall(SYS_readv, ends[0], &part, 1), 0));
	CHECK(fault_or(syscall(SYS_writev, ends[1], at, 1), 0));
	CHECK(fault_or(syscall(SYS_pipe2, at, 0), 0));
	CHECK(fault_or(syscall(SYS_openat, AT_FDCWD, at, O_RDONLY), 0));
	CHECK(fault_or(syscall(SYS_newfstatat, AT_FDCWD, at, &part, 0), 0));
	CHECK(fault_or(syscall(SYS_newfstatat, AT_FDCWD, "/", at, 0), 0));
	CHECK(fault_or(syscall(SYS_fstat, ends[0], at), 0));
	CHECK(fault_or(syscall(SYS_readlinkat, AT_FDCWD, at, at, 100), 0));
}

static void processes(uint64_t at)
{
	static char *const arguments[] = { "x", NULL };
	pid_t pid = child_fork();

	if (pid == 0)
		_exit(0);
	CHECK(fault_or(syscall(SYS_wait4, pid, at, 0, 0), 0));
	/* Linux reaps it although the status could not be stored. */
	CHECK(waitpid(pid, NULL, 0) == pid || errno == ECHILD);
	CHECK(fault_or(syscall(SYS_execve, at, arguments, arguments), 0));
	CHECK(fault_or(syscall(SYS_execve, self_path(), at, arguments), 0));
	CHECK(fault_or(syscall(SYS_execve, self_path(), arguments, at), 0));
	CHECK(fault_or(syscall(SYS_uname, at), 0));
	CHECK(fault_or(syscall(SYS_prlimit64, 0, 7, 0, at), 0));
	CHECK(fault_or(syscall(SYS_prlimit64, 0, 7, at, 0), 0));
	CHECK(fault_or(syscall(SYS_sched_getaffinity, 0, 128, at), EINVAL));
	CHECK(fault_or(syscall(SYS_sched_setaffinity, 0, 128, at), EINVAL));
	CHECK(fault_or(syscall(SYS_getcpu, at, 0, 0), 0));
	CHECK(fault_or(syscall(SYS_getrandom, at, 16, 0), 0));
	CHECK(fault_or(syscall(SYS_sysinfo, at), 0));
	CHECK(fault_or(syscall(SYS_getrusage, 0, at), 0));
}

static void signals_and_time(uint64_t at)
{
	CHECK(fault_or(syscall(SYS_rt_sigaction, SIGUSR1, at, 0, 8), EINVAL));
	CHECK(fault_or(syscall(SYS_rt_sigaction, SIGUSR1, 0, at, 8), EINVAL));
	CHECK(fault_or(syscall(SYS_rt_sigprocmask, SIG_BLOCK, at, 0, 8), EINVAL));
	CHECK(fault_or(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, at, 8), EINVAL));
	CHECK(fault_or(syscall(SYS_sigaltstack, at, 0), 0));
	CHECK(fault_or(syscall(SYS_sigaltstack, 0, at), 0));
	CHECK(fault_or(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, at), 0));
	CHECK(fault_or(syscall(SYS_clock_getres, CLOCK_MONOTONIC, at), 0));
	CHECK(fault_or(syscall(SYS_nanosleep, at, 0), 0));
	CHECK(fault_or(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, at, 0), 0));
	CHECK(fault_or(syscall(SYS_futex, at, FUTEX_WAIT, 0, 0, 0, 0), EINVAL));
	CHECK(fault_or(syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0), EINVAL));
}

/* Addresses that are kept and used when the thread ends: they must not be written through. */
static void at_exit_of_thread(void *arg)
{
	uint64_t at = *(uint64_t *)arg;

	syscall(SYS_set_tid_address, at);
	syscall(SYS_set_robust_list, at, 24);
	syscall(SYS_exit, 0);
}

/* A jump, or a load, to the address is a SIGSEGV of this process. */
static void jumps(void *arg)
{
	((void (*)(void)) * (uintptr_t *)arg)();
}

static void loads(void *arg)
{
	(void)*(volatile char *)*(uintptr_t *)arg;
}

static void stores(void *arg)
{
	*(volatile char *)*(uintptr_t *)arg = 1;
}

int main(void)
{
	CHECK(pipe(ends) == 0);
	CHECK_EQ(write(ends[1], "some bytes that nobody gets", 27), 27);
	for (unsigned i = 0; i < COUNT(bad); i++) {
		uint64_t at = bad[i];

		input_output(at);
		processes(at);
		signals_and_time(at);
		child_run(at_exit_of_thread, &at);
		child_dies(loads, &at, SIGSEGV);
		child_dies(stores, &at, SIGSEGV);
		child_dies(jumps, &at, SIGSEGV);
	}
	return pass();
}
