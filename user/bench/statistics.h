/* Order statistics of a handful of repetitions. */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>

struct statistics {
	double min, median, max;
};

/* count >= 1. values is left as it is. The median of an even count is the mean of the middle two, as Google Benchmark's. */
struct statistics statistics_of(const double *values, size_t count);

#endif
