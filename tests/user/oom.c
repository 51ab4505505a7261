/*
 * A child that touches more memory than the machine has is ended by SIGKILL; everything else goes on, what it held
 * comes back, and it can be done again. Its argument is how many MiB are surely too many; it needs a small machine.
 */
#include "check.h"

static size_t too_much;

static void glutton(void *arg)
{
	char *at = mmap(NULL, too_much, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)arg;
	if (at == MAP_FAILED)
		_exit(3);
	for (size_t i = 0; i < too_much; i += PAGE)
		at[i] = 1;
}

/* Too much only once copy-on-write is broken: the fork itself fits, by fork=eager as well. The child is the one that asks for more. */
static void glutton_cow(void *arg)
{
	size_t part = too_much / 5;
	char *at = map_anon(part);
	pid_t pid;
	int status;

	(void)arg;
	pages_write(at, part, 6);
	pid = child_fork();
	if (pid == 0) {
		char *more = map_anon(too_much);

		for (size_t page = 0; page < part; page += PAGE)
			at[page] = 2;
		memset(more, 1, too_much);
		_exit(5);
	}
	status = child_status(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pages_verify(at, part, 6);
}

/* The kernel writes on its behalf. */
static void glutton_read(void *arg)
{
	char *at = mmap(NULL, too_much, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)arg;
	for (size_t i = 0; i < too_much; i += PAGE)
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, at + i);
	at[0] = 1;
	_exit(4);
}

static void *glutton_thread(void *arg)
{
	glutton(arg);
	return NULL;
}

static void gluttons(void *arg)
{
	for (int i = 0; i < 3; i++)
		thread_start(glutton_thread, arg);
	glutton(arg);
}

int main(int argc, char **argv)
{
	char *mine = map_anon(4 * MIB);

	CHECK(argc > 1);
	too_much = (size_t)atol(argv[1]) * MIB;
	pages_write(mine, 4 * MIB, 1);
	for (int round = 0; round < 3; round++) {
		child_dies(glutton, NULL, SIGKILL);
		pages_verify(mine, 4 * MIB, 1);
		child_dies(gluttons, NULL, SIGKILL);
		child_dies(glutton_read, NULL, SIGKILL);
		child_run(glutton_cow, NULL);
		pages_verify(mine, 4 * MIB, 1);

		char *again = map_anon(16 * MIB);
		pages_write(again, 16 * MIB, 2);
		pages_verify(again, 16 * MIB, 2);
		CHECK(munmap(again, 16 * MIB) == 0);
	}
	return pass();
}
