/*
 * Floating-point registers and fcsr belong to their thread: kept over preemption, moves between harts, system calls,
 * faults and signal handlers that use them, and copied to a child.
 */
#include "check.h"

enum { THREADS = 6, PROCESSES = 3, ROUNDS = 40 };

#if defined(__riscv)
#define EACH(op)                                                                                                       \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15) op(16)   \
		op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) op(29) op(30)      \
			op(31)
#define LOAD(n)	 "fld f" #n ", 8*" #n "(%[in])\n\t"
#define STORE(n) "fsd f" #n ", 8*" #n "(%[out])\n\t"
#define CLOBBERS                                                                                                       \
	"ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11", "fs0", "fs1", "fs2",     \
		"fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "fa0", "fa1", "fa2", "fa3", "fa4",    \
		"fa5", "fa6", "fa7", "memory", "a0", "a1", "a2", "a7", "t0"

/* All 32 are loaded, `spins` turns and then the system call `number` pass, all 32 are stored. No C code in between. */
static void hold(const uint64_t *in, uint64_t *out, unsigned long spins, long number, unsigned long rounding)
{
	unsigned long flags;

	__asm__ volatile("fscsr %[mode]\n\t" EACH(LOAD) "mv t0, %[spins]\n"
							"1:	addi t0, t0, -1\n\t"
							"bnez t0, 1b\n\t"
							"mv a7, %[number]\n\t"
							"li a0, 0\n\t"
							"li a1, 0\n\t"
							"ecall\n\t" EACH(STORE) "frcsr %[flags]\n\t"
										"fscsr zero\n\t"
			 : [flags] "=&r"(flags)
			 : [in] "r"(in), [out] "r"(out), [spins] "r"(spins), [number] "r"(number), [mode] "r"(rounding)
			 : CLOBBERS);
	CHECK_EQ(flags, rounding);
}
#else
static void hold(const uint64_t *in, uint64_t *out, unsigned long spins, long number, unsigned long rounding)
{
	(void)rounding;
	for (volatile unsigned long i = 0; i < spins; i++)
		;
	syscall(number, 0, 0);
	memcpy(out, in, 32 * 8);
}
#endif

static void rounds(unsigned me)
{
	uint64_t in[32], out[32];

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 32; i++)
			in[i] = pattern(me * 1000 + round, i);
		hold(in, out, 1 + (round % 8) * 20000, round % 2 ? SYS_sched_yield : SYS_getpid,
		     (me + round) % 5 << 5 | round % 32);
		for (unsigned i = 0; i < 32; i++)
			CHECK_EQ(out[i], in[i]);
	}
}

static void *thread(void *arg)
{
	rounds((unsigned)(uintptr_t)arg);
	return NULL;
}

static volatile double product = 1.5;

static void handler(int number)
{
	uint64_t in[32] = { 1, 2, 3 }, out[32];

	(void)number;
	product = product * 1.25;
	hold(in, out, 1, SYS_getpid, 0);
}

/* The handler runs in the middle: at the system call that sends the signal. */
static void over_handler(void)
{
	uint64_t in[32], out[32];

	signal(SIGUSR1, handler);
	for (unsigned round = 0; round < 20; round++) {
		double before = product;
		pid_t pid = getpid();

		for (unsigned i = 0; i < 32; i++)
			in[i] = pattern(round, i);
#if defined(__riscv)
		unsigned long flags;

		__asm__ volatile("fscsr %[mode]\n\t" EACH(LOAD) "mv a0, %[pid]\n\t"
								"li a1, 10\n\t"
								"li a7, 129\n\t"
								"ecall\n\t" EACH(STORE) "frcsr %[flags]\n\t"
											"fscsr zero\n\t"
				 : [flags] "=&r"(flags)
				 : [in] "r"(in), [out] "r"(out), [pid] "r"((long)pid), [mode] "r"(3UL << 5 | 9)
				 : CLOBBERS);
		CHECK_EQ(flags, 3 << 5 | 9);
#else
		kill(pid, SIGUSR1);
		memcpy(out, in, sizeof(out));
#endif
		CHECK(product == before * 1.25);
		for (unsigned i = 0; i < 32; i++)
			CHECK_EQ(out[i], in[i]);
	}
}

/* fork itself: both sides find the registers as they were. */
static void over_fork(void)
{
	volatile double kept = 3.25;
	double a = kept * 2, b = kept * 3;
	pid_t pid;

	__asm__ volatile("" : : : "memory");
	pid = child_fork();
	CHECK(a == 6.5 && b == 9.75);
	if (pid == 0) {
		rounds(77);
		_exit(0);
	}
	rounds(78);
	child_wait(pid);
}

int main(void)
{
	pthread_t threads[THREADS];
	pid_t pids[PROCESSES];

	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			rounds(100 + i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(thread, (void *)(uintptr_t)i);
	over_handler();
	over_fork();
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	for (unsigned i = 0; i < PROCESSES; i++)
		child_wait(pids[i]);
	return pass();
}
