/* A line a benchmark in KTAP, its numbers as the line's diagnostic data. Each is written out at once: a console shows what lasts. */
#include "user/bench/report.h"

void ktap_begin(FILE *out, unsigned count)
{
	fprintf(out, "KTAP version 1\n1..%u\n", count);
	fflush(out);
}

void ktap_result(FILE *out, unsigned index, const struct result *result)
{
	fprintf(out, "%s %u %s # ", result->status == BENCH_FAILED ? "not ok" : "ok", index, result->name);
	if (result->status == BENCH_OK)
		fprintf(out, "%.1f ns/%s, %.1f to %.1f\n", result->ns.median, result->family->unit, result->ns.min,
			result->ns.max);
	else
		fprintf(out, "%s %s\n", result->status == BENCH_SKIPPED ? "SKIP" : "FAIL", result->message);
	fflush(out);
}
