/*
 * Calls about signals, timers and processes with arguments that are anything: whatever becomes of the children that make
 * them, all end, and the kernel goes on.
 */
#include "check.h"

#include <sys/prctl.h>

static const int numbers[] = {
	SYS_getitimer,
	SYS_setitimer,
	SYS_timer_create,
	SYS_timer_settime,
	SYS_timer_gettime,
	SYS_timer_getoverrun,
	SYS_timer_delete,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_rt_sigtimedwait,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigpending,
	SYS_sigaltstack,
	SYS_tgkill,
	SYS_tkill,
	SYS_waitid,
	SYS_wait4,
	SYS_prctl,
	SYS_setpgid,
	SYS_getpgid,
	SYS_getsid,
	SYS_setsid,
	SYS_getpriority,
	SYS_setpriority,
	SYS_sched_setscheduler,
	SYS_sched_setparam,
	SYS_sched_getparam,
	SYS_get_robust_list,
	SYS_set_robust_list,
	SYS_futex,
	SYS_clone3,
	SYS_umask,
	SYS_nanosleep,
	SYS_clock_nanosleep,
	SYS_setresuid,
	SYS_setgroups,
	SYS_getgroups,
	SYS_clock_getres,
	SYS_restart_syscall,
};

static char *page; /* what is behind it is not mapped */

static long argument(uint64_t *random)
{
	uint64_t choice = random_next(random);

	switch (choice % 10) {
	case 0:
		return (long)(choice >> 8);
	case 1:
		return -(long)(choice >> 8 & 3);
	case 2:
		return (long)(page + PAGE - (choice >> 8 & 63));
	case 3:
		return (long)(0xffffffc080200000UL + (choice >> 8 & 4095));
	case 4:
		return getpid();
	case 5:
	case 6:
		return (long)(page + (choice >> 8 & 0xff8));
	default:
		return (long)(choice >> 8 & 31);
	}
}

static void child(uint64_t random)
{
	CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	for (int i = 1; i < 65; i++)
		if (i != SIGSEGV && i != SIGBUS && i != SIGILL)
			signal(i, SIG_IGN);
	for (int i = 0; i < 1500; i++) {
		int number = numbers[random_next(&random) % COUNT(numbers)];
		long a[6];

		for (int j = 0; j < 6; j++)
			a[j] = argument(&random);
		for (int j = 0; j < 8; j++)
			((uint64_t *)(void *)page)[random_next(&random) % 512] = (uint64_t)argument(&random);
		/* What would wait does not, and nobody but this process is meant. */
		if (number == SYS_wait4)
			a[2] |= WNOHANG;
		if (number == SYS_waitid)
			a[3] |= WNOHANG;
		if (number == SYS_futex && (a[1] & 127) != 1)
			a[1] = 5;
		if (number == SYS_tgkill || number == SYS_rt_tgsigqueueinfo || number == SYS_rt_sigqueueinfo ||
		    number == SYS_tkill)
			a[0] = getpid();
		if (number == SYS_rt_sigtimedwait || number == SYS_nanosleep || number == SYS_clock_nanosleep)
			a[2] = a[0] = (long)memset(page + 1024, 0, 16);
		if (number == SYS_clone3)
			a[0] = (long)page + 4088;
		if (number == SYS_setpriority || number == SYS_prctl)
			a[1] = 0;
		syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t random = argc > 1 ? strtoull(argv[1], NULL, 0) + 1 : 1;
	int status;

	page = map_anon(2 * PAGE);
	CHECK(munmap(page + PAGE, PAGE) == 0);
	for (int round = 0; round < 60; round++) {
		uint64_t seed = random_next(&random) + 1;
		pid_t pid = child_fork();
		int waited;

		if (pid == 0)
			child(seed);
		do {
			waited = waitpid(pid, &status, WUNTRACED);
			if (waited == pid && WIFSTOPPED(status))
				CHECK(kill(pid, SIGKILL) == 0);
		} while (waited == pid && WIFSTOPPED(status));
		CHECK_EQ(waited, pid);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	CHECK_EQ(errno, ECHILD);
	return pass();
}
