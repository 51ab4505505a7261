/*
 * Eight threads that fork, each child writing to memory that all share, and wait for it: the program issue 2 is
 * shown by.
 */
#include "check.h"

enum { THREADS = 8, FORKS = 12, PAGES = 32 };

static char *area;
static atomic_uint done;

static void *forker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	char *own = area + me * PAGES * PAGE;

	for (unsigned i = 0; i < FORKS; i++) {
		pid_t pid;

		pages_write(own, PAGES * PAGE, i);
		pid = child_fork();
		if (pid == 0) {
			pages_verify(own, PAGES * PAGE, i);
			pages_write(own, PAGES * PAGE, 1000 + i);
			pages_verify(own, PAGES * PAGE, 1000 + i);
			_exit((int)(me * 8 + i % 8));
		}
		pages_verify(own, PAGES * PAGE, i);
		CHECK_EQ(child_status(pid), (int)(me * 8 + i % 8) << 8);
		pages_verify(own, PAGES * PAGE, i);
		atomic_fetch_add(&done, 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	area = map_anon(THREADS * PAGES * PAGE);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(forker, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK_EQ(atomic_load(&done), THREADS * FORKS);
	return pass();
}
