/*
 * The work that tests/plugin/lines.c looks at: harts that do the same at the same time, each on memory of its own. Runs on Corral
 * and on Linux: work HARTS OPERATIONS [steps=N] [CASE...]. Each case: rounds of one job on all harts, the first two of them to warm up and not marked,
 * then as many as give that many operations. Prints "case NAME HARTS OPERATIONS" for each; the plugin counts cases in the same order.
 *
 * Workers are threads of one process, or processes (siblings). They wait for each other in shared memory, outside of what is
 * marked, and yield when that lasts.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/plugin/marks.h"

#define MAX_HARTS   8
#define PAGE	    ((size_t)4096)
#define RANGE	    ((size_t)2 << 20)
#define PAGES	    ((unsigned)(RANGE / PAGE))
#define BASE	    ((char *)0x2000000000) /* where neither kernel puts anything by itself */
#define FILE_NAME   "/tmp/work.cached"
#define SPINS	    (1u << 14)
#define WARM_ROUNDS 2
#define RESTED	    56 /* pages after a rest: as many as an idle hart may have cleared ahead */

struct job {
	const char *name;
	unsigned steps; /* operations of one hart in a round */
	bool processes;
	void (*prepare)(void); /* by the main process alone, before a round */
	void (*own)(unsigned); /* by each worker, before it is measured */
	void (*step)(unsigned worker, unsigned step);
	void (*clean)(void);
};

/* Between processes, so it lies in memory that fork shares. */
struct meeting {
	_Alignas(64) atomic_uint round; /* counts up when a round may begin */
	_Alignas(64) atomic_uint ready; /* workers that have prepared */
	_Alignas(64) atomic_uint go;
	_Alignas(64) atomic_uint ended;
	_Alignas(64) atomic_uint common; /* the word of the case shared_word */
};

static struct {
	unsigned harts, wanted;
	unsigned steps; /* of one hart in a round, at most */
	int cpu[MAX_HARTS];
	struct meeting *meeting;
	char *base; /* RANGE bytes for each worker, side by side */
	const struct job *job;
	bool over, marked;
	pid_t holder;
	int release;
	struct {
		_Alignas(64) atomic_uint word;
		int fd;
	} own[MAX_HARTS];
} work;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "work: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *page(unsigned worker, unsigned step)
{
	return work.base + worker * RANGE + step * PAGE;
}

static void store(unsigned worker, unsigned step)
{
	*(volatile uint64_t *)page(worker, step) = step + 1;
}

static void store_common(unsigned worker, unsigned step)
{
	(void)worker;
	*(volatile uint64_t *)page(0, step) = step + 1;
}

static void map(void)
{
	if (mmap(work.base, work.harts * RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != work.base)
		fail("mmap");
}

static void unmap(void)
{
	if (munmap(work.base, work.harts * RANGE) != 0)
		fail("munmap");
}

static void touch_own(unsigned worker)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		store(worker, i);
}

static void unmap_one(unsigned worker, unsigned step)
{
	munmap(page(worker, step), PAGE);
}

static void protect_one(unsigned worker, unsigned step)
{
	mprotect(page(worker, step), PAGE, PROT_READ);
	mprotect(page(worker, step), PAGE, PROT_READ | PROT_WRITE);
	store(worker, step);
}

static void map_touch_unmap(unsigned worker, unsigned step)
{
	char *at = page(worker, step % PAGES);

	mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	store(worker, step % PAGES);
	munmap(at, PAGE);
}

/* The hart has nothing to do meanwhile. */
static void rest(unsigned worker)
{
	(void)worker;
	usleep(20000);
}

/* All pages are written, and then a child sleeps that holds them. */
static void hold(void)
{
	char byte;
	int ready[2], go[2];
	unsigned i;

	for (i = 0; i < work.harts; i++)
		touch_own(i);
	if (pipe(ready) != 0 || pipe(go) != 0)
		fail("pipe");
	work.holder = fork();
	if (work.holder < 0)
		fail("fork");
	if (work.holder == 0) {
		close(go[1]);
		_exit(write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 0);
	}
	if (read(ready[0], &byte, 1) != 1)
		fail("child");
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	work.release = go[1];
}

static void let_go(void)
{
	close(work.release);
	waitpid(work.holder, NULL, 0);
}

static void map_and_hold(void)
{
	map();
	hold();
}

static void let_go_and_unmap(void)
{
	let_go();
	unmap();
}

static void hold_and_let_go(void)
{
	map_and_hold();
	let_go();
}

