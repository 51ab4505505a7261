/* The forms of a report. Table and JSON are written at the end, in one piece; KTAP line by line, for who watches a console. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "user/bench/catalog.h"

/* KTAP: the kernel's test anything protocol. index: from 1. */
void ktap_begin(FILE *out, unsigned count);
void ktap_result(FILE *out, unsigned index, const struct result *result);

/* repetitions: how many were asked for. */
void table_write(FILE *out, unsigned repetitions, const struct catalog *catalog);

/* Google Benchmark's format. Its first line is "{" and its last line is "}". */
void json_write(FILE *out, const char *executable, const struct options *options, const struct catalog *catalog);
/* The same in pieces, each written out at once, for who may be ended early. */
void json_begin(FILE *out, const char *executable, const struct options *options);
void json_result(FILE *out, const struct options *options, const struct catalog *catalog, unsigned index);
void json_end(FILE *out);

/*
 * The same into options->out (options.h), for a machine that nobody is connected to: whole or not at all, and on the disk when it
 * returns. 0 or -errno; *path: the file's name, or what it was to be.
 */
#define REPORT_PATH 256
int json_save(const char *executable, const struct options *options, const struct catalog *catalog,
	      char path[REPORT_PATH]);

#endif
