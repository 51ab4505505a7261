/* For gdb: a page that a child shares, one that is this process's alone, one untouched; then a system call that there is not. */
#include "tests/user/check.h"

#define AT ((char *)0x1000000000UL)

int main(void)
{
	int go[2];
	char byte;

	CHECK(pipe(go) == 0);
	CHECK(mmap(AT, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == AT);
	AT[0] = 1;
	AT[PAGE] = 1;
	if (fork() == 0) {
		CHECK(read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	AT[PAGE] = 2;
	CHECK_ERR(syscall(511), ENOSYS);
	CHECK(write(go[1], "x", 1) == 1 && wait(NULL) > 0);
	return 0;
}
