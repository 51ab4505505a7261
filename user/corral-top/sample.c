/* Reads the two files. Columns and lines are found by their names; what is not there counts as 0. */
#include "user/corral-top/sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX 64

const char *const memory_name[MEMORIES] = {
	[MEMORY_FREE] = "free",
	[MEMORY_ANONYMOUS] = "anonymous",
	[MEMORY_FILES] = "files",
	[MEMORY_TABLES] = "tables",
	[MEMORY_SIDES] = "sides",
	[MEMORY_KERNEL] = "kernel",
	[MEMORY_RESERVED] = "reserved",
	[MEMORY_ZERO] = "zero",
	[MEMORY_SAVED_ANONYMOUS] = "saved_anonymous",
	[MEMORY_SAVED_FILES] = "saved_files",
	[MEMORY_SAVED_TABLES] = "saved_tables",
};

const char *const count_name[COUNTS] = {
	[COUNT_FAULTS] = "faults",	   [COUNT_ZEROS] = "zeros",
	[COUNT_COPIES] = "copies",	   [COUNT_REUSES] = "reuses",
	[COUNT_SHOOTDOWNS] = "shootdowns", [COUNT_SERVED] = "served",
	[COUNT_SENT] = "ipis_sent",	   [COUNT_RECEIVED] = "ipis_received",
	[COUNT_FENCES] = "fences",
};

/* Which columns make up a count. */
static const struct {
	const char *column;
	enum count count;
} columns[] = {
	{ "zero_fills", COUNT_FAULTS },	     { "zero_reads", COUNT_FAULTS },	 { "cow_copies", COUNT_FAULTS },
	{ "cow_reuses", COUNT_FAULTS },	     { "object_faults", COUNT_FAULTS },	 { "marks_set", COUNT_FAULTS },
	{ "spurious_faults", COUNT_FAULTS }, { "refused_faults", COUNT_FAULTS }, { "zero_fills", COUNT_ZEROS },
	{ "cow_copies", COUNT_COPIES },	     { "cow_reuses", COUNT_REUSES },	 { "shootdowns", COUNT_SHOOTDOWNS },
	{ "requests_served", COUNT_SERVED }, { "ipis_sent", COUNT_SENT },	 { "ipis_received", COUNT_RECEIVED },
	{ "local_fences", COUNT_FENCES },
};
#define RULES (sizeof(columns) / sizeof(columns[0]))

static bool slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t used = 0;
	ssize_t n;

	if (fd < 0) {
		perror(path);
		return false;
	}
	while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(fd);
	return true;
}

static void take_memory(struct sample *out, char *text)
{
	char *rest, *line;

	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char *space = strchr(line, ' ');

		if (space == NULL)
			continue;
		*space = 0;
		for (unsigned i = 0; i < MEMORIES; i++)
			if (strcmp(line, memory_name[i]) == 0)
				out->memory[i] = strtoull(space + 1, NULL, 10);
	}
}

static unsigned split(char *line, char **words)
{
	unsigned n = 0;
	char *rest;

	for (char *word = strtok_r(line, " ", &rest); word != NULL && n < COLUMNS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	return n;
}

static void take_hart(struct hart_counts *out, char **heads, char **words, unsigned n)
{
	memset(out, 0, sizeof(*out));
	out->hart = (unsigned)strtoul(words[0], NULL, 10);
	for (unsigned i = 1; i < n; i++)
		for (unsigned rule = 0; rule < RULES; rule++)
			if (strcmp(heads[i], columns[rule].column) == 0)
				out->count[columns[rule].count] += strtoull(words[i], NULL, 10);
}

static void take_harts(struct sample *out, char *text)
{
	char *heads[COLUMNS_MAX], *words[COLUMNS_MAX];
	char *rest, *line = strtok_r(text, "\n", &rest);
	unsigned nheads = line == NULL ? 0 : split(line, heads);

	while (out->harts < MAX_HARTS && (line = strtok_r(NULL, "\n", &rest)) != NULL)
		if (split(line, words) == nheads)
			take_hart(&out->hart[out->harts++], heads, words, nheads);
}

bool sample_read(struct sample *out)
{
	static char memory[4096], harts[65536];
	struct timespec now;

	memset(out, 0, sizeof(*out));
	if (!slurp("/proc/corral/memory", memory, sizeof(memory)) || !slurp("/proc/corral/harts", harts, sizeof(harts)))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	out->seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	take_memory(out, memory);
	take_harts(out, harts);
	return true;
}

void sample_rates(const struct sample *before, const struct sample *now, double rates[][COUNTS])
{
	double seconds = now->seconds - before->seconds;
	unsigned n = now->harts < before->harts ? now->harts : before->harts;

	memset(rates, 0, (now->harts + 1) * sizeof(rates[0]));
	for (unsigned h = 0; h < n && seconds > 0; h++)
		for (unsigned i = 0; i < COUNTS; i++) {
			rates[h][i] = (double)(now->hart[h].count[i] - before->hart[h].count[i]) / seconds;
			rates[now->harts][i] += rates[h][i];
		}
}
