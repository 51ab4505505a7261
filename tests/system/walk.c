/*
 * Reads all there is below the directories that it is given, which may be of a damaged disk: whatever fails is said and left. Then
 * writes to each: a file, a directory, a longer file, and takes them away again, as far as that goes. Ends with what it found and "ok".
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "tests/user/check.h"

#define DEPTH_MOST 12 /* a damaged directory may lead back to itself */
#define FOUND_MOST 3000

static unsigned found, failed;
static uint64_t bytes;
static char buffer[64 * KIB];

static void complain(const char *what, const char *path)
{
	if (failed++ < 20)
		printf("%s %s: %s\n", what, path, strerror(errno));
}

static void read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n = 0;

	if (fd < 0) {
		complain("open", path);
		return;
	}
	for (unsigned i = 0; i < 200 && (n = read(fd, buffer, sizeof(buffer))) > 0; i++)
		bytes += (uint64_t)n;
	if (n < 0)
		complain("read", path);
	CHECK(close(fd) == 0);
}

static void walk(const char *path, unsigned depth)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (directory == NULL) {
		complain("opendir", path);
		return;
	}
	while (errno = 0, (entry = readdir(directory)) != NULL && found < FOUND_MOST) {
		char below[PATH_MAX];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		found++;
		if ((unsigned)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >= sizeof(below))
			continue;
		if (stat(below, &st) != 0)
			complain("stat", below);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MOST)
			walk(below, depth + 1);
		else if (S_ISREG(st.st_mode))
			read_file(below);
	}
	if (entry == NULL && errno != 0)
		complain("readdir", path);
	CHECK(closedir(directory) == 0);
}

static void write_some(const char *path)
{
	char name[PATH_MAX], other[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%s/a new file with a long name", path);
	snprintf(other, sizeof(other), "%s/a new directory", path);
	fd = open(name, O_RDWR | O_CREAT, 0644);
	if (fd < 0) {
		complain("create", name);
		return;
	}
	for (unsigned i = 0; i < 5; i++)
		if (write(fd, buffer, sizeof(buffer)) < 0)
			complain("write", name);
	if (fsync(fd) != 0)
		complain("fsync", name);
	CHECK(close(fd) == 0);
	if (mkdir(other, 0755) != 0)
		complain("mkdir", other);
	if (rmdir(other) != 0)
		complain("rmdir", other);
	if (unlink(name) != 0)
		complain("unlink", name);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		walk(argv[i], 0);
		write_some(argv[i]);
	}
	sync();
	printf("%u names, %lu bytes, %u failures\n", found, bytes, failed);
	return pass();
}
