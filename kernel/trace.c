/*
 * The trace as programs and scripts/corral see it. A page fault is traced by a trap entry of its own (firmware/trap.S), which calls
 * trap_fault_traced in place of space_fault_here; so that tracing costs a fault nothing while it is off. How a fault ended is told by
 * which of the hart's counters has gone up: nobody else writes those, and every fault ends in one of them.
 *
 * Text: "hart event begin length who arguments", numbers in hexadecimal, oldest first for each hart.
 */
#include "kernel/trace.h"

#include <stdio.h>
#include <string.h>

#include "drivers/console.h"
#include "firmware/boot.h"
#include "firmware/hart.h"
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "kernel/thread.h"
#include "mm/space.h"

#define RECORDS	    UINT64_C(4096)
#define RECORDS_MAX (UINT64_C(1) << 20)
#define LINE	    160U

static const struct {
	const char *name;
	unsigned what;
} kinds[] = { { "fault", TRACE_FAULTS }, { "fork", TRACE_FORKS }, { "tlb", TRACE_TLB } };

/* ---- Boot arguments. */

static unsigned read_kind(const char *word, size_t length)
{
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].name) == length && strncmp(word, kinds[i].name, length) == 0)
			return kinds[i].what;
	boot_fail("boot argument trace=: must be some of fault, fork, tlb, with commas between them");
}

static unsigned read_wanted(const char *value)
{
	unsigned wanted = 0;

	for (;;) {
		size_t length = strcspn(value, ",");

		wanted |= read_kind(value, length);
		if (value[length] == '\0')
			return wanted;
		value += length + 1;
	}
}

static uint64_t read_records(void)
{
	const char *value = boot_arg("trace-records");
	char text[24];

	if (value == NULL)
		return RECORDS;
	for (uint64_t n = 2; n <= RECORDS_MAX; n *= 2) {
		snprintf(text, sizeof(text), "%lu", (unsigned long)n);
		if (strcmp(value, text) == 0)
			return n;
	}
	boot_fail("boot argument trace-records=%s: must be a power of two, 2 to %u", value, (unsigned)RECORDS_MAX);
}

void trace_init(void)
{
	const char *value = boot_arg("trace");
	uint64_t records = read_records();
	unsigned wanted;

	if (value == NULL)
		return;
	wanted = read_wanted(value);
	if (trace_start(wanted, records) != 0)
		boot_fail("boot argument trace=%s: not enough memory for %u records for each hart", value,
			  (unsigned)records);
	if ((wanted & TRACE_FAULTS) != 0)
		trap_trace_faults();
}

/* ---- Events of kernel/'s. */

/* The counters of which each fault ends in one. */
static const enum mm_counter outcomes[] = { MM_ZERO_FILLS,    MM_ZERO_READS, MM_COW_COPIES, MM_COW_REUSES,
					    MM_OBJECT_FAULTS, MM_MARKS,	     MM_SPURIOUS,   MM_REFUSED };

uint64_t trap_fault_traced(uint64_t va, uint64_t access)
{
	struct trace_record record = { .begin = hw_ticks(),
				       .event = TRACE_FAULT,
				       .who = current_thread()->tid,
				       .argument = { va, access, MM_COUNTERS } };
	uint64_t before[ARRAY_LEN(outcomes)];
	unsigned hart = hw_hart();
	enum fault fault;

	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
		before[i] = mm_counter_of(hart, outcomes[i]);
	fault = space_fault_here(VADDR(va), (enum access)access);
	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
		if (mm_counter_of(hart, outcomes[i]) != before[i])
			record.argument[2] = outcomes[i];
	trace_put(&record);
	return (uint64_t)fault;
}

void trace_fork(uint64_t began, const struct space *child, uint64_t tables)
{
	struct trace_record record = { .begin = began,
				       .event = TRACE_FORK,
				       .who = current_thread()->tid,
				       .argument = { child->serial,
						     mm_counter_of(hw_hart(), MM_TABLES_SHARED) - tables } };

	trace_put(&record);
}

/* ---- As text. */

static int head_line(char *line)
{
	return snprintf(line, LINE, "hz %lx harts %x outcomes", (unsigned long)boot_info()->timebase_hz, hw_harts());
}

static int record_line(char *line, unsigned hart, const struct trace_record *record)
{
	static const char *const event_name[TRACE_EVENTS] = { "fault", "fork", "shootdown", "answer" };
	const uint64_t *argument = record->argument;

	return snprintf(line, LINE, "%x %s %lx %lx %x %lx %lx %lx %lx\n", hart, event_name[record->event],
			(unsigned long)record->begin, (unsigned long)(record->end - record->begin), record->who,
			(unsigned long)argument[0], (unsigned long)argument[1], (unsigned long)argument[2],
			(unsigned long)argument[3]);
}

/* The head, then each hart's records, each line by itself, as long as put says true. */
static void each_line(bool (*put)(void *ctx, const char *line, size_t n), void *ctx)
{
	struct trace_record record;
	char line[LINE];
	bool more;

	if (trace_wanted == 0)
		return;
	more = put(ctx, line, (size_t)head_line(line));
	for (unsigned i = 0; i < MM_COUNTERS; i++)
		more = more && put(ctx, line, (size_t)snprintf(line, LINE, " %s", mm_counter_name[i]));
	more = more && put(ctx, "\n", 1);
	for (unsigned h = 0; h < hw_harts() && more; h++) {
		uint64_t written = trace_written(h), from = written - MIN(written, trace_records());

		more = put(ctx, line, (size_t)snprintf(line, LINE, "%x written %lx\n", h, (unsigned long)written));
		for (uint64_t n = from; n < written && more; n++)
			if (trace_get(h, n, &record))
				more = put(ctx, line, (size_t)record_line(line, h, &record));
	}
}

static bool to_text(void *ctx, const char *line, size_t n)
{
	text_put(ctx, "%.*s", (int)n, line);
	return proc_goes_on(ctx);
}

void trace_text(struct text *text)
{
	each_line(to_text, text);
}

struct dump {
	bool inside; /* a line */
};

static bool to_log(void *ctx, const char *line, size_t n)
{
	struct dump *dump = ctx;

	if (!dump->inside)
		console_write_sync(CONSOLE_KERNEL, "trace: ", strlen("trace: "));
	console_write_sync(CONSOLE_KERNEL, line, n);
	dump->inside = line[n - 1] != '\n';
	return true;
}

void trace_dump(void)
{
	struct dump dump = { false };

	log_flush();
	each_line(to_log, &dump);
}
