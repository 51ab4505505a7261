/*
 * /proc, and what else the kernel makes up: /sys/devices/system/cpu/{online,possible}.
 *
 * A file's text is made when it is read from its beginning, and kept with the open file for the reads that follow, so that
 * one pass sees one state. Nothing of it is locked as a whole: each number was true when it was asked for.
 *
 * Locks: file->lock guards file->data, the text, which is made without it and then put in place.
 */

#include <string.h>

#include "firmware/boot.h"
#include "firmware/hart.h"
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/quiesce.h"
#include "kernel/syscall.h"
#include "kernel/text.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/space.h"

#define TEXT_START  1024U
#define TEXT_AUDIT  16384U
#define NS_PER_SEC  UINT64_C(1000000000)
#define KIB(frames) ((unsigned long long)((frames) * (PAGE_SIZE / 1024)))

static int proc_refresh(struct file *file)
{
	struct text *fresh = text_create(TEXT_START);
	struct text *old;

	if (fresh == NULL)
		return -ENOMEM;
	file->node->text(fresh);
	if (fresh->failed) {
		text_free(fresh);
		return -ENOMEM;
	}
	spin_lock(&file->lock, RANK_FILE);
	old = file->data;
	file->data = fresh;
	spin_unlock(&file->lock, RANK_FILE);
	text_free(old);
	return 0;
}

static int64_t proc_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t start = at != NULL ? *at : file->position;
	const struct text *text;
	uint64_t done = 0;

	if (start == 0 || file->data == NULL) {
		int error = proc_refresh(file);

		if (error != 0)
			return error;
	}
	io->error = 0;
	spin_lock(&file->lock, RANK_FILE);
	text = file->data;
	start = at != NULL ? *at : file->position;
	if (start < text->used)
		done = io_put(io, text->bytes + start, text->used - start);
	if (at == NULL)
		file->position += done;
	spin_unlock(&file->lock, RANK_FILE);
	return io_result(io, done);
}

static int64_t proc_write(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)io;
	(void)at;
	return -EIO;
}

static int64_t proc_seek(struct file *file, int64_t offset, unsigned whence)
{
	int64_t result = -EINVAL;

	spin_lock(&file->lock, RANK_FILE);
	if (whence > 1 || __builtin_add_overflow(whence == 1 ? (int64_t)file->position : 0, offset, &result) ||
	    result < 0)
		result = -EINVAL;
	else
		file->position = (uint64_t)result;
	spin_unlock(&file->lock, RANK_FILE);
	return result;
}

static void proc_release(struct file *file)
{
	text_free(file->data);
}

static const struct file_ops proc_ops = {
	.read = proc_read,
	.write = proc_write,
	.seek = proc_seek,
	.release = proc_release,
};

/* ---- /proc/self */

static const char *self_exe(void)
{
	struct process *process = current_process();

	return process == NULL || process->path[0] == 0 ? NULL : process->path;
}

/* What Linux writes behind the numbers, as far as it can be known here: the executable, and brk's range. */
static const char *region_name(const struct process *process, const struct space_region *region)
{
	if (region->mapping->object != NULL && region->mapping->object == process->exe->node->regular.object)
		return process->path;
	if (region->start.v >= process->brk_start && region->start.v < process->brk)
		return "[heap]";
	return "";
}

static void put_region(struct text *text, const struct process *process, const struct space_region *region)
{
	const struct mapping *mapping = region->mapping;
	const char *name = region_name(process, region);
	uint64_t offset = mapping->object != NULL ? region->start.v - mapping->base : 0;

	text_put(text, "%08llx-%08llx %c%c%c%c %08llx 00:00 0", (unsigned long long)region->start.v,
		 (unsigned long long)region->end.v, (region->perm & PERM_R) != 0 ? 'r' : '-',
		 (region->perm & PERM_W) != 0 ? 'w' : '-', (region->perm & PERM_X) != 0 ? 'x' : '-',
		 mapping->shared ? 's' : 'p', (unsigned long long)offset);
	text_put(text, name[0] == 0 ? "%s \n" : "                          %s\n", name);
}

static void self_maps(struct text *text)
{
	struct process *process = current_process();
	struct space_region region;

	for (vaddr_t at = VADDR(0); space_next_region(process->space, at, &region); at = region.end)
		put_region(text, process, &region);
}

struct sizes {
	uint64_t pages, resident;
};

static struct sizes self_sizes(void)
{
	struct sizes sizes = { 0 };
	struct space_region region;

	for (vaddr_t at = VADDR(0); space_next_region(current_space(), at, &region); at = region.end) {
		sizes.pages += (region.end.v - region.start.v) >> PAGE_SHIFT;
		sizes.resident += region.resident;
	}
	return sizes;
}

static void self_statm(struct text *text)
{
	struct sizes sizes = self_sizes();

	text_put(text, "%llu %llu 0 0 0 0 0\n", (unsigned long long)sizes.pages, (unsigned long long)sizes.resident);
}

static void self_status(struct text *text)
{
	struct process *process = current_process();
	struct sizes sizes = self_sizes();

	text_put(text, "Name:\t%s\nState:\tR (running)\nTgid:\t%u\nPid:\t%u\n", current_thread()->name, process->pid,
		 process->pid);
	text_put(text, "VmSize:\t%8llu kB\nVmRSS:\t%8llu kB\nThreads:\t%u\n", KIB(sizes.pages), KIB(sizes.resident),
		 process->thread_count);
}

