/*
 * mremap: growing in place and by moving, shrinking, to a given place, keeping the source; data, permissions and sharing
 * go along; what Linux refuses is refused; and copy-on-write, other threads and big untouched ranges meet it.
 */
#include <sys/mman.h>

#include "check.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { MB = 1 << 20 };

static void refused(void)
{
	char *at = map_anon(8 * PAGE);

	CHECK_ERR(mremap(at + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERR(mremap(at, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERR(mremap(at, PAGE, PAGE, MREMAP_FIXED, at + 4 * PAGE), EINVAL);
	CHECK_ERR(mremap(at, PAGE, PAGE, 8), EINVAL);
	CHECK_ERR(mremap(at, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), EINVAL);
	CHECK_ERR(mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at), EINVAL);
	CHECK_ERR(mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE), EINVAL);
	CHECK_ERR(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 3 * PAGE + 5), EINVAL);
	CHECK_ERR(mremap(at, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERR(mremap(at, PAGE, 2 * PAGE, 0), ENOMEM);
	CHECK_ERR(mremap(at, PAGE, 1UL << 57, MREMAP_MAYMOVE), ENOMEM);
	CHECK_EQ(munmap(at + 4 * PAGE, PAGE), 0);
	CHECK_ERR(mremap(at + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_ERR(mremap(at, 6 * PAGE, 16 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_EQ(mprotect(at, PAGE, PROT_READ), 0);
	CHECK_ERR(mremap(at, 2 * PAGE, 16 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

static void sizes(void)
{
	char *at = map_anon(64 * PAGE), *to;

	pages_write(at, 64 * PAGE, 1);
	CHECK_EQ(munmap(at + 32 * PAGE, 32 * PAGE), 0);
	CHECK(mremap(at, 32 * PAGE, 48 * PAGE, 0) == at);
	pages_verify(at, 32 * PAGE, 1);
	CHECK_EQ(at[40 * PAGE], 0);
	CHECK(mremap(at, 48 * PAGE, 16 * PAGE, 0) == at);
	CHECK_EQ(probe_read(at + 16 * PAGE), SEGV_MAPERR);
	CHECK(mmap(at + 16 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	      at + 16 * PAGE);
	to = mremap(at, 16 * PAGE, 3 * MB, MREMAP_MAYMOVE);
	CHECK(to != MAP_FAILED && to != at);
	pages_verify(to, 16 * PAGE, 1);
	CHECK_EQ(to[3 * MB - 1], 0);
	CHECK_EQ(probe_read(at), SEGV_MAPERR);
}

/* Offsets within a 2 MiB table that differ, and pages, holes of untouched memory, and zeros among them. */
static void moved(size_t shift)
{
	char *from = map_anon(5 * MB), *area = map_anon(12 * MB), *to = area + shift * PAGE;

	for (size_t i = 0; i < 5 * MB; i += 3 * PAGE)
		memcpy(from + i, &i, sizeof(i));
	CHECK(mremap(from, 5 * MB, 5 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	for (size_t i = 0; i < 5 * MB; i += PAGE) {
		size_t value;

		memcpy(&value, to + i, sizeof(value));
		CHECK_EQ(value, i % (3 * PAGE) == 0 ? i : 0);
	}
	CHECK_EQ(probe_read(from), SEGV_MAPERR);
	CHECK_EQ(area[0], 0);
	CHECK_EQ(munmap(area, 12 * MB), 0);
}

static void kept(void)
{
	char *from = map_anon(4 * PAGE), *to;

	pages_write(from, 4 * PAGE, 3);
	to = mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(to != MAP_FAILED);
	pages_verify(to, 4 * PAGE, 3);
	CHECK_EQ(from[0], 0);
	from[0] = 5;
	pages_verify(to, 4 * PAGE, 3);
}

static void rights(void)
{
	char *from = map_anon(4 * PAGE), *to;

	pages_write(from, 4 * PAGE, 4);
	CHECK_EQ(mprotect(from, 4 * PAGE, PROT_NONE), 0);
	to = mremap(from, 4 * PAGE, 1 * MB, MREMAP_MAYMOVE);
	CHECK(to != MAP_FAILED);
	CHECK_EQ(probe_read(to), SEGV_ACCERR);
	CHECK_EQ(probe_read(to + 8 * PAGE), SEGV_ACCERR);
	CHECK_EQ(mprotect(to, 1 * MB, PROT_READ), 0);
	pages_verify(to, 4 * PAGE, 4);
	CHECK_EQ(probe_write(to, 1), SEGV_ACCERR);
}

static void shared(void)
{
	char *from = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *to, *again;
	pid_t pid;

	CHECK(from != MAP_FAILED);
	pages_write(from, 4 * PAGE, 5);
	again = mremap(from + PAGE, 0, PAGE, MREMAP_MAYMOVE);
	CHECK(again != MAP_FAILED);
	to = mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(to != MAP_FAILED);
	pages_verify(to, 4 * PAGE, 5);
	pid = child_fork();
	if (pid == 0) {
		to[PAGE] = 'x';
		_exit(0);
	}
	CHECK_EQ(child_status(pid), 0);
	CHECK_EQ(to[PAGE], 'x');
	CHECK_EQ(from[PAGE], 'x');
	CHECK_EQ(again[0], 'x');
}

static void forked(void)
{
	char *from = map_anon(64 * PAGE), *to;
	pid_t pid;

	pages_write(from, 64 * PAGE, 6);
	pid = child_fork();
	to = mremap(from, 64 * PAGE, 128 * PAGE, MREMAP_MAYMOVE);
	CHECK(to != MAP_FAILED);
	pages_verify(to, 64 * PAGE, 6);
	pages_write(to, 64 * PAGE, pid == 0 ? 7 : 8);
	pages_verify(to, 64 * PAGE, pid == 0 ? 7 : 8);
	if (pid == 0)
		_exit(0);
	CHECK_EQ(child_status(pid), 0);
	pages_verify(to, 64 * PAGE, 8);
}

static char *moving[2];
static atomic_bool stop;

/* Reads a page that is moved to and fro under it: what it sees is the page, or a fault. */
static void *reader(void *arg)
{
	(void)arg;
	while (!stop)
		for (int i = 0; i < 2; i++) {
			char byte = 0;
			int fds[2];

			CHECK_EQ(pipe(fds), 0);
			if (write(fds[1], moving[i], 1) == 1) {
				CHECK_EQ(read(fds[0], &byte, 1), 1);
				CHECK_EQ(byte, 'm');
			}
			close(fds[0]);
			close(fds[1]);
		}
	return NULL;
}

static void raced(void)
{
	pthread_t thread;

	moving[0] = map_anon(PAGE);
	moving[1] = map_anon(PAGE);
	moving[0][0] = moving[1][0] = 'm';
	CHECK_EQ(pthread_create(&thread, NULL, reader, NULL), 0);
	for (int i = 0; i < 200; i++)
		CHECK(mremap(moving[i % 2], PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moving[1 - i % 2]) ==
		      moving[1 - i % 2]);
	stop = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(moving[0][0], 'm');
}

static void realloced(void)
{
	char *at = malloc(1 * MB);

	memset(at, 'r', 1 * MB);
	for (size_t size = 2 * MB; size <= 32 * MB; size *= 2) {
		at = realloc(at, size);
		CHECK(at != NULL && at[0] == 'r' && at[1 * MB - 1] == 'r');
	}
	free(at);
}

int main(void)
{
	probe_init();
	refused();
	sizes();
	for (size_t shift = 0; shift < 1024; shift += 171)
		moved(shift);
	kept();
	rights();
	shared();
	forked();
	raced();
	realloced();
	return pass();
}
