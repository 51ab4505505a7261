/* The two forms of a report. Both are written at the end, in one piece. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "user/bench/catalog.h"

/* repetitions: how many were asked for. */
void table_write(FILE *out, unsigned repetitions, const struct catalog *catalog);

/* Google Benchmark's format. Its first line is "{" and its last line is "}". */
void json_write(FILE *out, const char *executable, const struct options *options, const struct catalog *catalog);

#endif
