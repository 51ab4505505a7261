/*
 * /proc/corral and /proc/PID/tables under those who do not mean well: a process whose page tables become, while they are counted, pages of
 * words that look like entries and lead to where there is no memory to be read; readers with buffers of any size and at any place, many of
 * one file at once, of processes that map, unmap, fork and die meanwhile. What comes back must be whole lines that make sense.
 *
 *   proc_storm [SEED]
 */
#include "check.h"

#include <fcntl.h>

enum {
	SECONDS_FORGED = 3,
	FORGERS = 2,
	SECONDS_READ = 3,
	FORGED_PAGES = 1200,
	LISTED_PAGES = 24000,
	VICTIMS = 3,
	READERS = 4,
	TEXT = 2 << 20
};

static struct shared {
	atomic_bool stop, go[FORGERS];
	atomic_int victim[VICTIMS];
	atomic_ulong reads, runs;
} * shared;

static uint64_t random_state;

static uint64_t below(uint64_t limit)
{
	return random_next(&random_state) % limit;
}

/* All of it from the beginning, in parts of `part` bytes: how many bytes, or -1. */
static ssize_t slurp(const char *path, char *out, size_t room, size_t part)
{
	int fd = open(path, O_RDONLY);
	size_t used = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (used < room - 1 && (n = read(fd, out + used, part < room - 1 - used ? part : room - 1 - used)) > 0)
		used += (size_t)n;
	CHECK(close(fd) == 0);
	out[used] = 0;
	return n < 0 ? -1 : (ssize_t)used;
}

static unsigned long value_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	char *end;
	unsigned long value;

	CHECK(at != NULL && (at == text || at[-1] == '\n'));
	value = strtoul(at + strlen(name), &end, 10);
	CHECK_EQ(*end, '\n');
	return value;
}

/* ---- Tables that turn into something else. */

/* Entries of each kind, of the first frames that there are: the firmware's, which the kernel may not even read. */
static void forge(uint64_t *page)
{
	for (unsigned i = 0; i < PAGE / 8; i++)
		page[i] = (0x80000UL + i % 64) << 10 | (i % 2 == 0 ? 1 : 1 << 9);
}

static void fill_forged(void)
{
	char *forged = map_anon(FORGED_PAGES * PAGE);

	for (uint64_t i = 0; i < FORGED_PAGES; i++)
		forge((uint64_t *)(forged + i * PAGE));
	CHECK(munmap(forged, FORGED_PAGES * PAGE) == 0);
}

/* 512 leaf tables below one upper table, which a child shares; then both let go of it, and what was freed is filled with words of ours. */
static void turn(atomic_bool *go)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	char *at = (char *)(1UL << 36);
	pid_t pid;

	CHECK(mmap(at, GIB, PROT_READ | PROT_WRITE, flags, -1, 0) == at);
	for (uint64_t i = 0; i < 512; i++)
		at[i * 2 * MIB] = 1;
	atomic_store(go, false);
	pid = child_fork();
	if (pid == 0) {
		while (!atomic_load(go))
			relax();
		CHECK(munmap(at, GIB) == 0);
		fill_forged();
		_exit(0);
	}
	usleep((useconds_t)below(8000));
	CHECK(munmap(at, GIB) == 0);
	atomic_store(go, true);
	child_wait(pid);
}

static void forger(unsigned which)
{
	while (!atomic_load(&shared->stop))
		turn(&shared->go[which]);
	_exit(0);
}

/* The kinds of frames make up all of RAM at each reading. */
static void read_memory(unsigned long *all)
{
	static const char *const names[] = { "reserved ", "free ",   "kernel ", "anonymous ",
					     "files ",	  "tables ", "zero ",	"sides " };
	char text[2048];
	unsigned long sum = 0;

	CHECK(slurp("/proc/corral/memory", text, sizeof(text), sizeof(text)) > 0);
	for (unsigned i = 0; i < COUNT(names); i++)
		sum += value_of(text, names[i]);
	if (*all == 0)
		*all = sum;
	CHECK_EQ(sum, *all);
}

