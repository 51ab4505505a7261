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
#include "kernel/cache.h"
#include "kernel/fail.h"
#include "kernel/fsdisk.h"
#include "kernel/mount.h"
#include "kernel/proc_text.h"
#include "kernel/process.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/shm.h"
#include "kernel/text.h"
#include "kernel/touch.h"
#include "kernel/trace.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/space.h"

#define OVERCOMMIT  "/proc/sys/vm/overcommit_memory"
#define TEXT_START  1024U
#define NS_PER_SEC  UINT64_C(1000000000)
#define KIB(frames) ((unsigned long long)((frames) * (PAGE_SIZE / 1024)))

static const char *proc_constant(unsigned i);

static int proc_fill(struct node *node, struct text *text)
{
	struct process *process;
	int error = 0;

	if (node->number != 0 && node->pid == 0) {
		text_put(text, "%s", proc_constant(node->number - 1));
		return 0;
	}
	if (node->pid == 0) {
		node->made.text(text);
		return 0;
	}
	process = process_find(node->pid);
	if (process == NULL)
		return -ESRCH;
	if (node->made.of_number != NULL)
		error = node->made.of_number(text, process, node->number);
	else
		node->made.of(text, process);
	process_put(process);
	return error;
}

bool proc_goes_on(const struct text *text)
{
	sched_breathe();
	/* relaxed: acted upon when the call returns */
	return (text == NULL || !text->failed) &&
	       (atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & WORK_KILL) == 0;
}

static int proc_refresh(struct file *file)
{
	struct text *fresh = text_create(TEXT_START);
	struct text *old;
	int error;

	if (fresh == NULL)
		return -ENOMEM;
	error = proc_fill(file->node, fresh);
	if (error == 0 && fresh->failed)
		error = -ENOMEM;
	if (error != 0) {
		text_free(fresh);
		return error;
	}
	spin_lock(&file->lock, RANK_FILE);
	old = file->data;
	file->data = fresh;
	spin_unlock(&file->lock, RANK_FILE);
	text_free(old);
	return 0;
}

/* Copies from byte *at of the content, or, where at is NULL, from the position on, which moves. How many bytes. */
static uint64_t proc_copy(struct file *file, struct io *io, const uint64_t *at)
{
	const struct text *text;
	uint64_t start, done = 0;

	io->error = 0;
	spin_lock(&file->lock, RANK_FILE);
	touch_forbid();
	text = file->data;
	start = at != NULL ? *at : file->position;
	if (start < text->used)
		done = io_put(io, text->bytes + start, text->used - start);
	if (at == NULL)
		file->position += done;
	touch_allow();
	spin_unlock(&file->lock, RANK_FILE);
	return done;
}

static int64_t proc_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t start = at != NULL ? *at : file->position;
	uint64_t done = 0;

	if (start == 0 || file->data == NULL) {
		int error = proc_refresh(file);

		if (error != 0)
			return error;
	}
	do {
		uint64_t from = start + done;

		done += proc_copy(file, io, at != NULL ? &from : NULL);
	} while (io->error == -EWANTED && io_touch(io) == 0);
	return io_result(io, done);
}

static int64_t proc_write(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)io;
	(void)at;
	return -EIO;
}

int64_t proc_seek(struct file *file, int64_t offset, unsigned whence)
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

const struct file_ops proc_ops = {
	.read = proc_read,
	.write = proc_write,
	.seek = proc_seek,
	.release = proc_release,
};

/* ---- The machine */

