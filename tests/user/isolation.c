/*
 * What keeps a program in: every address that is not its own, by load, store, atomic, fetch and as a pointer for the kernel; instructions
 * and registers of the supervisor; data is not executed, text is not written; stacks do not grow into neighbours; forged signal frames
 * give no right. isolation_calls.c has pointers in all calls, isolation_leaks.c what is left behind by others.
 *
 *   isolation [SEED]
 */
#include "check.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <ucontext.h>

static uint64_t random_state = 1;
static int ends[2];

/* ---- Attempts: how an access, a jump or an instruction ended: the signal, or 0. */

typedef void (*attempt_fn)(uintptr_t at);

static int attempt(attempt_fn fn, uintptr_t at)
{
	if (sigsetjmp(probe_back, 1) != 0)
		return probe_signal;
	probe_armed = 1;
	fn(at);
	probe_armed = 0;
	return 0;
}

static void load(uintptr_t at)
{
	(void)*(volatile uint8_t *)at;
}

static void load_wide(uintptr_t at)
{
	(void)*(volatile uint64_t *)(at & ~7UL);
}

static void load_float(uintptr_t at)
{
	__asm__ volatile("fld fa0, 0(%0)" : : "r"(at & ~7UL) : "fa0", "memory");
}

static void store(uintptr_t at)
{
	*(volatile uint8_t *)at = 0x5a;
}

static void store_float(uintptr_t at)
{
	__asm__ volatile("fsd fa0, 0(%0)" : : "r"(at & ~7UL) : "memory");
}

static void add_atomic(uintptr_t at)
{
	__asm__ volatile("amoadd.d x0, %1, (%0)" : : "r"(at & ~7UL), "r"(1L) : "memory");
}

static void load_reserved(uintptr_t at)
{
	__asm__ volatile("lr.d t0, (%0)" : : "r"(at & ~7UL) : "t0", "memory");
}

static void jump(uintptr_t at)
{
	((void (*)(void))(at & ~1UL))();
}

static const attempt_fn accesses[] = {
	load, load_wide, load_float, store, store_float, add_atomic, load_reserved, jump
};

/* ---- Addresses that are nobody's. */

static const uint64_t bases[] = {
	0,
	0x1000,
	0x0000004000000000, /* where user space ends on Sv39 */
	0x0000007ffffff000,
	0x0000008000000000,
	0x00007ffffffff000,
	0x0100000000000000,
	0x4000000000000000,
	0x8000000000000000,
	0xffffff8000000000,
	0xffffffbffffff000,
	0xffffffc000000000, /* Corral's direct map: devices, the firmware, the kernel, other programs' frames */
	0xffffffc000100000,
	0xffffffc002000000,
	0xffffffc00c000000,
	0xffffffc010000000,
	0xffffffc010001000,
	0xffffffc080000000,
	0xffffffc080200000,
	0xffffffc084000000,
	0xffffffc08ffff000,
	0xffffffe000000000, /* its coremap */
	0xffffffe002000000,
	0xffffffe002008000,
	0xfffffffffffff000,
};

static void refused_access(uint64_t at)
{
	for (unsigned i = 0; i < COUNT(accesses); i++)
		if (attempt(accesses[i], at) != SIGSEGV) {
			fprintf(stderr, "access %u at %#llx\n", i, (unsigned long long)at);
			CHECK(!"no SIGSEGV");
		}
}

static void refused_pointer(uint64_t at)
{
	struct iovec part = { (void *)at, 8 };

	CHECK_ERR(write(ends[1], (void *)at, 8), EFAULT);
	CHECK_ERR(read(ends[0], (void *)at, 8), EFAULT);
	CHECK_ERR(writev(ends[1], &part, 1), EFAULT);
	CHECK_ERR(open((char *)at, O_RDONLY), EFAULT);
	CHECK(mprotect((void *)(at & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE) == -1);
	CHECK(mmap((void *)(at & ~(PAGE - 1)), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		   0) == MAP_FAILED ||
	      (at < 1UL << 38 && munmap((void *)(at & ~(PAGE - 1)), PAGE) == 0));
}

/* Steps of pages and of tables from each base; then anything with the upper half's bits. */
static void addresses(void)
{
	static const uint64_t step[] = { 0, 8, PAGE - 8, PAGE, 2 * PAGE, 16 * PAGE, 2 * MIB, 2 * MIB + PAGE, 64 * MIB };

	for (unsigned i = 0; i < COUNT(bases); i++)
		for (unsigned s = 0; s < COUNT(step); s++) {
			uint64_t at = bases[i] + step[s];

			if (at >= 0x10000 && at < 1UL << 38)
				continue;
			refused_access(at);
			refused_pointer(at);
		}
	for (uint64_t at = 0xffffffc080200000; at < 0xffffffc080400000; at += PAGE) {
		CHECK_EQ(attempt(load, at + 8 * (at / PAGE % 500)), SIGSEGV);
		CHECK_EQ(attempt(jump, at), SIGSEGV);
	}
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at = random_next(&random_state) * 0x9e3779b97f4a7c15;

		at = i % 4 == 0 ? at | 1UL << 63 : at >> (i % 3 * 8) | UINT64_MAX << 38;
		CHECK_EQ(attempt(accesses[i % COUNT(accesses)], at), SIGSEGV);
		if (i % 8 == 0)
			refused_pointer(at);
	}
}

