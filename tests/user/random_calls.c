/*
 * Random system calls in the manner of trinity and syzkaller: arguments of the right type with interesting values; several processes of several
 * threads, which share memory and descriptors, so that memory goes, changes and loses rights under a call; children by fork that go on
 * calling. What each thread does depends on the seed alone, not on results.
 *
 *   random_calls SEED [CALLS]    CALLS (12000) by all together; random_calls SEED 1 N: worker N alone, as it was
 *
 * No argument leads to a worker's stack, data or code, so that each must end with 0, unless it waits for what never comes. This process's
 * memory must stay as it is, and after each round, some thousands of calls, the audit must be clean (/proc/corral/audit, where there is one).
 */
#include "random_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	WORKERS = 4,
	THREADS = 3,
	CALLS_EACH = 400,
	AREA_PAGES = 1280,
	FDS = 12,
	KEYS = 4,
	CHILD_CALLS = 25,
	PATIENCE_MS = 30000
};

#define PROGRAM 0x10000UL	       /* where it is linked to begin */
#define AREA	((char *)0x1fffe00000) /* pages in three leaf tables, in two tables above those */

struct random {
	uint64_t state;
	int *fds;
};

static volatile uint64_t *made; /* calls, by worker */
static int own_memory = -2;	/* the descriptor of /proc/self/mem */
static const struct timespec short_time = { 0, 200000 };

static uint64_t below(struct random *random, uint64_t limit)
{
	return random_next(&random->state) % limit;
}

/* Near the ends of tables more often. */
static uint64_t page(struct random *random)
{
	uint64_t at =
		(uintptr_t)AREA + PAGE * (below(random, 3) == 0 ? 500 + below(random, 24) : below(random, AREA_PAGES));

	return below(random, 100) == 0 ? edges[below(random, COUNT(edges))] & ~(PAGE - 1) : at;
}

static uint64_t buffer(struct random *random)
{
	switch (below(random, 8)) {
	case 0:
		return page(random) + PAGE - below(random, 64);
	case 1:
		return edges[below(random, COUNT(edges))];
	default:
		return page(random) + below(random, 512) * 8;
	}
}

static uint64_t length(struct random *random)
{
	switch (below(random, 12)) {
	case 0:
		return edges[below(random, COUNT(edges))];
	case 1:
		return 2 * MIB;
	case 2:
		return (1 + below(random, 700)) * PAGE;
	default:
		return (1 + below(random, 20)) * PAGE - (below(random, 10) == 0 ? below(random, PAGE) : 0);
	}
}

static uint64_t map_flags(struct random *random)
{
	static const int more[] = { 0,
				    MAP_FIXED,
				    MAP_FIXED,
				    MAP_FIXED,
				    MAP_FIXED_NOREPLACE,
				    MAP_NORESERVE,
				    MAP_FIXED | MAP_POPULATE,
				    MAP_GROWSDOWN };

	return (below(random, 4) == 0 ? MAP_SHARED : MAP_PRIVATE) | (below(random, 3) == 0 ? 0 : MAP_ANONYMOUS) |
	       (unsigned)more[below(random, COUNT(more))];
}

static uint64_t advice(struct random *random)
{
	return (uint64_t)advices[below(random, COUNT(advices))];
}

/* Written by whoever uses it next, and by other threads. */
static uint64_t vector(struct random *random)
{
	uint64_t at = (uintptr_t)AREA + below(random, AREA_PAGES) * PAGE + PAGE - 16 * below(random, 6);
	uint64_t words[8]; /* four vectors */

	for (unsigned i = 0; i < COUNT(words); i += 2) {
		words[i] = buffer(random);
		words[i + 1] = below(random, 3 * PAGE);
	}
	if (sigsetjmp(probe_back, 1) == 0) {
		probe_armed = 1;
		for (unsigned i = 0; i < COUNT(words); i++)
			((volatile uint64_t *)at)[i] = words[i];
		probe_armed = 0;
	}
	return at;
}

