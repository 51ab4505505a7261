#include "user/bench/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool redraw;

void progress_init(void)
{
	const char *terminal = getenv("TERM");

	redraw = isatty(STDERR_FILENO) && (!terminal || strcmp(terminal, "dumb") != 0);
}

void progress_show(unsigned index, unsigned count, const char *name)
{
	fprintf(stderr, redraw ? "\r\033[K[%u/%u] %s ..." : "[%u/%u] %s ...\n", index, count, name);
	fflush(stderr);
}

void progress_end(void)
{
	if (redraw)
		fputs("\r\033[K", stderr);
	fflush(stderr);
}
