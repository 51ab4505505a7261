/*
 * Children, of two threads each, make random calls on files: names of all kinds, /proc's among them, descriptors of all kinds,
 * addresses that are none. They may end in any way, but the machine goes on. fuzz_files [SEED]; it is printed.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

enum { CHILDREN = 24, CALLS = 250 };

static const long numbers[] = {
	SYS_openat,	 SYS_openat,	 SYS_openat,	   SYS_close,		SYS_read,
	SYS_write,	 SYS_pread64,	 SYS_pwrite64,	   SYS_readv,		SYS_writev,
	SYS_lseek,	 SYS_getdents64, SYS_readlinkat,   SYS_newfstatat,	SYS_fstat,
	SYS_statx,	 SYS_mkdirat,	 SYS_unlinkat,	   SYS_renameat2,	SYS_linkat,
	SYS_symlinkat,	 SYS_mknodat,	 SYS_chdir,	   SYS_fchdir,		SYS_getcwd,
	SYS_ftruncate,	 SYS_fallocate,	 SYS_fcntl,	   SYS_fcntl,		SYS_ioctl,
	SYS_dup,	 SYS_dup3,	 SYS_pipe2,	   SYS_eventfd2,	SYS_socketpair,
	SYS_sendto,	 SYS_recvfrom,	 SYS_memfd_create, SYS_copy_file_range, SYS_sendfile,
	SYS_fadvise64,	 SYS_mmap,	 SYS_close_range,  SYS_statfs,		SYS_fchmodat,
	SYS_utimensat,	 SYS_faccessat,	 SYS_truncate,	   SYS_socket,		SYS_sendmsg,
	SYS_recvmsg,	 SYS_shutdown,	 SYS_setsockopt,   SYS_getsockopt,	SYS_getsockname,
	SYS_getpeername, SYS_sendmmsg,	 SYS_recvmmsg,	   SYS_flock,		SYS_socketpair,
	SYS_sendmsg,	 SYS_recvmsg,	 SYS_pidfd_open,   SYS_pidfd_getfd,	SYS_process_mrelease,
};

static const char *const names[] = {
	"/",
	"/proc",
	"/proc/self",
	"/proc/self/fd",
	"/proc/self/fd/3",
	"/proc/self/fd/4",
	"/proc/self/fd/5",
	"/proc/self/maps",
	"/proc/self/smaps",
	"/proc/self/pagemap",
	"/proc/self/exe",
	"/proc/self/cwd",
	"/proc/self/cwd/x",
	"/proc/self/root/proc/1",
	"/proc/1/environ",
	"/proc/1/fd/0",
	"/proc/2",
	"/proc/3/stat",
	"..",
	"fd",
	"3",
	"../../x",
	"/tmp/fuzz",
	"/tmp/fuzz/d",
	"/tmp/fuzz/f",
	"f",
	"d/",
	"/dev/tty",
	"/dev/fd/4",
	"/dev/shm/s",
	"/dev/zero",
	"/dev/stdin",
	"/proc/self/fd/3/x",
	"/proc/self/maps/",
	"",
};

static uint64_t argument(uint64_t *random, char *area)
{
	static const uint64_t edges[] = {
		0,    1,    2,	  7,	8,     0100,   01000,  02000,	   04000,      0200000,	   010000000, 020200002,
		1033, 1034, 4095, 4096, 65536, 0x541b, 0x5413, 1ULL << 31, 1ULL << 38, 1ULL << 63, -1ULL,     -100ULL
	};
	uint64_t r = *random = *random * 6364136223846793005ULL + 1442695040888963407ULL;

	r >>= 33;
	switch (r % 8) {
	case 0:
	case 1:
		return (uintptr_t)names[r / 8 % COUNT(names)];
	case 2:
	case 3:
	case 4:
		return r / 8 % 12;
	case 5:
		return (uintptr_t)area + r / 8 % (2 * PAGE);
	default:
		return edges[r / 8 % COUNT(edges)];
	}
}

static void fuzz(uint64_t seed, char *area)
{
	for (int i = 0; i < CALLS; i++) {
		uint64_t a[6], pick = argument(&seed, area) + (seed >> 40);

		for (int k = 0; k < 6; k++)
			a[k] = argument(&seed, area);
		/* The first ones are what the tests' own output goes through, and may be the last file of interest. */
		if (numbers[pick % COUNT(numbers)] == SYS_mmap)
			a[3] &= ~(uint64_t)MAP_FIXED;
		syscall(numbers[pick % COUNT(numbers)], a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

static uint64_t child_seed;
static char *child_area;

static void *second(void *arg)
{
	fuzz(child_seed ^ 0x5555, child_area);
	return arg;
}

static void child(uint64_t seed)
{
	pthread_t thread;
	int fd;

	alarm(2); /* for those that wait */
	for (fd = 0; fd < 3; fd++)
		close(fd);
	CHECK(open("/dev/null", O_RDWR) == 0);
	child_seed = seed;
	child_area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(child_area != MAP_FAILED && munmap(child_area + PAGE, PAGE) == 0);
	if (pthread_create(&thread, NULL, second, NULL) != 0)
		_exit(1);
	fuzz(seed, child_area);
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);

	printf("fuzz_files %llu\n", (unsigned long long)seed);
	fflush(stdout);
	CHECK(mkdir("/tmp/fuzz", 0700) == 0 || errno == EEXIST);
	for (uint64_t i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			child(seed + i * 7919);
		CHECK(waitpid(pid, NULL, 0) == pid);
	}
	puts("ok");
	return 0;
}
