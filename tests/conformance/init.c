/*
 * The first process of the Linux that make conformance compares with: runs the cases named in /cases, one after another,
 * and powers off. A line of /cases is NAME, LIMIT in seconds, STDIN (a path, or /dev/null) and the arguments, with a tab
 * between each two. What a case prints stands between "@@BEGIN NAME" and "@@END NAME STATUS" on the console, the status
 * being 128 + n when signal n ended it, and 124 when its time was up.
 *
 * There is no /sys, as there is none on Corral: programs that look for huge pages or KSM there find neither.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS  64
#define TIMED_OUT 124

static char *environment[] = { "PATH=/bin", "HOME=/", "TERM=dumb", NULL };

static void mounts(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	mkdir("/dev/shm", 01777);
	mount("shm", "/dev/shm", "tmpfs", 0, NULL);
}

static void console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	for (int i = 0; fd >= 0 && i <= 2; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static _Noreturn void run(char *input, char **argv, const sigset_t *mask)
{
	int fd = open(input, O_RDONLY);

	setsid();
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (fd >= 0) {
		dup2(fd, 0);
		close(fd);
	}
	execve(argv[0], argv, environment);
	perror(argv[0]);
	_exit(127);
}

/* Until the child has ended, or its time is up: then it and its group are killed. Whatever else ends meanwhile is reaped. */
static int await(pid_t child, long limit, const sigset_t *chld)
{
	struct timespec now, end;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += limit;
	for (;;) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid > 0)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= end.tv_sec)
			break;
		sigtimedwait(chld, NULL, &(struct timespec){ .tv_sec = 1 });
	}
	kill(-child, SIGKILL);
	waitpid(child, &status, 0);
	return TIMED_OUT;
}

static void run_case(char *line, const sigset_t *chld, const sigset_t *mask)
{
	char *words[MAX_ARGS + 1] = { NULL };
	int count = 0, status;
	pid_t child;

	for (char *word = strtok(line, "\t\n"); word && count < MAX_ARGS; word = strtok(NULL, "\t\n"))
		words[count++] = word;
	if (count < 4)
		return;
	printf("\n@@BEGIN %s\n", words[0]);
	fflush(stdout);
	child = fork();
	if (child == 0)
		run(words[2], words + 3, mask);
	status = child < 0 ? 127 : await(child, atol(words[1]), chld);
	/* What it left behind goes, too. */
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	printf("\n@@END %s %d\n", words[0], status);
	fflush(stdout);
}

int main(void)
{
	static char line[65536];
	sigset_t chld, mask;
	FILE *cases;

	mounts();
	console();
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask);
	cases = fopen("/cases", "re");
	while (cases && fgets(line, sizeof(line), cases))
		run_case(line, &chld, &mask);
	reboot(RB_POWER_OFF);
	return 0;
}
