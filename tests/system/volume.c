/*
 * What files on a mounted FAT volume can do, and what they cannot, as Linux's vfat: the first argument says which part.
 *
 *	volume names DIR	names, links, modes, times, removed files, the errors of each
 *	volume full DIR		fills the volume: ENOSPC from write, and nothing is lost
 *	volume mounts DISK DIR	mount and umount2
 *	volume content FILE	one of 100000 bytes, which nobody has read yet: no holes
 *	volume readonly DIR	EROFS
 *	volume errors DIR	a page of "two" cannot be written: EIO from fsync, and all else is there
 *	volume two DIR DIR	two volumes
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "tests/user/check.h"

#define FAILS(call, number) CHECK((call) == -1 && errno == (number))

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void expect(const char *name, const char *text)
{
	char got[100];
	int fd = open(name, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, got, sizeof(got));
	CHECK(n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0 && close(fd) == 0);
}

static unsigned count(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned n = 0;

	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	CHECK(closedir(dir) == 0);
	return n;
}

static void links_and_modes(void)
{
	struct stat st, root;

	put("file", "one");
	FAILS(link("file", "other"), EPERM);
	FAILS(link("file", "/tmp/other"), EXDEV);
	FAILS(rename("file", "/tmp/file"), EXDEV);
	FAILS(symlink("file", "link"), EPERM);
	FAILS(mknod("fifo", S_IFIFO | 0644, 0), EPERM);
	CHECK(mknod("made", S_IFREG | 0644, 0) == 0 && unlink("made") == 0);
	FAILS(open(".", O_TMPFILE | O_RDWR, 0644), EOPNOTSUPP);
	CHECK(stat("file", &st) == 0 && st.st_mode == (S_IFREG | 0755) && st.st_nlink == 1 && st.st_uid == 0);
	CHECK(stat("/", &root) == 0 && root.st_dev != st.st_dev);
	CHECK(chmod("file", 0600) == 0 && stat("file", &st) == 0 && st.st_mode == (S_IFREG | 0755));
	CHECK(chmod("file", 0555) == 0 && stat("file", &st) == 0 && st.st_mode == (S_IFREG | 0555));
	CHECK(chmod("file", 0777) == 0 && stat("file", &st) == 0 && st.st_mode == (S_IFREG | 0755));
	FAILS(chmod("file", 04755), EPERM);
	FAILS(chown("file", 5, 0), EPERM);
	CHECK(chown("file", 0, 0) == 0 && chown("file", (uid_t)-1, (gid_t)-1) == 0);
}

static void times(void)
{
	struct timespec ts[2] = { { 1700000000, 5 }, { 1600000001, 5 } };
	struct stat st;

	CHECK(utimensat(AT_FDCWD, "file", ts, 0) == 0 && stat("file", &st) == 0);
	CHECK(st.st_mtime == 1600000000 && st.st_atime == 1700000000 / 86400 * 86400);
	ts[1].tv_nsec = UTIME_OMIT;
	CHECK(utimensat(AT_FDCWD, "file", ts, 0) == 0 && stat("file", &st) == 0 && st.st_mtime == 1600000000);
	put("file", "two");
	CHECK(stat("file", &st) == 0 && st.st_mtime > 1700000000);
}

static void names(void)
{
	char longest[300], path[PATH_MAX];
	struct stat st, again;

	CHECK(mkdir("dir", 0700) == 0 && mkdir("dir/below", 0777) == 0);
	FAILS(mkdir("DIR", 0700), EEXIST);
	FAILS(mkdir("a:b", 0700), EINVAL);
	FAILS(open("a:b", O_RDONLY), ENOENT);
	FAILS(open("...", O_RDWR | O_CREAT, 0644), ENOENT);
	FAILS(rename("file", "..."), ENOENT);
	CHECK(mkdir("d\x7fl", 0700) == 0 && rmdir("d\x7fl") == 0);
	FAILS(open("file/x", O_RDONLY), ENOTDIR);
	FAILS(open("dir", O_WRONLY), EISDIR);
	FAILS(rmdir("dir"), ENOTEMPTY);
	FAILS(rmdir("file"), ENOTDIR);
	FAILS(unlink("dir"), EISDIR);
	FAILS(rename("dir", "dir/below/in"), EINVAL);
	FAILS(rename("file", "dir"), EISDIR);
	FAILS(rename("dir", "file"), ENOTDIR);
	CHECK(stat("dir", &st) == 0 && st.st_nlink == 3);
	CHECK(stat("FILE", &st) == 0 && stat("file", &again) == 0 && st.st_ino == again.st_ino);
	put("dir/below/Grüße an alle.txt", "text");
	expect("dir/BELOW/Grüße an alle.txt", "text");
	CHECK(chdir("dir/below") == 0 && rename("../../dir", "../../moved") == 0);
	CHECK(getcwd(path, sizeof(path)) != NULL && strstr(path, "/moved/below") != NULL);
	expect("Grüße an alle.txt", "text");
	CHECK(rename("Grüße an alle.txt", "../up") == 0 && chdir("../..") == 0);
	expect("moved/up", "text");
	CHECK(rename("moved/up", "file") == 0);
	expect("file", "text");
	CHECK(rename("file", "File") == 0);
	CHECK(rmdir("moved/below") == 0 && rmdir("moved") == 0 && unlink("fIlE") == 0);
	memset(longest, 'x', sizeof(longest));
	longest[256] = 0;
	FAILS(open(longest, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	longest[255] = 0;
	put(longest, "long");
	expect(longest, "long");
	CHECK(unlink(longest) == 0);
}

static void many(void)
{
	struct dirent *entry;
	char name[40];
	DIR *dir;
	unsigned n = 0;

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "number %u of many files", i);
		put(name, "x");
	}
	CHECK(count(".") == 302);
	dir = opendir(".");
	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && ++n)
			CHECK(entry->d_type == DT_REG && unlink(entry->d_name) == 0);
	CHECK(n == 300 && closedir(dir) == 0 && count(".") == 2);
}

static void removed(void)
{
	char buffer[8] = { 0 };
	struct stat st;
	char *map;
	int fd;

	put("gone", "content");
	fd = open("gone", O_RDWR);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(fd >= 0 && map != MAP_FAILED && unlink("gone") == 0 && count(".") == 2);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK(pread(fd, buffer, 8, 0) == 7 && memcmp(buffer, "content", 7) == 0);
	CHECK(pwrite(fd, "CON", 3, 0) == 3 && memcmp(map, "CONtent", 7) == 0 && fsync(fd) == 0);
	put("gone", "another");
	expect("gone", "another");
	CHECK(close(fd) == 0 && memcmp(map, "CONtent", 7) == 0 && munmap(map, PAGE) == 0 && unlink("gone") == 0);
}

static void program(const char *self)
{
	char buffer[4096];
	int from = open(self, O_RDONLY), to = open("program", O_WRONLY | O_CREAT, 0755), status;
	ssize_t n;
	pid_t pid;

	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		CHECK(write(to, buffer, (size_t)n) == n);
	CHECK(n == 0 && close(to) == 0 && close(from) == 0);
	pid = child_fork();
	if (pid == 0) {
		execl("program", "program", "nothing", (char *)NULL);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42);
	CHECK(unlink("program") == 0);
}

/* RLIMIT_FSIZE, which has a signal of its own. */
static void limited(int fd)
{
	struct rlimit limit = { 160000, RLIM_INFINITY };

	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(pwrite(fd, "abcd", 4, 159998) == 2);
	FAILS(pwrite(fd, "x", 1, 160000), EFBIG);
	FAILS(ftruncate(fd, 160001), EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void sizes(void)
{
	struct statfs fs;
	struct stat st;
	int fd = open("big", O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0 && ftruncate(fd, 100000) == 0 && fstat(fd, &st) == 0 && st.st_size == 100000);
	CHECK(st.st_blocks * 512 >= 100000 && fstatfs(fd, &fs) == 0 && fs.f_type == 0x4d44);
	CHECK(st.st_blksize == fs.f_bsize && fs.f_bfree < fs.f_blocks);
	FAILS(ftruncate(fd, 0x100000000), EFBIG);
	FAILS(pwrite(fd, "x", 1, 0xffffffff), EFBIG);
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200000) == 0 && fstat(fd, &st) == 0 && st.st_size == 100000);
	CHECK(st.st_blocks * 512 >= 200000 && fallocate(fd, 0, 0, 150000) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 150000);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EOPNOTSUPP);
	limited(fd);
	CHECK(close(fd) == 0 && unlink("big") == 0);
}

