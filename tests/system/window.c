/* Says the terminal's size each time it is told that that has changed, while other threads ask for it all the time; ends at 7 rows. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define ASKERS 2

static void *ask(void *none)
{
	struct winsize size;

	for (;;)
		if (ioctl(0, TIOCGWINSZ, &size) != 0)
			return none;
}

int main(void)
{
	struct winsize size = { 0 };
	pthread_t thread;
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < ASKERS; i++)
		if (pthread_create(&thread, NULL, ask, NULL) != 0)
			return 1;
	puts("asking");
	while (size.ws_row != 7) {
		fflush(stdout);
		if (sigwait(&set, &signo) != 0 || ioctl(0, TIOCGWINSZ, &size) != 0)
			return 1;
		printf("now %d by %d.\n", size.ws_row, size.ws_col);
	}
	return 0;
}