/* From the last of the program's own bytes across the end of user space, and around to the start. */
static void lengths(void)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	struct iovec parts[2] = { { page, 16 }, { page, ~0UL >> 1 } };

	CHECK_ERR(write(ends[1], (void *)0x3fffffffff, 1UL << 40), EFAULT);
	CHECK(write(ends[1], (void *)0x3ffffffff8, ~0UL >> 1) == -1);
	CHECK(write(ends[1], page, ~0UL) == -1 || errno != 0);
	CHECK_ERR(writev(ends[1], parts, 2), EFAULT);
	CHECK(munmap((void *)0x3ffffff000, ~0UL - 0x3ffffff000) == -1);
	CHECK(munmap((void *)0xffffffc080200000, PAGE) == -1);
	CHECK(mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0xffffffc080200000) == MAP_FAILED);
	CHECK(mremap((void *)0xffffffc080200000, PAGE, PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(madvise((void *)0xffffffc080200000, PAGE, MADV_DONTNEED) == -1);
	CHECK_EQ((long)sbrk(0), (long)syscall(SYS_brk, 0xffffffc080200000));
	page[0] = 1;
}

/* ---- The supervisor's instructions. */

#define PRIVILEGED(name, code)                                                                                         \
	static void name(uintptr_t at)                                                                                 \
	{                                                                                                              \
		(void)at;                                                                                              \
		__asm__ volatile(code : : : "t0", "memory");                                                           \
	}

PRIVILEGED(read_sstatus, "csrr t0, sstatus")
PRIVILEGED(set_sum, "li t0, 1 << 18; csrs sstatus, t0")
PRIVILEGED(read_satp, "csrr t0, satp")
PRIVILEGED(write_satp, "csrw satp, x0")
PRIVILEGED(write_stvec, "csrw stvec, x0")
PRIVILEGED(write_sscratch, "csrw sscratch, x0")
PRIVILEGED(write_sie, "csrw sie, x0")
PRIVILEGED(read_mhartid, "csrr t0, mhartid")
PRIVILEGED(write_pmp, "csrw pmpcfg0, x0")
PRIVILEGED(return_s, ".word 0x10200073")    /* sret */
PRIVILEGED(return_m, ".word 0x30200073")    /* mret */
PRIVILEGED(fence_all, ".word 0x12000073")   /* sfence.vma */
PRIVILEGED(wait_for_it, ".word 0x10500073") /* wfi */

static void privileged(void)
{
	static const attempt_fn all[] = { read_sstatus,	  set_sum,   read_satp,	   write_satp, write_stvec,
					  write_sscratch, write_sie, read_mhartid, write_pmp,  return_s,
					  return_m,	  fence_all, wait_for_it };

	for (unsigned i = 0; i < COUNT(all); i++)
		CHECK_EQ(attempt(all[i], 0), SIGILL);
}

/* ---- Data and text. */

static uint32_t code_in_data[2] = { 0x00008067, 0x00008067 }; /* ret */
static const uint32_t code_in_constants[2] = { 0x00008067, 0x00008067 };

static void not_executed(void *at)
{
	CHECK_EQ(attempt(jump, (uintptr_t)at), SIGSEGV);
	CHECK(probe_address == at);
}

static void data_is_not_executed(void)
{
	uint32_t on_stack[2] = { 0x00008067, 0x00008067 };
	uint32_t *heap = malloc(64), *anon = map_anon(2 * PAGE), *shared = map_shared(PAGE);
	int fd = memfd_create("code", 0);
	uint32_t *file;

	CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0 && pwrite(fd, on_stack, 8, 0) == 8);
	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(file != MAP_FAILED && heap != NULL);
	memcpy(heap, on_stack, 8);
	memcpy(anon, on_stack, 8);
	memcpy((char *)anon + PAGE - 2, on_stack, 4); /* an instruction across two pages */
	memcpy(shared, on_stack, 8);
	not_executed(on_stack);
	not_executed(code_in_data);
	not_executed(heap);
	not_executed(anon);
	not_executed(shared);
	not_executed(file);
	CHECK(mprotect(anon, PAGE, PROT_READ | PROT_EXEC) == 0);
	CHECK_EQ(attempt(jump, (uintptr_t)anon), 0);
	CHECK_EQ(attempt(jump, (uintptr_t)anon + PAGE - 2), SIGSEGV); /* its second half is data */
	CHECK(probe_address == (char *)anon + PAGE);
	CHECK_EQ(attempt(store, (uintptr_t)anon), SIGSEGV);
	CHECK(mprotect(anon, PAGE, PROT_READ | PROT_WRITE) == 0);
	not_executed(anon);
	CHECK(mprotect(anon, PAGE, PROT_NONE) == 0);
	not_executed(anon);
	close(fd);
}

