/*
 * Random system calls whose results depend on nothing but their arguments and the calls before: one process, one thread. Whoever runs it on
 * two kernels can compare (tests/conformance/random_compare.py does, with Linux).
 *
 *   random_compare SEED EPISODES         a line for each episode, 200 calls in a child of its own: its seed, its last state as a number
 *   random_compare SEED 1 -v             all calls of one: number, arguments (addresses from the area's start on), vectors, result or -errno, a sum of
 *                                        what the pages hold that calls read into
 *
 * At an episode's end comes what the area's pages hold and allow, and what the files hold.
 */
#include "random_compare.h"

static uint64_t state, digest;
static bool loud;
static char *area;
static int fds[FDS];

static void note(uint64_t value)
{
	digest = (digest ^ value) * 0x100000001b3ULL;
	digest ^= digest >> 29;
}

static uint64_t below(uint64_t limit)
{
	return random_next(&state) % limit;
}

static uint64_t pages_at(void)
{
	return (uintptr_t)area + PAGE * (DATA_PAGES + below(AREA_PAGES - DATA_PAGES));
}

/* Of the first pages, which no call maps or protects: how much is copied up to a fault is not determined. */
static uint64_t buffer(void)
{
	return below(16) == 0 ? bad_addresses[below(COUNT(bad_addresses))] : (uintptr_t)area + 8 * below(4000);
}

static uint64_t bytes(void)
{
	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return below(5 * PAGE);
	case 2:
		return PAGE * (1 + below(6));
	default:
		return below(600);
	}
}

static uint64_t range(void)
{
	switch (below(16)) {
	case 0:
		return odd_lengths[below(COUNT(odd_lengths))];
	case 1:
		return 1 + below(PAGE * 8);
	default:
		return PAGE * (1 + below(12));
	}
}

/* Vectors at the area's begin, of the first pages' memory; bad ones among them. */
static uint64_t vector(void)
{
	struct iovec *at = (struct iovec *)(void *)(area - PAGE); /* a page that no call names */

	for (unsigned i = 0; i < 4; i++)
		at[i] = (struct iovec){ (void *)buffer(),
					below(10) == 0 ? odd_pieces[below(COUNT(odd_pieces))] : below(3000) };
	return (uintptr_t)at;
}

static uint64_t argument(char type)
{
	switch (type) {
	case 'a':
		return below(40) == 0 ? bad_addresses[below(COUNT(bad_addresses))]
				      : pages_at() + (below(30) == 0 ? 8 : 0);
	case 'l':
		return range();
	case 'p':
		return protections[below(COUNT(protections))];
	case 'm':
		return map_kinds[below(COUNT(map_kinds))];
	case 'f':
		return below(25) == 0 ? (uint64_t)(int64_t)(int)odd_fds[below(COUNT(odd_fds))]
				      : (uint64_t)fds[below(FDS)];
	case 'd':
		return (uint64_t)fds[below(2)]; /* a memfd */
	case 'o':
		return below(12) == 0 ? odd_offsets[below(COUNT(odd_offsets))]
				      : below(40) * (below(2) == 0 ? PAGE : 100);
	case 'z':
		return below(30) == 0 ? odd_offsets[below(COUNT(odd_offsets))] : below(24 * PAGE);
	case 'v':
		return advices[below(COUNT(advices))];
	case 'r':
		return remaps[below(COUNT(remaps))];
	case 'b':
		return buffer();
	case 'n':
		return bytes();
	case 'i':
		return below(8);
	case 'I':
		return vector();
	case 'c':
		return below(5);
	case 'S':
		return below(25) == 0 ? bad_addresses[below(COUNT(bad_addresses))]
				      : (uintptr_t)paths[below(COUNT(paths))];
	case 'D':
		return (uint64_t)(int64_t)(below(4) == 0 ? fds[below(FDS)] : AT_FDCWD);
	case 'O':
		return open_flags[below(COUNT(open_flags))];
	case 'M':
		return below(01000);
	case 'F':
		return fcntls[below(COUNT(fcntls))];
	case 's':
		return below(66);
	case 'x':
		return odd_lengths[below(COUNT(odd_lengths))];
	default:
		return 0;
	}
}

