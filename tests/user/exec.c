/*
 * execve: arguments and environment arrive, memory is all new, the process id stays, descriptors stay open but for
 * close-on-exec ones, other threads are gone; what cannot run is refused and the caller goes on. Called with the
 * paths of broken executables (see the table of programs), and by itself with "again".
 */
#include "check.h"

#include <fcntl.h>
#include <spawn.h>

extern char **environ;

static int data_once = 1;

static int again(int argc, char **argv)
{
	char expected[20];

	CHECK_EQ(argc, 6);
	CHECK(strcmp(argv[2], "two words") == 0 && strcmp(argv[3], "") == 0);
	CHECK_EQ(strlen(argv[4]), 3000);
	snprintf(expected, sizeof(expected), "%d", (int)getpid());
	CHECK(strcmp(argv[5], expected) == 0);
	CHECK(environ[0] && environ[1] && !environ[2]);
	CHECK(strcmp(getenv("CORRAL_TEST"), "yes") == 0);
	CHECK(strcmp(getenv("OTHER"), "a=b") == 0);
	CHECK_EQ(data_once, 1);
	CHECK(fcntl(50, F_GETFD) == 0);
	CHECK_ERR(fcntl(51, F_GETFD), EBADF);
	return 42;
}

static void self_exec(void *arg)
{
	char number[20], longest[3001];
	char *arguments[] = { "self", "again", "two words", "", longest, number, NULL };
	char *variables[] = { "CORRAL_TEST=yes", "OTHER=a=b", NULL };

	(void)arg;
	memset(longest, 'l', 3000);
	longest[3000] = 0;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	data_once = 2;
	memset(map_anon(MIB), 1, MIB);
	execve(self_path(), arguments, variables);
	CHECK(!"execve returned");
}

static void *thread_exec(void *arg)
{
	self_exec(arg);
	return NULL;
}

static void *spins(void *arg)
{
	for (;;)
		relax();
	return arg;
}

static void exec_from_thread(void)
{
	for (int i = 0; i < 3; i++)
		thread_start(spins, NULL);
	thread_join(thread_start(thread_exec, NULL));
}

static void exec_beside_threads(void)
{
	for (int i = 0; i < 3; i++)
		thread_start(spins, NULL);
	self_exec(NULL);
}

static void expect_42(void (*body)(void))
{
	pid_t pid = child_fork();
	int status;

	if (pid == 0) {
		body();
		_exit(1);
	}
	status = child_status(pid);
	CHECK_EQ(status, 42 << 8);
}

static void alone(void)
{
	self_exec(NULL);
}

static void refused(int argc, char **argv)
{
	char *none[] = { NULL };
	char *arguments[] = { "x", NULL };

	data_once = 3;
	CHECK_ERR(execve("/no/such/program", arguments, none), ENOENT);
	CHECK_ERR(execve("", arguments, none), ENOENT);
	CHECK_ERR(execve("/", arguments, none), EACCES);
	for (int i = 1; i < argc; i++) {
		pid_t pid = child_fork();

		/* Its name says how it must be refused; where it does not, it may also be ended when that is found late. */
		if (pid == 0) {
			execve(argv[i], arguments, none);
			if (strstr(argv[i], "noexec"))
				CHECK_EQ(errno, ENOEXEC);
			if (strstr(argv[i], "noaccess"))
				CHECK_EQ(errno, EACCES);
			CHECK(errno == ENOEXEC || errno == EINVAL || errno == ENOMEM || errno == EIO ||
			      errno == EFAULT || errno == EACCES || errno == ENOENT);
			CHECK_EQ(data_once, 3);
			_exit(77);
		}
		int status = child_status(pid);
		CHECK(status == 77 << 8 || (strstr(argv[i], "late") && WIFSIGNALED(status)));
	}
	CHECK_EQ(data_once, 3);
}

/* An empty argv arrives as one empty string. */
static void nameless(void)
{
	char *none[] = { NULL };
	pid_t pid = child_fork();

	if (pid == 0) {
		execve(self_path(), none, none);
		_exit(1);
	}
	CHECK_EQ(child_status(pid), 44 << 8);
}

static void spawned(void)
{
	char number[20] = "0";
	char *arguments[] = { "self", "spawned", number, NULL };
	pid_t pid;
	int status;

	for (int i = 0; i < 5; i++) {
		CHECK_EQ(posix_spawn(&pid, self_path(), NULL, NULL, arguments, environ), 0);
		status = child_status(pid);
		CHECK_EQ(status, 43 << 8);
	}
	CHECK_EQ(posix_spawn(&pid, "/no/such/program", NULL, NULL, arguments, environ), ENOENT);
}

static void vforked(void)
{
	volatile int shared = 1;
	char *arguments[] = { "self", "spawned", NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		shared = 2;
		_exit(5);
	}
	CHECK(pid > 0);
	CHECK_EQ(shared, 2);
	CHECK_EQ(child_status(pid), 5 << 8);
	pid = vfork();
	if (pid == 0) {
		execv(self_path(), arguments);
		_exit(6);
	}
	CHECK_EQ(child_status(pid), 43 << 8);
}

int main(int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "") == 0)
		return 44;
	if (argc > 1 && strcmp(argv[1], "again") == 0)
		return again(argc, argv);
	if (argc > 1 && strcmp(argv[1], "spawned") == 0)
		return 43;
	CHECK_EQ(dup2(1, 50), 50);
	CHECK_EQ(dup3(1, 51, O_CLOEXEC), 51);
	refused(argc, argv);
	expect_42(alone);
	expect_42(exec_beside_threads);
	expect_42(exec_from_thread);
	nameless();
	spawned();
	vforked();
	return pass();
}
