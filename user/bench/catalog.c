/* Families times parameters, named name[/MiB:m][/pages:p][/harts:h]. */
#include "user/bench/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct bench_family *const bench_families[] = {
	&floor_all,	   &floor_trap,	       &floor_copy,
	&floor_clear,	   &null_syscall,      &zero_fill,
	&zero_read,	   &cow_copy,	       &cow_reuse,
	&fork_exit_wait,   &fork_call,	       &mprotect_pair,
	&munmap_call,	   &fault_disjoint,    &cow_disjoint,
	&cow_siblings,	   &file_shared_fault, &file_private_cow,
	&file_read_cached, &clone_object,      &clone_object_break,
	&shared_pingpong,  &msync_call,	       &fork_write,
	&map_touch_unmap,  &fork_exec_wait,    NULL,
};

static const unsigned page_counts[] = { 1, 512 };

static void name_it(struct result *result)
{
	const struct bench_family *family = result->family;
	int length = snprintf(result->name, BENCH_NAME, "%s", family->name);

	if (family->axes & AXIS_MIB)
		length += snprintf(result->name + length, BENCH_NAME - (size_t)length, "/MiB:%u", result->args.mib);
	if (family->axes & AXIS_PAGES)
		length += snprintf(result->name + length, BENCH_NAME - (size_t)length, "/pages:%u", result->args.pages);
	if (family->axes & AXIS_HARTS)
		snprintf(result->name + length, BENCH_NAME - (size_t)length, "/harts:%u", result->args.harts);
}

static int add(const struct options *options, struct catalog *catalog, const struct result *candidate)
{
	struct result *grown;

	if (!options_selects(options, candidate->name))
		return 0;
	grown = realloc(catalog->results, (catalog->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	catalog->results = grown;
	grown[catalog->count++] = *candidate;
	return 0;
}

static int add_family(const struct options *options, struct catalog *catalog, unsigned index)
{
	const struct bench_family *family = bench_families[index];
	unsigned sizes = family->axes & AXIS_MIB ? options->size_count : 1;
	unsigned pages = family->axes & AXIS_PAGES ? sizeof(page_counts) / sizeof(page_counts[0]) : 1;
	unsigned harts = family->axes & AXIS_HARTS ? options->harts : 1;
	unsigned count = sizes * pages * harts;
	struct result result = { .family = family, .family_index = index };
	int error = 0;
	unsigned i;

	for (i = 0; i < count && !error; i++) {
		result.instance_index = i;
		result.args.mib = family->axes & AXIS_MIB ? options->sizes[i] : 0;
		result.args.pages = page_counts[i / harts % pages];
		result.args.harts = i % harts + 1;
		name_it(&result);
		error = add(options, catalog, &result);
	}
	return error;
}

int catalog_make(const struct options *options, struct catalog *catalog)
{
	int error = 0;
	unsigned i;

	memset(catalog, 0, sizeof(*catalog));
	for (i = 0; bench_families[i] && !error; i++)
		error = add_family(options, catalog, i);
	return error;
}

void catalog_free(struct catalog *catalog)
{
	unsigned i;

	for (i = 0; i < catalog->count; i++)
		free(catalog->results[i].repetition);
	free(catalog->results);
}
