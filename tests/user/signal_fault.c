/*
 * Handlers for faults: number, address and code are right, for reads, writes and jumps, on all sorts of pages; the
 * handler may leave by siglongjmp, fault itself, or repair and return; a blocked or ignored fault signal still ends
 * the process; execution goes on with every register as it was.
 */
#include "check.h"

#include <ucontext.h>

static char *at;

static void codes(void)
{
	CHECK_EQ(probe_read(at), 0);
	CHECK_EQ(probe_read((char *)8), SEGV_MAPERR);
	CHECK(probe_address == (void *)8);
	CHECK(mprotect(at + PAGE, PAGE, PROT_NONE) == 0);
	CHECK_EQ(probe_read(at + PAGE + 123), SEGV_ACCERR);
	CHECK(probe_address == at + PAGE + 123);
	CHECK(munmap(at + 2 * PAGE, PAGE) == 0);
	CHECK_EQ(probe_write(at + 3 * PAGE - 1, 1), SEGV_MAPERR);
	CHECK(probe_address == at + 3 * PAGE - 1);
	CHECK_EQ(probe_signal, SIGSEGV);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(probe_write(at + PAGE, 1), SEGV_ACCERR);
}

static void faults_blocked(void *arg)
{
	sigset_t set;

	(void)arg;
	CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGSEGV) == 0);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	*(volatile char *)(at + PAGE) = 1;
}

static void faults_ignored(void *arg)
{
	(void)arg;
	signal(SIGSEGV, SIG_IGN);
	*(volatile char *)(at + PAGE) = 1;
}

static void handler_faults(int number)
{
	(void)number;
	*(volatile char *)(at + PAGE) = 1;
}

static void faults_twice(void *arg)
{
	(void)arg;
	signal(SIGSEGV, handler_faults);
	*(volatile char *)(at + PAGE) = 1;
}

static volatile int depth;

static void nested(int number, siginfo_t *info, void *context)
{
	(void)context;
	CHECK_EQ(number, SIGSEGV);
	CHECK(info->si_addr == at + PAGE + depth);
	if (++depth < 10) {
		((volatile char *)at)[PAGE + (unsigned)depth] = 1;
		return;
	}
	CHECK(mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void faults_nested(void *arg)
{
	struct sigaction action = { .sa_sigaction = nested, .sa_flags = SA_SIGINFO | SA_NODEFER };

	(void)arg;
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	((volatile char *)at)[PAGE] = 1;
	CHECK_EQ(depth, 10);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(at[PAGE + i], 1);
}

static void resets(void *arg)
{
	struct sigaction action = { .sa_sigaction = nested, .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) }, now;

	(void)arg;
	depth = 9;
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	((volatile char *)at)[PAGE + 9] = 1;
	CHECK(sigaction(SIGSEGV, NULL, &now) == 0);
	CHECK(now.sa_handler == SIG_DFL);
	*(volatile char *)(at + 2 * PAGE) = 1;
}

int main(void)
{
	probe_init();
	at = map_anon(3 * PAGE);
	at[0] = at[PAGE] = 0;
	codes();
	child_dies(faults_blocked, NULL, SIGSEGV);
	child_dies(faults_ignored, NULL, SIGSEGV);
	child_dies(faults_twice, NULL, SIGSEGV);
	child_run(faults_nested, NULL);
	child_dies(resets, NULL, SIGSEGV);
	return pass();
}