static void map_and_touch(void)
{
	map();
	touch_own(0);
}

static void count_own(unsigned worker, unsigned step)
{
	(void)step;
	atomic_fetch_add_explicit(&work.own[worker].word, 1, memory_order_relaxed);
}

static void count_common(unsigned worker, unsigned step)
{
	(void)worker, (void)step;
	atomic_fetch_add_explicit(&work.meeting->common, 1, memory_order_relaxed);
}

static void call_getppid(unsigned worker, unsigned step)
{
	(void)worker, (void)step;
	syscall(SYS_getppid);
}

static void call_getpid(unsigned worker, unsigned step)
{
	(void)worker, (void)step;
	syscall(SYS_getpid);
}

/* Nobody waits; and a value that is not there. Neither blocks. */
static void call_futex(unsigned worker, unsigned step)
{
	(void)step;
	syscall(SYS_futex, &work.own[worker].word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	syscall(SYS_futex, &work.own[worker].word, FUTEX_WAIT_PRIVATE, -1, NULL, NULL, 0);
}

/* All read the same pages of one file, which are in memory, each process by its own descriptor. */
static void make_file(void)
{
	int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (pwrite(fd, &i, sizeof(i), (off_t)(i * PAGE)) != sizeof(i))
			fail(FILE_NAME);
	close(fd);
}

static void open_own(unsigned worker)
{
	work.own[worker].fd = open(FILE_NAME, O_RDONLY);
	if (work.own[worker].fd < 0)
		fail(FILE_NAME);
}

static void read_cached(unsigned worker, unsigned step)
{
	uint64_t word;

	(void)!pread(work.own[worker].fd, &word, sizeof(word), (off_t)(step % PAGES * PAGE));
}

static void remove_file(void)
{
	unlink(FILE_NAME);
}

static const struct job jobs[] = {
	/* Two that say whether the plugin is right: no line is shared; one line is, by each operation. */
	{ .name = "own_word", .steps = 2048, .step = count_own },
	{ .name = "shared_word", .steps = 2048, .step = count_common },
	{ .name = "null_syscall", .steps = 2048, .step = call_getppid },
	{ .name = "getpid", .steps = 2048, .step = call_getpid },
	{ .name = "futex", .steps = 2048, .step = call_futex },
	{ .name = "fault_disjoint", .steps = PAGES, .prepare = map, .step = store, .clean = unmap },
	{ .name = "fault_rested", .steps = RESTED, .prepare = map, .own = rest, .step = store, .clean = unmap },
	{ .name = "cow_disjoint", .steps = PAGES, .prepare = map_and_hold, .step = store, .clean = let_go_and_unmap },
	{ .name = "reuse_disjoint", .steps = PAGES, .prepare = hold_and_let_go, .step = store, .clean = unmap },
	{ .name = "munmap_disjoint",
	  .steps = PAGES,
	  .prepare = map,
	  .own = touch_own,
	  .step = unmap_one,
	  .clean = unmap },
	{ .name = "mprotect_disjoint",
	  .steps = PAGES,
	  .prepare = map,
	  .own = touch_own,
	  .step = protect_one,
	  .clean = unmap },
	{ .name = "map_touch_unmap", .steps = PAGES, .prepare = map, .step = map_touch_unmap, .clean = unmap },
	{ .name = "cow_siblings",
	  .steps = PAGES,
	  .processes = true,
	  .prepare = map_and_touch,
	  .step = store_common,
	  .clean = unmap },
	{ .name = "read_cached",
	  .steps = 2048,
	  .processes = true,
	  .prepare = make_file,
	  .own = open_own,
	  .step = read_cached,
	  .clean = remove_file },
};

/* Acquire: pairs with the release of whoever counts up; what was prepared before is seen. */
static void wait_for(atomic_uint *variable, unsigned value)
{
	unsigned spins = 0;

	while (atomic_load_explicit(variable, memory_order_acquire) != value) {
		if (++spins % SPINS == 0)
			sched_yield();
	}
}

/* Release: pairs with wait_for. */
static void count_up(atomic_uint *variable)
{
	atomic_fetch_add_explicit(variable, 1, memory_order_release);
}

static void pin(unsigned worker)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(work.cpu[worker], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("sched_setaffinity");
}

/* Of one hart in a round. */
static unsigned steps_of(const struct job *job)
{
	return job->steps < work.steps ? job->steps : work.steps;
}

/* The marked part. Two loops, so that between marks there is nothing but the work. */
static void do_steps(unsigned worker)
{
	const struct job *job = work.job;
	unsigned steps = steps_of(job);
	unsigned i;

	if (!work.marked) {
		for (i = 0; i < steps; i++)
			job->step(worker, i);
		return;
	}
	MARK(MARK_BEGIN);
	for (i = 0; i < steps; i++) {
		job->step(worker, i);
		MARK(MARK_STEP);
	}
	MARK(MARK_END);
}

static void take_part(unsigned worker)
{
	if (work.job->own)
		work.job->own(worker);
	count_up(&work.meeting->ready);
	wait_for(&work.meeting->ready, work.harts);
	do_steps(worker);
	count_up(&work.meeting->ended);
}

static void *thread_main(void *argument)
{
	unsigned worker = (unsigned)(uintptr_t)argument;
	unsigned round = 0;

	pin(worker);
	for (;;) {
		wait_for(&work.meeting->round, ++round);
		if (work.over)
			return NULL;
		take_part(worker);
	}
}

static void fork_workers(pid_t *pids)
{
	unsigned i;

	for (i = 0; i < work.harts; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail("fork");
		if (pids[i] == 0) {
			pin(i);
			take_part(i);
			_exit(0);
		}
	}
}

static void run_round(bool marked)
{
	pid_t pids[MAX_HARTS];
	unsigned i;

	work.marked = marked;
	if (work.job->prepare)
		work.job->prepare();
	/* Relaxed, both: nobody looks before the round begins. */
	atomic_store_explicit(&work.meeting->ready, 0, memory_order_relaxed);
	atomic_store_explicit(&work.meeting->ended, 0, memory_order_relaxed);
	if (marked)
		MARK(MARK_ROUND);
	if (work.job->processes) {
		fork_workers(pids);
		for (i = 0; i < work.harts; i++)
			waitpid(pids[i], NULL, 0);
	} else {
		count_up(&work.meeting->round);
		take_part(0);
	}
	wait_for(&work.meeting->ended, work.harts);
	if (work.job->clean)
		work.job->clean();
}

static void start_threads(pthread_t *threads)
{
	unsigned i;

	work.over = false;
	/* Relaxed: the threads are made after it. */
	atomic_store_explicit(&work.meeting->round, 0, memory_order_relaxed);
	for (i = 1; i < work.harts; i++) {
		if (pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)i) != 0)
			fail("pthread_create");
	}
}

