/*
 * A signal that finds no stack to be delivered on ends the process: the stack pointer in the kernel, unmapped,
 * read-only or unaligned; and sigreturn from a frame that is not there does too.
 */
#include "check.h"

static void handler(int number)
{
	(void)number;
}

static void with_stack(void *arg)
{
	struct sigaction action = { .sa_handler = handler };
	uintptr_t stack = (uintptr_t)arg;

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
#if defined(__riscv)
	__asm__ volatile("mv sp, %0\n\tsd zero, 0(zero)" : : "r"(stack) : "memory");
#else
	__asm__ volatile("mov %0, %%rsp\n\tmovb $0, 0" : : "r"(stack) : "memory");
#endif
}

static void returns_from_nothing(void *arg)
{
	uintptr_t stack = (uintptr_t)arg;

#if defined(__riscv)
	__asm__ volatile("mv sp, %0\n\tli a7, 139\n\tecall\n\tunimp" : : "r"(stack) : "memory");
#else
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" : : "r"(stack) : "memory");
#endif
}

int main(void)
{
	char *readonly = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = map_anon(4 * PAGE);
	void *const stacks[] = { NULL,
				 (void *)16,
				 readonly + 4 * PAGE,
				 gone + 2 * PAGE,
				 (void *)0xffffffc080400000UL,
				 (void *)~0UL,
				 (void *)0xffffffc080400007UL,
				 (void *)0x4000000000UL };

	CHECK(readonly != MAP_FAILED);
	CHECK(munmap(gone, 4 * PAGE) == 0);
	for (unsigned i = 0; i < COUNT(stacks); i++) {
		child_dies(with_stack, stacks[i], SIGSEGV);
		child_dies(returns_from_nothing, stacks[i], SIGSEGV);
	}
	return pass();
}
