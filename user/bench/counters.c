/*
 * Reads the counters. The files are opened for each reading, so that what they say is of now; which counters exist is learned
 * from the readings.
 */
#include "user/bench/counters.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const counter_name[COUNTERS] = {
	[COUNTER_IPIS] = "ipis",
	[COUNTER_REMOTE_FENCES] = "remote_fences",
	[COUNTER_LOCAL_FENCES] = "local_fences",
	[COUNTER_FENCES] = "fences",
	[COUNTER_DTLB_READ_MISSES] = "dtlb_read_misses",
	[COUNTER_DTLB_WRITE_MISSES] = "dtlb_write_misses",
	[COUNTER_ITLB_MISSES] = "itlb_misses",
	[COUNTER_L1D_READ_MISSES] = "l1d_read_misses",
	[COUNTER_LL_READ_MISSES] = "ll_read_misses",
	[COUNTER_FW_IPIS_SENT] = "fw_ipis_sent",
	[COUNTER_FW_IPIS_RECEIVED] = "fw_ipis_received",
	[COUNTER_FW_FENCES_I_SENT] = "fw_fences_i_sent",
	[COUNTER_FW_FENCES_I_RECEIVED] = "fw_fences_i_received",
	[COUNTER_FW_FENCES_SENT] = "fw_fences_sent",
	[COUNTER_FW_FENCES_RECEIVED] = "fw_fences_received",
	[COUNTER_FW_FENCES_ASID_SENT] = "fw_fences_asid_sent",
	[COUNTER_FW_FENCES_ASID_RECEIVED] = "fw_fences_asid_received",
	[COUNTER_CYCLES] = "cycles",
	[COUNTER_INSTRUCTIONS] = "instructions",
};

static struct {
	bool absent[2]; /* there is no such file: do not try again */
	bool present[COUNTERS];
	bool probed; /* the registers */
} known;

/* ---- Files */

static size_t file_text(unsigned which, char *text, size_t size)
{
	static const char *const names[] = { "/proc/corral/counters", "/proc/corral/events" };
	size_t length = 0;
	ssize_t got;
	int fd;

	if (known.absent[which])
		return 0;
	fd = open(names[which], O_RDONLY);
	if (fd < 0) {
		known.absent[which] = true;
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

	for (i = 0; i < COUNTER_CYCLES; i++) {
		if (i == COUNTER_FENCES || strlen(counter_name[i]) != length ||
		    strncmp(line, counter_name[i], length) != 0)
			continue;
		out->value[i] = strtoull(line + length, NULL, 10);
		known.present[i] = true;
	}
}

static void read_files(struct counters *out)
{
	char text[4096];
	const char *line;
	unsigned which;

	for (which = 0; which < 2; which++) {
		if (file_text(which, text, sizeof(text)) == 0)
			continue;
		for (line = text; line && *line; line = strchr(line, '\n')) {
			line += *line == '\n';
			take_line(out, line);
		}
	}
	out->value[COUNTER_FENCES] = out->value[COUNTER_REMOTE_FENCES] + out->value[COUNTER_LOCAL_FENCES];
	known.present[COUNTER_FENCES] = known.present[COUNTER_REMOTE_FENCES] || known.present[COUNTER_LOCAL_FENCES];
}

/* ---- Registers */

static sigjmp_buf refused;

static void on_illegal(int signo)
{
	(void)signo;
	siglongjmp(refused, 1);
}

static void read_registers(struct counters *out)
{
	if (!known.present[COUNTER_CYCLES])
		return;
	__asm__ volatile("rdcycle %0" : "=r"(out->value[COUNTER_CYCLES]));
	__asm__ volatile("rdinstret %0" : "=r"(out->value[COUNTER_INSTRUCTIONS]));
}

static void probe_registers(void)
{
	struct sigaction before, action = { .sa_handler = on_illegal };
	struct counters unused;

	known.probed = true;
	sigaction(SIGILL, &action, &before);
	known.present[COUNTER_CYCLES] = known.present[COUNTER_INSTRUCTIONS] = true;
	if (sigsetjmp(refused, 1) == 0)
		read_registers(&unused);
	else
		known.present[COUNTER_CYCLES] = known.present[COUNTER_INSTRUCTIONS] = false;
	sigaction(SIGILL, &before, NULL);
}

/* ---- Both */

void counters_begin(struct counters *out)
{
	memset(out, 0, sizeof(*out));
	if (!known.probed)
		probe_registers();
	read_files(out);
	read_registers(out);
}

void counters_end(struct counters *out)
{
	memset(out, 0, sizeof(*out));
	read_registers(out);
	read_files(out);
}

bool counter_present(enum counter counter)
{
	return known.present[counter];
}

bool counter_of_one_hart(enum counter counter)
{
	return counter > COUNTER_FENCES;
}

void counters_add(struct counters *sum, const struct counters *before, const struct counters *now)
{
	unsigned i;

	for (i = 0; i < COUNTERS; i++)
		sum->value[i] += now->value[i] - before->value[i];
}
