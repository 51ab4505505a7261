/* Says what /proc/self/tables says of memory in each state, in a process with a child; then becomes corral-map --json of itself. */
#include <fcntl.h>

#include "tests/user/check.h"

#define AT ((char *)0x1000000000UL)

int main(int argc, char **argv)
{
	int go[2], done[2];
	char byte, pid[16];
	char *area = mmap(AT, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	CHECK(argc == 2 && area == AT && pipe(go) == 0 && pipe(done) == 0);
	memset(area, 1, 4 * MIB); /* two leaf tables of pages; then one of which a part is there, one untouched */
	memset(area + 4 * MIB, 1, 8 * PAGE);
	CHECK(((volatile char *)area)[4 * MIB + 8 * PAGE] == 0);
	if (fork() == 0) {
		memset(area, 2, 4 * PAGE);
		CHECK(write(done[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	CHECK(read(done[0], &byte, 1) == 1);
	memset(area, 3, 8 * PAGE); /* the first four are this process's alone by now, the next four it copies */
	CHECK(mprotect(area + 16 * PAGE, 4 * PAGE, PROT_NONE) == 0);
	CHECK(mprotect(area + 20 * PAGE, 4 * PAGE, PROT_READ) == 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (vfork() == 0) { /* which leaves the tables alone */
		execl(argv[1], argv[1], "--json", pid, NULL);
		_exit(1);
	}
	CHECK(wait(NULL) > 0);
	CHECK(write(go[1], "x", 1) == 1 && wait(NULL) > 0);
	return 0;
}
