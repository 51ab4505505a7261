/* Ends in the way its argument names; the table of programs says which status the machine must give. */
#include "check.h"

static void *exits(void *arg)
{
	exit(*(int *)arg);
}

static void *faults(void *arg)
{
	*(volatile int *)arg = 1;
	return NULL;
}

static void *spins(void *arg)
{
	for (;;)
		relax();
	return arg;
}

static void die_bus(void)
{
	signal(SIGBUS, SIG_DFL);
	raise(SIGBUS);
}

static void die_text(void)
{
	volatile uintptr_t text = (uintptr_t)&faults;

	*(volatile int *)(text & ~3UL) = 0;
}

static void die_jump(void)
{
	void (*target)(void) = (void (*)(void))map_anon(PAGE);

	target();
}

static void die_illegal(void)
{
#if defined(__riscv)
	__asm__ volatile(".half 0");
#else
	__builtin_trap();
#endif
}

static void die_thread(void *(*body)(void *), void *arg)
{
	for (int i = 0; i < 3; i++)
		thread_start(spins, NULL);
	thread_start(body, arg);
	for (;;)
		relax();
}

int main(int argc, char **argv)
{
	static int code = 41;
	volatile uintptr_t nowhere = 16;
	const char *how = argc > 1 ? argv[1] : "";

	if (!strcmp(how, "return"))
		return 37;
	if (!strcmp(how, "exit-255"))
		_exit(255);
	if (!strcmp(how, "exit-wraps"))
		_exit(0x1234);
	if (!strcmp(how, "segv"))
		*(volatile int *)nowhere = 1;
	if (!strcmp(how, "bus"))
		die_bus();
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(how, "ill"))
		die_illegal();
	if (!strcmp(how, "text"))
		die_text();
	if (!strcmp(how, "jump"))
		die_jump();
	if (!strcmp(how, "thread-exit"))
		die_thread(exits, &code);
	if (!strcmp(how, "thread-segv"))
		die_thread(faults, (void *)nowhere);
	return 98;
}