static void tables_turn(void)
{
	uint64_t until = now_ns() + SECONDS_FORGED * 1000000000ULL;
	unsigned long all = 0;
	pid_t pid[FORGERS];

	for (unsigned i = 0; i < COUNT(pid); i++) {
		pid[i] = child_fork();
		if (pid[i] == 0)
			forger(i);
	}
	while (now_ns() < until)
		read_memory(&all);
	atomic_store(&shared->stop, true);
	for (unsigned i = 0; i < COUNT(pid); i++)
		child_wait(pid[i]);
	atomic_store(&shared->stop, false);
}

/* ---- Processes that come and go. */

static void *mapper(void *arg)
{
	uint64_t state = (uintptr_t)arg;

	for (;;) {
		size_t bytes = (1 + random_next(&state) % 700) * PAGE;
		char *at = map_anon(bytes);

		for (size_t page = 0; page < bytes / PAGE; page += 1 + random_next(&state) % 8)
			at[page * PAGE] = 1;
		for (unsigned i = 0; i < 20; i++)
			CHECK(mprotect(at + random_next(&state) % (bytes / PAGE) * PAGE, PAGE, PROT_READ) == 0);
		if (random_next(&state) % 4 == 0) {
			pid_t pid = child_fork();

			if (pid == 0)
				_exit(0);
			child_wait(pid);
		}
		CHECK(munmap(at, bytes) == 0);
	}
	return NULL;
}

static void victim(uint64_t seed)
{
	random_state = seed;
	alarm(20); /* should its parent have failed */
	(void)thread_start(mapper, (void *)(seed | 1));
	usleep((useconds_t)below(50000));
	if (below(2) == 0)
		execl("/proc/self/exe", "proc_storm", "nothing", (char *)NULL);
	_exit(0);
}

/* Keeps one process of that number going until the end. */
static void keep_dying(unsigned which)
{
	while (!atomic_load(&shared->stop)) {
		uint64_t seed = below(1UL << 40);
		pid_t pid = child_fork();

		if (pid == 0)
			victim(seed);
		atomic_store(&shared->victim[which], pid);
		usleep((useconds_t)below(60000));
		if (below(2) == 0)
			CHECK(kill(pid, SIGKILL) == 0);
		(void)child_status(pid);
	}
	_exit(0);
}

/* ---- Readers. */

/* Lines of /proc/PID/tables, which may end early where there is no room for more: ranges that follow each other. */
static void check_tables(char *text)
{
	unsigned long end = 0, from, to, pages, many, most;
	char *rest, *line = strtok_r(text, "\n", &rest);

	CHECK(line != NULL && strcmp(line, "range level way state rights of pages shared most") == 0);
	while ((line = strtok_r(NULL, "\n", &rest)) != NULL && *rest != 0) {
		unsigned level;

		CHECK_EQ(sscanf(line, "%lx-%lx %u %*s %*s %*s %*s %lu %lu %lu", &from, &to, &level, &pages, &many,
				&most),
			 6);
		CHECK(from >= end && to > from && to <= 1UL << 38 && from % PAGE == 0 && level <= 2);
		CHECK(pages <= (to - from) / PAGE && many <= pages);
		end = to;
		atomic_fetch_add(&shared->runs, 1);
	}
}

static void read_tables(char *text)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/tables",
		 below(4) == 0 ? (int)getpid() : (int)atomic_load(&shared->victim[below(VICTIMS)]));
	n = slurp(path, text, TEXT, below(3) == 0 ? 1 + below(40) : TEXT);
	if (n > 0)
		check_tables(text);
	else if (n < 0)
		CHECK(errno == ESRCH || errno == ENOENT || errno == ENOMEM);
}

static const char *const files[] = { "/proc/corral/harts",    "/proc/corral/memory", "/proc/corral/caches",
				     "/proc/corral/counters", "/proc/corral/events", "/proc/corral/disks",
				     "/proc/corral/trace" };

