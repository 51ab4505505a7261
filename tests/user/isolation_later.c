/*
 * Pointers that the kernel keeps and uses later, or reads more than once: the word that a thread's end clears, robust lists, stacks and handlers of signals,
 * arguments of execve that change while they are copied. None writes what the program may not write, none reads on behalf of it what it may not
 * read, whatever it says by then. And what page tables, stacks and structures of the kernel were made of is zeros when somebody gets it.
 *
 *   isolation_later; with "args": what an executable was given
 */
#include "check.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/socket.h>

#define KERNEL 0xffffffc080200000UL
#define SECRET UINT64_C(0x5ec3e75ec3e75ec3)

enum { FRESH = 16 << 20, EXECS = 12, LONG = 3000, ROUNDS = 200 };

/* ---- Words that a thread's end writes. */

static const uint32_t constant[16] = { 0x600df00d };
static char *unwritable, *gone; /* a page that is only read; one that is not there, behind one that is */

struct ending {
	void (*before)(uintptr_t at);
	uintptr_t at;
	_Atomic pid_t tid;
};

/* A thread that ends without libc's help: what it has said to the kernel is all that is left. */
static void *end_after(void *arg)
{
	struct ending *ending = arg;

	ending->before(ending->at);
	atomic_store(&ending->tid, (pid_t)syscall(SYS_gettid));
	syscall(SYS_exit, 0);
	return NULL;
}

static void in_a_thread(void (*before)(uintptr_t), uintptr_t at)
{
	struct ending ending = { .before = before, .at = at };

	(void)thread_start(end_after, &ending);
	while (atomic_load(&ending.tid) == 0 || syscall(SYS_tgkill, getpid(), ending.tid, 0) == 0)
		relax();
	CHECK_EQ(errno, ESRCH);
}

static void clear_there(uintptr_t at)
{
	CHECK(syscall(SYS_set_tid_address, at) > 0);
}

static struct robust_list_head head;
static struct robust_list entry[4];

static void say_list(void *at)
{
	CHECK(syscall(SYS_set_robust_list, at, sizeof(head)) == 0);
}

static void list_there(uintptr_t at)
{
	say_list((void *)at);
}

static void entry_there(uintptr_t at)
{
	head = (struct robust_list_head){ .list.next = (struct robust_list *)at };
	say_list(&head);
}

static void pending_there(uintptr_t at)
{
	head = (struct robust_list_head){ .list.next = &head.list, .list_op_pending = (struct robust_list *)at };
	say_list(&head);
}

/* The entry is the program's, the word that belongs to it is not. */
static void word_there(uintptr_t at)
{
	entry[0].next = &head.list;
	head = (struct robust_list_head){ .list.next = &entry[0], .futex_offset = (long)(at - (uintptr_t)&entry[0]) };
	say_list(&head);
}

static void circle(uintptr_t at)
{
	(void)at;
	entry[0].next = &entry[1];
	entry[1].next = &entry[0];
	head = (struct robust_list_head){ .list.next = &entry[0], .futex_offset = 64 };
	say_list(&head);
}