static uint64_t free_clusters(void)
{
	struct statfs fs;

	sync();
	CHECK(statfs(".", &fs) == 0);
	return fs.f_bfree;
}

static void full(void)
{
	static char block[64 * KIB], got[64 * KIB];
	uint64_t before = free_clusters(), bytes = 0;
	int fd, small;
	ssize_t n;

	put("kept", "kept");
	fd = open("fill", O_RDWR | O_CREAT, 0644);
	CHECK(fd >= 0);
	for (;;) {
		memset(block, (int)(bytes / sizeof(block) % 251 + 1), sizeof(block));
		n = write(fd, block, sizeof(block));
		if (n < 0)
			break;
		bytes += (uint64_t)n;
		if (n < (ssize_t)sizeof(block))
			break;
	}
	CHECK(n >= 0 || errno == ENOSPC);
	CHECK(fsync(fd) == 0 && bytes > 1024 * KIB);
	FAILS(ftruncate(fd, (off_t)(bytes + 1024 * KIB)), ENOSPC);
	small = open("small", O_WRONLY | O_CREAT, 0644);
	CHECK(small >= 0 && close(small) == 0);
	expect("kept", "kept");
	for (uint64_t at = 0; at < bytes; at += sizeof(block)) {
		n = pread(fd, got, sizeof(got), (off_t)at);
		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i += 509)
			CHECK(got[i] == (char)(at / sizeof(block) % 251 + 1));
	}
	CHECK(unlink("fill") == 0 && close(fd) == 0 && unlink("kept") == 0 && unlink("small") == 0);
	CHECK_EQ(free_clusters(), before);
}