/* ---- The machine */

static void machine_meminfo(struct text *text)
{
	uint64_t free = frames_free();

	text_put(text, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n",
		 KIB(frames_total()), KIB(free), KIB(free));
	text_put(text, "SwapTotal:             0 kB\nSwapFree:              0 kB\n");
}

static void machine_cpuinfo(struct text *text)
{
	const struct boot_info *info = boot_info();

	for (unsigned i = 0; i < hw_harts(); i++) {
		if ((harts_online() >> i & 1) == 0)
			continue;
		text_put(text, "processor\t: %u\nhart\t\t: %llu\nisa\t\t: %s\nmmu\t\t: sv39\nmodel name\t: %s\n\n", i,
			 (unsigned long long)hart_get(i)->id, info->isa == NULL ? "unknown" : info->isa,
			 info->model == NULL ? "unknown" : info->model);
	}
}

static void count_process(void *ctx, struct process *process)
{
	(void)process;
	++*(unsigned *)ctx;
}

/* The CPU lines are there for programs that count them: nothing here keeps the books of idle time. */
static void machine_stat(struct text *text)
{
	unsigned processes = 0;

	process_visit(count_process, &processes);
	text_put(text, "cpu  0 0 0 0 0 0 0 0 0 0\n");
	for (unsigned i = 0; i < hw_harts(); i++) {
		if ((harts_online() >> i & 1) != 0)
			text_put(text, "cpu%u 0 0 0 0 0 0 0 0 0 0\n", i);
	}
	text_put(text, "btime 0\nprocs_running %u\n", processes);
}

static void machine_uptime(struct text *text)
{
	uint64_t ns = time_ns();

	text_put(text, "%llu.%02llu 0.00\n", (unsigned long long)(ns / NS_PER_SEC),
		 (unsigned long long)(ns % NS_PER_SEC / (NS_PER_SEC / 100)));
}

/* A list of harts, as Linux has it: "0-2,5". */
static void machine_harts(struct text *text)
{
	uint64_t harts = harts_online();
	const char *comma = "";

	for (unsigned i = 0; i < HW_MAX_HARTS; i++) {
		unsigned last = i;

		if ((harts >> i & 1) == 0)
			continue;
		while (last + 1 < HW_MAX_HARTS && (harts >> (last + 1) & 1) != 0)
			last++;
		text_put(text, last == i ? "%s%u" : "%s%u-%u", comma, i, last);
		comma = ",";
		i = last;
	}
	text_put(text, "\n");
}

/* ---- /proc/corral */

static void corral_counters(struct text *text)
{
	for (unsigned i = 0; i < MM_COUNTERS; i++)
		text_put(text, "%s %llu\n", mm_counter_name[i], (unsigned long long)mm_counter_sum((enum mm_counter)i));
	text_put(text, "syscalls_unknown %llu\n", (unsigned long long)syscalls_unknown());
	text_put(text, "frames_total %llu\nframes_free %llu\nharts %u\n", (unsigned long long)frames_total(),
		 (unsigned long long)frames_free(), (unsigned)__builtin_popcountll(harts_online()));
}

/* The audit reports through a plain function; quiescence makes its caller the only one. */
static struct text *audit_text;

static void audit_line(const char *line)
{
	text_put(audit_text, "%s\n", line);
}

/* The report goes to room made beforehand: nothing is allocated while the audit counts. */
static void corral_audit(struct text *text)
{
	struct text *report = text_create(TEXT_AUDIT);
	unsigned violations;

	if (report == NULL) {
		text->failed = true;
		return;
	}
	report->fixed = true;
	quiesce_begin();
	audit_text = report;
	violations = mm_audit(audit_line);
	audit_text = NULL;
	quiesce_end();
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

/* ---- The tree's part */

static const struct {
	const char *path;
	void (*text)(struct text *text);
} files[] = {
	{ "/proc/self/maps", self_maps },
	{ "/proc/self/statm", self_statm },
	{ "/proc/self/status", self_status },
	{ "/proc/meminfo", machine_meminfo },
	{ "/proc/cpuinfo", machine_cpuinfo },
	{ "/proc/stat", machine_stat },
	{ "/proc/uptime", machine_uptime },
	{ "/proc/corral/counters", corral_counters },
	{ "/proc/corral/audit", corral_audit },
	{ "/sys/devices/system/cpu/online", machine_harts },
	{ "/sys/devices/system/cpu/possible", machine_harts },
};

static int proc_place(const char *path, struct node *node)
{
	int error = tree_place(path, node);

	node_put(node);
	return error == -EEXIST ? 0 : error;
}

static int proc_add_file(const char *path, void (*text)(struct text *text))
{
	struct node *node;
	int error = node_create(S_IFREG | 0444U, &node);

	if (error != 0)
		return error;
	node->ops = &proc_ops;
	node->text = text;
	return proc_place(path, node);
}

int proc_init(void)
{
	struct node *exe;
	int error = node_create(S_IFLNK | 0777U, &exe);

	if (error != 0)
		return error;
	exe->link.make = self_exe;
	error = proc_place("/proc/self/exe", exe);
	for (size_t i = 0; i < ARRAY_LEN(files) && error == 0; i++)
		error = proc_add_file(files[i].path, files[i].text);
	return error;
}
