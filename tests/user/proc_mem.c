/*
 * /proc/PID/mem: reads and writes at any address that is mapped, whatever its permissions; private memory alone is written
 * against them, and the program gets no right by it; holes; a process that ends, or becomes another program, meanwhile.
 */
#include <fcntl.h>

#include "check.h"

static int mem_open(pid_t pid, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, flags);
	CHECK(fd >= 0);
	return fd;
}

static ssize_t peek(int fd, const void *at, void *to, size_t n)
{
	return pread(fd, to, n, (off_t)(uintptr_t)at);
}

static ssize_t poke(int fd, void *at, const void *from, size_t n)
{
	return pwrite(fd, from, n, (off_t)(uintptr_t)at);
}

static void plain(int fd)
{
	char *area = map_anon(8 * PAGE), text[3 * PAGE];
	char byte = 'x';

	memset(area, 'a', 8 * PAGE);
	CHECK_EQ(peek(fd, area + PAGE - 7, text, sizeof(text)), sizeof(text));
	CHECK(text[0] == 'a' && text[sizeof(text) - 1] == 'a');
	memset(text, 'b', sizeof(text));
	CHECK_EQ(poke(fd, area + PAGE - 7, text, sizeof(text)), sizeof(text));
	CHECK(area[PAGE - 8] == 'a' && area[PAGE - 7] == 'b' && area[4 * PAGE - 8] == 'b' && area[4 * PAGE - 7] == 'a');
	CHECK_EQ(lseek(fd, (off_t)(uintptr_t)area, SEEK_SET), (off_t)(uintptr_t)area);
	CHECK_EQ(read(fd, text, 4), 4);
	CHECK_EQ(write(fd, &byte, 1), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), (off_t)(uintptr_t)area + 5);
	CHECK(area[4] == 'x');
	CHECK_ERR(lseek(fd, 0, SEEK_END), EINVAL);
	CHECK_EQ(poke(fd, area, area + 8, 0), 0);
	CHECK_ERR(peek(fd, area, (void *)8, 5), EFAULT);
	CHECK_ERR(poke(fd, area, (void *)8, 5), EFAULT);
	CHECK_ERR(peek(fd, NULL, text, 1), EIO);
	CHECK_ERR(poke(fd, NULL, text, 1), EIO);
	CHECK_ERR(peek(fd, (void *)0x3ffffffff000, text, 1), EIO);
	CHECK(munmap(area + PAGE, PAGE) == 0);
	CHECK_EQ(peek(fd, area + PAGE - 100, text, 200), 100); /* up to the hole */
	CHECK_EQ(poke(fd, area + PAGE - 100, text, 200), 100);
	CHECK_ERR(peek(fd, area + PAGE, text, 1), EIO);
	CHECK(munmap(area, 8 * PAGE) == 0);
}

/* Touched and untouched, read-only and without any permission. */
static void against_permissions(int fd)
{
	char *area = map_anon(4 * PAGE);
	char byte = 0;

	area[0] = 'a';
	area[2 * PAGE] = 'c';
	CHECK(mprotect(area, 2 * PAGE, PROT_READ) == 0 && mprotect(area + 2 * PAGE, 2 * PAGE, PROT_NONE) == 0);
	for (int i = 0; i < 4; i++) {
		static const char was[] = { 'a', 0, 'c', 0 };

		CHECK_EQ(peek(fd, area + (size_t)i * PAGE, &byte, 1), 1);
		CHECK_EQ(byte, was[i]);
		CHECK_EQ(poke(fd, area + (size_t)i * PAGE + 1, "w", 1), 1);
		CHECK_EQ(probe_write(area + (size_t)i * PAGE, 'z'), SEGV_ACCERR);
		CHECK_EQ(probe_read(area + (size_t)i * PAGE), i < 2 ? 0 : SEGV_ACCERR);
	}
	CHECK(area[0] == 'a' && area[1] == 'w' && area[PAGE] == 0 && area[PAGE + 1] == 'w');
	CHECK(mprotect(area, 4 * PAGE, PROT_READ | PROT_WRITE) == 0);
	CHECK(area[2 * PAGE] == 'c' && area[2 * PAGE + 1] == 'w' && area[3 * PAGE + 1] == 'w');
	area[3 * PAGE] = 'd';
	CHECK_EQ(peek(fd, area + 3 * PAGE, &byte, 1), 1);
	CHECK_EQ(byte, 'd');
	CHECK(munmap(area, 4 * PAGE) == 0);
}

