/*
 * Small records are appended to a file while two threads have it written back all the time: nothing of what was appended is lost,
 * also where the writer just clears what is behind the end.
 *
 *	file_append [DIRECTORY [ROUNDS]]
 */
#include "check.h"

#include <fcntl.h>

#define MOST (64 * KIB)

static int fd;
static atomic_bool done;

static void *syncer(void *unused)
{
	while (!atomic_load(&done))
		CHECK(sync_file_range(fd, 0, 0,
				      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER) == 0);
	return unused;
}

static void one_round(unsigned round)
{
	static unsigned char record[64], all[MOST + 64];
	pthread_t thread[2];
	size_t n = 0;

	memset(record, 0xa5, sizeof(record));
	CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	atomic_store(&done, false);
	for (unsigned i = 0; i < COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, syncer, NULL) == 0);
	while (n < MOST) {
		size_t bytes = 1 + (n * 7 + round) % 48;

		CHECK_EQ(write(fd, record, bytes), bytes);
		n += bytes;
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i < COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	CHECK_EQ(pread(fd, all, sizeof(all), 0), n);
	for (size_t i = 0; i < n; i++)
		if (all[i] != 0xa5)
			CHECK_EQ(i, n); /* which it is */
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
	char path[200];

	snprintf(path, sizeof(path), "%s/append.%d", argc > 1 ? argv[1] : "/tmp", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0);
	for (unsigned i = 0; i < rounds; i++)
		one_round(i);
	CHECK(close(fd) == 0 && unlink(path) == 0);
	puts("ok");
	return 0;
}
