/* Threads that open, close, duplicate, fork, read, write, truncate, rename and list the same few files: nothing is lost or torn. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

#define HOME	"/tmp/file-race"
#define THREADS 6
#define FIRST	10
#define FDS	40

static atomic_bool stop;

static int random_fd(unsigned *seed)
{
	return FIRST + (int)((unsigned)rand_r(seed) % FDS);
}

static void with_descriptors(unsigned *seed, int what)
{
	int fd = random_fd(seed);
	int ends[2];
	char byte = 1;

	if (what == 0) {
		close(fd);
	} else if (what == 1) {
		dup3(fd, random_fd(seed), 0);
	} else if (what == 2) {
		dup2(open(HOME "/f", O_RDWR | O_CREAT, 0600), fd);
	} else if (what == 3 && read(fd, &byte, 1) > 0) {
		CHECK(byte == 0 || byte == 1);
	} else if (what == 4 && write(fd, &byte, 1) < 0) {
		CHECK(errno == EBADF || errno == EPIPE || errno == EAGAIN);
	} else if (what == 5 && pipe2(ends, O_NONBLOCK) == 0) {
		close(ends[0]);
		dup2(ends[1], fd);
		close(ends[1]);
	}
}

static void with_names(unsigned *seed, int what)
{
	char buffer[300];
	struct stat st;
	int fd;

	if (what == 6) {
		unlink(HOME "/f");
	} else if (what == 7) {
		rename(HOME "/f", HOME "/g");
	} else if (what == 8) {
		mkdir(HOME "/d", 0700);
	} else if (what == 9) {
		rmdir(HOME "/d");
	} else if (what == 10) {
		(void)!ftruncate(random_fd(seed), rand_r(seed) % 9000);
	} else if (what == 11) {
		stat(HOME "/d/../f", &st);
	} else if (what == 12) {
		fd = open(HOME, O_RDONLY | O_DIRECTORY);
		while (fd >= 0 && syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) > 0)
			continue;
		close(fd);
	}
}

static void *run(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;

	while (!stop) {
		int what = rand_r(&seed) % 40;
		pid_t pid = what == 13 ? fork() : -1;

		if (pid == 0)
			_exit(0);
		if (pid > 0)
			CHECK(waitpid(pid, NULL, 0) == pid);
		with_descriptors(&seed, what % 20);
		with_names(&seed, what % 20);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];

	signal(SIGPIPE, SIG_IGN);
	CHECK(mkdir("/tmp", 01777) == 0 || errno == EEXIST);
	CHECK(mkdir(HOME, 0700) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
	sleep(2);
	stop = true;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(syscall(SYS_close_range, 3, 1000, 0) == 0);
	unlink(HOME "/f");
	unlink(HOME "/g");
	rmdir(HOME "/d");
	CHECK(rmdir(HOME) == 0);
	(void)rmdir("/tmp"); /* what is left in memory would be missing from the free frames */
	puts("ok");
	return 0;
}
