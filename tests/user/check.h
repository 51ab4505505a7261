/*
 * What every test program of this folder shares. The programs are plain Linux C: they pass on Linux (natively, and
 * under qemu-riscv64) and on Corral, and may rely on nothing else.
 *
 * A program prints "ok" and exits with 0 when every promise it tests holds; at the first broken one it prints the
 * file, line, condition and errno, and ends its whole process with 1. A parent checks its children with
 * child_wait(), so a failure anywhere reaches the first process.
 */
#ifndef TESTS_USER_CHECK_H
#define TESTS_USER_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define KIB  (1UL << 10)
#define MIB  (1UL << 20)
#define GIB  (1UL << 30)

#define UNUSED_OK    __attribute__((unused))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			check_fail(__FILE__, __LINE__, #cond);                                                         \
	} while (0)

/* For calls that return -1 and set errno. */
#define CHECK_ERR(call, error)                                                                                         \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if ((long)(call) != -1 || errno != (error))                                                            \
			check_fail(__FILE__, __LINE__, #call " should fail with " #error);                             \
	} while (0)

/* For two integers, which it prints. */
#define CHECK_EQ(a, b) check_equal(__FILE__, __LINE__, #a " == " #b, (long long)(a), (long long)(b))

static inline _Noreturn void check_say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written;
	_exit(1);
}

static inline _Noreturn void check_fail(const char *file, int line, const char *what)
{
	int error = errno;
	char text[400];

	snprintf(text, sizeof(text), "%s:%d: %s [errno %d %s, pid %d]\n", file, line, what, error, strerror(error),
		 (int)getpid());
	check_say(text);
}

static inline void check_equal(const char *file, int line, const char *what, long long a, long long b)
{
	char text[400];

	if (a == b)
		return;
	snprintf(text, sizeof(text), "%s:%d: %s: %lld (0x%llx) and %lld (0x%llx) [pid %d]\n", file, line, what, a,
		 (unsigned long long)a, b, (unsigned long long)b, (int)getpid());
	check_say(text);
}

static inline UNUSED_OK int pass(void)
{
	puts("ok");
	fflush(stdout);
	return 0;
}

/* The path of this program: for opening it, or running it again. */
static inline UNUSED_OK const char *self_path(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);

	CHECK(path && path[0]);
	return path;
}

/* ---- Processes. */

static inline UNUSED_OK pid_t child_fork(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

static inline UNUSED_OK int child_status(pid_t pid)
{
	int status = -1;
	pid_t got;

	do {
		got = waitpid(pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	CHECK_EQ(got, pid);
	return status;
}

static inline UNUSED_OK void child_wait(pid_t pid)
{
	int status = child_status(pid);

	CHECK_EQ(WIFEXITED(status), 1);
	CHECK_EQ(WEXITSTATUS(status), 0);
}

/* Runs body(arg) in a child that must end well. */
static inline UNUSED_OK void child_run(void (*body)(void *), void *arg)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	child_wait(pid);
}

/* Runs body(arg) in a child that must be ended by the signal. */
static inline UNUSED_OK void child_dies(void (*body)(void *), void *arg, int signal_number)
{
	pid_t pid = child_fork();
	int status;

	if (pid == 0) {
		body(arg);
		_exit(99);
	}
	status = child_status(pid);
	CHECK_EQ(status & ~0x80, signal_number); /* 0x80: it would have dumped core */
}

/* ---- Memory. */

static inline UNUSED_OK void *map_anon(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static inline UNUSED_OK void *map_shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

/* `bytes` of memory that begins on a multiple of `align`, with nothing of ours just before or behind it. */
static inline UNUSED_OK void *map_aligned(size_t bytes, size_t align)
{
	char *raw = mmap(NULL, bytes + 3 * align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at;

	CHECK(raw != MAP_FAILED);
	at = (char *)(((uintptr_t)raw + 2 * align - 1) & ~(align - 1));
	CHECK(mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0);
	return at;
}

/* A word of the page pattern that `tag` names: never 0, different for every page and tag. */
static inline UNUSED_OK uint64_t pattern(uint64_t tag, uint64_t index)
{
	return ((tag + 1) * 0x9e3779b97f4a7c15ULL) ^ ((index + 1) * 0xd1342543de82ef95ULL) ^ 1;
}

/* Writes and verifies the first and last word of each page. */
static inline UNUSED_OK void pages_write(void *start, size_t bytes, uint64_t tag)
{
	for (size_t page = 0; page < bytes / PAGE; page++) {
		volatile uint64_t *at = (volatile uint64_t *)((char *)start + page * PAGE);

		at[0] = pattern(tag, page);
		at[PAGE / 8 - 1] = pattern(tag, page);
	}
}

static inline UNUSED_OK void pages_verify(const void *start, size_t bytes, uint64_t tag)
{
	for (size_t page = 0; page < bytes / PAGE; page++) {
		const volatile uint64_t *at = (const volatile uint64_t *)((const char *)start + page * PAGE);

		CHECK_EQ(at[0], pattern(tag, page));
		CHECK_EQ(at[PAGE / 8 - 1], pattern(tag, page));
	}
}

static inline UNUSED_OK void pages_verify_zero(const void *start, size_t bytes)
{
	const volatile uint64_t *at = start;

	for (size_t word = 0; word < bytes / 8; word++)
		CHECK_EQ(at[word], 0);
}

/* ---- Faults: an access that is expected to fault gives the si_code, one that succeeds gives 0. Any thread may probe. */

static __thread sigjmp_buf probe_back;
static __thread volatile sig_atomic_t probe_armed;
static __thread volatile int probe_signal;
static __thread void *volatile probe_address;

static inline UNUSED_OK void probe_handler(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (!probe_armed) {
		signal(number, SIG_DFL);
		return;
	}
	probe_armed = 0;
	probe_signal = number;
	probe_address = info->si_addr;
	siglongjmp(probe_back, info->si_code ? info->si_code : -1);
}

static inline UNUSED_OK void probe_init(void)
{
	struct sigaction action = { .sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

static inline UNUSED_OK int probe_read(const volatile void *at)
{
	int code = sigsetjmp(probe_back, 1);

	if (code)
		return code;
	probe_armed = 1;
	(void)*(const volatile char *)at;
	probe_armed = 0;
	return 0;
}

static inline UNUSED_OK int probe_write(volatile void *at, char value)
{
	int code = sigsetjmp(probe_back, 1);

	if (code)
		return code;
	probe_armed = 1;
	*(volatile char *)at = value;
	probe_armed = 0;
	return 0;
}

/* ---- Threads. */

static inline UNUSED_OK pthread_t thread_start(void *(*body)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, 256 * KIB) == 0);
	CHECK_EQ(pthread_create(&thread, &attr, body, arg), 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
	return thread;
}

static inline UNUSED_OK void *thread_join(pthread_t thread)
{
	void *result;

	CHECK_EQ(pthread_join(thread, &result), 0);
	return result;
}

/* Waits for another hart or thread, and lets it run when there is only this one. */
static inline UNUSED_OK void relax(void)
{
	sched_yield();
}

/* ---- Numbers that depend on the seed alone. */

static inline UNUSED_OK uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL >> 16;
}

static inline UNUSED_OK uint64_t now_ns(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

#endif
