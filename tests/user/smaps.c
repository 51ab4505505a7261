/* smaps tells pages that others have, too, from those of one mapping alone, and those that were written to from others. */
#include <fcntl.h>

#include "check.h"

static struct {
	long rss, pss, shared_clean, shared_dirty, private_clean, private_dirty, anonymous;
} is;

/* What smaps says of the region that begins at this address, in KiB. */
static void look(const void *at)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	bool mine = false, found = false;
	char line[512];
	long value;

	CHECK(file != NULL);
	memset(&is, 0, sizeof(is));
	while (fgets(line, sizeof(line), file) != NULL) {
		unsigned long start, end;
		char name[64];

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			mine = start == (unsigned long)at;
			found |= mine;
		} else if (mine && sscanf(line, "%63[^:]: %ld kB", name, &value) == 2) {
			if (strcmp(name, "Rss") == 0)
				is.rss = value;
			else if (strcmp(name, "Pss") == 0)
				is.pss = value;
			else if (strcmp(name, "Shared_Clean") == 0)
				is.shared_clean = value;
			else if (strcmp(name, "Shared_Dirty") == 0)
				is.shared_dirty = value;
			else if (strcmp(name, "Private_Clean") == 0)
				is.private_clean = value;
			else if (strcmp(name, "Private_Dirty") == 0)
				is.private_dirty = value;
			else if (strcmp(name, "Anonymous") == 0)
				is.anonymous = value;
		}
	}
	fclose(file);
	CHECK(found);
	CHECK_EQ(is.rss, is.shared_clean + is.shared_dirty + is.private_clean + is.private_dirty);
}

static void fork_shares(void)
{
	char *area = (char *)map_aligned(16 * PAGE, 64 * KIB);
	int go[2], done[2];
	char byte;
	pid_t pid;

	CHECK(madvise(area, 16 * PAGE, MADV_NOHUGEPAGE) == 0 || errno == EINVAL);
	memset(area, 1, 8 * PAGE);
	look(area);
	CHECK(is.private_dirty == 32 && is.rss == 32 && is.pss == 32 && is.anonymous == 32);
	CHECK(pipe(go) == 0 && pipe(done) == 0);
	pid = child_fork();
	if (pid == 0) {
		memset(area, 2, 2 * PAGE);
		CHECK(write(done[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	CHECK_EQ(read(done[0], &byte, 1), 1);
	look(area);
	CHECK(is.shared_dirty == 24 && is.private_dirty == 8 && is.rss == 32 && is.pss == 20 && is.anonymous == 32);
	CHECK_EQ(write(go[1], "x", 1), 1);
	child_wait(pid);
	look(area);
	CHECK(is.shared_dirty == 0 && is.private_dirty == 32 && is.pss == 32);
}

static void files(void)
{
	int fd = memfd_create("smaps", 0);
	char *one, *two;

	CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
	one = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(one != MAP_FAILED && two != MAP_FAILED);
	one[0] = 1; /* one page alone: Linux maps its neighbours, too */
	look(one);
	CHECK(is.private_dirty == 4 && is.rss == 4 && is.anonymous == 0);
	(void)*(volatile char *)two;
	look(one);
	CHECK(is.shared_dirty == 4 && is.private_dirty == 0 && is.pss == 2);
	two[0] = 2; /* its own copy now */
	look(one);
	CHECK(is.shared_dirty == 0 && is.private_dirty == 4);
	look(two);
	CHECK(is.private_dirty == 4 && is.anonymous == 4 && is.rss == 4);
	close(fd);
}

int main(void)
{
	fork_shares();
	files();
	return pass();
}
