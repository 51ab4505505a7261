/*
 * The benchmark: static, plain Linux C, the same binary on Corral and on Linux. The main thread stays on the first hart
 * that it may use; children inherit that, and the benchmarks of several harts place the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "user/bench/catalog.h"
#include "user/bench/machine.h"
#include "user/bench/options.h"
#include "user/bench/progress.h"
#include "user/bench/report.h"

enum { EXIT_MEASURED = 0, EXIT_WRONG = 1, EXIT_USAGE = 2 };

static int complain(int status, const char *message)
{
	fprintf(stderr, "bench: %s\n", message);
	return status;
}

static void list(const struct catalog *catalog)
{
	unsigned i;

	for (i = 0; i < catalog->count; i++)
		puts(catalog->results[i].name);
	fflush(stdout);
}

/* Returns how many failed. */
static unsigned run_all(const char *executable, const struct options *options, struct catalog *catalog)
{
	uint64_t memory = options->memory ? options->memory : machine_memory_free();
	struct counters unused;
	unsigned i, failed = 0;

	counters_begin(&unused);
	progress_init();
	if (options->ktap)
		ktap_begin(stdout, catalog->count);
	if (options->stream)
		json_begin(stdout, executable, options);
	for (i = 0; i < catalog->count; i++) {
		if (!options->ktap)
			progress_show(i + 1, catalog->count, catalog->results[i].name);
		runner_run(options, memory, &catalog->results[i]);
		if (options->ktap)
			ktap_result(stdout, i + 1, &catalog->results[i]);
		if (options->stream)
			json_result(stdout, options, catalog, i);
		if (catalog->results[i].status != BENCH_FAILED)
			continue;
		progress_end();
		fprintf(stderr, "bench: %s: %s\n", catalog->results[i].name, catalog->results[i].message);
		failed++;
	}
	progress_end();
	if (options->stream)
		json_end(stdout);
	return failed;
}

static int measure(const char *executable, const struct options *options, struct catalog *catalog)
{
	int error = machine_pin(0);
	char path[REPORT_PATH];
	unsigned failed;

	if (error)
		fprintf(stderr, "bench: cannot stay on one hart: %s\n", strerror(-error));
	/* A kernel that does not know it has no transparent huge pages to turn off. */
	if (!options->transparent_huge)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	failed = run_all(executable, options, catalog);
	if (options->json && !options->stream)
		json_write(stdout, executable, options, catalog);
	if (options->out)
		error = json_save(executable, options, catalog, path);
	table_write(options->json ? stderr : stdout, options->repetitions, catalog);
	if (ferror(stdout))
		return complain(EXIT_WRONG, "could not write the report");
	if (options->out && error)
		fprintf(stderr, "bench: %s: %s\n", path, strerror(-error));
	else if (options->out)
		fprintf(stderr, "bench: results in %s\n", path);
	return failed || (options->out && error) ? EXIT_WRONG : EXIT_MEASURED;
}

int main(int argc, char **argv)
{
	struct options options;
	struct catalog catalog;
	char message[160];
	int status = EXIT_MEASURED;
	int error = machine_init();

	if (error) {
		snprintf(message, sizeof(message), "cannot tell which harts there are: %s", strerror(-error));
		return complain(EXIT_WRONG, message);
	}
	if (!options_parse(&options, argc, argv, message, sizeof(message)))
		return complain(EXIT_USAGE, message);
	if (options.help) {
		fputs(options_help, stdout);
		return EXIT_MEASURED;
	}
	if (catalog_make(&options, &catalog) != 0)
		return complain(EXIT_WRONG, "no memory for the list of benchmarks");
	if (!catalog.count)
		return complain(EXIT_USAGE, "no benchmark has such a name (see --list)");
	if (options.list)
		list(&catalog);
	else
		status = measure(argv[0], &options, &catalog);
	catalog_free(&catalog);
	return status;
}
