/* All benchmarks that the options select, in the order in which they run. */
#ifndef BENCH_CATALOG_H
#define BENCH_CATALOG_H

#include "user/bench/options.h"
#include "user/bench/runner.h"

struct catalog {
	struct result *results;
	unsigned count;
};

/* 0 or a negative errno. */
int catalog_make(const struct options *options, struct catalog *catalog);
void catalog_free(struct catalog *catalog);

#endif