/* A file that takes all there is, has no name, and goes now, with its last mapping: nobody but who wants room looks for it. */
static void fill_and_remove(void)
{
	static char block[64 * KIB];
	int fd = open("fill", O_RDWR | O_CREAT, 0644);
	char *page;

	CHECK(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	CHECK_EQ(errno, ENOSPC);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED);
	CHECK(unlink("fill") == 0 && close(fd) == 0);
	page[0] = 'x';
	CHECK(munmap(page, 4096) == 0);
}

/* The room of files that were removed is there for whoever wants it next, however he asks. */
static void room_of_removed(void)
{
	uint64_t before = free_clusters();
	char text[100] = "text";
	int fd = open("next", O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0);
	fill_and_remove();
	CHECK_EQ(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
	fill_and_remove();
	CHECK(ftruncate(fd, 1024 * KIB) == 0);
	fill_and_remove();
	CHECK(fallocate(fd, 0, 0, 2048 * KIB) == 0);
	CHECK(close(fd) == 0 && unlink("next") == 0);
	CHECK_EQ(free_clusters(), before);
}

static void mounts(const char *disk, const char *place)
{
	char file[200], line[300];
	FILE *list;
	bool found = false;
	int fd;

	snprintf(file, sizeof(file), "%s/file", place);
	FAILS(umount(place), EINVAL);
	FAILS(mount(disk, place, "ext4", 0, NULL), ENODEV);
	FAILS(mount(disk, place, NULL, 0, NULL), EINVAL);
	FAILS(mount(NULL, place, "vfat", 0, NULL), EINVAL);
	FAILS(mount("/dev/null", place, "vfat", 0, NULL), ENOTBLK);
	FAILS(mount(disk, "/nowhere", "vfat", 0, NULL), ENOENT);
	FAILS(mount(disk, "/proc/version", "vfat", 0, NULL), ENOTDIR);
	put(file, "covered");
	CHECK(mount(disk, place, "vfat", 0, NULL) == 0);
	FAILS(mount(disk, place, "vfat", 0, NULL), EBUSY);
	FAILS(open(file, O_RDONLY), ENOENT);
	FAILS(rmdir(place), EBUSY);
	put(file, "on the disk");
	list = fopen("/proc/self/mounts", "r");
	while (list != NULL && fgets(line, sizeof(line), list) != NULL)
		found = found || (strstr(line, disk) != NULL && strstr(line, " vfat rw ") != NULL);
	CHECK(found && fclose(list) == 0);
	fd = open(file, O_RDONLY);
	CHECK(fd >= 0);
	FAILS(umount(place), EBUSY);
	CHECK(close(fd) == 0 && chdir(place) == 0);
	FAILS(umount(place), EBUSY);
	CHECK(chdir("/") == 0 && umount(place) == 0);
	expect(file, "covered");
	CHECK(mount(disk, place, "vfat", MS_RDONLY, NULL) == 0);
	expect(file, "on the disk");
	FAILS(open(file, O_WRONLY), EROFS);
	CHECK(umount(place) == 0 && unlink(file) == 0);
}

/* FAT has no holes, and what is not in memory is none: cp and tar would leave it out. */
static void content(const char *file)
{
	int fd = open(file, O_RDWR);

	CHECK(fd >= 0);
	CHECK(lseek(fd, 0, SEEK_DATA) == 0 && lseek(fd, 70000, SEEK_DATA) == 70000);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 100000 && lseek(fd, 99999, SEEK_HOLE) == 100000);
	FAILS(lseek(fd, 100000, SEEK_DATA), ENXIO);
	CHECK(ftruncate(fd, 200000) == 0 && lseek(fd, 0, SEEK_HOLE) == 200000 &&
	      lseek(fd, 150000, SEEK_DATA) == 150000);
	CHECK(close(fd) == 0);
}

