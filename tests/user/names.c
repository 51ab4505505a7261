/* What the machine is called: sethostname, setdomainname; and three small calls: select's last word, LOCK_MAND, overcommit_memory. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/utsname.h>

#include "check.h"

static void read_file(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, bytes - 1);

	CHECK(fd >= 0 && n >= 0);
	text[n] = 0;
	close(fd);
}

static void test_names(void)
{
	struct utsname before, now;
	char text[100], longest[66];

	memset(longest, 'l', sizeof(longest));
	CHECK(uname(&before) == 0);
	CHECK(sethostname("elsewhere\0behind", 16) == 0 && setdomainname("domain", 3) == 0);
	CHECK(uname(&now) == 0);
	CHECK(strcmp(now.nodename, "elsewhere") == 0 && strcmp(now.domainname, "dom") == 0);
	read_file("/proc/sys/kernel/hostname", text, sizeof(text));
	CHECK(strcmp(text, "elsewhere\n") == 0);
	read_file("/proc/sys/kernel/domainname", text, sizeof(text));
	CHECK(strcmp(text, "dom\n") == 0);
	CHECK_ERR(sethostname(longest, 65), EINVAL);
	CHECK_ERR(sethostname(longest, (size_t)-1), EINVAL);
	CHECK_ERR(syscall(SYS_setdomainname, 8, 5), EFAULT);
	CHECK(sethostname(longest, 64) == 0 && uname(&now) == 0 && strlen(now.nodename) == 64);
	CHECK(syscall(SYS_setdomainname, 0, 0) == 0 && uname(&now) == 0 && now.domainname[0] == 0);
	CHECK(sethostname(before.nodename, strlen(before.nodename)) == 0);
	CHECK(setdomainname(before.domainname, strlen(before.domainname)) == 0);
}

static int select_at(int count, const int *fds, unsigned n, fd_set *set)
{
	struct timeval none = { 0, 0 };

	FD_ZERO(set);
	for (unsigned i = 0; i < n; i++)
		FD_SET(fds[i], set);
	return select(count, NULL, set, NULL, &none);
}

/* A closed descriptor is an error where the table could hold it, and not looked at behind that. */
static void test_select(void)
{
	int ends[2];
	fd_set set;

	CHECK(pipe(ends) == 0);
	CHECK_EQ(select_at(1024, (int[]){ ends[1], 60, 63 }, 1, &set), 1);
	CHECK_ERR(select_at(64, (int[]){ ends[1], 60 }, 2, &set), EBADF);
	CHECK_EQ(select_at(1024, (int[]){ ends[1], 64, 700, 1023 }, 4, &set), 1);
	CHECK(FD_ISSET(ends[1], &set) && FD_ISSET(64, &set) && FD_ISSET(700, &set) && FD_ISSET(1023, &set));
	/* Of the last word all is answered. */
	CHECK_EQ(select_at(ends[1] + 1, (int[]){ ends[1], 50, 64 }, 3, &set), 1);
	CHECK(FD_ISSET(ends[1], &set) && !FD_ISSET(50, &set) && FD_ISSET(64, &set));
	CHECK(dup2(ends[1], 64) == 64 && close(64) == 0);
	CHECK_ERR(select_at(1024, (int[]){ ends[1], 64 }, 2, &set), EBADF);
	CHECK_ERR(select_at(1024, (int[]){ ends[1], 127 }, 2, &set), EBADF);
	CHECK_EQ(select_at(1024, (int[]){ ends[1], 128 }, 2, &set), 1);
}

static void test_flock(void)
{
	int fd = open("/tmp", O_PATH);

	CHECK(fd >= 0);
	CHECK_ERR(flock(fd, LOCK_UN), EBADF);
	CHECK_ERR(flock(-1, LOCK_SH), EBADF);
	CHECK_ERR(flock(-1, 0), EINVAL);
	CHECK(flock(-1, 32 | 64) == 0 && flock(-1, 32) == 0);
	close(fd);
	fd = open("/tmp", 3 | O_CLOEXEC);
	if (fd < 0) {
		fd = open("/tmp/names.test", O_CREAT | O_RDWR, 0600);
		close(fd);
		fd = open("/tmp/names.test", 3);
		CHECK(fd >= 0 && unlink("/tmp/names.test") == 0);
	}
	CHECK_ERR(flock(fd, LOCK_SH), EBADF);
	CHECK(flock(fd, LOCK_UN) == 0);
	close(fd);
}

static void test_overcommit(void)
{
	int fd = open("/proc/sys/vm/overcommit_memory", O_WRONLY | O_TRUNC);

	CHECK(fd >= 0);
	CHECK_ERR(write(fd, "7\n", 2), EINVAL);
	CHECK_ERR(write(fd, "x", 1), EINVAL);
	CHECK_ERR(write(fd, "\n", 1), EINVAL);
	CHECK_EQ(write(fd, " 1\n", 3), 3);
	close(fd);
}

int main(void)
{
	test_names();
	test_select();
	test_flock();
	test_overcommit();
	return pass();
}
