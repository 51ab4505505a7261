/* Many lines reach the console whole and in order, from the process and its children. */
#include "check.h"

enum { LINES = 300 };

int main(void)
{
	for (int i = 0; i < LINES; i++) {
		if (i % 100 == 50) {
			pid_t pid;

			fflush(stdout);
			pid = child_fork();
			if (pid == 0) {
				printf("child %04d\n", i);
				fflush(stdout);
				_exit(0);
			}
			child_wait(pid);
		}
		printf("line %04d abcdefghijklmnopqrstuvwxyz\n", i);
	}
	return pass();
}