static void machine_meminfo(struct text *text)
{
	uint64_t free = frames_free(), cached = cache_pages(), dirty = objects_dirty();

	text_put(text, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n",
		 KIB(frames_total()), KIB(free), KIB(free + cached - MIN(dirty, cached)));
	text_put(text, "Buffers:        %8llu kB\nCached:         %8llu kB\nSwapCached:            0 kB\n",
		 (unsigned long long)(fsdisk_bytes() >> 10), KIB(cached));
	text_put(text, "SwapTotal:             0 kB\nSwapFree:              0 kB\nDirty:          %8llu kB\n",
		 KIB(dirty));
	text_put(text, "Shmem:                 0 kB\nCommitLimit:    %8llu kB\nCommitted_AS:   %8llu kB\n",
		 KIB(frames_total()), KIB(frames_total() - free));
	text_put(text, "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
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

static void machine_loadavg(struct text *text)
{
	unsigned processes = 0;

	process_visit(count_process, &processes);
	text_put(text, "0.00 0.00 0.00 1/%u %u\n", processes, current_process()->pid);
}

static void machine_mounts(struct text *text)
{
	mounts_text(text);
}

static void machine_cmdline(struct text *text)
{
	text_put(text, "%s\n", boot_info()->bootargs == NULL ? "" : boot_info()->bootargs);
}

static void machine_memory_max(struct text *text)
{
	text_put(text, "%llu\n", (unsigned long long)frames_total());
}

static void machine_boot_id(struct text *text)
{
	static uint8_t id[16];
	static bool made;

	tree_enter();
	if (!made)
		random_bytes(id, sizeof(id));
	made = true;
	tree_leave();
	text_put(text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", id[0], id[1], id[2],
		 id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
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

/* ---- The tree's part */

static const struct {
	const char *path;
	void (*text)(struct text *text);
} files[] = {
	{ "/proc/meminfo", machine_meminfo },
	{ "/proc/cpuinfo", machine_cpuinfo },
	{ "/proc/stat", machine_stat },
	{ "/proc/uptime", machine_uptime },
	{ "/proc/loadavg", machine_loadavg },
	{ "/proc/mounts", machine_mounts },
	{ "/proc/diskstats", proc_diskstats },
	{ "/proc/partitions", proc_partitions },
	{ "/proc/interrupts", proc_interrupts },
	{ "/proc/cmdline", machine_cmdline },
	{ "/proc/sys/kernel/threads-max", machine_memory_max },
	{ "/proc/sys/kernel/random/boot_id", machine_boot_id },
	{ "/proc/sys/kernel/hostname", hostname_text },
	{ "/proc/sys/kernel/domainname", domainname_text },
	{ "/proc/sysvipc/shm", shm_text },
	{ "/proc/corral/counters", proc_corral_counters },
	{ "/proc/corral/events", proc_corral_events },
	{ "/proc/corral/audit", proc_corral_audit },
	{ "/proc/corral/harts", proc_corral_harts },
	{ "/proc/corral/memory", proc_corral_memory },
	{ "/proc/corral/trace", trace_text },
	{ "/proc/corral/disks", proc_disks },
	{ "/proc/corral/caches", proc_caches },
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
	node->made.text = text;
	return proc_place(path, node);
}

/* What never changes: here, a setting that nobody can set is a text. */
static const struct {
	const char *path;
	const char *text;
} constants[] = {
	{ "/proc/version", "Linux version 6.12.0-corral #1 SMP Corral\n" },
	{ "/proc/filesystems", "nodev\tproc\nnodev\ttmpfs\nnodev\tsysfs\n\tvfat\n" },
	{ "/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" },
	{ OVERCOMMIT, "1\n" },
	{ "/proc/sys/vm/overcommit_ratio", "50\n" },
	{ "/proc/sys/vm/max_map_count", "65530\n" },
	{ "/proc/sys/vm/mmap_min_addr", "4096\n" },
	{ "/proc/sys/vm/nr_hugepages", "0\n" },
	{ "/proc/sys/vm/swappiness", "0\n" },
	{ "/proc/sys/kernel/ostype", "Linux\n" },
	{ "/proc/sys/kernel/osrelease", "6.12.0-corral\n" },
	{ "/proc/sys/kernel/version", "#1 SMP Corral\n" },
	{ "/proc/sys/kernel/pid_max", "4194304\n" },
	{ "/proc/sys/kernel/core_pattern", "core\n" },
	{ "/proc/sys/kernel/randomize_va_space", "0\n" },
	{ "/proc/sys/kernel/ngroups_max", "65536\n" },
	{ "/proc/sys/kernel/tainted", "0\n" },
	{ "/proc/sys/fs/nr_open", "65536\n" },
	{ "/proc/sys/fs/pipe-max-size", "65536\n" },
};

static const char *proc_constant(unsigned i)
{
	return constants[i].text;
}

/* It can be set, to what it is: there is no other way here. */
static int64_t overcommit_write(struct file *file, struct io *io, const uint64_t *at)
{
	static const char spaces[] = " \t\n";
	uint64_t left = io->left;
	char text[8] = "";
	const char *value;

	(void)file;
	(void)at;
	if (io_take(io, text, sizeof(text) - 1) < MIN(left, sizeof(text) - 1))
		return io->error;
	value = text + strspn(text, spaces);
	return *value == '1' && value[1 + strspn(value + 1, spaces)] == 0 ? (int64_t)left : -EINVAL;
}

static struct file_ops overcommit_ops;

static int proc_add_constant(unsigned i)
{
	bool writable = strcmp(constants[i].path, OVERCOMMIT) == 0;
	struct node *node;
	int error = node_create(S_IFREG | (writable ? 0644U : 0444U), &node);

	if (error != 0)
		return error;
	overcommit_ops = proc_ops;
	overcommit_ops.write = overcommit_write;
	node->ops = writable ? &overcommit_ops : &proc_ops;
	node->number = i + 1;
	return proc_place(constants[i].path, node);
}

/* Nothing can be made in a directory of the kernel's, nor anything in it removed. As deep as the paths above. */
static void close_below(struct node *node)
{
	node->fixed = true;
	if (!node_is(node, S_IFDIR))
		return;
	node->closed = true;
	list_for_each (pos, &node->directory.entries)
		close_below(list_entry(pos, struct entry, link)->node);
}

static int proc_close(const char *path, struct node **out)
{
	struct node *root = node_root();
	int error = path_lookup(root, path, 0, out);

	node_put(root);
	if (error == 0)
		close_below(*out);
	return error;
}

int proc_init(void)
{
	struct node *proc, *sys;
	int error = 0;

	for (unsigned i = 0; i < ARRAY_LEN(files) && error == 0; i++)
		error = proc_add_file(files[i].path, files[i].text);
	for (unsigned i = 0; i < ARRAY_LEN(constants) && error == 0; i++)
		error = proc_add_constant(i);
	if (error == 0)
		error = fail_place();
	if (error == 0)
		error = proc_close("/sys", &sys);
	if (error != 0)
		return error;
	node_put(sys);
	error = proc_close("/proc", &proc);
	if (error != 0)
		return error;
	error = proc_pid_init(proc);
	node_put(proc);
	return error;
}
