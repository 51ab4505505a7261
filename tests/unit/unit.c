/* The runner: a process a test, captured output, one line a test. See unit.h. */
#define _GNU_SOURCE
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS 120

const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);
const char *__ubsan_default_options(void);

/* Frames of the fake machine come from mmap: there is nothing for the leak checker to see. */
const char *__asan_default_options(void)
{
	return "detect_leaks=0:abort_on_error=0:detect_stack_use_after_return=0";
}

const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1";
}

/* The kernel reads, writes and writes back memory while the program writes to it: that race is the program's. */
const char *__tsan_default_suppressions(void)
{
	return "race:user_read\nrace:user_write\nrace:user_clear\nrace:object_to_user\nrace:user_to_object\nrace:read_piece\nrace:write_piece\nrace:store_write_back\n";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:halt_on_error=1";
}

static enum fork_policy fork_policy = FORK_TABLES;

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void child(const struct CMUnitTest *test, FILE *capture)
{
	struct CMUnitTest one[1] = { *test };

	if (capture != NULL) {
		dup2(fileno(capture), STDOUT_FILENO);
		dup2(fileno(capture), STDERR_FILENO);
	}
	alarm(TEST_SECONDS);
	space_set_fork_policy(fork_policy);
	exit(cmocka_run_group_tests(one, NULL, NULL) == 0 ? 0 : 1);
}

static void show(FILE *capture)
{
	char line[1024];

	rewind(capture);
	while (fgets(line, sizeof(line), capture) != NULL)
		printf("    | %s", line);
}

bool unit_views;

static int run_one(const char *module, const struct CMUnitTest *test)
{
	FILE *capture = getenv("UNIT_VERBOSE") != NULL ? NULL : tmpfile();
	double start = now();
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(test, capture);
	waitpid(pid, &status, 0);

	bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == UNIT_SKIPPED;
	bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	printf("[ %s ] %s: %s%s (%.2f s)\n",
	       passed	 ? "      OK"
	       : skipped ? " SKIPPED"
			 : "  FAILED",
	       module, test->name,
	       unit_views			? ", views"
	       : fork_policy == FORK_ALL_TABLES ? ", sharing"
						: "",
	       now() - start);
	if (WIFSIGNALED(status))
		printf("    | ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (hang)" : "");
	if (capture != NULL) {
		if (!passed && !skipped)
			show(capture);
		fclose(capture);
	}
	return passed ? 0 : skipped ? 2 : 1;
}

int unit_run(const char *module, const struct CMUnitTest *tests, size_t count, unsigned ways)
{
	const char *only = getenv("UNIT_ONLY");
	const char *results = getenv("UNIT_RESULTS");
	unsigned outcome[3] = { 0, 0, 0 };

	for (size_t i = 0; i < count * ways; i++) {
		fork_policy = i < count ? FORK_TABLES : FORK_ALL_TABLES;
		unit_views = i >= 2 * count;
		if (only == NULL || strstr(tests[i % count].name, only) != NULL)
			outcome[run_one(module, &tests[i % count])]++;
	}
	printf("[ %s ] %s: %u passed, %u failed, %u skipped\n", outcome[1] == 0 ? "  PASSED" : "  FAILED", module,
	       outcome[0], outcome[1], outcome[2]);
	if (results != NULL) {
		FILE *file = fopen(results, "w");

		if (file != NULL) {
			fprintf(file, "%u %u %u\n", outcome[0], outcome[1], outcome[2]);
			fclose(file);
		}
	}
	return outcome[1] != 0;
}

uint64_t unit_seed(void)
{
	const char *given = getenv("UNIT_SEED");
	uint64_t seed =
		given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;

	printf("UNIT_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	fake_seed(seed);
	return seed;
}

unsigned unit_steps(unsigned usual)
{
	const char *percent = getenv("UNIT_STEPS");

	return percent == NULL ? usual : (unsigned)((uint64_t)usual * strtoul(percent, NULL, 0) / 100 + 1);
}

struct space *unit_fork(struct space *parent)
{
	struct space *child;

	assert_int_equal(space_fork(parent, &child), 0);
	unit_audit();
	return child;
}
