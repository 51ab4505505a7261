/*
 * Whoever holds a page last may write it in place: its data is kept, whichever side left first, and the frame is not
 * given away while somebody still maps it. Fresh memory that is filled in between would show a frame freed too early.
 */
#include "check.h"

enum { PAGES = 200, ROUNDS = 12 };

static void churn(uint64_t tag)
{
	char *fresh = map_anon(PAGES * PAGE);

	pages_verify_zero(fresh, PAGES * PAGE);
	pages_write(fresh, PAGES * PAGE, tag);
	CHECK(munmap(fresh, PAGES * PAGE) == 0);
}

static void child_exits_first(char *at, bool child_writes)
{
	pid_t pid;

	pages_write(at, PAGES * PAGE, 1);
	pid = child_fork();
	if (pid == 0) {
		if (child_writes)
			pages_write(at, PAGES * PAGE, 2);
		_exit(0);
	}
	child_wait(pid);
	churn(3);
	pages_verify(at, PAGES * PAGE, 1);
	pages_write(at, PAGES / 2 * PAGE, 4);
	churn(5);
	pages_verify(at, PAGES / 2 * PAGE, 4);
	CHECK_EQ(*(uint64_t *)(at + (PAGES - 1) * PAGE), pattern(1, PAGES - 1));
}

static void parent_exits_first(char *at, bool parent_writes)
{
	int gate[2], done[2];
	char token = 0;
	pid_t pid;

	CHECK(pipe(gate) == 0 && pipe(done) == 0);
	pid = child_fork();
	if (pid == 0) {
		pages_write(at, PAGES * PAGE, 11);
		if (child_fork() == 0) {
			CHECK(close(gate[1]) == 0);
			CHECK_EQ(read(gate[0], &token, 1), 1);
			churn(12);
			pages_verify(at, PAGES * PAGE, 11);
			pages_write(at, PAGES * PAGE, 13);
			churn(14);
			pages_verify(at, PAGES * PAGE, 13);
			CHECK_EQ(write(done[1], "k", 1), 1);
			_exit(0);
		}
		if (parent_writes)
			pages_write(at, PAGES * PAGE, 15);
		_exit(0);
	}
	child_wait(pid);
	CHECK_EQ(write(gate[1], &token, 1), 1);
	CHECK(close(done[1]) == 0);
	CHECK_EQ(read(done[0], &token, 1), 1);
	CHECK_EQ(token, 'k');
	CHECK(close(done[0]) == 0 && close(gate[0]) == 0 && close(gate[1]) == 0);
}

/* Both write at the same moment: one of them copies, the other may find itself alone half way. */
static void both_at_once(char *at)
{
	atomic_int *ready = map_shared(PAGE);
	pid_t pid;

	pages_write(at, PAGES * PAGE, 21);
	pid = child_fork();
	atomic_fetch_add(ready, 1);
	while (atomic_load(ready) < 2)
		relax();
	pages_write(at, PAGES * PAGE, pid ? 22 : 23);
	pages_verify(at, PAGES * PAGE, pid ? 22 : 23);
	if (pid == 0)
		_exit(0);
	churn(24);
	child_wait(pid);
	pages_verify(at, PAGES * PAGE, 22);
	CHECK(munmap(ready, PAGE) == 0);
}

int main(void)
{
	char *at = map_anon(PAGES * PAGE);

	for (int i = 0; i < ROUNDS; i++) {
		child_exits_first(at, i % 2);
		parent_exits_first(at, i % 2);
		both_at_once(at);
	}
	return pass();
}
