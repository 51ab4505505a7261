/* More sharers of a page than an 8-bit count can hold: 300 children share it, then leave in turn, writing or not. */
#include "check.h"

enum { SHARERS = 300 };

int main(void)
{
	volatile uint64_t *page = map_anon(2 * PAGE);
	static pid_t pids[SHARERS];
	int gate[2], here[2];
	char token = 0;

	page[0] = 77;
	page[PAGE / 8] = 78;
	CHECK(pipe(gate) == 0 && pipe(here) == 0);
	for (int i = 0; i < SHARERS; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			CHECK_EQ(write(here[1], &token, 1), 1);
			CHECK_EQ(read(gate[0], &token, 1), 1);
			CHECK_EQ(page[0], 77);
			CHECK_EQ(page[PAGE / 8], 78);
			if (i % 3 == 0)
				page[0] = (uint64_t)i + 1000;
			if (i % 3 == 1)
				page[PAGE / 8] = (uint64_t)i + 1000;
			CHECK_EQ(page[0], i % 3 == 0 ? i + 1000 : 77);
			CHECK_EQ(page[PAGE / 8], i % 3 == 1 ? i + 1000 : 78);
			_exit(0);
		}
	}
	for (int i = 0; i < SHARERS; i++)
		CHECK_EQ(read(here[0], &token, 1), 1);
	CHECK_EQ(page[0], 77);
	for (int i = 0; i < SHARERS; i++) {
		CHECK_EQ(write(gate[1], &token, 1), 1);
		if (i == SHARERS / 2)
			page[0] = 79;
	}
	for (int i = 0; i < SHARERS; i++)
		child_wait(pids[i]);
	CHECK_EQ(page[0], 79);
	CHECK_EQ(page[PAGE / 8], 78);
	page[PAGE / 8] = 80;
	CHECK_EQ(page[PAGE / 8], 80);
	return pass();
}
