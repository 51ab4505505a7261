/*
 * Everything at once: processes with several threads and timers that are stopped, continued, signalled and ended at
 * random, by each other. In the end all are gone and waited for.
 */
#include "check.h"

#include <sys/time.h>

#define CHILDREN 6
#define THREADS	 3
#define ROUNDS	 150

static _Atomic int *pids;
static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

static void one_timer(clockid_t clock, int number, long ns)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = number };
	struct itimerspec set = { { 0, ns }, { 0, ns } };
	int id;

	CHECK(syscall(SYS_timer_create, clock, &event, &id) == 0);
	CHECK(syscall(SYS_timer_settime, id, 0, &set, NULL) == 0);
	if ((id & 3) != 0)
		CHECK(syscall(SYS_timer_delete, id) == 0);
}

static void *body(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg ^ (uint64_t)getpid() << 20;
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 700 }, { 0, 700 } };
	const int signals[] = { SIGSTOP, SIGCONT, SIGUSR1, SIGTSTP, SIGCONT, SIGRTMIN };

	for (;;) {
		uint64_t choice = random_next(&random);
		int other = atomic_load(&pids[choice / 64 % CHILDREN]);
		struct timespec time = { 0, (long)(choice / 256 % 100000) };

		switch (choice % 12) {
		case 0:
			CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
			one_timer(CLOCK_MONOTONIC, SIGRTMIN, 300000);
			break;
		case 1:
			CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
			break;
		case 2:
			CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
			break;
		case 3:
			action.sa_handler = (choice & 4096) != 0 ? SIG_IGN : on_tick;
			CHECK(sigaction(SIGALRM, &action, NULL) == 0);
			action.sa_handler = on_tick;
			break;
		case 4:
			every.it_value.tv_usec = (choice & 4096) != 0 ? 700 : 0;
			break;
		case 5:
			nanosleep(&time, NULL);
			break;
		case 6:
			for (volatile int i = 0; i < 20000; i++)
				;
			break;
		default:
			if (other != 0)
				(void)kill(other, signals[choice / 4096 % COUNT(signals)]);
		}
	}
	return NULL;
}

static pid_t start(uint64_t seed)
{
	pid_t pid = child_fork();
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	static const int caught[] = { SIGALRM, SIGPROF, SIGUSR1 };

	if (pid != 0)
		return pid;
	for (unsigned i = 0; i < COUNT(caught); i++)
		CHECK(sigaction(caught[i], &action, NULL) == 0);
	CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
	for (uint64_t i = 1; i < THREADS; i++)
		thread_start(body, (void *)(uintptr_t)(seed * 16 + i));
	body((void *)(uintptr_t)(seed * 16));
	_exit(0);
}

/* Whatever has happened to it since, it must end, and be reported once. */
static void end(pid_t pid)
{
	int status;

	CHECK(kill(pid, SIGKILL) == 0);
	do {
		CHECK_EQ(waitpid(pid, &status, WUNTRACED | WCONTINUED), pid);
	} while (WIFSTOPPED(status) || WIFCONTINUED(status));
	CHECK(WIFSIGNALED(status)); /* perhaps by what came before its handlers */
	CHECK_ERR(waitpid(pid, &status, WNOHANG), ECHILD);
}

int main(int argc, char **argv)
{
	uint64_t random = argc > 1 ? strtoull(argv[1], NULL, 0) + 1 : 1;

	siginfo_t info;

	pids = map_shared(PAGE);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned which = (unsigned)(random_next(&random) % CHILDREN);
		int old = atomic_exchange(&pids[which], 0);

		if (old != 0)
			end(old);
		atomic_store(&pids[which], start(random_next(&random) % 100000 + 1));
		usleep((useconds_t)(random_next(&random) % 3000));
		(void)waitid(P_ALL, 0, &info, WNOHANG | WSTOPPED | WCONTINUED);
	}
	for (unsigned i = 0; i < CHILDREN; i++) {
		int old = atomic_exchange(&pids[i], 0);

		if (old != 0)
			end(old);
	}
	return pass();
}
