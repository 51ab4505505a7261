/* Several processes on several harts break copy-on-write of the same frames at the same moment. */
#include "check.h"

enum { CHILDREN = 8, PAGES = 128, ROUNDS = 6 };

int main(void)
{
	char *at = map_anon(PAGES * PAGE);
	atomic_int *ready = map_shared(PAGE);
	pid_t pids[CHILDREN];

	for (int round = 0; round < ROUNDS; round++) {
		atomic_store(ready, 0);
		pages_write(at, PAGES * PAGE, 50);
		for (unsigned i = 0; i < CHILDREN; i++) {
			pids[i] = child_fork();
			if (pids[i] == 0) {
				atomic_fetch_add(ready, 1);
				while (atomic_load(ready) < CHILDREN)
					relax();
				pages_verify(at, PAGES * PAGE, 50);
				pages_write(at, PAGES * PAGE, 60 + i);
				relax();
				pages_verify(at, PAGES * PAGE, 60 + i);
				_exit(0);
			}
		}
		for (unsigned i = 0; i < CHILDREN; i++)
			child_wait(pids[i]);
		pages_verify(at, PAGES * PAGE, 50);
	}
	return pass();
}
