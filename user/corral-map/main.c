/* corral-map: the page table of a process as it is, from /proc/PID/tables, with the names that /proc/PID/maps has for its parts. */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL "\033[0m"

static const char help[] =
	"NAME\n"
	"  corral-map - the page table of a process as it is\n\n"
	"SYNOPSIS\n"
	"  corral-map [--plain | --colour | --json] PID\n\n"
	"DESCRIPTION\n"
	"  A line for each run of entries that say the same: its range and size; the level of the table that has them\n"
	"  (0: pages); whether harts can walk there (private) or the tables on the way are left to several spaces by\n"
	"  fork (detached); the entries' state; rights (as in /proc/PID/maps); what the pages are; how many there are;\n"
	"  how many of them are in several places; and the most places that one is in.\n"
	"  PID may be self. Colours where standard output is a terminal that is not dumb.\n\n"
	"OPTIONS\n"
	"  --plain     no colours\n"
	"  --colour    colours, also where standard output is no terminal\n"
	"  --json      a list of objects, one a line of the table\n"
	"  --help      this\n\n"
	"STATES\n"
	"  reserved   asked for, never touched: no memory\n"
	"  writable   may be written at once\n"
	"  cow        may be written, but the next write faults: it copies the page, or takes it when nobody else has it\n"
	"  readonly   may not be written\n"
	"  parked     there, but out of reach (PROT_NONE)\n\n"
	"EXIT STATUS\n"
	"  0; 1: there is no such process, or this is not Corral; 2: wrong arguments\n";

struct run {
	uint64_t start, end;
	unsigned level;
	char way[16], state[16], rights[8], of[16];
	unsigned long long pages, shared, most;
};

enum style { STYLE_PLAIN, STYLE_COLOUR, STYLE_JSON };

static struct {
	struct run *run;
	size_t n;
} table;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static FILE *open_of(const char *pid, const char *name)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	file = fopen(path, "r");
	if (file == NULL)
		fail(path);
	return file;
}

/* The process may have ended since it was opened. */
static void close_of(FILE *file, const char *pid)
{
	if (ferror(file))
		fail(pid);
	fclose(file);
}

static void read_runs(const char *pid)
{
	FILE *file = open_of(pid, "tables");
	char line[256];

	while (fgets(line, sizeof(line), file) != NULL) {
		struct run run;

		if (sscanf(line, "%lx-%lx %u %15s %15s %7s %15s %llu %llu %llu", &run.start, &run.end, &run.level,
			   run.way, run.state, run.rights, run.of, &run.pages, &run.shared, &run.most) != 10)
			continue;
		table.run = realloc(table.run, (table.n + 1) * sizeof(run));
		if (table.run == NULL)
			fail("memory");
		table.run[table.n++] = run;
	}
	close_of(file, pid);
}

/* ---- Names of regions. */

struct region {
	uint64_t start, end;
	char name[64];
};

static struct {
	struct region *region;
	size_t n;
} maps;

static void read_maps(const char *pid)
{
	FILE *file = open_of(pid, "maps");
	char line[512];

	while (fgets(line, sizeof(line), file) != NULL) {
		struct region region = { .name = "" };

		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %63[^\n]", &region.start, &region.end, region.name) < 2)
			continue;
		/* What a file is called may not be meant for a terminal. */
		for (char *c = region.name; *c != 0; c++)
			*c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
		maps.region = realloc(maps.region, (maps.n + 1) * sizeof(region));
		if (maps.region == NULL)
			fail("memory");
		maps.region[maps.n++] = region;
	}
	close_of(file, pid);
}

/* Asked for in the order of addresses. */
static const char *name_of(const struct run *run)
{
	static size_t at;

	while (at < maps.n && maps.region[at].end <= run->start)
		at++;
	return at < maps.n && run->start >= maps.region[at].start ? maps.region[at].name : "";
}

/* ---- Showing it. */

static const char *colour_of(const struct run *run)
{
	static const char *const colours[][2] = {
		{ "reserved", "\033[90m" }, { "writable", "\033[32m" }, { "cow", "\033[33m" },
		{ "readonly", "\033[36m" }, { "parked", "\033[35m" },
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(run->state, colours[i][0]) == 0)
			return colours[i][1];
	return "";
}

