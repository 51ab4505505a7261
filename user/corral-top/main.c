/* corral-top: the machine's memory, and what each hart does for it, once a second. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/corral-top/show.h"

static const char help[] =
	"NAME\n"
	"  corral-top - memory by kind, what sharing saves, and events per hart and second\n\n"
	"SYNOPSIS\n"
	"  corral-top [-n COUNT] [-d SECONDS] [--plain | --json]\n\n"
	"DESCRIPTION\n"
	"  Draws a screen and redraws it, until q or Ctrl-C. Where standard output is no terminal, or TERM is\n"
	"  dumb, it writes lines instead.\n\n"
	"OPTIONS\n"
	"  -n COUNT     end after so many samples (default: never)\n"
	"  -d SECONDS   from one to the next (default 1; 0.01 and more)\n"
	"  --plain      lines: name=value, memory in frames of 4 KiB, events per second\n"
	"  --json       an object a sample, each on a line of its own\n"
	"  --help       this\n\n"
	"COLUMNS\n"
	"  faults       page faults, however they ended      zeros     of these: fresh memory\n"
	"  copies       of these: a shared page was copied   reuses    nobody else had it any more\n"
	"  shootdowns   that asked other harts               served    others' that were answered here\n"
	"  ipis_sent, ipis_received   interrupts             fences    of this hart's TLB\n\n"
	"EXIT STATUS\n"
	"  0; 1: this is not Corral; 2: wrong arguments\n\n"
	"FILES\n"
	"  /proc/corral/memory, /proc/corral/harts   where it is from\n";

struct options {
	enum style style;
	unsigned long count; /* 0: no end */
	double every;
};

#define PAUSE_MAX 1000.0 /* seconds, of one poll */

static volatile sig_atomic_t ended, stopped;

static void on_signal(int signo)
{
	ended = signo;
}

static void on_stop(int signo)
{
	stopped = signo;
}

/* Ctrl-Z: the shell gets the terminal as it was, and fg draws the screen anew. */
static void stop_here(void)
{
	stopped = 0;
	screen_end();
	raise(SIGSTOP);
	screen_begin();
}

static void usage(void)
{
	fprintf(stderr, "corral-top: wrong arguments; see corral-top --help\n");
	exit(2);
}

static enum style usual_style(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0 ? STYLE_SCREEN : STYLE_PLAIN;
}

static double number(const char *text, double least)
{
	char *end;
	double value = strtod(text, &end);

	if (*text == 0 || *end != 0 || !(value >= least && value < 1e9))
		usage();
	return value;
}

static struct options read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "plain", no_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .style = usual_style(), .every = 1 };
	int letter;

	while ((letter = getopt_long(argc, argv, "n:d:h", names, NULL)) != -1) {
		if (letter == 'n')
			options.count = (unsigned long)number(optarg, 1);
		else if (letter == 'd')
			options.every = number(optarg, 0.01);
		else if (letter == 'p' || letter == 'j')
			options.style = letter == 'p' ? STYLE_PLAIN : STYLE_JSON;
		else if (letter == 'h')
			exit(fputs(help, stdout) < 0 || fflush(stdout) != 0);
		else
			usage();
	}
	if (optind != argc)
		usage();
	return options;
}

/* Until the next sample is due; true when a key or a signal ends the program before. */
static bool pause_until(double due, bool keys)
{
	struct timespec now;

	while (ended == 0) {
		struct pollfd input = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
		double left;
		char key;

		if (stopped != 0)
			stop_here();
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = due - ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
		if (left <= 0)
			return false;
		if (poll(&input, 1, (int)((left < PAUSE_MAX ? left : PAUSE_MAX) * 1000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			keys = false;
		else if (key == 'q' || key == 'Q')
			return true;
	}
	return true;
}

static int run(const struct options *options)
{
	static struct sample samples[2];
	static double rates[MAX_HARTS + 1][COUNTS];
	bool keys = options->style == STYLE_SCREEN && isatty(STDIN_FILENO);
	struct sigaction stop = { .sa_handler = on_stop };

	if (!sample_read(&samples[0]))
		return 1;
	if (options->style == STYLE_SCREEN) {
		sigaction(SIGTSTP, &stop, NULL);
		screen_begin();
	}
	for (unsigned long n = 1; ended == 0; n++) {
		struct sample *before = &samples[(n - 1) % 2], *now = &samples[n % 2];

		if (pause_until(before->seconds + options->every, keys))
			break;
		if (!sample_read(now))
			return 1;
		sample_rates(before, now, rates);
		if (!show(options->style, now, rates, options->every))
			return 1;
		if (n == options->count)
			break;
	}
	return ended == 0 || ended == SIGINT ? 0 : 128 + ended;
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	struct sigaction action = { .sa_handler = on_signal };
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGQUIT, &action, NULL);
	status = run(&options);
	screen_end();
	return status;
}