static uint64_t plain(uint64_t value)
{
	if (value - (uintptr_t)paths[0] < 4096)
		return value - (uintptr_t)paths[0];
	return value - (uintptr_t)area + PAGE < (AREA_PAGES + 1) * PAGE ? value - (uintptr_t)area : value;
}

static void tame_mmap(uint64_t *a)
{
	a[4] = (a[3] & MAP_ANONYMOUS) != 0 ? (uint64_t)-1 : a[4];
	a[5] &= (a[3] & MAP_ANONYMOUS) != 0 ? 0 : UINT64_MAX;
	/* Page 0 would be outside of the area; and Linux takes an address of -1 for an error of its own, EPERM. */
	a[0] = a[0] < PAGE || a[0] == UINT64_MAX ? 8 : a[0];
	/* Linux unmaps what was there before it asks a socket, which refuses: POSIX leaves that open. */
	a[4] = a[4] == (uint64_t)fds[6] || a[4] == (uint64_t)fds[7] ? (uint64_t)fds[5] : a[4];
}

/* Into pipes and sockets Linux moves nothing of a page that it cannot fill: no bad pieces but the first. */
static void tame_pieces(struct iovec *piece)
{
	for (unsigned i = 1; i < 4; i++)
		if ((uintptr_t)piece[i].iov_base - (uintptr_t)area >= AREA_PAGES * PAGE)
			piece[i].iov_base = area;
}

/* What must not happen: a wait, the end of the process, memory elsewhere, descriptors that the calls after do not expect. */
static void tame(long number, uint64_t *a)
{
	switch (number) {
	case SYS_mmap:
		tame_mmap(a);
		break;
	case SYS_madvise: /* not of all that lies behind the area, the stack for one */
		a[1] = a[1] >> 62 != 0 && a[1] % PAGE == 0 ? (AREA_PAGES + 8) * PAGE : a[1];
		break;
	case SYS_writev:
		if (a[1] == (uintptr_t)area - PAGE && a[0] != (uint64_t)fds[2])
			tame_pieces((struct iovec *)(void *)(area - PAGE));
		break;
	case SYS_mremap: /* of one page: what is one mapping differs (docs/abi.md) */
		a[1] = a[1] % 16 == 0 ? PAGE : a[1] % PAGE;
		a[2] %= 16 * PAGE;
		break;
	case SYS_sendfile: /* from a socket into a pipe, which Corral does not (docs/abi.md) */
		a[1] = a[0] == (uint64_t)fds[5] && (a[1] == (uint64_t)fds[6] || a[1] == (uint64_t)fds[7]) ? a[0] : a[1];
		break;
	case SYS_memfd_create:
		a[1] = a[1] % 4 | 0x10 * (a[1] == 7);
		break;
	case SYS_renameat2:
		a[4] = a[4] == 7 ? 0x10 : a[4] % 2;
		break;
	case SYS_fallocate:
		a[1] = fallocates[a[1] % COUNT(fallocates)];
		break;
	case SYS_flock:
		a[1] |= LOCK_NB;
		break;
	case SYS_rt_sigprocmask:
		a[3] = a[3] % 4 == 0 ? 4 : 8;
		break;
	case SYS_kill:
		a[0] = (uint64_t)getpid();
		a[1] = (uint64_t[]){ 0, SIGUSR1, SIGUSR2, 65, 100, SIGURG }[a[1] % 6];
		break;
	case SYS_futex:
		a[1] = (uint64_t[]){ FUTEX_WAKE, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, 77,
				     FUTEX_WAKE_BITSET }[a[1] % 5];
		break;
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		a[0] = (uint64_t)getpid();
		break;
	case SYS_prctl:
		a[0] = (uint64_t[]){ PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, 999 }[a[0] % 4];
		break;
	case SYS_ioctl:
		a[1] = (uint64_t[]){ FIONREAD, FIOCLEX, FIONCLEX, 0x12345 }[a[1] % 4];
		break;
	case SYS_prlimit64:
		a[0] = 0;
		a[2] = 0;
		a[1] = (uint64_t[]){ RLIMIT_STACK, RLIMIT_FSIZE, RLIMIT_CORE, 99 }[a[1] % 4];
		break;
	}
}

