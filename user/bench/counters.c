/*
 * Reads /proc/corral/counters. The file is opened for each reading, so that what it says is of now; which counters
 * exist is learned from the readings.
 */
#include "user/bench/counters.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNTERS_FILE "/proc/corral/counters"

const char *const counter_name[COUNTERS] = {
	[COUNTER_IPIS] = "ipis",
	[COUNTER_REMOTE_FENCES] = "remote_fences",
	[COUNTER_LOCAL_FENCES] = "local_fences",
	[COUNTER_FENCES] = "fences",
};

static struct {
	bool absent; /* there is no such file: do not try again */
	bool present[COUNTERS];
} known;

static size_t file_text(char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;
	int fd;

	if (known.absent)
		return 0;
	fd = open(COUNTERS_FILE, O_RDONLY);
	if (fd < 0) {
		known.absent = true;
		return 0;
	}
	while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	text[length] = '\0';
	return length;
}

static void take_line(struct counters *out, const char *line)
{
	size_t length = strcspn(line, " \t\n");
	unsigned i;

	for (i = 0; i < COUNTER_FENCES; i++) {
		if (strlen(counter_name[i]) != length || strncmp(line, counter_name[i], length) != 0)
			continue;
		out->value[i] = strtoull(line + length, NULL, 10);
		known.present[i] = true;
	}
}

void counters_read(struct counters *out)
{
	char text[4096];
	const char *line;

	memset(out, 0, sizeof(*out));
	if (file_text(text, sizeof(text)) == 0)
		return;
	for (line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		take_line(out, line);
	}
	out->value[COUNTER_FENCES] = out->value[COUNTER_REMOTE_FENCES] + out->value[COUNTER_LOCAL_FENCES];
	known.present[COUNTER_FENCES] = known.present[COUNTER_REMOTE_FENCES] || known.present[COUNTER_LOCAL_FENCES];
}

bool counter_present(enum counter counter)
{
	return known.present[counter];
}

void counters_add(struct counters *sum, const struct counters *before, const struct counters *now)
{
	unsigned i;

	for (i = 0; i < COUNTERS; i++)
		sum->value[i] += now->value[i] - before->value[i];
}
