/*
 * Runs a program on the Linux that make conformance compares with, as this very process, with the disk's FAT at /mnt, as Corral
 * mounts it by --disk: volume PROGRAM ARGUMENT... The modules for it are /modules/0, /modules/1, ...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COMPRESSED 4 /* MODULE_INIT_COMPRESSED_FILE */
#define DISK	   "/dev/vda"
#define TENTHS	   50 /* of a second until the disk is there */

static void modules(void)
{
	char path[32];

	for (int i = 0;; i++) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%d", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", COMPRESSED) < 0 && errno != EEXIST)
			perror(path);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	modules();
	for (int i = 0; i < TENTHS && access(DISK, F_OK) < 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	mkdir("/mnt", 0755);
	if (mount(DISK, "/mnt", "vfat", 0, NULL) < 0 && errno != EBUSY) {
		perror(DISK);
		return 126;
	}
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