static void read_only(void)
{
	expect("file", "from outside");
	FAILS(open("file", O_RDWR), EROFS);
	FAILS(open("new", O_RDWR | O_CREAT, 0644), EROFS);
	FAILS(truncate("file", 0), EROFS);
	FAILS(unlink("file"), EROFS);
	FAILS(mkdir("dir", 0755), EROFS);
	FAILS(rename("file", "other"), EROFS);
	FAILS(chmod("file", 0555), EROFS);
	FAILS(access("file", W_OK), EROFS);
	CHECK(access("file", R_OK) == 0);
}

static void errors(void)
{
	static char page[3 * PAGE];
	int fd = open("two", O_RDWR), other = open("two", O_RDONLY), dir = open(".", O_RDONLY),
	    one = open("one", O_RDONLY);

	CHECK(dir >= 0 && one >= 0 && syncfs(dir) == 0);
	memset(page, 'n', sizeof(page));
	CHECK(fd >= 0 && other >= 0 && pwrite(fd, page, sizeof(page), 0) == (ssize_t)sizeof(page));
	put("one", "written");
	FAILS(fsync(fd), EIO);
	FAILS(fsync(other), EIO);
	CHECK(fsync(one) == 0);
	FAILS(syncfs(dir), EIO);
	FAILS(syncfs(one), EIO);
	CHECK(close(dir) == 0 && close(one) == 0);
	CHECK(pread(fd, page, 1, PAGE) == 1 && page[0] == 'n' && close(fd) == 0 && close(other) == 0);
	fd = open("one", O_RDONLY);
	CHECK(fd >= 0 && fsync(fd) == 0 && close(fd) == 0);
	expect("one", "written");
}

static void two(const char *a, const char *b)
{
	char from[200], to[200];

	snprintf(from, sizeof(from), "%s/file", a);
	snprintf(to, sizeof(to), "%s/file", b);
	put(from, "first");
	put(to, "second");
	FAILS(rename(from, to), EXDEV);
	FAILS(link(from, to), EEXIST);
	snprintf(to, sizeof(to), "%s/other", b);
	FAILS(link(from, to), EXDEV);
	snprintf(to, sizeof(to), "%s/file", b);
	expect(from, "first");
	expect(to, "second");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return 42;
	CHECK(argc > 2);
	if (strcmp(argv[1], "two") == 0) {
		two(argv[2], argv[3]);
	} else if (strcmp(argv[1], "content") == 0) {
		content(argv[2]);
	} else if (strcmp(argv[1], "mounts") == 0) {
		mounts(argv[2], argv[3]);
	} else {
		CHECK(chdir(argv[2]) == 0);
		if (strcmp(argv[1], "full") == 0) {
			full();
			room_of_removed();
		} else if (strcmp(argv[1], "readonly") == 0) {
			read_only();
		} else if (strcmp(argv[1], "errors") == 0) {
			errors();
		} else {
			links_and_modes();
			times();
			names();
			many();
			removed();
			program("/proc/self/exe");
			sizes();
		}
	}
	return pass();
}
