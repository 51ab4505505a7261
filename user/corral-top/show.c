/* What is written goes out with one write a sample, so that a screen does not flicker and lines come whole. */
#include "user/corral-top/show.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define MIB_FRAMES  256.0
#define BAR_MAX	    64
#define FIXED_LINES 9
#define BOLD	    "\033[1m"
#define DIM	    "\033[2m"
#define USUAL	    "\033[0m"
#define REST	    "\033[K\n" /* of the line: nothing */

static const char *const colour[MEMORY_KINDS] = {
	[MEMORY_FREE] = "\033[90m",	[MEMORY_ANONYMOUS] = "\033[32m", [MEMORY_FILES] = "\033[36m",
	[MEMORY_TABLES] = "\033[33m",	[MEMORY_SIDES] = "\033[33m",	 [MEMORY_KERNEL] = "\033[35m",
	[MEMORY_RESERVED] = "\033[90m", [MEMORY_ZERO] = "\033[90m",
};

static double mib(uint64_t frames)
{
	return (double)frames / MIB_FRAMES;
}

static uint64_t total(const struct sample *now)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MEMORY_KINDS; i++)
		sum += now->memory[i];
	return sum;
}

static uint64_t saved(const struct sample *now)
{
	return now->memory[MEMORY_SAVED_ANONYMOUS] + now->memory[MEMORY_SAVED_FILES] + now->memory[MEMORY_SAVED_TABLES];
}

/* ---- Lines: "top", a time, what of, and numbers with names, for grep and awk. */

static void show_plain(const struct sample *now, double rates[][COUNTS])
{
	printf("top %.1f memory", now->seconds);
	for (unsigned i = 0; i < MEMORIES; i++)
		printf(" %s=%llu", memory_name[i], (unsigned long long)now->memory[i]);
	printf("\n");
	for (unsigned h = 0; h < now->harts; h++) {
		printf("top %.1f hart=%u", now->seconds, now->hart[h].hart);
		for (unsigned i = 0; i < COUNTS; i++)
			printf(" %s=%.1f", count_name[i], rates[h][i]);
		printf("\n");
	}
}

static void show_json(const struct sample *now, double rates[][COUNTS])
{
	printf("{\"seconds\": %.3f, \"memory\": {", now->seconds);
	for (unsigned i = 0; i < MEMORIES; i++)
		printf("%s\"%s\": %llu", i == 0 ? "" : ", ", memory_name[i], (unsigned long long)now->memory[i]);
	printf("}, \"harts\": [");
	for (unsigned h = 0; h < now->harts; h++) {
		printf("%s{\"hart\": %u", h == 0 ? "" : ", ", now->hart[h].hart);
		for (unsigned i = 0; i < COUNTS; i++)
			printf(", \"%s\": %llu, \"%s_per_second\": %.1f", count_name[i],
			       (unsigned long long)now->hart[h].count[i], count_name[i], rates[h][i]);
		printf("}");
	}
	printf("]}\n");
}

/* ---- The screen. */

static struct {
	bool on;
	bool keys;
	struct termios before;
} screen;

void screen_begin(void)
{
	struct termios mode;

	screen.on = true;
	printf("\033[?25l\033[2J");
	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &screen.before) != 0)
		return;
	screen.keys = true;
	mode = screen.before;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

void screen_end(void)
{
	if (!screen.on)
		return;
	screen.on = false;
	if (screen.keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
	printf("\033[?25h");
	fflush(stdout);
}

static void put_bar(const struct sample *now, unsigned width)
{
	uint64_t all = total(now), before = 0;
	unsigned drawn = 0;

	printf("[");
	for (unsigned i = MEMORY_ANONYMOUS; i < MEMORY_KINDS && all != 0; i++) {
		unsigned until;

		before += now->memory[i];
		until = (unsigned)((before * width + all / 2) / all);
		for (printf("%s", colour[i]); drawn < until; drawn++)
			printf("#");
	}
	for (printf("%s", colour[MEMORY_FREE]); drawn < width; drawn++)
		printf(".");
	printf(USUAL "]" REST);
}

static void put_memory(const struct sample *now, unsigned width)
{
	printf(BOLD "memory" USUAL "  %.1f MiB  ", mib(total(now)));
	put_bar(now, width > 90 ? BAR_MAX : width > 60 ? 32 : 10);
	for (unsigned i = 0; i < MEMORY_ZERO; i++)
		printf("%s%s" USUAL " %.1f%s", colour[i], memory_name[i], mib(now->memory[i]),
		       i == MEMORY_SIDES ? REST : "  ");
	printf(REST BOLD "sharing saves" USUAL "  %.1f MiB: anonymous %.1f  files %.1f  tables %.2f" REST,
	       mib(saved(now)), mib(now->memory[MEMORY_SAVED_ANONYMOUS]), mib(now->memory[MEMORY_SAVED_FILES]),
	       mib(now->memory[MEMORY_SAVED_TABLES]));
}

static void put_rates(const char *name, const double *rates)
{
	printf("%-5s", name);
	for (unsigned i = 0; i < COUNTS; i++)
		printf(rates[i] > 0 ? " %*.0f" : DIM " %*.0f" USUAL, i == COUNT_RECEIVED ? 13 : 10, rates[i]);
	printf(REST);
}

static void show_screen(const struct sample *now, double rates[][COUNTS], double every)
{
	struct winsize size;
	unsigned rows;

	/* A terminal need not know: one at a serial line says 0. */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	rows = size.ws_row > FIXED_LINES ? size.ws_row - FIXED_LINES : 1;
	/* Lines that are too long are cut, not folded. */
	printf("\033[H\033[?7l" BOLD "corral-top" USUAL "  up %.1f s  every %g s  q quits" REST REST, now->seconds,
	       every);
	put_memory(now, size.ws_col);
	printf(REST BOLD "%-5s", "per s");
	for (unsigned i = 0; i < COUNTS; i++)
		printf(" %*s", i == COUNT_RECEIVED ? 13 : 10, count_name[i]);
	printf(USUAL REST);
	for (unsigned h = 0; h < now->harts && h < rows; h++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", now->hart[h].hart);
		put_rates(name, rates[h]);
	}
	put_rates("all", rates[now->harts]);
	printf("\033[J\033[?7h");
}

bool show(enum style style, const struct sample *now, double rates[][COUNTS], double every)
{
	static char buffer[65536];
	static bool buffered;

	if (!buffered)
		setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	buffered = true;
	if (style == STYLE_SCREEN)
		show_screen(now, rates, every);
	else if (style == STYLE_JSON)
		show_json(now, rates);
	else
		show_plain(now, rates);
	return fflush(stdout) == 0 && !ferror(stdout);
}
