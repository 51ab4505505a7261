/*
 * Reads from a disk past the cache until it fails, as cards do that are taken out; it fails until the card is back, and then can be
 * read, and not be written.
 *
 *	card DISK	"reading"; then, at the first error, "gone"; a line on standard input later, "back"
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/user/check.h"

#define BYTES 8192

static uint8_t buffer[BYTES] __attribute__((aligned(4096)));

/* A card that goes between the two pages leaves the first one read (kernel/blockdev.c). */
static bool reads(int fd, unsigned i)
{
	ssize_t got = pread(fd, buffer, BYTES, (off_t)(i % 100) * BYTES);

	CHECK(got == BYTES || got == BYTES / 2 || (got == -1 && errno == EIO));
	return got != -1;
}

int main(int argc, char **argv)
{
	struct timespec nap = { 0, 10000000 };
	int fd = open(argc > 1 ? argv[1] : "", O_RDWR | O_DIRECT);
	unsigned i = 0;
	char line;

	CHECK(fd >= 0);
	CHECK(reads(fd, i++));
	CHECK(write(1, "reading\n", 8) == 8);
	while (reads(fd, i++))
		(void)nanosleep(&nap, NULL);
	CHECK(write(1, "gone\n", 5) == 5);
	CHECK(read(0, &line, 1) == 1);
	for (i = 0; i < 2000 && !reads(fd, i); i++)
		(void)nanosleep(&nap, NULL);
	for (i = 0; i < 20; i++) {
		CHECK(reads(fd, i));
		CHECK(pwrite(fd, buffer, BYTES, 0) == -1 && errno == EIO);
	}
	CHECK(write(1, "back\n", 5) == 5);
	return 0;
}
