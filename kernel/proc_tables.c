/* /proc/PID/tables: a process's page table as it is, run by run, as mm/runs.c tells it: a line each, columns named by the first. */
#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "mm/pte.h"
#include "mm/runs.h"

static const char *kind_name(enum frame_kind kind)
{
	return kind == FRAME_OBJECT ? "file" : kind == FRAME_ZERO ? "zeros" : "anonymous";
}

static void put_run(struct text *text, const struct space_run *run)
{
	static const char *const state_name[RUN_STATES] = {
		[RUN_RESERVED] = "reserved", [RUN_WRITABLE] = "writable", [RUN_COW] = "cow",
		[RUN_READONLY] = "readonly", [RUN_PARKED] = "parked",
	};

	text_put(text, "%010llx-%010llx %u %s %s %c%c%c%c %s %llu %llu %llu\n", (unsigned long long)run->start.v,
		 (unsigned long long)run->end.v, run->level, run->detached ? "detached" : "private",
		 state_name[run->state], (run->perm & PERM_R) != 0 ? 'r' : '-', (run->perm & PERM_W) != 0 ? 'w' : '-',
		 (run->perm & PERM_X) != 0 ? 'x' : '-', run->shared ? 's' : 'p', kind_name(run->kind),
		 (unsigned long long)run->pages, (unsigned long long)run->shared_pages, (unsigned long long)run->most);
}

void proc_tables(struct text *text, struct process *process)
{
	struct space *space = process_space(process);
	struct space_run run;

	text_put(text, "range level way state rights of pages shared most\n");
	if (space == NULL)
		return;
	for (vaddr_t at = VADDR(0); proc_goes_on(text) && space_next_run(space, at, &run); at = run.end)
		put_run(text, &run);
	space_put(space);
}
