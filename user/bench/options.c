/*
 * The command line. Google Benchmark's own names are understood beside the short ones, so that its tools can drive
 * this program.
 */
#include "user/bench/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/bench/machine.h"

const char options_help[] =
	"NAME\n"
	"  bench - what copy-on-write, faults, mappings and TLB shootdowns cost\n\n"
	"SYNOPSIS\n"
	"  bench [OPTION]...\n\n"
	"DESCRIPTION\n"
	"  Measures in ns per call or page, on Corral and on Linux, checks the data meanwhile, and prints a table. Under\n"
	"  QEMU's -icount a nanosecond is an instruction. docs/benchmarks.md says what each benchmark measures.\n\n"
	"OPTIONS\n"
	"  --list              print the names and stop\n"
	"  --filter=REGEX      only the benchmarks whose name matches (extended; a leading '-' negates)\n"
	"  --sizes=MIB,...     sizes for the fork benchmarks (default 0,1,16,64,256)\n"
	"  --max-mib=MIB       leave out fork sizes above this\n"
	"  --harts=N           run the harts:* benchmarks with 1 to N harts (default: all)\n"
	"  --repetitions=N     repetitions of each benchmark (default 9)\n"
	"  --min-time=TIME     each repetition measures at least so long: 0.002, 2ms, 500us (default 2ms)\n"
	"  --max-time=TIME     a benchmark that has lasted so long repeats no more (default 10s)\n"
	"  --memory=MIB        take this much as free memory instead of asking the kernel\n"
	"  --thp               leave transparent huge pages as the system has them (default: off)\n"
	"  --format=ktap       test results in KTAP on stdout as they come, and the table\n"
	"  --format=table|json table on stdout; or JSON on stdout and the table on stderr\n"
	"  --format=stream     the same JSON, each benchmark's as soon as it is measured\n"
	"  --out=FILE          JSON also into FILE, whole or not at all; FILE/ is a directory, in which the next\n"
	"                      free bench-NUMBER.json is taken; both are made if they are missing\n"
	"  --quick             a short run for tests: 2 repetitions of 200us, at most 2s, fork sizes up to 1 MiB\n"
	"  --help              print this and stop\n"
	"\n"
	"  --benchmark_list_tests, --benchmark_filter, --benchmark_repetitions, --benchmark_min_time,\n"
	"  --benchmark_format and --benchmark_out mean the same as in Google Benchmark.\n\n"
	"EXIT STATUS\n"
	"  0  all measured, or skipped with a reason\n"
	"  1  wrong data or an error\n"
	"  2  a bad option\n";

enum option_code {
	OPT_LIST = 1,
	OPT_FILTER,
	OPT_SIZES,
	OPT_MAX_MIB,
	OPT_HARTS,
	OPT_REPETITIONS,
	OPT_MIN_TIME,
	OPT_MAX_TIME,
	OPT_MEMORY,
	OPT_THP,
	OPT_FORMAT,
	OPT_OUT,
	OPT_QUICK,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "list", no_argument, NULL, OPT_LIST },
	{ "benchmark_list_tests", optional_argument, NULL, OPT_LIST },
	{ "filter", required_argument, NULL, OPT_FILTER },
	{ "benchmark_filter", required_argument, NULL, OPT_FILTER },
	{ "sizes", required_argument, NULL, OPT_SIZES },
	{ "max-mib", required_argument, NULL, OPT_MAX_MIB },
	{ "harts", required_argument, NULL, OPT_HARTS },
	{ "repetitions", required_argument, NULL, OPT_REPETITIONS },
	{ "benchmark_repetitions", required_argument, NULL, OPT_REPETITIONS },
	{ "min-time", required_argument, NULL, OPT_MIN_TIME },
	{ "benchmark_min_time", required_argument, NULL, OPT_MIN_TIME },
	{ "max-time", required_argument, NULL, OPT_MAX_TIME },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "thp", no_argument, NULL, OPT_THP },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "benchmark_format", required_argument, NULL, OPT_FORMAT },
	{ "out", required_argument, NULL, OPT_OUT },
	{ "benchmark_out", required_argument, NULL, OPT_OUT },
	{ "quick", no_argument, NULL, OPT_QUICK },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* What was given, 0 or -1 where nothing was, before --quick and the machine fill the rest in. */
struct given {
	unsigned max_mib;
	bool has_max;
};

static bool number(const char *text, unsigned low, unsigned high, unsigned *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < low || value > high)
		return false;
	*out = (unsigned)value;
	return true;
}

static bool duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = { { "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 } };
	char *end;
	double value = strtod(text, &end);
	unsigned i;

	for (i = 0; end != text && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) == 0 && value >= 0 && value * units[i].ns <= 1e12) {
			*ns = (uint64_t)(value * units[i].ns);
			return true;
		}
	}
	return false;
}