/* The word says that this thread has it, but may only be read: it must still say so. */
static void owned_there(uintptr_t at)
{
	CHECK(mprotect((void *)(at & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE) == 0);
	*(volatile uint32_t *)at = (uint32_t)syscall(SYS_gettid);
	CHECK(mprotect((void *)(at & ~(PAGE - 1)), PAGE, PROT_READ) == 0);
	word_there(at);
}

static void ends_of_threads(void)
{
	void (*const befores[])(
		uintptr_t) = { clear_there, list_there, entry_there, pending_there, word_there, circle };
	const uint32_t text = *(const volatile uint32_t *)(uintptr_t)ends_of_threads;
	const uintptr_t at[] = { KERNEL,
				 KERNEL + 2,
				 0xffffffe000000000,
				 0x4000000000,
				 UINTPTR_MAX - 3,
				 8,
				 1,
				 (uintptr_t)ends_of_threads,
				 (uintptr_t)constant,
				 (uintptr_t)unwritable + 16,
				 (uintptr_t)gone,
				 (uintptr_t)gone - 4,
				 (uintptr_t)gone - 2 };

	memset(unwritable, 0x77, PAGE);
	CHECK(mprotect(unwritable, PAGE, PROT_READ) == 0);
	for (unsigned i = 0; i < COUNT(befores); i++)
		for (unsigned k = 0; k < COUNT(at); k++)
			in_a_thread(befores[i], at[k]);
	CHECK_EQ(*(const volatile uint32_t *)(uintptr_t)ends_of_threads, text);
	CHECK_EQ(*(const volatile uint32_t *)constant, 0x600df00d);
	for (unsigned i = 0; i < PAGE; i++)
		CHECK_EQ(unwritable[i], 0x77);
	in_a_thread(owned_there, (uintptr_t)unwritable + 64);
	CHECK((*(volatile uint32_t *)(unwritable + 64) & FUTEX_TID_MASK) != 0);
	CHECK((*(volatile uint32_t *)(unwritable + 64) & FUTEX_OWNER_DIED) == 0);
}

/* The list is changed while ends of threads go along it. */
static _Atomic bool enough;

static void *change_list(void *arg)
{
	static const uintptr_t to[] = { KERNEL, 8, 0x3ffffffff8, UINTPTR_MAX & ~7UL };
	uint64_t chance = 5;

	while (!atomic_load(&enough)) {
		uint64_t n = random_next(&chance);

		*(struct robust_list *volatile *)&entry[n % 4].next =
			n % 3 == 0 ? (struct robust_list *)to[n / 16 % 4] : &entry[n / 16 % 4];
		*(volatile long *)&head.futex_offset = n % 5 == 0 ? (long)KERNEL : (long)(n % 64);
	}
	return arg;
}

static void changing_list(uintptr_t at)
{
	(void)at;
	head.list.next = &entry[0];
	say_list(&head);
}

static void lists_that_change(void *arg)
{
	pthread_t thread = thread_start(change_list, arg);

	for (unsigned i = 0; i < ROUNDS; i++)
		in_a_thread(changing_list, 0);
	atomic_store(&enough, true);
	CHECK(thread_join(thread) == arg);
}

/* ---- Signals: where the frame goes, and where it leads. */

static void handle(int number)
{
	_exit(number == SIGUSR1 ? 7 : 8);
}

static void frame_at(void *arg)
{
	stack_t stack = { .ss_sp = arg, .ss_size = 64 * KIB };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };

	if (sigaltstack(&stack, NULL) != 0)
		raise(SIGSEGV);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
}

static void handler_at(void *arg)
{
	struct sigaction action = { .sa_handler = (void (*)(int))(uintptr_t)arg };

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
}

