/* Processes on all harts that replace themselves again and again, now and then forking or with threads beside. */
#include "check.h"

enum { PROCESSES = 6, GENERATIONS = 12 };

static void *spins(void *arg)
{
	for (;;)
		relax();
	return arg;
}

static void next(long generation, long seed)
{
	char number[20], text[20];
	char *arguments[] = { "exec_storm", number, text, NULL };
	char *none[] = { NULL };

	snprintf(number, sizeof(number), "%ld", generation);
	snprintf(text, sizeof(text), "%ld", seed);
	execve(self_path(), arguments, none);
	CHECK(!"execve returned");
}

static int generation(long number, long seed)
{
	static uint64_t bss[PAGE];
	uint64_t *map = map_anon(64 * PAGE);

	pages_verify_zero(bss, sizeof(bss));
	pages_write(bss, sizeof(bss), (uint64_t)seed);
	pages_verify_zero(map, 64 * PAGE);
	pages_write(map, 64 * PAGE, (uint64_t)seed);
	if (number == 0)
		return 0;
	if ((number + seed) % 3 == 0) {
		pid_t pid = child_fork();

		if (pid == 0) {
			pages_verify(map, 64 * PAGE, (uint64_t)seed);
			next(0, seed + 100);
		}
		child_wait(pid);
	}
	if ((number + seed) % 4 == 0)
		thread_start(spins, NULL);
	pages_verify(map, 64 * PAGE, (uint64_t)seed);
	next(number - 1, seed);
	return 1;
}

int main(int argc, char **argv)
{
	pid_t pids[PROCESSES];

	if (argc == 3)
		return generation(atol(argv[1]), atol(argv[2]));
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0)
			next(GENERATIONS, i);
	}
	for (int i = 0; i < PROCESSES; i++)
		child_wait(pids[i]);
	return pass();
}