static void end_threads(const pthread_t *threads)
{
	unsigned i;

	work.over = true;
	count_up(&work.meeting->round);
	for (i = 1; i < work.harts; i++)
		pthread_join(threads[i], NULL);
}

static unsigned run_case(const struct job *job)
{
	unsigned steps = steps_of(job);
	unsigned rounds = (work.wanted + steps * work.harts - 1) / (steps * work.harts);
	pthread_t threads[MAX_HARTS];
	unsigned i;

	work.job = job;
	if (!job->processes)
		start_threads(threads);
	for (i = 0; i < WARM_ROUNDS; i++)
		run_round(false);
	MARK(MARK_CASE);
	for (i = 0; i < rounds; i++)
		run_round(true);
	if (!job->processes)
		end_threads(threads);
	MARK(MARK_DONE);
	return rounds * steps * work.harts;
}

static void find_harts(unsigned most)
{
	cpu_set_t set;
	int i;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		fail("sched_getaffinity");
	for (i = 0; i < CPU_SETSIZE && work.harts < most && work.harts < MAX_HARTS; i++) {
		if (CPU_ISSET(i, &set))
			work.cpu[work.harts++] = i;
	}
}

static bool is_wanted(char **names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

int main(int argc, char **argv)
{
	unsigned i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || atoi(argv[1]) < 1 || atoi(argv[2]) < 1)
		return 2;
	find_harts((unsigned)atoi(argv[1]));
	work.wanted = (unsigned)atoi(argv[2]);
	work.steps = UINT_MAX;
	if (argc > 3 && sscanf(argv[3], "steps=%u", &work.steps) == 1)
		argc--, argv++;
	pin(0);
	work.base = BASE;
	work.meeting = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (work.meeting == MAP_FAILED)
		fail("mmap");
	MARK(MARK_ARM);
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		if (argc <= 3 || is_wanted(argv + 3, jobs[i].name))
			printf("case %s %u %u\n", jobs[i].name, work.harts, run_case(&jobs[i]));
	}
	return 0;
}
