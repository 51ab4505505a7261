/* fchmodat2: modes by name, of what a link leads to and of links themselves, whose modes cannot be changed. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SYS_FCHMODAT2 452

static int change(int dir, const char *name, unsigned mode, int flags)
{
	return (int)syscall(SYS_FCHMODAT2, dir, name, mode, flags);
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	CHECK(lstat(name, &st) == 0);
	return st.st_mode;
}

int main(void)
{
	int fd;

	CHECK(chdir("/tmp") == 0);
	fd = open("file", O_CREAT | O_RDWR, 0644);
	CHECK(fd >= 0 && symlink("file", "link") == 0);
	CHECK(change(AT_FDCWD, "file", 0640, 0) == 0 && mode_of("file") == (S_IFREG | 0640));
	CHECK(change(AT_FDCWD, "file", 0600, AT_SYMLINK_NOFOLLOW) == 0 && mode_of("file") == (S_IFREG | 0600));
	CHECK(change(AT_FDCWD, "link", 0755, 0) == 0 && mode_of("file") == (S_IFREG | 0755));
	CHECK_ERR(change(AT_FDCWD, "link", 0644, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	CHECK(mode_of("link") == (S_IFLNK | 0777) && mode_of("file") == (S_IFREG | 0755));
	CHECK(change(fd, "", 0604, AT_EMPTY_PATH) == 0 && mode_of("file") == (S_IFREG | 0604));
	CHECK_ERR(change(fd, "", 0604, 0), ENOENT);
	CHECK_ERR(change(AT_FDCWD, "file", 0604, AT_SYMLINK_FOLLOW), EINVAL);
	CHECK_ERR(change(AT_FDCWD, "none", 0604, 0), ENOENT);
	CHECK_ERR(change(-1, "file", 0604, 0), EBADF);
	fd = open("link", O_PATH | O_NOFOLLOW);
	CHECK(fd >= 0);
	CHECK_ERR(change(fd, "", 0604, AT_EMPTY_PATH), EOPNOTSUPP);
	CHECK(unlink("file") == 0 && unlink("link") == 0);
	puts("ok");
	return 0;
}