static void objects(int fd)
{
	int file = memfd_create("mem", 0);
	char *shared, *private, *only;
	char byte = 0;

	CHECK(file >= 0 && ftruncate(file, 2 * PAGE) == 0 && pwrite(file, "file", 4, 0) == 4);
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	private = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	CHECK(shared != MAP_FAILED && only != MAP_FAILED && private != MAP_FAILED);
	CHECK_EQ(poke(fd, shared + 1, "I", 1), 1);
	CHECK_EQ(peek(fd, private + 1, &byte, 1), 1);
	CHECK_EQ(byte, 'I');
	CHECK_ERR(poke(fd, only, "F", 1), EIO); /* shared: only where the program may */
	CHECK_EQ(poke(fd, private, "P", 1), 1); /* private: a copy */
	CHECK_EQ(poke(fd, private + PAGE, "Q", 1), 1);
	CHECK(private[0] == 'P' && private[1] == 'I' && private[PAGE] == 'Q' && shared[0] == 'f' && shared[PAGE] == 0);
	CHECK_EQ(probe_write(private, 'z'), SEGV_ACCERR);
	CHECK_ERR(peek(fd, shared + 2 * PAGE, &byte, 1), EIO); /* behind the file's end */
	CHECK_ERR(poke(fd, shared + 2 * PAGE, &byte, 1), EIO);
	CHECK(munmap(shared, 4 * PAGE) == 0 && munmap(only, PAGE) == 0 && munmap(private, 2 * PAGE) == 0);
	close(file);
}

/* Code is private and read-only, too: a program that changes its own by this runs what it wrote. */
static void code(int fd)
{
	static const uint32_t one[] = { 0x00100513, 0x00008067 }, two = 0x00200513; /* li a0, 1; ret; li a0, 2 */
	uint32_t *area = map_anon(PAGE);
	int (*call)(void) = (int (*)(void))(uintptr_t)area;

	memcpy(area, one, sizeof(one));
	CHECK(mprotect(area, PAGE, PROT_READ | PROT_EXEC) == 0);
	__builtin___clear_cache((char *)area, (char *)area + PAGE);
	CHECK_EQ(call(), 1);
	CHECK_EQ(poke(fd, area, &two, sizeof(two)), sizeof(two));
	CHECK_EQ(call(), 2);
	CHECK(munmap(area, PAGE) == 0);
}

/* After fork a page has two owners: a write by this is the one's alone, whichever that is. */
static void child(void)
{
	int go[2], ready[2], fd;
	char *area = map_anon(2 * PAGE), byte = 0;
	pid_t pid;

	area[0] = area[PAGE] = 'p';
	CHECK(mprotect(area, PAGE, PROT_READ) == 0 && pipe(go) == 0 && pipe(ready) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1);
		_exit(area[0] == 'c' && area[PAGE] == 'd' ? 0 : 1);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	fd = mem_open(pid, O_RDWR);
	CHECK(poke(fd, area, "c", 1) == 1 && poke(fd, area + PAGE, "d", 1) == 1);
	CHECK(area[0] == 'p' && area[PAGE] == 'p');
	CHECK_EQ(write(go[1], "x", 1), 1);
	child_wait(pid);
	CHECK_EQ(peek(fd, area, &byte, 1), 0); /* it has ended */
	CHECK_EQ(poke(fd, area, &byte, 1), 0);
	close(fd);
}

/* One reads and writes another's memory for as long as that lives. */
static void ends_meanwhile(void)
{
	for (int round = 0; round < 20; round++) {
		char *area = map_anon(64 * PAGE), text[PAGE];
		pid_t pid = child_fork();
		int fd;

		if (pid == 0) {
			for (int i = 0; i < 20; i++) {
				memset(area, i, 64 * PAGE);
				CHECK(munmap(area + (i % 60) * PAGE, PAGE) == 0);
				CHECK(mmap(area + (i % 60) * PAGE, PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
			}
			_exit(0);
		}
		fd = mem_open(pid, O_RDWR);
		for (size_t i = 0;; i++) {
			ssize_t n = i % 2 != 0 ? peek(fd, area + i % 63 * PAGE + 5, text, PAGE)
					       : poke(fd, area + i % 63 * PAGE + 5, text, PAGE);

			if (n == 0 || waitpid(pid, NULL, WNOHANG) == pid)
				break;
			CHECK(n > 0 || errno == EIO);
		}
		close(fd);
		(void)waitpid(pid, NULL, 0);
		CHECK(munmap(area, 64 * PAGE) == 0);
	}
}

/* The file is of the program that ran when it was opened. */
static void another_program(void)
{
	char *const arguments[] = { (char *)(uintptr_t)self_path(), "again", NULL };
	int ready[2], fd;
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(dup2(ready[1], 60) == 60 && raise(SIGSTOP) == 0);
		execv(arguments[0], arguments);
		_exit(98);
	}
	CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
	fd = mem_open(pid, O_RDONLY);
	CHECK_EQ(peek(fd, arguments, &byte, 1), 1);
	CHECK(kill(pid, SIGCONT) == 0 && read(ready[0], &byte, 1) == 1);
	CHECK_EQ(peek(fd, arguments, &byte, 1), 0);
	close(fd);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

int main(int argc, char **argv)
{
	int fd;

	(void)argv;
	if (argc > 1) {
		CHECK(write(60, "x", 1) == 1);
		pause();
	}
	probe_init();
	fd = mem_open(getpid(), O_RDWR);
	plain(fd);
	against_permissions(fd);
	objects(fd);
	code(fd);
	child();
	ends_meanwhile();
	another_program();
	return pass();
}