static uint64_t sum_of(const void *at, uint64_t n)
{
	uint64_t all = n;

	for (uint64_t i = 0; i < n; i++)
		all = (all ^ ((const uint8_t *)at)[i]) * 0x100000001b3ULL;
	return all;
}

static void tidy(const struct call *call, const uint64_t *a, long result)
{
	sigset_t faults;

	switch (call->number) {
	case SYS_clock_getres: /* it is the machine's */
		if (a[1] - (uintptr_t)area < DATA_PAGES * PAGE)
			memset((void *)a[1], 0, sizeof(struct timespec));
		break;
	case SYS_openat:
	case SYS_dup:
	case SYS_memfd_create:
		close((int)result);
		break;
	case SYS_fcntl:
		if (a[1] == F_DUPFD || a[1] == F_DUPFD_CLOEXEC)
			close((int)result);
		break;
	case SYS_rt_sigprocmask:
		sigemptyset(&faults);
		sigaddset(&faults, SIGSEGV);
		sigaddset(&faults, SIGBUS);
		sigprocmask(SIG_UNBLOCK, &faults, NULL);
		break;
	case SYS_mremap: /* where the kernel has put it */
		if ((uint64_t)result - (uintptr_t)area >= AREA_PAGES * PAGE)
			munmap((void *)result, (a[2] + PAGE - 1) & ~(PAGE - 1));
		break;
	}
}

/* Of the first pages, which calls read into. */
static uint64_t data_sum(void)
{
	const uint64_t *at = (const uint64_t *)(const void *)area;
	uint64_t all = 0;

	for (unsigned i = 0; i < DATA_PAGES * PAGE / sizeof(*at); i++)
		all = (all ^ at[i]) * 0x100000001b3ULL;
	return all;
}

static long shown_result(const struct call *call, long result)
{
	if (call->number == SYS_mremap || call->number == SYS_mmap)
		return (uint64_t)result - (uintptr_t)area < AREA_PAGES * PAGE ? result - (long)area : 1;
	return result;
}

static void show_vector(void)
{
	const struct iovec *at = (const struct iovec *)(const void *)(area - PAGE);

	for (unsigned i = 0; i < 4; i++)
		printf("{%lx %lx} ", plain((uintptr_t)at[i].iov_base), at[i].iov_len);
}

static void one_call(unsigned i)
{
	const struct call *call = &calls[below(COUNT(calls))];
	uint64_t a[6] = { 0 };
	long result;

	for (unsigned k = 0; call->args[k] != '\0'; k++)
		a[k] = argument(call->args[k]);
	tame(call->number, a);
	if (loud) {
		printf("%u: %ld(%lx, %lx, %lx, %lx, %lx, %lx) = ", i, (long)call->number,
		       call->args[0] == '0' ? 0 : plain(a[0]), plain(a[1]), plain(a[2]), plain(a[3]), plain(a[4]),
		       plain(a[5]));
		if (strchr(call->args, 'I') != NULL)
			show_vector();
		fflush(stdout); /* should it wait for ever */
	}
	result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	result = result == -1 ? -errno : result;
	if (result >= 0 || result < -4095)
		tidy(call, a, result);
	if (loud)
		printf("%ld, %lx\n", result < 0 && result > -4096 ? result : shown_result(call, result), data_sum());
	note(result < 0 && result > -4096 ? (uint64_t)result : (uint64_t)shown_result(call, result));
	if (below(3) == 0)
		(void)probe_write((char *)pages_at() + below(PAGE), (char)i);
}

