/* Files, links and directories that a program leaves behind are not memory lost: the audit after it says so. */
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

int main(void)
{
	char name[64], page[4096];

	memset(page, 7, sizeof(page));
	CHECK(mkdir("/tmp/d", 0777) == 0);
	for (int i = 0; i < 100; i++) {
		int fd;

		sprintf(name, "/tmp/d/%d", i);
		CHECK(mkdir(name, 0777) == 0);
		sprintf(name, "/tmp/d/%d/file", i);
		fd = open(name, O_CREAT | O_RDWR, 0666);
		CHECK(fd >= 0);
		for (int j = 0; j < 5; j++)
			CHECK(write(fd, page, sizeof(page)) == sizeof(page));
	}
	CHECK(symlink("/tmp/d/1/file", "/tmp/link") == 0);
	CHECK(link("/tmp/d/2/file", "/tmp/hard") == 0);
	return pass();
}
