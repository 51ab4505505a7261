/*
 * Everything together, again and again: soak ROUNDS SEED PROGRAM...  Each PROGRAM is a command line, words between spaces, in which "@"
 * stands for the round's seed. A round runs all of them at once, each in its own process group, and waits for
 * all: each must end with 0. Then it is quiet: nothing but this process is left, what was written is on the disks, and the round's line says
 * how many programs ran, the guest's time and the processor time that they took (ns), and how many frames are free, hold pages of disks' files
 * (cached), and are kept by mounted volumes for themselves: the three together should stay.
 * ROUNDS 0: until standard input has something to read, or ends (scripts/torture soak).
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#define SEEDS 5 /* the same work comes again: rounds can be compared */
#define WORDS 12

static uint64_t frames(const char *path, const char *wanted)
{
	char name[64];
	unsigned long long n = 0;
	FILE *file = fopen(path, "re");

	while (file != NULL && fscanf(file, "%63s %llu ", name, &n) == 2 && strcmp(name, wanted) != 0)
		n = 0;
	if (file != NULL)
		fclose(file);
	return n;
}

static uint64_t used_ns(void)
{
	struct rusage all;

	CHECK(getrusage(RUSAGE_CHILDREN, &all) == 0);
	return (uint64_t)(all.ru_utime.tv_sec + all.ru_stime.tv_sec) * 1000000000ULL +
	       (uint64_t)(all.ru_utime.tv_usec + all.ru_stime.tv_usec) * 1000ULL;
}

static _Noreturn void run(const char *program, uint64_t seed)
{
	char text[256], number[24], *words[WORDS + 1] = { NULL };
	unsigned n = 0;
	int nothing = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	dup2(nothing, 0);
	dup2(nothing, 1);
	snprintf(text, sizeof(text), "%s", program);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)seed);
	for (char *word = strtok(text, " "); word != NULL && n < WORDS; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "@") == 0 ? number : word;
	execv(words[0], words);
	check_fail(__FILE__, __LINE__, program);
}

static void round_of(char **programs, unsigned n, uint64_t seed)
{
	pid_t pids[64];

	CHECK(n <= COUNT(pids));
	for (unsigned i = 0; i < n; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0)
			run(programs[i], seed);
	}
	for (unsigned i = 0; i < n; i++) {
		int status = child_status(pids[i]);

		if (status != 0) {
			fprintf(stderr, "%s, seed %llu: status %#x\n", programs[i], (unsigned long long)seed,
				(unsigned)status);
			exit(1);
		}
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	sync();
}

static bool told_to_stop(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv)
{
	uint64_t rounds, seed, used = 0;

	CHECK(argc > 2);
	rounds = strtoull(argv[1], NULL, 0);
	seed = strtoull(argv[2], NULL, 0);
	for (uint64_t i = 0; rounds == 0 ? !told_to_stop() : i < rounds; i++) {
		uint64_t before = used;

		round_of(argv + 3, (unsigned)argc - 3, seed + i % SEEDS);
		used = used_ns();
		printf("round %llu programs %u guest %llu used %llu free %llu cached %llu volumes %llu\n",
		       (unsigned long long)i, (unsigned)argc - 3, (unsigned long long)now_ns(),
		       (unsigned long long)(used - before),
		       (unsigned long long)frames("/proc/corral/counters", "frames_free"),
		       (unsigned long long)frames("/proc/corral/memory", "cached"),
		       (unsigned long long)frames("/proc/corral/memory", "volumes"));
		fflush(stdout);
	}
	return pass();
}
