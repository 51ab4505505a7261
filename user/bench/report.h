/* The two forms of a report. Both are written at the end, in one piece. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "user/bench/catalog.h"

/* repetitions: how many were asked for. */
void table_write(FILE *out, unsigned repetitions, const struct catalog *catalog);

/* Google Benchmark's format. Its first line is "{" and its last line is "}". */
void json_write(FILE *out, const char *executable, const struct options *options, const struct catalog *catalog);

/*
 * The same into options->out (options.h), for a machine that nobody is connected to: whole or not at all, and on the disk when it
 * returns. 0 or -errno; *path: the file's name, or what it was to be.
 */
#define REPORT_PATH 256
int json_save(const char *executable, const struct options *options, const struct catalog *catalog,
	      char path[REPORT_PATH]);

#endif
