/*
 * Memory exhausted, again and again: hogs ROUNDS SEED [DIRECTORY]. In each round hogs on all harts take memory in every way until there is none,
 * while others hold some that must not come to harm: children that share all of ours by detached tables and wait, and one that keeps a file
 * of DIRECTORY (/tmp) dirty, whose own memory is all there.
 *
 * The rule (docs/abi.md): whoever's access finds no memory is ended by SIGKILL; any other call says ENOMEM. So each hog must end by SIGKILL,
 * and nobody else. Their process numbers are printed ("ended N"), for comparing with the kernel's log. After each round all memory is
 * what it was, and as many frames are free as after the first, but for what spare tables and threads come and go by (DRIFT), and a FAT
 * volume's sector buffers, a MiB at most (BUFFERS; fs/buffer.c).
 */
#include "check.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { WAITING = 3, MOST_ENDED = 256, DRIFT = 48, BUFFERS = 320, KINDS = 8 };
#define MINE	 (6 * MIB)
#define TOO_MUCH (4 * GIB) /* more than the machine has, which is a small one */
#define FILE_KIB 1536UL

static atomic_bool *stop; /* shared by all */
static pid_t ended[MOST_ENDED];
static unsigned ended_count;
static volatile char *stack_top;
static char *mine;
static const char *directory = "/tmp";
static int ready[2], go[2];
static uint64_t random_state;

static uint64_t frames_free(void)
{
	static char text[4096];
	int file = open("/proc/corral/counters", O_RDONLY);
	ssize_t n = file < 0 ? 0 : read(file, text, sizeof(text) - 1);
	const char *at;

	if (file >= 0)
		close(file);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "frames_free ");
	return at != NULL ? strtoull(at + 12, NULL, 10) : 0;
}

