/*
 * Many short-lived children from processes on all harts: generations of them, orphans, kills and empty ends among
 * them.
 */
#include "check.h"

enum { PROCESSES = 6, CHILDREN = 40 };

static uint64_t *page;

static void parent_of_many(unsigned me)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		pid_t pid;

		page[0] = me * 1000 + i;
		pid = child_fork();
		if (pid == 0) {
			CHECK_EQ(page[0], me * 1000 + i);
			page[0] = 1;
			if (i % 4 == 0) {
				child_wait(({
					pid_t grandchild = child_fork();

					if (grandchild == 0)
						_exit(page[0] == 1 ? 0 : 1);
					grandchild;
				}));
			} else if (i % 4 == 1) {
				/* An orphan, soon. */
				if (child_fork() == 0)
					_exit(0);
			} else if (i % 4 == 2) {
				for (;;)
					relax();
			}
			_exit(0);
		}
		if (i % 4 == 2) {
			CHECK(kill(pid, SIGKILL) == 0);
			CHECK_EQ(child_status(pid), SIGKILL);
		} else {
			child_wait(pid);
		}
		CHECK_EQ(page[0], me * 1000 + i);
	}
}

int main(void)
{
	pid_t pids[PROCESSES];

	page = map_anon(PAGE);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			parent_of_many(i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		child_wait(pids[i]);
	return pass();
}