/* Neither the program nor the kernel on its behalf writes what the program may not write. */
static void not_written(const void *at)
{
	const unsigned char before = *(const volatile unsigned char *)at;

	CHECK_EQ(attempt(store, (uintptr_t)at), SIGSEGV);
	CHECK_EQ(attempt(add_atomic, (uintptr_t)at), SIGSEGV);
	CHECK_ERR(read(ends[0], (void *)(uintptr_t)at, 1), EFAULT);
	CHECK_ERR(clock_gettime(CLOCK_MONOTONIC, (void *)(uintptr_t)at), EFAULT);
	CHECK_EQ(*(const volatile unsigned char *)at, before);
}

static void text_is_not_written(void)
{
	char *page = map_anon(PAGE);

	memset(page, 7, PAGE);
	not_written((const void *)(uintptr_t)text_is_not_written);
	not_written((const void *)(uintptr_t)memcpy);
	not_written(code_in_constants);
	CHECK(mprotect(page, PAGE, PROT_READ) == 0);
	not_written(page);
	CHECK(mprotect(page, PAGE, PROT_NONE) == 0);
	CHECK_EQ(attempt(load, (uintptr_t)page), SIGSEGV);
	CHECK_ERR(write(ends[1], page, 8), EFAULT);
	CHECK_ERR(read(ends[0], page, 8), EFAULT);
}

/* ---- Stacks. */

