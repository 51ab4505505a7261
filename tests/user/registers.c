/* Every integer register survives system calls, faults that are handled in the kernel, preemption, and handlers. */
#include "check.h"

#if defined(__riscv)
#define KEEP                                                                                                           \
	"s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t1", "t2", "t3", "t4", "a1", "a2", "a3", "a4"
#define EACH(op)                                                                                                       \
	op(s2, 2) op(s3, 3) op(s4, 4) op(s5, 5) op(s6, 6) op(s7, 7) op(s8, 8) op(s9, 9) op(s10, 10) op(s11, 11)        \
		op(t1, 12) op(t2, 13) op(t3, 14) op(t4, 15) op(a1, 18) op(a2, 19) op(a3, 20) op(a4, 21)
#define SET(name, number)  "li " #name ", " #number "*0x01010101\n\t"
#define TEST(name, number) "li t0, " #number "*0x01010101\n\tbne t0, " #name ", 2f\n\t"

static void across(long call, volatile char *touch, unsigned long spins)
{
	unsigned long bad = 1;

	__asm__ volatile(EACH(SET) "mv a7, %[call]\n\t"
				   "li a0, 0\n\t"
				   "ecall\n\t"
				   "sb zero, 0(%[touch])\n\t"
				   "mv t0, %[spins]\n"
				   "1:	addi t0, t0, -1\n\t"
				   "bnez t0, 1b\n\t" EACH(TEST) "li %[bad], 0\n"
								"2:\n"
			 : [bad] "+r"(bad)
			 : [call] "r"(call), [touch] "r"(touch), [spins] "r"(spins)
			 : KEEP, "t0", "a0", "a7", "memory");
	CHECK_EQ(bad, 0);
}

/* gp and s2, which each thread has something else in; no handler may run meanwhile, which would need its gp. */
static void across_gp(volatile char *touch, unsigned long spins)
{
	unsigned long bad;

	__asm__ volatile("mv t5, gp\n\t"
			 "mv gp, %[touch]\n\t"
			 "not s2, %[touch]\n\t"
			 "mv t0, %[spins]\n"
			 "1:	li a7, %[yield]\n\t"
			 "ecall\n\t"
			 "sb zero, 0(%[touch])\n\t"
			 "addi t0, t0, -1\n\t"
			 "bnez t0, 1b\n\t"
			 "sub t0, gp, %[touch]\n\t"
			 "not s2, s2\n\t"
			 "sub t1, s2, %[touch]\n\t"
			 "or %[bad], t0, t1\n\t"
			 "mv gp, t5\n"
			 : [bad] "=&r"(bad)
			 : [touch] "r"(touch), [spins] "r"(spins), [yield] "i"(SYS_sched_yield)
			 : "t0", "t1", "t5", "s2", "a0", "a7", "memory");
	CHECK_EQ(bad, 0);
}
#else
static void across_gp(volatile char *touch, unsigned long spins)
{
	(void)spins;
	*touch = 0;
}

static void across(long call, volatile char *touch, unsigned long spins)
{
	(void)call;
	(void)spins;
	*touch = 0;
}
#endif

static void repair(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	CHECK(mprotect((void *)((uintptr_t)info->si_addr & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void *worker(void *arg)
{
	enum { PAGES = 64 };
	char *at = map_anon(PAGES * PAGE);

	for (unsigned i = 0; i < PAGES; i++) {
		if (i % 4 == 3)
			CHECK(mprotect(at + i * PAGE, PAGE, PROT_READ) == 0);
		across(i % 2 ? SYS_getpid : SYS_sched_yield, at + i * PAGE, 1 + i * 1000);
		across_gp(at + i * PAGE, 1 + i * 10);
	}
	return arg;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = repair, .sa_flags = SA_SIGINFO };
	pthread_t threads[4];

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	for (unsigned i = 0; i < 4; i++)
		threads[i] = thread_start(worker, NULL);
	worker(NULL);
	for (unsigned i = 0; i < 4; i++)
		thread_join(threads[i]);
	return pass();
}
