/* Counts ranks instead of sorting: the order of the repetitions is part of the report, and there are few. */
#include "user/bench/statistics.h"

/* The value with exactly `rank` values before it in sorted order; equal values are ordered by position. */
static double ranked(const double *values, size_t count, size_t rank)
{
	size_t i, j, before;

	for (i = 0; i < count; i++) {
		before = 0;
		for (j = 0; j < count; j++)
			before += values[j] < values[i] || (j < i && values[j] <= values[i]);
		if (before == rank)
			return values[i];
	}
	return values[0];
}

struct statistics statistics_of(const double *values, size_t count)
{
	double upper = ranked(values, count, count / 2);
	double lower = count % 2 ? upper : ranked(values, count, count / 2 - 1);

	return (struct statistics){ ranked(values, count, 0), (lower + upper) / 2, ranked(values, count, count - 1) };
}