static const char *size_text(uint64_t bytes, char *out, size_t size)
{
	static const char units[] = "KMG";
	unsigned unit = 0;

	for (bytes >>= 10; bytes % 1024 == 0 && unit < 2; bytes /= 1024)
		unit++;
	snprintf(out, size, "%llu%c", (unsigned long long)bytes, units[unit]);
	return out;
}

static void put_line(const struct run *run, bool colour)
{
	char size[32];

	printf("%010lx-%010lx %7s %5u  %s%-8s%s  %s%-8s%s  %s  %-9s %8llu %8llu %6llu  %s\n", run->start, run->end,
	       size_text(run->end - run->start, size, sizeof(size)), run->level,
	       colour && run->way[0] == 'd' ? "\033[31m" : "", run->way, colour ? USUAL : "",
	       colour ? colour_of(run) : "", run->state, colour ? USUAL : "", run->rights, run->of, run->pages,
	       run->shared, run->most, name_of(run));
}

static void put_sums(void)
{
	unsigned long long pages = 0, shared = 0, detached = 0;

	for (size_t i = 0; i < table.n; i++) {
		pages += table.run[i].pages;
		shared += table.run[i].shared;
		detached += table.run[i].way[0] == 'd' ? table.run[i].pages : 0;
	}
	printf("%zu runs, %llu pages there, %llu of them shared, %llu behind detached tables\n", table.n, pages, shared,
	       detached);
}

static void put_table(bool colour)
{
	printf("%s%-21s %7s %5s  %-8s  %-8s  %s  %-9s %8s %8s %6s  %s%s\n", colour ? "\033[1m" : "", "range", "size",
	       "level", "way", "state", "may ", "of", "pages", "shared", "most", "name", colour ? USUAL : "");
	for (size_t i = 0; i < table.n; i++)
		put_line(&table.run[i], colour);
	put_sums();
}

static void put_string(const char *text)
{
	putchar('"');
	for (; *text != 0; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text >= ' ')
			putchar(*text);
	}
	putchar('"');
}

static void put_json(void)
{
	printf("[");
	for (size_t i = 0; i < table.n; i++) {
		const struct run *run = &table.run[i];

		printf("%s\n {\"start\": %lu, \"end\": %lu, \"level\": %u, \"way\": \"%s\", \"state\": \"%s\", "
		       "\"rights\": \"%s\", \"of\": \"%s\", \"pages\": %llu, \"shared\": %llu, \"most\": %llu, \"name\": ",
		       i == 0 ? "" : ",", run->start, run->end, run->level, run->way, run->state, run->rights, run->of,
		       run->pages, run->shared, run->most);
		put_string(name_of(run));
		printf("}");
	}
	printf("\n]\n");
}

static void usage(void)
{
	fprintf(stderr, "corral-map: wrong arguments; see corral-map --help\n");
	exit(2);
}

static enum style usual_style(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0 ? STYLE_COLOUR : STYLE_PLAIN;
}

static enum style read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "plain", no_argument, NULL, 'p' }, { "colour", no_argument, NULL, 'c' },
		{ "color", no_argument, NULL, 'c' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },  { NULL, 0, NULL, 0 },
	};
	enum style style = usual_style();
	int letter;

	while ((letter = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		if (letter == 'h')
			exit(fputs(help, stdout) < 0 || fflush(stdout) != 0);
		if (letter == '?')
			usage();
		style = letter == 'p' ? STYLE_PLAIN : letter == 'c' ? STYLE_COLOUR : STYLE_JSON;
	}
	if (optind != argc - 1 || strchr(argv[optind], '/') != NULL)
		usage();
	return style;
}

int main(int argc, char **argv)
{
	enum style style = read_options(argc, argv);

	read_runs(argv[optind]);
	read_maps(argv[optind]);
	if (style == STYLE_JSON)
		put_json();
	else
		put_table(style == STYLE_COLOUR);
	return ferror(stdout) || fflush(stdout) != 0;
}
