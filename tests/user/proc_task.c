/* /proc/PID/task, /proc/thread-self, fdinfo; comm is written by threads of the same process alone. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>

#include "check.h"

static char text[8192];
static _Atomic int other_tid, done;

static const char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n >= 0);
	text[n] = 0;
	close(fd);
	return text;
}

static const char *task(int tid, const char *file)
{
	static char path[96];

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, file);
	return path;
}

static int count(const char *path)
{
	DIR *dir = opendir(path);
	int names = 0;

	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		names++;
	closedir(dir);
	return names - 2; /* . and .. */
}

static void *second(void *unused)
{
	char target[64] = "", wanted[64];

	(void)unused;
	CHECK(prctl(PR_SET_NAME, "second one") == 0);
	snprintf(wanted, sizeof(wanted), "%d/task/%d", (int)getpid(), (int)gettid());
	CHECK(readlink("/proc/thread-self", target, sizeof(target) - 1) > 0 && strcmp(target, wanted) == 0);
	other_tid = gettid();
	while (!done)
		relax();
	return NULL;
}

static void threads(void)
{
	pthread_t thread = thread_start(second, NULL);
	char line[64];
	int tid, fd;

	while (other_tid == 0)
		relax();
	tid = other_tid;
	CHECK_EQ(count("/proc/self/task"), 2);
	CHECK(strcmp(slurp(task(tid, "comm")), "second one\n") == 0);
	snprintf(line, sizeof(line), "\nPid:\t%d\n", tid);
	CHECK(strstr(slurp(task(tid, "status")), line) != NULL);
	snprintf(line, sizeof(line), "\nTgid:\t%d\n", (int)getpid());
	CHECK(strstr(text, line) != NULL && strstr(text, "\nThreads:\t2\n") != NULL);
	CHECK(strncmp(text, "Name:\tsecond one\n", 17) == 0);
	snprintf(line, sizeof(line), "%d (second one) ", tid);
	CHECK(strncmp(slurp(task(tid, "stat")), line, strlen(line)) == 0);
	CHECK(strstr(slurp(task(tid, "maps")), "[stack]") != NULL);
	CHECK(access(task(tid, "task"), F_OK) == -1 && errno == ENOENT);
	CHECK(access(task(1, "comm"), F_OK) == -1 || getpid() == 1);
	CHECK(pthread_setname_np(thread, "by the first") == 0); /* through its comm */
	CHECK(strcmp(slurp(task(tid, "comm")), "by the first\n") == 0);
	fd = open(task(tid, "comm"), O_RDWR);
	CHECK(fd >= 0 && write(fd, "a name that is far too long", 27) == 27);
	CHECK(pread(fd, text, 64, 0) == 16 && memcmp(text, "a name that is \n", 16) == 0);
	done = 1;
	thread_join(thread);
	while (access(task(tid, "comm"), F_OK) == 0) /* pthread_join is back before it is quite gone */
		relax();
	CHECK(errno == ENOENT || errno == ESRCH);
	CHECK_ERR(pread(fd, text, 64, 0), ESRCH);
	close(fd);
	CHECK_EQ(count("/proc/self/task"), 1);
}

static void others_comm(void)
{
	pid_t pid = child_fork();
	char path[64];
	int fd;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	CHECK_ERR(write(fd, "x", 1), EINVAL);
	close(fd);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void fdinfo(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), shown;
	unsigned flags = 0;
	long position = -1;
	char path[64];

	CHECK(fd >= 0 && lseek(fd, 77, SEEK_SET) == 77);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	CHECK(sscanf(slurp(path), "pos:\t%ld\nflags:\t%o\nmnt_id:\t%d\n", &position, &flags, &shown) == 3);
	CHECK_EQ(position, 77);
	CHECK_EQ(flags, O_CLOEXEC | 0100000);
	CHECK(strstr(text, "\nino:\t") != NULL);
	CHECK(count("/proc/self/fdinfo") == count("/proc/self/fd"));
	close(fd);
	CHECK(access(path, F_OK) == -1 && errno == ENOENT);
}

int main(void)
{
	threads();
	others_comm();
	fdinfo();
	return pass();
}