static uint64_t path(struct random *random)
{
	static const char *const paths[] = {
		"/", "/tmp/random",	"/proc/self/maps", "/proc/self/mem", "/proc/self/smaps",  "/proc/meminfo",
		"",  "/proc/self/fd/3", "/dev/zero",	   "/nowhere",	     "/proc/self/pagemap"
	};

	return below(random, 8) == 0 ? buffer(random) : (uintptr_t)paths[below(random, COUNT(paths))];
}

static uint64_t process(struct random *random)
{
	return below(random, 6) == 0 ? 0x7fffffff : (uint64_t)getpid();
}

static uint64_t argument(struct random *random, char type)
{
	static const int protections[] = { PROT_READ | PROT_WRITE,
					   PROT_READ | PROT_WRITE,
					   PROT_READ,
					   PROT_NONE,
					   PROT_READ | PROT_EXEC,
					   PROT_WRITE,
					   7,
					   99 };

	switch (type) {
	case 'a':
		return page(random);
	case 'A':
		return below(random, 2) == 0 ? edges[below(random, COUNT(edges))] : buffer(random);
	case 'l':
		return length(random);
	case 'p':
		return (uint64_t)protections[below(random, COUNT(protections))];
	case 'm':
		return map_flags(random);
	case 'f':
		return below(random, 20) == 0 ? (uint64_t)-1 : (uint64_t)random->fds[below(random, FDS)];
	case 'o':
		return below(random, 10) == 0 ? edges[below(random, COUNT(edges))]
					      : below(random, 300) * (below(random, 2) == 0 ? PAGE : 1);
	case 'v':
		return advice(random);
	case 'r':
		return below(random, 8);
	case 'b':
		return buffer(random);
	case 'n':
		return below(random, 20) == 0 ? edges[below(random, COUNT(edges))] & 0xffffff : below(random, 5 * PAGE);
	case 'i':
		return below(random, 8);
	case 'c':
		return below(random, 5); /* what vector() has set */
	case 's':
		return (uint64_t[]){ 0, SIGUSR1, SIGURG, SIGWINCH, 64, 65 }[below(random, 6)];
	case 'P':
		return process(random);
	case 't':
		return (uintptr_t)&short_time;
	case 'I':
		return vector(random);
	case 'S':
		return path(random);
	case 'w':
		return WNOHANG | below(random, 16);
	case 'x':
		return below(random, 3) == 0 ? edges[below(random, COUNT(edges))] : (uint64_t)AT_FDCWD;
	default:
		return 0;
	}
}

/*
 * As much as reaches neither the program nor the stacks, which lie somewhere above the area; or so much that it goes round, and is
 * refused: what only ends behind all memory is done as far as there is some.
 */
static uint64_t short_of_own(uint64_t at, uint64_t bytes)
{
	if (at + bytes >= at)
		bytes %= 32 * MIB;
	return at < PROGRAM ? bytes % (PROGRAM - at) : bytes;
}

/* /proc/self/mem is written with any page's permissions, so only the area is: the rest is the worker itself. */
static void tame_own_memory(const struct call *call, uint64_t *a)
{
	unsigned at = call->number == SYS_lseek ? 1 : 3;

	if (a[0] != (uint64_t)own_memory)
		return;
	switch (call->number) {
	case SYS_lseek:
		a[2] = SEEK_SET;
		/* fall through */
	case SYS_pread64:
	case SYS_pwrite64:
	case SYS_preadv:
	case SYS_pwritev:
		a[at] = (uintptr_t)AREA + (a[at] & 0x3fffff);
	}
}

