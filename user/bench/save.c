/* Writes the report to a file under another name first, so that a name that is there stands for a whole report. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/bench/report.h"

#define NUMBERS 10000

/* The file's name: what was asked for; or, in a directory, the next that is free. */
static int choose(const char *out, char path[REPORT_PATH])
{
	size_t length = strlen(out);
	unsigned i;

	if (length > REPORT_PATH - sizeof("bench-0000.json.new"))
		return -ENAMETOOLONG;
	strcpy(path, out);
	if (out[length - 1] != '/')
		return 0;
	if (mkdir(out, 0777) != 0 && errno != EEXIST)
		return -errno;
	for (i = 1; i < NUMBERS; i++) {
		snprintf(path + length, REPORT_PATH - length, "bench-%u.json", i);
		if (access(path, F_OK) != 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -ENOSPC;
}

static int write_all(const char *name, const char *executable, const struct options *options,
		     const struct catalog *catalog)
{
	FILE *file = fopen(name, "w");
	int error = 0;

	if (!file)
		return -errno;
	json_write(file, executable, options, catalog);
	if (ferror(file) || fflush(file) != 0 || fsync(fileno(file)) != 0)
		error = errno ? -errno : -EIO;
	if (fclose(file) != 0 && !error)
		error = -errno;
	return error;
}

/* The name, too, is on the disk then. */
static int sync_volume(const char *path)
{
	int fd = open(path, O_RDONLY);
	int error = fd < 0 || syncfs(fd) != 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

int json_save(const char *executable, const struct options *options, const struct catalog *catalog,
	      char path[REPORT_PATH])
{
	char name[REPORT_PATH + 8];
	int error = choose(options->out, path);

	if (error)
		return error;
	snprintf(name, sizeof(name), "%s.new", path);
	error = write_all(name, executable, options, catalog);
	if (!error && rename(name, path) != 0)
		error = -errno;
	if (error) {
		unlink(name);
		return error;
	}
	return sync_volume(path);
}
