/* The table for people: one line a benchmark, and the reason where there is no number. */
#include <string.h>

#include "user/bench/report.h"

static int name_width(const struct catalog *catalog)
{
	size_t width = strlen("name");
	unsigned i;

	for (i = 0; i < catalog->count; i++) {
		if (strlen(catalog->results[i].name) > width)
			width = strlen(catalog->results[i].name);
	}
	return (int)width;
}

static void count_cell(FILE *out, const struct result *result, enum counter counter)
{
	if (counter_present(counter))
		fprintf(out, " %9.3f", result->counted[counter].median);
	else
		fprintf(out, " %9s", "-");
}

static void row(FILE *out, int width, unsigned repetitions, const struct result *result)
{
	char unit[16];

	if (result->status != BENCH_OK) {
		fprintf(out, "%-*s  %s: %s\n", width, result->name,
			result->status == BENCH_SKIPPED ? "skipped" : "FAILED", result->message);
		return;
	}
	snprintf(unit, sizeof(unit), "ns/%s", result->family->unit);
	fprintf(out, "%-*s %14.1f %14.1f %14.1f  %-7s", width, result->name, result->ns.median, result->ns.min,
		result->ns.max, unit);
	count_cell(out, result, COUNTER_IPIS);
	count_cell(out, result, COUNTER_FENCES);
	if (result->repetitions < repetitions)
		fprintf(out, "  %u of %u repetitions", result->repetitions, repetitions);
	fputc('\n', out);
}

void table_write(FILE *out, unsigned repetitions, const struct catalog *catalog)
{
	int width = name_width(catalog);
	unsigned i;

	fprintf(out, "%-*s %14s %14s %14s  %-7s %9s %9s\n", width, "name", "median", "min", "max", "unit", "ipis",
		"fences");
	for (i = 0; i < catalog->count; i++)
		row(out, width, repetitions, &catalog->results[i]);
	fflush(out);
}