/* What would wait for ever, hit others or the worker itself, or take all memory. */
static void tame(const struct call *call, uint64_t *a)
{
	if (call->args[0] == 'a' && call->args[1] == 'l')
		a[1] = short_of_own(a[0], a[1]);
	switch (call->number) {
	case SYS_mmap:
		if ((a[3] & (MAP_POPULATE | MAP_FIXED)) != 0)
			a[1] = short_of_own(a[0], a[1] % (4 * MIB));
		break;
	case SYS_mlock:
	case SYS_mlock2:
		a[1] %= 4 * MIB;
		break;
	case SYS_mremap:
		a[2] = short_of_own(a[4], a[2] % (8 * MIB));
		break;
	case SYS_ftruncate:
	case SYS_fallocate:
		a[1] &= 0x80000000003fffff;
		a[2] &= 0x80000000003fffff;
		a[3] &= 0x80000000003fffff;
		break;
	case SYS_pwrite64:
		a[3] &= 0x80000000003fffff;
		break;
	case SYS_pwritev:
		a[3] &= 0x3fffff;
		break;
	case SYS_lseek:
		a[1] &= 0x3fffff;
		break;
	case SYS_getrandom:
		a[1] %= 64 * KIB;
		break;
	case SYS_fcntl:
		a[1] = (uint64_t[]){
			F_GETFD, F_GETFL, F_GET_SEALS, F_GETLK, F_SETLK, F_GETPIPE_SZ, F_GETOWN, 99
		}[a[1] & 7];
		break;
	case SYS_futex:
		a[1] = (uint64_t[]){ 0, 1, 128, 129, 131, 132, 5, 9 }[a[1]];
		break;
	case SYS_shmget:
		a[0] = 1 + a[0] % KEYS;
		a[1] %= 64 * PAGE;
		a[2] = IPC_CREAT | 0600;
		break;
	case SYS_prctl:
		a[0] = (uint64_t[]){ 15, 16, 21, 3, 38, 39, 999, 0 }[a[0]];
		break;
	case SYS_rt_sigprocmask:
		a[3] = 8;
		break;
	}
}

static void call_some(struct random *random, unsigned n, unsigned worker, bool forking);

static void call_one(struct random *random, unsigned worker, bool forking)
{
	const struct call *call = &calls[below(random, COUNT(calls))];
	uint64_t a[6] = { 0 };

	for (unsigned i = 0; call->args[i] != '\0'; i++)
		a[i] = argument(random, call->args[i]);
	tame(call, a);
	tame_own_memory(call, a);
	made[worker]++;
	if (call->number != SYS_clone) {
		long fd = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);

		if (call->number == SYS_openat || call->number == SYS_dup || call->number == SYS_memfd_create)
			(void)!(fd > 2 && close((int)fd));
		return;
	}
	struct random child = { .state = random_next(&random->state) | 1, .fds = random->fds };

	if (forking && syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
		call_some(&child, CHILD_CALLS, worker, false);
		syscall(SYS_exit_group, 0);
	}
}

static void call_some(struct random *random, unsigned n, unsigned worker, bool forking)
{
	for (unsigned i = 0; i < n; i++) {
		call_one(random, worker, forking);
		if (below(random, 4) == 0)
			(void)probe_write((char *)page(random) + below(random, PAGE), (char)i);
		if (below(random, 8) == 0)
			(void)probe_read((char *)page(random));
		if (forking && below(random, 16) == 0)
			waitpid(-1, NULL, WNOHANG);
	}
}

struct thread {
	pthread_barrier_t *begin;
	unsigned worker;
	struct random random;
};

static void *thread(void *arg)
{
	struct thread *self = arg;

	pthread_barrier_wait(self->begin); /* all stacks are where nothing else has been yet */
	call_some(&self->random, CALLS_EACH, self->worker, true);
	return NULL;
}