/* A region that grows, with a neighbour some way below: the gap stays, and the neighbour is not touched. */
static void gap(uint64_t pages_below)
{
	char *area = map_aligned(2 * MIB, 2 * MIB);
	char *stack = area + 2 * MIB - PAGE;
	char *low = stack;

	CHECK(munmap(area, 2 * MIB) == 0);
	CHECK(mmap(stack, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN, -1, 0) == stack);
	CHECK(mmap(stack - (pages_below + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == stack - (pages_below + 1) * PAGE);
	memset(stack - (pages_below + 1) * PAGE, 3, PAGE);
	while (attempt(store, (uintptr_t)low - PAGE) == 0)
		low -= PAGE;
	CHECK_EQ((stack - low) / (long)PAGE, pages_below < 256 ? 0 : pages_below - 256);
	CHECK_ERR(read(ends[0], low - PAGE, 8), EFAULT); /* the kernel grows it no further */
	CHECK_EQ(*(stack - pages_below * PAGE - 1), 3);
	CHECK(munmap(area, 2 * MIB) == 0);
}

static char *overflow(char *above)
{
	volatile char here[3000];

	here[0] = 1;
	return above == here ? (char *)here : overflow((char *)here) + here[0];
}

/* The first stack ends by a fault, although something lies not far below it. */
static void endless(void *arg)
{
	char *neighbour = (char *)(((uintptr_t)&arg & ~(PAGE - 1)) - 4 * MIB);

	CHECK(mmap(neighbour, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	      neighbour);
	memset(neighbour, 0, MIB);
	overflow(NULL);
}

/* ---- Forged signal frames: the frame is the program's to write; what comes of it is what the program could do anyway. */

static void (*forge)(ucontext_t *context);
static volatile sig_atomic_t returned;

static void forging(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	forge(context);
}

static void pc_kernel(ucontext_t *context)
{
	context->uc_mcontext.__gregs[0] = 0xffffffc080200000;
}

static void pc_odd(ucontext_t *context)
{
	context->uc_mcontext.__gregs[0] = 0x3;
}

static void pc_noncanonical(ucontext_t *context)
{
	context->uc_mcontext.__gregs[0] = 0x0123456789abcdee;
}

static void pc_data(ucontext_t *context)
{
	context->uc_mcontext.__gregs[0] = (uintptr_t)code_in_data;
}

static void sp_kernel(ucontext_t *context)
{
	context->uc_mcontext.__gregs[2] = 0xffffffc080200000;
}

static void scribble(ucontext_t *context)
{
	for (size_t i = 0; i < sizeof(*context); i += 8)
		((uint64_t *)context)[i / 8] = random_next(&random_state) * 0x9e3779b97f4a7c15;
}

static void with_forged(void *arg)
{
	struct sigaction action = { .sa_sigaction = forging, .sa_flags = SA_SIGINFO };

	forge = (void (*)(ucontext_t *))arg;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	signal(SIGSEGV, SIG_DFL);
	raise(SIGUSR1);
	returned = 1;
}

/* All that is not a register of the program, and its floating-point control, with every bit set: it goes on as a program, or is ended. */
static void all_bits(ucontext_t *context)
{
	memset(context->__glibc_reserved, 0xff, sizeof(context->__glibc_reserved));
	context->__uc_flags = ~0UL;
	context->uc_link = (void *)0xffffffc080200000;
	context->uc_stack.ss_sp = (void *)0xffffffc080200000;
	context->uc_stack.ss_size = ~0UL;
	memset(&context->uc_sigmask, 0xff, sizeof(context->uc_sigmask));
	memset(&context->uc_mcontext.__fpregs, 0xff, sizeof(context->uc_mcontext.__fpregs));
}

static void still_a_program(void *arg)
{
	sigset_t mask;

	with_forged(arg);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
	CHECK(sigismember(&mask, SIGKILL) == 0 && sigismember(&mask, SIGSTOP) == 0);
	sigemptyset(&mask);
	CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
	probe_init();
	CHECK(signal(SIGILL, SIG_DFL) != SIG_ERR);
	refused_access(0xffffffc080200000);
	refused_access((uintptr_t)&code_in_constants & 0); /* page 0 */
	set_sum(0);					   /* SIGILL ends it: still in user mode */
}

/* The call itself, without a frame: what lies at sp is taken for one. */
static void return_at(void *arg)
{
	__asm__ volatile("mv sp, %0; li a7, 139; ecall; ebreak" : : "r"(arg) : "a7", "memory");
	__builtin_unreachable();
}

static void forged_frames(void)
{
	static void *const ends_it[] = { pc_kernel, pc_odd, pc_noncanonical, pc_data, sp_kernel };
	char *page = map_anon(2 * PAGE);
	pid_t pid;
	int status;

	for (unsigned i = 0; i < COUNT(ends_it); i++)
		child_dies(with_forged, ends_it[i], SIGSEGV);
	pid = child_fork();
	if (pid == 0) {
		still_a_program((void *)all_bits);
		_exit(1);
	}
	status = child_status(pid);
	CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGSEGV));
	child_dies(return_at, (void *)0xffffffc080200000, SIGSEGV);
	child_dies(return_at, (void *)0x8, SIGSEGV);
	CHECK(munmap(page + PAGE, PAGE) == 0);
	child_dies(return_at, page + PAGE - 64, SIGSEGV); /* half of it is there */
	child_dies(return_at, page + 3, SIGSEGV);	  /* zeros: pc 0 */
	for (unsigned i = 0; i < 100; i++) {
		random_next(&random_state);
		pid = child_fork();
		if (pid == 0) {
			with_forged((void *)scribble);
			_exit(1);
		}
		CHECK(WIFSIGNALED(child_status(pid)));
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO };

	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) * 2 + 1 : 1;
	CHECK(pipe(ends) == 0);
	CHECK_EQ(write(ends[1], "some bytes that nobody gets", 27), 27);
	probe_init();
	CHECK(sigaction(SIGILL, &action, NULL) == 0);
	addresses();
	lengths();
	privileged();
	data_is_not_executed();
	text_is_not_written();
	gap(1);
	gap(200);
	gap(300);
	signal(SIGSEGV, SIG_DFL);
	child_dies(endless, NULL, SIGSEGV);
	forged_frames();
	return pass();
}
