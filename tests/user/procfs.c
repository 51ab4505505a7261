/* /proc of this process and of a child; what /proc and /dev refuse; links that lead to open files. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char text[65536];

static size_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t done = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while ((n = read(fd, text + done, sizeof(text) - 1 - done)) > 0)
		done += (size_t)n;
	CHECK(n == 0);
	text[done] = 0;
	close(fd);
	return done;
}

static void test_self(char **argv)
{
	char path[64], exe[256], name[256];
	struct stat a, b;
	ssize_t n;

	CHECK(slurp("/proc/self/cmdline") == strlen(argv[0]) + 1 && strcmp(text, argv[0]) == 0);
	slurp("/proc/self/status");
	snprintf(path, sizeof(path), "\nPid:\t%d\n", getpid());
	CHECK(strstr(text, path) != NULL && strstr(text, "\nVmRSS:\t") != NULL);
	slurp("/proc/self/stat");
	CHECK(atoi(text) == getpid());
	CHECK(slurp("/proc/self/environ") != 0 || environ[0] == NULL);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	CHECK(n > 0);
	exe[n] = 0;
	CHECK(stat(exe, &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_ino == b.st_ino);
	CHECK(chdir("/proc/self") == 0 && getcwd(name, sizeof(name)) != NULL);
	snprintf(path, sizeof(path), "/proc/%d", getpid());
	CHECK(strcmp(name, path) == 0);
	CHECK(access("maps", R_OK) == 0 && chdir("..") == 0 && access("meminfo", R_OK) == 0);
	CHECK(chdir("/") == 0 && stat("/proc/self/cwd", &a) == 0 && stat("/", &b) == 0 && a.st_ino == b.st_ino);
}

static void test_maps(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t words[2];
	char line[32];
	int fd;

	CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_READ) == 0);
	page[0] = 1;
	slurp("/proc/self/maps");
	snprintf(line, sizeof(line), "%lx-", (long)page + 4096);
	CHECK(strstr(text, line) != NULL && strstr(text, "[stack]") != NULL && strstr(text, "[heap]") != NULL);
	slurp("/proc/self/smaps");
	CHECK(strstr(text, "\nRss: ") != NULL && strstr(text, "\nVmFlags: ") != NULL);
	fd = open("/proc/self/pagemap", O_RDONLY);
	CHECK(fd >= 0 && pread(fd, words, sizeof(words), (off_t)((uintptr_t)page / 4096 * 8)) == sizeof(words));
	CHECK(words[0] >> 63 == 1 && words[1] >> 63 == 0);
	CHECK(pread(fd, words, 7, 0) == -1 && errno == EINVAL);
	close(fd);
}

/* Names in a folder; whether one of them is this. */
static int list(const char *path, const char *wanted)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int found = 0;

	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		found += strcmp(entry->d_name, wanted) == 0;
	closedir(dir);
	return found;
}

static void test_fds(void)
{
	char path[64], target[64] = "";
	int fd = open("/tmp/procfs.test", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int again, pipes[2];

	CHECK(fd >= 0 && write(fd, "deep", 4) == 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, target, sizeof(target)) > 0 && strcmp(target, "/tmp/procfs.test") == 0);
	CHECK(unlink("/tmp/procfs.test") == 0);
	again = open(path, O_RDONLY); /* by the link, as no name leads there */
	CHECK(again >= 0 && read(again, target, 4) == 4 && memcmp(target, "deep", 4) == 0);
	snprintf(target, sizeof(target), "%d", fd);
	CHECK(list("/proc/self/fd", target) == 1 && list("/dev/fd/", target) == 1);
	close(again);
	close(fd);
	CHECK(open(path, O_RDONLY) == -1 && errno == ENOENT);
	CHECK(pipe(pipes) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pipes[0]);
	memset(target, 0, sizeof(target));
	CHECK(readlink(path, target, sizeof(target) - 1) > 0 && strncmp(target, "pipe:[", 6) == 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_child(void)
{
	char path[64], number[16];
	pid_t child = fork();
	int fd;

	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(number, sizeof(number), "%d", child);
	CHECK(list("/proc", number) == 1);
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	slurp(path);
	CHECK(strstr(text, "\nThreads:\t1\n") != NULL);
	snprintf(path, sizeof(path), "/proc/%d/maps", child);
	CHECK(slurp(path) > 0);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	CHECK(open(path, O_RDONLY) == -1 && errno == ENOENT);
	CHECK(read(fd, text, 1) <= 0);
	close(fd);
}

static void test_protected(void)
{
	CHECK(unlink("/proc/meminfo") == -1 && errno == EPERM);
	CHECK(mkdir("/proc/mine", 0700) == -1 && errno == ENOENT);
	CHECK(open("/proc/mine", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT);
	CHECK(rmdir("/proc") == -1 && errno == EBUSY);
	CHECK(rename("/dev", "/dev2") == -1 && errno == EBUSY);
	CHECK(link("/proc/meminfo", "/tmp/meminfo") == -1 && errno == EXDEV);
	CHECK(open("/proc/0/maps", O_RDONLY) == -1 && errno == ENOENT);
	CHECK(open("/proc/4194303999/maps", O_RDONLY) == -1 && errno == ENOENT);
	CHECK(open("/proc/self/nothing", O_RDONLY) == -1 && errno == ENOENT);
	CHECK(open("/proc/self/maps/x", O_RDONLY) == -1 && errno == ENOTDIR);
	slurp("/proc/meminfo");
	CHECK(strncmp(text, "MemTotal:", 9) == 0 && strstr(text, "\nMemFree:") != NULL);
	CHECK(slurp("/proc/sys/vm/overcommit_memory") == 2);
	CHECK(slurp("/proc/sys/kernel/osrelease") > 1 && slurp("/proc/loadavg") > 1 && slurp("/proc/mounts") > 1);
}

/* It is a file system of its own, and what is of a process stays as it is. */
static void test_kind(void)
{
	struct statfs of;

	CHECK(statfs("/proc", &of) == 0 && of.f_type == 0x9fa0);
	CHECK(statfs("/proc/self/maps", &of) == 0 && of.f_type == 0x9fa0);
	CHECK(statfs("/tmp", &of) == 0 && of.f_type != 0x9fa0);
	CHECK_ERR(chmod("/proc/self", 0555), EPERM);
	CHECK_ERR(chown("/proc/self", 0, 0), EPERM);
}

int main(int argc, char **argv)
{
	(void)argc;
	CHECK(sbrk(4096) != (void *)-1); /* there is a heap */
	test_self(argv);
	test_maps();
	test_fds();
	test_child();
	test_protected();
	test_kind();
	puts("ok");
	return 0;
}
