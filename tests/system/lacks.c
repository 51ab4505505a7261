/* Calls that Corral lacks, and one that nobody has: they fail, and the program goes on. For test_machine.py. */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	if (syscall(SYS_io_setup, 1, 0) != -1 || errno != ENOSYS)
		return 1;
	if (syscall(SYS_swapon, "/dev/null", 0) != -1 || errno != ENOSYS)
		return 1;
	if (syscall(600) != -1 || errno != ENOSYS)
		return 1;
	puts("goes on");
	return 0;
}
