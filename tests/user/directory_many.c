/*
 * A directory of thousands of names: each is found, and read exactly once, whatever is removed and made meanwhile, by one reader
 * or by several in turns; a place that was told is found again.
 *
 *	directory_many [DIRECTORY]
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

#define NAMES 3000

static unsigned char seen[NAMES];

static const char *name_of(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), "name%u", i);
	return name;
}

static void make(unsigned from, unsigned step)
{
	for (unsigned i = from; i < NAMES; i += step) {
		int fd = open(name_of(i), O_CREAT | O_EXCL | O_WRONLY, 0600);

		CHECK(fd >= 0);
		close(fd);
	}
}

static DIR *start(void)
{
	DIR *dir = opendir(".");

	CHECK(dir != NULL);
	memset(seen, 0, sizeof(seen));
	return dir;
}

/* The number of the next name; -1: there is none. */
static int next(DIR *dir)
{
	struct dirent *entry;
	unsigned number;

	do {
		errno = 0;
		entry = readdir(dir);
		CHECK(errno == 0);
	} while (entry != NULL && entry->d_name[0] == '.');
	if (entry == NULL)
		return -1;
	CHECK(sscanf(entry->d_name, "name%u", &number) == 1 && number < NAMES);
	return (int)number;
}

static void test_all(void)
{
	DIR *dir = start();
	struct stat stat;
	int i;

	while ((i = next(dir)) >= 0)
		CHECK_EQ(seen[i]++, 0);
	for (unsigned n = 0; n < NAMES; n++)
		CHECK(seen[n] == 1 && lstat(name_of(n), &stat) == 0);
	closedir(dir);
	CHECK_ERR(lstat("no name", &stat), ENOENT);
}

/* Two in turns; and back to where one was. */
static void test_turns(void)
{
	DIR *dir = start(), *other = opendir(".");
	long place = 0;
	int i, after = -1;

	CHECK(other != NULL);
	for (unsigned n = 0; (i = next(dir)) >= 0; n++) {
		CHECK_EQ(seen[i]++, 0);
		if (after == -2)
			after = i;
		if (n == NAMES / 3) {
			place = telldir(dir);
			after = -2;
		}
		if (n % 7 == 0)
			CHECK(next(other) >= 0);
	}
	for (unsigned n = 0; n < 5; n++) {
		seekdir(dir, place);
		CHECK_EQ(next(dir), after);
		rewinddir(dir);
		CHECK(next(dir) >= 0);
	}
	closedir(dir);
	closedir(other);
}

/* What is read is removed, and so is something that is to come; new ones come, too. */
static void test_removing(void)
{
	DIR *dir = start();
	unsigned read = 0, removed = 0;
	int i;

	while ((i = next(dir)) >= 0) {
		CHECK_EQ(seen[i]++, 0);
		read++;
		CHECK(unlink(name_of((unsigned)i)) == 0);
		if (read % 3 == 0 && unlink(name_of((unsigned)(i + NAMES / 2) % NAMES)) == 0)
			removed++;
	}
	CHECK(read + removed >= NAMES);
	rewinddir(dir);
	CHECK_EQ(next(dir), -1);
	make(0, 3);
	rewinddir(dir);
	memset(seen, 0, sizeof(seen));
	while ((i = next(dir)) >= 0) {
		CHECK(i % 3 == 0);
		CHECK_EQ(seen[i]++, 0);
	}
	closedir(dir);
	for (unsigned n = 0; n < NAMES; n += 3)
		CHECK(unlink(name_of(n)) == 0);
}

int main(int argc, char **argv)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/many.%d", argc > 1 ? argv[1] : "/tmp", (int)getpid());
	CHECK(mkdir(path, 0700) == 0 && chdir(path) == 0);
	make(0, 1);
	test_all();
	test_turns();
	test_removing();
	CHECK(chdir("/") == 0 && rmdir(path) == 0);
	return pass();
}