/* Memory that is written while there is none left must be there: fork has made it copy-on-write. */
static __attribute__((noinline)) void own_again(void)
{
	volatile char stack[4 * PAGE];

	for (size_t i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 1;
	for (volatile char *at = stack + sizeof(stack) - 1; at < stack_top; at += PAGE)
		*at = *at; /* what the callers are in */
	*stack_top = *stack_top;
	errno = 0;
	*(volatile unsigned *)&ended_count = ended_count;
	for (unsigned i = 0; i < MOST_ENDED; i++)
		((volatile pid_t *)ended)[i] = 0;
	*(volatile uint64_t *)&random_state = random_state;
}

/* Hogs, and what is left of theirs, which comes to us: all in our process group. By SIGKILL, and nothing else. */
static void reap_hogs(void)
{
	int status;
	pid_t pid;

	ended_count = 0;
	while ((pid = waitpid(0, &status, 0)) > 0) {
		CHECK_EQ(status, SIGKILL);
		CHECK(ended_count < MOST_ENDED);
		ended[ended_count++] = pid;
	}
	CHECK(errno == ECHILD);
}

/* ---- Hogs. None comes back from `take`. */

static _Noreturn void take(void)
{
	char *at = mmap(NULL, TOO_MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		at = mine - TOO_MUCH; /* not even a region's description: then what is ours, and what is not */
	for (size_t i = 0; i < TOO_MUCH; i += PAGE)
		((volatile char *)at)[i] = 1;
	_exit(90);
}

static void take_copies(void)
{
	for (size_t i = 0; i < MINE; i += PAGE)
		((volatile char *)mine)[i] = 2;
}

/* The kernel writes on its behalf. */
static void take_by_call(void)
{
	int zero = open("/dev/zero", O_RDONLY);
	char *at = mmap(NULL, TOO_MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (size_t i = 0; at != MAP_FAILED && zero >= 0 && i < TOO_MUCH; i += MIB)
		if (read(zero, at + i, MIB) < 0)
			break;
}

static void *take_thread(void *arg)
{
	(void)arg;
	take();
}

static void take_by_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	for (int i = 0; i < 3; i++)
		(void)pthread_create(&thread, &attr, take_thread, NULL);
}

static void take_by_children(void)
{
	for (int i = 0; i < 6; i++)
		if (fork() == 0) /* or ENOMEM */
			take();
}

static void take_shared(void)
{
	int file = memfd_create("hog", 0);
	char *at;

	if (file < 0 || ftruncate(file, (off_t)GIB) != 0)
		return;
	at = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	for (size_t i = 0; at != MAP_FAILED && i < GIB; i += PAGE)
		at[i] = 1;
}

static void take_by_write(void)
{
	int file = memfd_create("hog", 0);

	while (file >= 0 && write(file, mine, 64 * KIB) > 0)
		;
}

/* A table for each page. */
static void take_tables(void)
{
	char *at = mmap(NULL, 32 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (size_t i = 0; at != MAP_FAILED && i < 32 * GIB; i += 2 * MIB)
		((volatile char *)at)[i] = 1;
}

static void nothing_more(void)
{
}

static _Noreturn void hog(unsigned kind)
{
	static void (*const ways[KINDS])(void) = { nothing_more,     take_copies, take_by_call,	 take_by_threads,
						   take_by_children, take_shared, take_by_write, take_tables };
	char byte;

	CHECK(read(go[0], &byte, 1) == 1);
	ways[kind]();
	take();
}

/* ---- Those who must come through. */

static _Noreturn void waiting(void)
{
	char byte = 1;

	own_again();
	CHECK(write(ready[1], &byte, 1) == 1);
	while (!atomic_load_explicit(stop, memory_order_acquire)) /* pairs with the parent's release */
		usleep(20000);
	pages_verify(mine, MINE, 1);
	_exit(0);
}

static _Noreturn void writing(void)
{
	static char block[16 * KIB];
	char path[64], byte = 1;
	int file;

	own_again();
	snprintf(path, sizeof(path), "%s/hogs.file", directory);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(file >= 0);
	memset(block, 7, sizeof(block));
	for (unsigned i = 0; !atomic_load_explicit(stop, memory_order_acquire); i++) { /* as above */
		ssize_t n = pwrite(file, block, sizeof(block), (off_t)(i * sizeof(block) % (FILE_KIB * KIB)));

		CHECK(n >= 0 || errno == ENOMEM || errno == ENOSPC);
		if (i % 64 == 0)
			usleep(1000);
		if (i == 64)
			CHECK(write(ready[1], &byte, 1) == 1);
	}
	for (off_t at = 0; pread(file, block, sizeof(block), at) > 0; at += (off_t)sizeof(block))
		CHECK(block[0] == 7 || block[0] == 0);
	CHECK(close(file) == 0 && unlink(path) == 0);
	_exit(0);
}

static void pin(unsigned number)
{
	cpu_set_t all, one;
	unsigned hart = number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CPU_ZERO(&one);
	CPU_SET(hart, &one);
	if (CPU_ISSET(hart, &all))
		CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void start_others(pid_t *others)
{
	char byte;

	atomic_store_explicit(stop, false, memory_order_relaxed); /* nobody is there yet */
	for (unsigned i = 0; i < WAITING + 1; i++) {
		others[i] = child_fork();
		if (others[i] != 0)
			continue;
		if (i < WAITING)
			waiting();
		writing();
	}
	for (unsigned i = 0; i < WAITING + 1; i++)
		CHECK(setpgid(others[i], others[0]) == 0);
	for (unsigned i = 0; i < WAITING + 1; i++)
		CHECK(read(ready[0], &byte, 1) == 1);
}

static void round_of(unsigned hogs)
{
	pid_t others[WAITING + 1];

	start_others(others);
	for (unsigned i = 0; i < hogs; i++) {
		unsigned kind = (unsigned)(random_next(&random_state) % KINDS);

		if (child_fork() == 0) {
			pin(i);
			hog(kind);
		}
	}
	own_again();
	CHECK(write(go[1], mine, hogs) == (ssize_t)hogs); /* all begin at once */
	reap_hogs();
	CHECK(ended_count >= hogs);
	atomic_store_explicit(stop, true, memory_order_release); /* pairs with the acquires of those who wait */
	for (unsigned i = 0; i < WAITING + 1; i++)
		child_wait(others[i]);
	pages_verify(mine, MINE, 1);
}

static void say_who(unsigned number, uint64_t free)
{
	for (unsigned i = 0; i < ended_count; i++)
		printf("ended %d\n", ended[i]);
	printf("round %u: %u ended, %llu frames free\n", number, ended_count, (unsigned long long)free);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 3,
		 hogs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) + 1;
	uint64_t first = 0;
	volatile char here = 0;

	stack_top = &here;
	random_state = 88172645463325252ULL ^ (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) << 20;
	directory = argc > 3 ? argv[3] : directory;
	CHECK(hogs <= 64 && pipe(ready) == 0 && pipe(go) == 0);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	stop = map_shared(sizeof(*stop));
	mine = map_anon(MINE);
	pages_write(mine, MINE, 1);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t free;

		round_of(hogs);
		sync();
		free = frames_free();
		say_who(i, free);
		if (i == 0)
			first = free;
		CHECK(free + (argc > 3 ? DRIFT + BUFFERS : DRIFT) >= first);
	}
	return pass();
}
