/*
 * /proc/corral: what mm/ does and holds, as numbers. Counters are of each hart, written by it alone; what is read here was
 * true of each when it was read. docs/abi.md says what each name means.
 */
#include <string.h>

#include "firmware/hart.h"
#include "firmware/pmu.h"
#include "kernel/cache.h"
#include "kernel/fsdisk.h"
#include "kernel/proc_text.h"
#include "kernel/quiesce.h"
#include "kernel/syscall.h"
#include "kernel/text.h"
#include "mm/coremap.h"
#include "mm/space.h"
#include "mm/tally.h"

#define TEXT_AUDIT 16384U

static void put_value(struct text *text, const char *name, uint64_t value)
{
	text_put(text, "%s %llu\n", name, (unsigned long long)value);
}

void proc_corral_counters(struct text *text)
{
	for (unsigned i = 0; i < MM_COUNTERS; i++)
		put_value(text, mm_counter_name[i], mm_counter_sum((enum mm_counter)i));
	text_put(text, "syscalls_unknown %llu\n", (unsigned long long)syscalls_unknown());
	text_put(text, "frames_total %llu\nframes_free %llu\nharts %u\n", (unsigned long long)frames_total(),
		 (unsigned long long)frames_free(), (unsigned)__builtin_popcountll(harts_online()));
}

/* Of the hart that reads. */
void proc_corral_events(struct text *text)
{
	uint64_t value;

	for (unsigned i = 0; i < PMU_EVENTS; i++)
		if (pmu_read((enum pmu_event)i, &value))
			put_value(text, pmu_event_name[i], value);
}

/* The audit reports through a plain function; quiescence makes its caller the only one. */
static struct text *audit_text;

static void audit_line(const char *line)
{
	text_put(audit_text, "%s\n", line);
}

/* The report goes to room made beforehand: nothing is allocated while the audit counts. */
void proc_corral_audit(struct text *text)
{
	struct text *report = text_create(TEXT_AUDIT);
	unsigned violations;

	if (report == NULL) {
		text->failed = true;
		return;
	}
	report->fixed = true;
	cache_hold();
	quiesce_begin();
	audit_text = report;
	violations = mm_audit(audit_line);
	audit_text = NULL;
	quiesce_end();
	cache_release();
	text_put(text, "violations %u\n", violations);
	for (size_t at = 0; at < report->used;) {
		const char *line = report->bytes + at;
		const char *end = memchr(line, '\n', report->used - at);
		size_t n = end == NULL ? report->used - at : (size_t)(end - line) + 1;

		text_put(text, "%.*s", (int)n, line);
		at += n;
	}
	text_free(report);
}

/* ---- A line for each hart, columns named by the first line. */

static uint64_t read_count(const _Atomic uint64_t *counter)
{
	/* relaxed: a snapshot */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void proc_corral_harts(struct text *text)
{
	text_put(text, "hart");
	for (unsigned i = 0; i < MM_COUNTERS; i++)
		text_put(text, " %s", mm_counter_name[i]);
	text_put(text, " ipis_sent ipis_received\n");
	for (unsigned h = 0; h < hw_harts(); h++) {
		const struct hart *hart = hart_get(h);

		if ((harts_online() >> h & 1) == 0)
			continue;
		text_put(text, "%u", h);
		for (unsigned i = 0; i < MM_COUNTERS; i++)
			text_put(text, " %llu", (unsigned long long)mm_counter_of(h, (enum mm_counter)i));
		text_put(text, " %llu %llu\n", (unsigned long long)read_count(&hart->ipis_sent),
			 (unsigned long long)read_count(&hart->ipis_received));
	}
}

/* ---- What memory is used for, in frames. */

void proc_corral_memory(struct text *text)
{
	static const char *const kind_name[FRAME_KINDS] = {
		[FRAME_RESERVED] = "reserved", [FRAME_FREE] = "free",	 [FRAME_KERNEL] = "kernel",
		[FRAME_ANON] = "anonymous",    [FRAME_OBJECT] = "files", [FRAME_TABLE] = "tables",
		[FRAME_ZERO] = "zero",	       [FRAME_SIDE] = "sides",
	};
	struct mm_tally tally;

	mm_tally(&tally);
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		put_value(text, kind_name[kind], tally.frames[kind]);
	put_value(text, "volumes", (fsdisk_bytes() + PAGE_SIZE - 1) / PAGE_SIZE);
	put_value(text, "cached", cache_pages());
	put_value(text, "dirty", objects_dirty());
	put_value(text, "saved_anonymous", tally.saved_anon);
	put_value(text, "saved_files", tally.saved_object);
	put_value(text, "saved_tables", tally.saved_tables);
}
