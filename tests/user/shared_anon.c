/* MAP_SHARED | MAP_ANONYMOUS is one memory for everybody who inherited it: coherent, atomic, never copied. */
#include "check.h"

enum { PROCESSES = 6, ADDS = 20000, PAGES = 40 };

static void *adder(void *arg)
{
	_Atomic uint64_t *counter = arg;

	for (int i = 0; i < ADDS / 2; i++)
		atomic_fetch_add(counter, 1);
	return NULL;
}

static void grandchild(void *arg)
{
	adder(arg);
	((uint64_t *)arg)[1] = 55;
	CHECK(munmap(arg, PAGES * PAGE) == 0);
}

int main(void)
{
	char *map = map_shared(PAGES * PAGE);
	char *private = map_anon(PAGE);
	pid_t pids[PROCESSES];

	private[0] = 1;
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			pthread_t thread = thread_start(adder, map);

			adder(map);
			thread_join(thread);
			private[0] = 2;
			pages_write(map + (1 + i) * PAGE, PAGE, i);
			child_run(grandchild, map);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		child_wait(pids[i]);
	CHECK_EQ(*(_Atomic uint64_t *)map, PROCESSES * (ADDS + ADDS / 2));
	CHECK_EQ(((uint64_t *)map)[1], 55);
	CHECK_EQ(private[0], 1);
	for (unsigned i = 0; i < PROCESSES; i++)
		pages_verify(map + (1 + i) * PAGE, PAGE, i);
	pages_verify_zero(map + (1 + PROCESSES) * PAGE, (PAGES - 1 - PROCESSES) * PAGE);

	/* Discarding only drops this process's view; protecting it too. */
	CHECK(madvise(map, PAGES * PAGE, MADV_DONTNEED) == 0);
	CHECK_EQ(((uint64_t *)map)[1], 55);
	CHECK(mprotect(map, PAGE, PROT_READ) == 0);
	probe_init();
	CHECK_EQ(probe_write(map, 1), SEGV_ACCERR);
	CHECK_EQ(((uint64_t *)map)[1], 55);
	CHECK(mprotect(map, PAGE, PROT_READ | PROT_WRITE) == 0);
	pids[0] = child_fork();
	if (pids[0] == 0) {
		CHECK(munmap(map, PAGE) == 0);
		map[PAGE] = 'x';
		_exit(0);
	}
	child_wait(pids[0]);
	CHECK_EQ(map[PAGE], 'x');
	CHECK_EQ(((uint64_t *)map)[1], 55);
	return pass();
}