/* Anywhere, with any size, some of it to where there is no memory. */
static void read_wildly(const char *path, char *text)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 && (errno == ENOENT || errno == ESRCH))
		return;
	CHECK(fd >= 0);
	for (unsigned i = 0; i < 20; i++) {
		off_t at = below(4) == 0 ? (off_t)random_next(&random_state) : (off_t)below(3000);
		char *to = below(8) == 0 ? (char *)8 : text + below(100);
		size_t size = below(3) == 0 ? below(5) : below(TEXT - 100);

		if (below(2) == 0)
			(void)lseek(fd, at - 1000, (int)below(3));
		else if (below(2) == 0)
			(void)!pread(fd, to, size, at);
		else
			(void)!read(fd, to, size);
	}
	CHECK(close(fd) == 0);
}

static int common_file;

static void *reads_common(void *arg)
{
	char buffer[64];

	while (!atomic_load(&shared->stop)) {
		(void)!pread(common_file, buffer, sizeof(buffer), 0);
		(void)!read(common_file, buffer, 3);
		if (lseek(common_file, 0, SEEK_SET) != 0)
			check_fail(__FILE__, __LINE__, "lseek");
	}
	return arg;
}

static void reader(unsigned which)
{
	char *text = map_anon(TEXT), path[64];
	pthread_t thread;

	common_file = open(which % 2 == 0 ? "/proc/self/tables" : "/proc/corral/harts", O_RDONLY);
	CHECK(common_file >= 0);
	thread = thread_start(reads_common, NULL);
	while (!atomic_load(&shared->stop)) {
		read_tables(text);
		read_wildly(files[below(COUNT(files))], text);
		snprintf(path, sizeof(path), "/proc/%d/tables", (int)atomic_load(&shared->victim[below(VICTIMS)]));
		read_wildly(path, text);
		atomic_fetch_add(&shared->reads, 1);
	}
	thread_join(thread);
	_exit(0);
}

static void many_readers(void)
{
	pid_t pid[VICTIMS + READERS];

	for (unsigned i = 0; i < COUNT(pid); i++) {
		uint64_t seed = below(1UL << 40) | 1;

		pid[i] = child_fork();
		if (pid[i] != 0)
			continue;
		random_state = seed;
		if (i < VICTIMS)
			keep_dying(i);
		else
			reader(i);
	}
	sleep(SECONDS_READ);
	atomic_store(&shared->stop, true);
	for (unsigned i = 0; i < COUNT(pid); i++)
		child_wait(pid[i]);
	atomic_store(&shared->stop, false);
	CHECK(atomic_load(&shared->reads) > 0 && atomic_load(&shared->runs) > 0);
}

/* ---- A listing that takes long: others run meanwhile, also where there is one hart. */

static atomic_ulong others;

static void *counts(void *arg)
{
	while (!atomic_load(&shared->stop)) {
		atomic_fetch_add(&others, 1);
		relax();
	}
	return arg;
}

static void long_listing(const char *path)
{
	int fd = open(path, O_RDONLY);
	unsigned long before;
	char byte;

	CHECK(fd >= 0);
	while (atomic_load(&others) == 0)
		relax();
	before = atomic_load(&others);
	CHECK_EQ(pread(fd, &byte, 1, 0), 1);
	CHECK(atomic_load(&others) > before + 2);
	CHECK(close(fd) == 0);
}

static void listings_last(void)
{
	char *at = map_anon(LISTED_PAGES * PAGE);
	pthread_t thread;

	for (size_t i = 0; i < LISTED_PAGES; i += 2)
		CHECK(mprotect(at + i * PAGE, PAGE, PROT_READ) == 0);
	thread = thread_start(counts, NULL);
	long_listing("/proc/self/tables");
	long_listing("/proc/self/maps");
	if (slurp("/proc/corral/trace", map_anon(TEXT), TEXT, MIB) > 200000)
		long_listing("/proc/corral/trace");
	atomic_store(&shared->stop, true);
	thread_join(thread);
	CHECK(munmap(at, LISTED_PAGES * PAGE) == 0);
	atomic_store(&shared->stop, false);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return 0;
	random_state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 2 + 1;
	shared = map_shared(PAGE);
	tables_turn();
	many_readers();
	listings_last();
	return pass();
}
