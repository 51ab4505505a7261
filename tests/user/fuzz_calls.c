/*
 * Children make random calls of the memory and process interface with arguments from the edges of what there is.
 * They may end in any way, but the machine goes on, and this process's memory stays as it is. fuzz_calls [SEED]; it
 * is printed.
 */
#include "check.h"

enum { CHILDREN = 40, CALLS = 300, FUTEX_WAITV = 449, MSEAL = 462 };

static const long numbers[] = {
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_madvise,
	SYS_brk,
	SYS_mremap,
	SYS_msync,
	SYS_mincore,
	SYS_mlock,
	SYS_futex,
	SYS_set_robust_list,
	SYS_set_tid_address,
	SYS_clock_gettime,
	SYS_getrandom,
	SYS_uname,
	SYS_getcpu,
	SYS_sched_getaffinity,
	SYS_sched_setaffinity,
	SYS_sched_yield,
	SYS_sigaltstack,
	SYS_rt_sigprocmask,
	SYS_rt_sigaction,
	SYS_rt_sigpending,
	SYS_pipe2,
	SYS_wait4,
	SYS_getppid,
	SYS_sysinfo,
	SYS_getrusage,
	SYS_read,
	SYS_write,
	SYS_writev,
	SYS_readv,
	SYS_lseek,
	SYS_openat,
	SYS_newfstatat,
	SYS_execve,
	SYS_prlimit64,
	SYS_clone,
	SYS_shmget,
	SYS_shmat,
	SYS_shmdt,
	SYS_shmctl,
	FUTEX_WAITV,
	MSEAL,
	20000,
};

static uint64_t argument(uint64_t *random, char *area)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		3,
		4,
		7,
		8,
		4095,
		4096,
		4097,
		0x1000000,
		0x40000000,
		0x3ffffff000,
		0x4000000000,
		0x4000001000,
		0x7fffffff,
		0x80000000,
		0x80200000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xffffffc000000000,
		0xffffffc080200000,
		0xffffffe000000000,
		0xfffffffffffff000,
		0xffffffffffffffff,
		MAP_PRIVATE | MAP_ANONYMOUS,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		MAP_SHARED | MAP_ANONYMOUS,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_EXEC,
		2 << 20,
		1UL << 38,
		1UL << 45,
	};
	uint64_t kind = random_next(random) % 8;

	if (kind < 4)
		return edges[random_next(random) % COUNT(edges)];
	if (kind == 4)
		return random_next(random);
	if (kind == 5)
		return random_next(random) % 32;
	return (uintptr_t)area + random_next(random) % 64 * PAGE + (kind == 6 ? 0 : random_next(random) % PAGE);
}

/* Takes out what would wait for ever, talk on the console, or open what is not ours. */
static void tame(long number, uint64_t *a)
{
	static const struct timespec past = { 0, 1 };

	if (number == SYS_read || number == SYS_write || number == SYS_readv || number == SYS_writev)
		a[0] = 100 + a[0] % 50;
	if (number == SYS_getrandom)
		a[1] %= 1 << 20; /* it gives up to 2 GiB, and takes a minute for that */
	if (number == SYS_shmat || number == SYS_shmctl)
		a[0] %= 64;
	if (number == FUTEX_WAITV)
		a[3] = (uintptr_t)&past;
	if (number == SYS_futex)
		a[1] = 1 + a[1] % 2 * 128;
	if (number == SYS_wait4)
		a[2] |= WNOHANG;
	if (number == SYS_clone)
		a[0] = SIGCHLD | (a[0] & 0x80000000);
	if (number == SYS_openat)
		a[1] = a[1] % 4096;
	if (number == SYS_openat || number == SYS_execve || number == SYS_newfstatat)
		a[2] = 0;
	if (number == SYS_prlimit64)
		a[2] = 0;
}

static void child(uint64_t seed)
{
	uint64_t random = seed * 2654435761 + 1;
	char *area = map_anon(64 * PAGE);

	pages_write(area, 32 * PAGE, 1);
	for (int i = 0; i < CALLS; i++) {
		long number = numbers[random_next(&random) % COUNT(numbers)];
		uint64_t a[6];

		for (int j = 0; j < 6; j++)
			a[j] = argument(&random, area);
		tame(number, a);
		if (number == SYS_clone) {
			a[1] = 0;
			if (syscall(number, a[0] & 0xff, 0, 0, 0, 0) == 0)
				_exit(0);
			continue;
		}
		syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns();
	char *mine = map_anon(64 * PAGE);

	printf("fuzz_calls %llu\n", (unsigned long long)seed);
	fflush(stdout);
	pages_write(mine, 64 * PAGE, 9);
	for (unsigned i = 0; i < CHILDREN; i++) {
		pid_t pid = child_fork();

		if (pid == 0)
			child(seed + i);
		child_status(pid);
		pages_verify(mine, 64 * PAGE, 9);
	}
	return pass();
}
