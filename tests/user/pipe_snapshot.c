/*
 * The shape of CVE-2020-29374: what was written to a pipe is what is read from it, whatever the writer or its parent
 * does to the page afterwards; and the reader of a pipe never sees data from after a fork.
 */
#include "check.h"

int main(void)
{
	volatile char *page = map_anon(PAGE);
	static char got[PAGE];
	int ends[2], go[2];
	char token;

	CHECK(pipe(ends) == 0 && pipe(go) == 0);
	for (int round = 0; round < 30; round++) {
		pid_t pid;

		memset((void *)(uintptr_t)page, 'o', PAGE);
		pid = child_fork();
		if (pid == 0) {
			CHECK_EQ(write(ends[1], (void *)(uintptr_t)page, PAGE), PAGE);
			CHECK(munmap((void *)(uintptr_t)page, PAGE) == 0);
			CHECK_EQ(write(go[1], "g", 1), 1);
			CHECK_EQ(read(ends[0], got, PAGE), PAGE);
			for (unsigned i = 0; i < PAGE; i++)
				CHECK_EQ(got[i], 'o');
			_exit(0);
		}
		CHECK_EQ(read(go[0], &token, 1), 1);
		memset((void *)(uintptr_t)page, 's', PAGE);
		child_wait(pid);
		CHECK_EQ(page[0], 's');
	}
	return pass();
}
