/* What the command line asks for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_SIZES 16

struct options {
	bool list;
	bool help;
	bool json;
	bool stream; /* JSON that comes as it is measured */
	bool ktap;
	bool quick;
	const char *out;       /* where the JSON goes, too; NULL: nowhere */
	bool transparent_huge; /* leave transparent huge pages as the system has them */
	bool filtered;
	bool filter_negated;
	regex_t filter;
	unsigned harts; /* benchmarks run with 1 to this many */
	unsigned repetitions;
	uint64_t min_ns;	       /* a repetition's timed parts last at least so long */
	uint64_t max_ns;	       /* a benchmark that has lasted so long repeats no more */
	unsigned sizes[OPTIONS_SIZES]; /* MiB, of the fork benchmarks */
	unsigned size_count;
	uint64_t memory; /* bytes that may be used; 0: ask the kernel */
};

/* True when all of it was understood; else *message is one line that says what was not. Default harts: all there are. */
bool options_parse(struct options *options, int argc, char **argv, char *message, int room);
bool options_selects(const struct options *options, const char *name);
extern const char options_help[];

#endif