/* What each page holds and allows. */
static void area_state(void)
{
	for (unsigned page = 0; page < AREA_PAGES; page++) {
		char *at = area + page * PAGE;
		int can_read = probe_read(at), can_write = can_read != 0 ? can_read : probe_write(at, *at);
		uint64_t sum = can_read == 0 ? sum_of(at, PAGE) : 0;

		if (loud && (can_read != SEGV_MAPERR || sum != 0))
			printf("page %u: %d %d %lx\n", page, can_read, can_write, sum);
		note((uint64_t)can_read * 5 + (uint64_t)can_write);
		note(sum);
	}
}

static void file_state(void)
{
	char block[PAGE];
	struct stat stat;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t sum = 0;
		ssize_t n;

		for (off_t at = 0; at < (off_t)MIB && (n = pread(fds[i], block, sizeof(block), at)) > 0; at += n)
			sum = sum * 31 + sum_of(block, (uint64_t)n);
		if (fstat(fds[i], &stat) != 0)
			stat.st_size = -1;
		if (loud)
			printf("file %u: size %ld position %ld sum %lx\n", i, (long)stat.st_size,
			       (long)lseek(fds[i], 0, SEEK_CUR), sum);
		note((uint64_t)stat.st_size);
		note((uint64_t)lseek(fds[i], 0, SEEK_CUR));
		note(sum);
	}
}

static void open_some(void)
{
	int pair[2], ends[2];

	CHECK(pipe2(pair, O_NONBLOCK) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	fds[0] = memfd_create("one", MFD_ALLOW_SEALING);
	fds[1] = memfd_create("two", 0);
	fds[2] = open("/tmp/compare/file", O_RDWR | O_CREAT | O_TRUNC, 0644);
	fds[3] = open("/tmp/compare", O_RDONLY | O_DIRECTORY);
	fds[4] = pair[0];
	fds[5] = pair[1];
	fds[6] = ends[0];
	fds[7] = ends[1];
	fds[8] = eventfd(3, EFD_NONBLOCK);
	fds[9] = open("/dev/zero", O_RDWR);
	fds[10] = open("/dev/null", O_RDWR);
	fds[11] = open("/tmp/compare/file", O_RDONLY);
	for (unsigned i = 0; i < FDS; i++)
		CHECK(fds[i] >= 0 && dup2(fds[i], 40 + (int)i) == 40 + (int)i);
	for (unsigned i = 0; i < FDS; i++) {
		close(fds[i]);
		fds[i] = 40 + (int)i;
	}
	for (unsigned i = 0; i < 3; i++)
		CHECK(ftruncate(fds[i], 10 * PAGE) == 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	(void)stat;
	(void)type;
	return place->level == 0 ? 0 : remove(path);
}

/* No episode finds anything of another's. */
static void clean(void)
{
	(void)nftw("/tmp/compare", remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void episode(uint64_t seed)
{
	state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	digest = 0xcbf29ce484222325ULL;
	clean();
	(void)mkdir("/tmp/compare", 0755);
	CHECK(chdir("/tmp/compare") == 0);
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	probe_init();
	open_some();
	area = mmap(AREA_AT, (AREA_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0);
	CHECK(area == AREA_AT);
	area += PAGE;
	CHECK(munmap(area + AREA_PAGES / 2 * PAGE, AREA_PAGES / 2 * PAGE) == 0);
	for (unsigned i = 0; i < EPISODE; i++)
		one_call(i);
	area_state();
	file_state();
	printf("%llu %016llx\n", (unsigned long long)seed, (unsigned long long)digest);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1,
		 episodes = argc > 2 ? strtoull(argv[2], NULL, 0) : 20;

	loud = argc > 3;
	if (loud)
		setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t i = 0; i < episodes; i++) {
		pid_t pid;
		int status;

		fflush(stdout);
		pid = child_fork();
		if (pid == 0) {
			episode(seed + i);
			_exit(0);
		}
		status = child_status(pid);
		if (status != 0)
			printf("%llu ends with %#x\n", (unsigned long long)(seed + i), (unsigned)status);
	}
	clean();
	return pass();
}
