/*
 * The first process ends while its descendants run, wait and sleep, on all harts: the machine ends with its status.
 */
#include "check.h"

static void *spins(void *arg)
{
	for (;;)
		relax();
	return arg;
}

static void stays(int how, pid_t parent)
{
	int ends[2];
	char byte;

	memset(map_anon(MIB), 1, MIB);
	if (how == 1)
		thread_start(spins, NULL);
	if (how == 2 && fork() == 0)
		parent = getppid();
	CHECK(pipe(ends) == 0);
	/* On a Linux that goes on without our parent they end themselves. */
	while (getppid() == parent) {
		if (how == 3)
			usleep(1000);
		if (how == 4 && getpid() != 1 && getppid() == 1)
			CHECK(read(ends[0], &byte, 1) < 2);
	}
	_exit(0);
}

int main(void)
{
	pid_t self = getpid();

	for (int how = 0; how < 5; how++)
		if (child_fork() == 0)
			stays(how, self);
	for (int i = 0; i < 20; i++)
		relax();
	return pass();
}