static bool size_list(struct options *options, const char *text)
{
	char copy[256];
	char *rest = copy;
	char *item;

	if (strlen(text) >= sizeof(copy))
		return false;
	memcpy(copy, text, strlen(text) + 1);
	options->size_count = 0;
	while ((item = strsep(&rest, ",")) != NULL) {
		if (options->size_count == OPTIONS_SIZES ||
		    !number(item, 0, 1u << 20, &options->sizes[options->size_count]))
			return false;
		options->size_count++;
	}
	return options->size_count > 0;
}

static bool take_filter(struct options *options, const char *text)
{
	if (options->filtered)
		regfree(&options->filter);
	options->filter_negated = *text == '-';
	options->filtered = regcomp(&options->filter, text + options->filter_negated, REG_EXTENDED | REG_NOSUB) == 0;
	return options->filtered;
}

static bool take_format(struct options *options, const char *text)
{
	options->stream = strcmp(text, "stream") == 0;
	options->json = options->stream || strcmp(text, "json") == 0;
	options->ktap = strcmp(text, "ktap") == 0;
	return options->json || options->ktap || strcmp(text, "table") == 0 || strcmp(text, "console") == 0;
}

static bool take_memory(struct options *options, const char *text)
{
	unsigned mib;

	if (!number(text, 1, 1u << 24, &mib))
		return false;
	options->memory = (uint64_t)mib << 20;
	return true;
}

static bool take(struct options *options, struct given *given, int code, const char *value)
{
	switch (code) {
	case OPT_LIST:
		options->list = !value || strcmp(value, "false") != 0;
		return true;
	case OPT_FILTER:
		return take_filter(options, value);
	case OPT_SIZES:
		return size_list(options, value);
	case OPT_MAX_MIB:
		given->has_max = true;
		return number(value, 0, 1u << 20, &given->max_mib);
	case OPT_HARTS:
		return number(value, 1, 1024, &options->harts);
	case OPT_REPETITIONS:
		return number(value, 1, 1000, &options->repetitions);
	case OPT_MIN_TIME:
		return duration(value, &options->min_ns);
	case OPT_MAX_TIME:
		return duration(value, &options->max_ns);
	case OPT_MEMORY:
		return take_memory(options, value);
	case OPT_THP:
		options->transparent_huge = true;
		return true;
	case OPT_FORMAT:
		return take_format(options, value);
	case OPT_OUT:
		options->out = value;
		return *value != '\0';
	case OPT_QUICK:
		options->quick = true;
		return true;
	default:
		options->help = true;
		return code == OPT_HELP;
	}
}

static void fill_in(struct options *options, struct given *given)
{
	unsigned i, kept = 0;

	if (options->quick && !given->has_max && !options->size_count) {
		given->has_max = true;
		given->max_mib = 1;
	}
	if (!options->size_count)
		size_list(options, "0,1,16,64,256");
	for (i = 0; i < options->size_count; i++) {
		if (!given->has_max || options->sizes[i] <= given->max_mib)
			options->sizes[kept++] = options->sizes[i];
	}
	options->size_count = kept;
	if (!options->repetitions)
		options->repetitions = options->quick ? 2 : 9;
	if (!options->min_ns)
		options->min_ns = options->quick ? 200000 : 2000000;
	if (!options->max_ns)
		options->max_ns = options->quick ? 2000000000 : 10000000000;
	if (!options->harts)
		options->harts = machine_cpus();
}

bool options_parse(struct options *options, int argc, char **argv, char *message, int room)
{
	struct given given = { 0 };
	int at = 1;
	int code;

	memset(options, 0, sizeof(*options));
	opterr = 0;
	while ((code = getopt_long(argc, argv, "+:", long_options, NULL)) != -1) {
		if (code == '?')
			snprintf(message, (size_t)room, "unknown or ambiguous option '%s'", argv[at]);
		else if (code == ':')
			snprintf(message, (size_t)room, "option '%s' needs a value", argv[at]);
		else if (!take(options, &given, code, optarg))
			snprintf(message, (size_t)room, "bad value '%s' in '%s'", optarg, argv[at]);
		else {
			at = optind;
			continue;
		}
		return false;
	}
	if (optind < argc) {
		snprintf(message, (size_t)room, "unexpected argument '%s'", argv[optind]);
		return false;
	}
	fill_in(options, &given);
	return true;
}

bool options_selects(const struct options *options, const char *name)
{
	if (!options->filtered)
		return true;
	return (regexec(&options->filter, name, 0, NULL, 0) == 0) != options->filter_negated;
}