static void signals(void)
{
	char *text = (char *)((uintptr_t)signals & ~(PAGE - 1));
	char *readable = mmap(NULL, 64 * KIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(readable != MAP_FAILED);
	child_dies(frame_at, (void *)KERNEL, SIGSEGV);
	child_dies(frame_at, (void *)(UINTPTR_MAX - 64 * KIB + 1), SIGSEGV);
	child_dies(frame_at, (void *)(0x4000000000 - 4 * KIB), SIGSEGV);
	child_dies(frame_at, (void *)8, SIGSEGV);
	child_dies(frame_at, readable, SIGSEGV);
	child_dies(frame_at, text - 64 * KIB + PAGE, SIGSEGV);
	child_dies(handler_at, (void *)KERNEL, SIGSEGV);
	child_dies(handler_at, unwritable, SIGSEGV);
	child_dies(handler_at, gone, SIGSEGV);
}

/* ---- Arguments that change while execve copies them: no more comes than there was room for, and nothing else. */

static char changing[2 * LONG];

static void *change_argument(void *arg)
{
	for (uint64_t n = 0;; n++) {
		((volatile char *)changing)[LONG / 2] = n % 2 == 0 ? 0 : 'a';
		((volatile char *)changing)[LONG] = n % 3 == 0 ? 'b' : 0;
	}
	return arg;
}

static void arguments_that_change(void *arg)
{
	char *argv[] = { "isolation_later", "args", changing, "last", NULL };

	(void)arg;
	memset(changing, 'a', LONG);
	memset(changing + LONG + 1, 'b', LONG - 2);
	(void)thread_start(change_argument, NULL);
	execv(self_path(), argv);
	CHECK(!"execve");
}

/* Linux copies as many bytes as it has counted before: an end may have come between them, and the rest is the next argument. */
static int given(int argc, char **argv)
{
	CHECK_EQ(argc, 4);
	CHECK(argv[4] == NULL);
	for (unsigned i = 2; i < 4; i++) {
		CHECK(strlen(argv[i]) < sizeof(changing));
		for (const char *at = argv[i]; *at != 0; at++)
			CHECK(strchr("ablst", *at) != NULL);
	}
	return 0;
}

static void arguments(void)
{
	char *bad[] = { "x", (char *)KERNEL, NULL };
	char **last = (char **)gone - 1;

	CHECK_ERR(execv(self_path(), bad), EFAULT);
	bad[1] = gone;
	CHECK_ERR(execv(self_path(), bad), EFAULT);
	memset(gone - PAGE, 'x', PAGE); /* a string that does not end */
	bad[1] = gone - 16;
	CHECK_ERR(execv(self_path(), bad), EFAULT);
	*last = "an array that does not end";
	CHECK_ERR(execv(self_path(), last), EFAULT);
	CHECK_ERR(execv(self_path(), (char **)KERNEL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, self_path(), NULL, KERNEL), EFAULT);
	for (unsigned i = 0; i < EXECS; i++)
		child_run(arguments_that_change, NULL);
}

/* ---- What the kernel was made of. */

static int ready[2], held[2];

static void wait_here(void *arg)
{
	char byte;

	(void)arg;
	CHECK_EQ(write(ready[1], "r", 1), 1);
	(void)read(held[0], &byte, 1);
}

/* Tables of two levels, thousands of them; pipes, sockets, threads, processes; all of it full of addresses. */
static void use_the_kernel(void *arg)
{
	char *area = mmap(NULL, 2 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t message[8];
	pid_t pid[30];
	int fd[2];

	(void)arg;
	CHECK(area != MAP_FAILED);
	for (uint64_t at = 0; at < 2 * GIB; at += 2 * MIB)
		(void)*(volatile char *)(area + at);
	for (unsigned i = 0; i < COUNT(message); i++)
		message[i] = SECRET;
	for (unsigned i = 0; i < 60; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		CHECK(send(fd[0], message, sizeof(message), 0) == sizeof(message));
		CHECK(pipe(fd) == 0 && write(fd[1], message, sizeof(message)) == sizeof(message));
	}
	CHECK(pipe(ready) == 0 && pipe(held) == 0);
	for (unsigned i = 0; i < COUNT(pid); i++) {
		char byte;

		pid[i] = child_fork();
		if (pid[i] == 0) {
			close(held[1]);
			wait_here(NULL);
			_exit(0);
		}
		CHECK_EQ(read(ready[0], &byte, 1), 1);
	}
	close(held[1]);
	for (unsigned i = 0; i < COUNT(pid); i++)
		child_wait(pid[i]);
}

static void find_zeros(void *arg)
{
	uint64_t *area = map_anon(FRESH), *shared = map_shared(MIB);

	(void)arg;
	for (unsigned i = 0; i < FRESH / 8; i += PAGE / 4)
		area[i] = 0; /* each page by a write, or with its neighbours by a read */
	for (unsigned i = 0; i < FRESH / 8; i++)
		CHECK_EQ(area[i], 0);
	for (unsigned i = 0; i < MIB / 8; i++)
		CHECK_EQ(shared[i], 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "args") == 0)
		return given(argc, argv);
	unwritable = map_anon(PAGE);
	gone = (char *)map_anon(2 * PAGE) + PAGE;
	CHECK(munmap(gone, PAGE) == 0);
	ends_of_threads();
	child_run(lists_that_change, NULL);
	signals();
	arguments();
	for (unsigned i = 0; i < 3; i++) {
		child_run(use_the_kernel, NULL);
		child_run(find_zeros, NULL);
	}
	return pass();
}
