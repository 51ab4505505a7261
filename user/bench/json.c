/*
 * Google Benchmark's JSON, so that its compare.py and what reads its files work. Each repetition is an "iteration"
 * entry; minimum, median and maximum follow as "aggregate" entries. cpu_time repeats real_time: neither kernel is asked
 * for CPU time, and tools want the field.
 */
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "user/bench/machine.h"
#include "user/bench/report.h"

static void string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void member(FILE *out, const char *indent, const char *name, const char *value)
{
	fprintf(out, "%s\"%s\": ", indent, name);
	string(out, value);
	fputs(",\n", out);
}

static void date(FILE *out)
{
	char text[40] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
	member(out, "    ", "date", text);
}

/* As Google Benchmark has them, and the sets and the line behind that. None where the kernel names none. */
static void caches(FILE *out)
{
	struct machine_cache cache;
	unsigned i;

	fputs("    \"caches\": [", out);
	for (i = 0; machine_cache(i, &cache); i++)
		fprintf(out,
			"%s\n      { \"type\": \"%s\", \"level\": %u, \"size\": %llu, \"num_sharing\": %u, \"sets\": %u, \"line\": %u }",
			i ? "," : "", cache.type, cache.level, cache.bytes, cache.harts, cache.sets, cache.line);
	fputs("\n    ],\n", out);
}

static void context(FILE *out, const char *executable, const struct options *options)
{
	struct utsname name;

	memset(&name, 0, sizeof(name));
	uname(&name);
	fputs("  \"context\": {\n", out);
	date(out);
	member(out, "    ", "host_name", name.nodename);
	member(out, "    ", "executable", executable);
	fprintf(out, "    \"num_cpus\": %u,\n", machine_cpus());
	fputs("    \"mhz_per_cpu\": 0,\n", out);
	caches(out);
	member(out, "    ", "kernel", name.sysname);
	member(out, "    ", "kernel_release", name.release);
	member(out, "    ", "kernel_version", name.version);
	member(out, "    ", "machine", name.machine);
	fprintf(out, "    \"harts\": %u,\n", options->harts);
	fprintf(out, "    \"memory\": %llu,\n", (unsigned long long)machine_memory_total());
	fprintf(out, "    \"min_time_ns\": %llu,\n", (unsigned long long)options->min_ns);
#ifdef __OPTIMIZE__
	fputs("    \"library_build_type\": \"release\"\n  },\n", out);
#else
	fputs("    \"library_build_type\": \"debug\"\n  },\n", out);
#endif
}

/* What every entry has in common. The caller goes on with a member or with "\n    }". */
static void head(FILE *out, const struct result *result, const char *suffix, const char *type, unsigned repetitions)
{
	fprintf(out, "    {\n      \"name\": \"%s%s\",\n", result->name, suffix);
	fprintf(out, "      \"family_index\": %u,\n      \"per_family_instance_index\": %u,\n", result->family_index,
		result->instance_index);
	member(out, "      ", "run_name", result->name);
	member(out, "      ", "run_type", type);
	fprintf(out, "      \"repetitions\": %u,\n", repetitions);
	fprintf(out, "      \"threads\": %u", result->args.harts);
}

static void times(FILE *out, uint64_t iterations, double ns)
{
	fprintf(out, ",\n      \"iterations\": %llu,\n", (unsigned long long)iterations);
	fprintf(out, "      \"real_time\": %.6e,\n      \"cpu_time\": %.6e,\n", ns, ns);
	fputs("      \"time_unit\": \"ns\"", out);
}

static void counted(FILE *out, enum counter counter, double value)
{
	if (counter_present(counter))
		fprintf(out, ",\n      \"%s\": %.6e", counter_name[counter], value);
}

static void iteration(FILE *out, const struct result *result, unsigned index)
{
	const struct repetition *repetition = &result->repetition[index];
	unsigned i;

	head(out, result, "", "iteration", result->repetitions);
	fprintf(out, ",\n      \"repetition_index\": %u", index);
	times(out, repetition->operations, repetition->ns);
	for (i = 0; i < COUNTERS; i++)
		counted(out, i, repetition->counted[i]);
	fputs("\n    },\n", out);
}

static double pick(const struct statistics *statistics, unsigned which)
{
	return which == 0 ? statistics->min : which == 1 ? statistics->median : statistics->max;
}

static void aggregate(FILE *out, const struct result *result, unsigned which)
{
	static const char *const names[] = { "min", "median", "max" };
	char suffix[16];
	unsigned i;

	snprintf(suffix, sizeof(suffix), "_%s", names[which]);
	head(out, result, suffix, "aggregate", result->repetitions);
	fprintf(out, ",\n      \"aggregate_name\": \"%s\",\n      \"aggregate_unit\": \"time\"", names[which]);
	times(out, result->repetitions, pick(&result->ns, which));
	for (i = 0; i < COUNTERS; i++)
		counted(out, i, pick(&result->counted[i], which));
	fputs(which == 2 ? "\n    }" : "\n    },\n", out);
}

static void without_number(FILE *out, const struct result *result, unsigned repetitions)
{
	head(out, result, "", "iteration", repetitions);
	fprintf(out, ",\n      \"repetition_index\": 0,\n      \"error_occurred\": true,\n      \"skipped\": %s,\n",
		result->status == BENCH_SKIPPED ? "true" : "false");
	fputs("      \"error_message\": ", out);
	string(out, result->message);
	times(out, 0, 0);
	fputs("\n    }", out);
}

void json_begin(FILE *out, const char *executable, const struct options *options)
{
	fputs("{\n", out);
	context(out, executable, options);
	fputs("  \"benchmarks\": [\n", out);
	fflush(out);
}

void json_result(FILE *out, const struct options *options, const struct catalog *catalog, unsigned index)
{
	const struct result *result = &catalog->results[index];
	unsigned i;

	if (result->status != BENCH_OK)
		without_number(out, result, options->repetitions);
	for (i = 0; i < result->repetitions; i++)
		iteration(out, result, i);
	for (i = 0; result->repetitions && i < 3; i++)
		aggregate(out, result, i);
	fputs(index + 1 < catalog->count ? ",\n" : "\n", out);
	fflush(out);
}

void json_end(FILE *out)
{
	fputs("  ]\n}\n", out);
	fflush(out);
}

void json_write(FILE *out, const char *executable, const struct options *options, const struct catalog *catalog)
{
	unsigned i;

	json_begin(out, executable, options);
	for (i = 0; i < catalog->count; i++)
		json_result(out, options, catalog, i);
	json_end(out);
}