static void open_some(int *fds)
{
	int pair[2] = { -1, -1 }, ends[2] = { -1, -1 };

	(void)!pipe2(pair, O_NONBLOCK);
	(void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
	fds[0] = pair[0];
	fds[1] = pair[1];
	fds[2] = ends[0];
	fds[3] = ends[1];
	fds[4] = memfd_create("random", MFD_ALLOW_SEALING);
	fds[5] = memfd_create("other", 0);
	fds[6] = open("/tmp/random", O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	fds[7] = open("/", O_RDONLY | O_DIRECTORY);
	fds[8] = open("/proc/self/maps", O_RDONLY);
	fds[9] = own_memory = open("/proc/self/mem", O_RDWR);
	fds[10] = eventfd(0, EFD_NONBLOCK);
	fds[11] = open("/tmp/random", O_RDONLY); /* no file with pointers: memory that holds it is taken for vectors */
	lseek(own_memory, (off_t)(uintptr_t)AREA, SEEK_SET);
	for (unsigned i = 4; i < 7; i++)
		(void)!ftruncate(fds[i], 64 * PAGE);
}

static void nothing(int number)
{
	(void)number;
}

static void worker(uint64_t seed, unsigned number)
{
	int fds[FDS];
	struct thread threads[THREADS];
	pthread_t ids[THREADS];
	pthread_barrier_t begin;

	pthread_barrier_init(&begin, NULL, THREADS);
	setpgid(0, 0);
	probe_init();
	signal(SIGUSR1, nothing);
	signal(SIGPIPE, SIG_IGN);
	for (int real = 32; real <= 64; real++)
		signal(real, SIG_IGN);
	open_some(fds);
	if (mmap(AREA, AREA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    AREA)
		_exit(2);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = (struct thread){ &begin,
					      number % WORKERS,
					      { (seed + number) * 0x9e3779b97f4a7c15 + i + 1, fds } };
	for (unsigned i = 1; i < THREADS; i++)
		if (pthread_create(&ids[i], NULL, thread, &threads[i]) != 0)
			_exit(3);
	thread(&threads[0]);
	for (unsigned i = 1; i < THREADS; i++)
		pthread_join(ids[i], NULL);
	_exit(0);
}

static void audit(void)
{
	char text[4096];
	int fd = open("/proc/corral/audit", O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = '\0';
	close(fd);
	if (strstr(text, "violations 0") == NULL)
		check_say(text);
}

static void ended_well(uint64_t seed, unsigned number, int status)
{
	if (status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		fprintf(stderr, "random_calls %llu 1 %u: status %#x\n", (unsigned long long)seed, number,
			(unsigned)status);
		exit(1);
	}
}

/* They may wait for what never comes: then they have waited long enough. */
static unsigned wait_for(const pid_t *pids, unsigned n, uint64_t seed, unsigned first)
{
	uint64_t ends = now_ns() + PATIENCE_MS * 1000000ULL;
	unsigned ended = 0, killed = 0;
	bool gone[WORKERS] = { false };
	int status;

	while (ended < n) {
		for (unsigned i = 0; i < n; i++)
			if (!gone[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				gone[i] = true;
				ended++;
				ended_well(seed, first + i, status);
				kill(-pids[i], SIGKILL); /* its children, and theirs */
			}
		usleep(2000);
		if (now_ns() < ends)
			continue;
		for (unsigned i = 0; i < n; i++)
			killed += !gone[i] && kill(pids[i], SIGKILL) == 0;
		ends += PATIENCE_MS * 1000000ULL;
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return killed;
}

static uint64_t sum(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		n += made[i];
	return n;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns();
	uint64_t want = argc > 2 ? strtoull(argv[2], NULL, 0) : 12000, rounds = 0;
	unsigned first = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0, killed = 0, n = argc > 3 ? 1 : WORKERS;
	char *mine = map_anon(64 * PAGE);

	made = map_shared(PAGE);
	printf("random_calls %llu %llu\n", (unsigned long long)seed, (unsigned long long)want);
	fflush(stdout);
	pages_write(mine, 64 * PAGE, 9);
	for (; sum() < want; rounds++) {
		pid_t pids[WORKERS];

		for (unsigned i = 0; i < n; i++) {
			pids[i] = child_fork();
			if (pids[i] == 0)
				worker(seed, first + (unsigned)rounds * WORKERS + i);
		}
		killed += wait_for(pids, n, seed, first + (unsigned)rounds * WORKERS);
		pages_verify(mine, 64 * PAGE, 9);
		for (int key = 1; key <= KEYS; key++)
			(void)!shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
		unlink("/tmp/random");
		audit();
		if (rounds % 50 == 49)
			fprintf(stderr, "%llu calls, %llu rounds\n", (unsigned long long)sum(),
				(unsigned long long)rounds + 1);
	}
	printf("%llu calls in %llu rounds, %u killed\n", (unsigned long long)sum(), (unsigned long long)rounds, killed);
	return pass();
}
