/*
 * /proc/self, /proc/PID and /proc/PID/task/TID: what each process is and maps.
 *
 * Nothing of it is kept: a walk that comes by makes the nodes that it goes through (kernel/path.c, walker_ask), with
 * the process's number in them, and they go with the walk or the open file. A process that has ended since is ESRCH when its
 * text is made, ENOENT when it is looked up.
 *
 * Locks: none held on entry; process->lock for what is copied out of a process, its descriptor table's for its files.
 * Another's memory is read through a reference to its space.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/layout.h"
#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/slab.h"

enum pid_links { LINK_EXE, LINK_CWD, LINK_ROOT };

static const struct {
	const char *name;
	void (*of)(struct text *text, struct process *process);
	int (*of_number)(struct text *text, struct process *process, uint32_t tid); /* of a thread; 0: of all */
	unsigned mode;
} texts[] = {
	{ .name = "maps", .of = proc_maps },
	{ .name = "smaps", .of = proc_smaps },
	{ .name = "smaps_rollup", .of = proc_smaps_rollup },
	{ .name = "tables", .of = proc_tables },
	{ .name = "statm", .of = proc_statm },
	{ .name = "status", .of_number = proc_status },
	{ .name = "stat", .of_number = proc_stat },
	{ .name = "comm", .of_number = proc_comm, .mode = 0644 },
	{ .name = "cmdline", .of = proc_cmdline },
	{ .name = "environ", .of = proc_environ, .mode = 0400 },
	{ .name = "limits", .of = proc_limits },
	{ .name = "mounts", .of = proc_mounts },
};

static const char *const links[] = { [LINK_EXE] = "exe", [LINK_CWD] = "cwd", [LINK_ROOT] = "root" };

/* What else is in PID: in the order of the names, behind texts and links. A thread has no task of its own. */
enum pid_others { OTHER_PAGEMAP, OTHER_MEM, OTHER_FD, OTHER_FDINFO, OTHER_TASK };
static const struct {
	const char *name;
	unsigned mode;
} others[] = {
	[OTHER_PAGEMAP] = { "pagemap", S_IFREG | 0400U }, [OTHER_MEM] = { "mem", S_IFREG | 0600U },
	[OTHER_FD] = { "fd", S_IFDIR | 0500U },		  [OTHER_FDINFO] = { "fdinfo", S_IFDIR | 0555U },
	[OTHER_TASK] = { "task", S_IFDIR | 0555U },
};

/* A number as it is written: no sign, no zeros in front. */
bool proc_number(const char *name, uint32_t *out)
{
	uint64_t value = 0;

	for (const char *c = name; *c != 0; c++) {
		if (*c < '0' || *c > '9' || value > INT32_MAX || (c != name && name[0] == '0'))
			return false;
		value = value * 10 + (uint64_t)(*c - '0');
	}
	*out = (uint32_t)value;
	return name[0] != 0 && value <= INT32_MAX;
}

int proc_made(unsigned mode, uint32_t pid, uint32_t number, const struct node_magic *magic, struct node **out)
{
	int error = node_create(mode, out);

	if (error != 0)
		return error;
	(*out)->pid = pid;
	(*out)->number = number;
	(*out)->magic = magic;
	(*out)->fixed = true;
	(*out)->closed = true;
	return 0;
}

int proc_made_directory(struct node *parent, const char *name, uint32_t pid, uint32_t number,
			const struct node_magic *magic, struct node **out)
{
	int error = proc_made(S_IFDIR | 0555U, pid, number, magic, out);

	if (error != 0)
		return error;
	strncpy((*out)->label, name, MAGIC_NAME - 1);
	node_get(parent);
	(*out)->directory.parent = parent;
	return 0;
}

/* ---- PID/exe, PID/cwd, PID/root */

/* What was removed from a volume knows where it was. */
static int64_t removed_text(struct node *node, char *out, uint64_t bytes)
{
	int64_t up = node->up != NULL ? node_path(node->up, out, bytes) : 0;
	uint64_t at = up > 2 ? (uint64_t)up - 1 : 0;
	const char *name = node->name != NULL ? node->name : node->label;

	return MIN((int64_t)at + snprintf(out + at, bytes - at, "/%s (deleted)", name) + 1, (int64_t)bytes);
}

int64_t proc_path_text(struct node *node, char *out, uint64_t bytes)
{
	int64_t n = node_path(node, out, bytes);

	if (n == -ENOENT)
		n = removed_text(node, out, bytes);
	return n > 0 ? n - 1 : n;
}

static int link_jump(struct node *link, struct node **out)
{
	struct process *process = process_find(link->pid);

	*out = NULL;
	if (process == NULL)
		return -ENOENT;
	spin_lock(&process->lock, RANK_PROCESS);
	if (link->number == LINK_CWD)
		*out = process->cwd;
	else if (link->number == LINK_EXE && process->exe != NULL && process->space != NULL)
		*out = process->exe->node;
	if (*out != NULL)
		node_get(*out);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (link->number == LINK_ROOT)
		*out = node_root();
	process_put(process);
	return *out == NULL ? -ENOENT : 0;
}

static int64_t link_text(struct node *link, char *out, uint64_t bytes)
{
	struct node *node;
	int64_t n = link_jump(link, &node);

	if (n != 0)
		return n;
	n = proc_path_text(node, out, bytes);
	node_put(node);
	return n;
}

static const struct node_magic link_magic = { .text = link_text, .jump = link_jump };

static const struct node_magic task_magic;

static void number_name(uint32_t number, struct magic_name *out)
{
	snprintf(out->name, sizeof(out->name), "%u", number);
	out->next = (uint64_t)number + 1;
	out->type = S_IFDIR >> 12;
}

/* A name that a thread of the same process gives it: pthread_setname_np. */
static int64_t comm_write(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t left = io->left;
	char name[THREAD_NAME_BYTES] = "";

	(void)at;
	if (io_take(io, name, sizeof(name) - 1) < MIN(left, sizeof(name) - 1))
		return io->error;
	return proc_set_comm(file->node->pid, file->node->number, name) == 0 ? (int64_t)left : -EINVAL;
}

static struct file_ops comm_ops;

/* ---- PID, PID/task/TID: the node's number is the thread's, or 0. */

static int text_node(struct node *directory, size_t i, struct node **out)
{
	unsigned mode = texts[i].mode != 0 ? texts[i].mode : 0444U;
	int error = proc_made(S_IFREG | mode, directory->pid, directory->number, NULL, out);

	if (error != 0)
		return error;
	(*out)->ops = texts[i].of_number == proc_comm ? &comm_ops : &proc_ops;
	(*out)->made.of = texts[i].of;
	(*out)->made.of_number = texts[i].of_number;
	return 0;
}

static int mem_node(struct node *directory, struct node **out)
{
	struct process *process = process_find(directory->pid);
	int error;

	if (process == NULL)
		return -ENOENT;
	error = proc_made(others[OTHER_MEM].mode, directory->pid, 0, NULL, out);
	if (error == 0)
		proc_mem_node(*out, process);
	process_put(process);
	return error;
}

static int other_node(struct node *directory, enum pid_others which, struct node **out)
{
	const char *name = others[which].name;
	uint32_t pid = directory->pid;
	int error;

	switch (which) {
	case OTHER_MEM:
		return mem_node(directory, out);
	case OTHER_FD:
		return proc_made_directory(directory, name, pid, 0, &proc_fd_magic, out);
	case OTHER_FDINFO:
		return proc_made_directory(directory, name, pid, 0, &proc_fdinfo_magic, out);
	case OTHER_TASK:
		if (directory->number != 0)
			return -ENOENT;
		return proc_made_directory(directory, name, pid, 0, &task_magic, out);
	default:
		error = proc_made(others[which].mode, pid, 0, NULL, out);
		if (error == 0)
			(*out)->ops = &pagemap_ops;
		return error;
	}
}

static int pid_lookup(struct node *directory, const char *name, struct node **out)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(name, texts[i].name) == 0)
			return text_node(directory, i, out);
	for (uint32_t i = 0; i < ARRAY_LEN(links); i++)
		if (strcmp(name, links[i]) == 0)
			return proc_made(S_IFLNK | 0777U, directory->pid, i, &link_magic, out);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcmp(name, others[i].name) == 0)
			return other_node(directory, (enum pid_others)i, out);
	return -ENOENT;
}

static bool pid_next(struct node *directory, uint64_t from, struct magic_name *out)
{
	size_t names = ARRAY_LEN(texts) + ARRAY_LEN(links) + ARRAY_LEN(others) - (directory->number != 0 ? 1 : 0);
	unsigned type = S_IFREG;
	const char *name;

	if (from >= names)
		return false;
	if (from < ARRAY_LEN(texts)) {
		name = texts[from].name;
	} else if (from < ARRAY_LEN(texts) + ARRAY_LEN(links)) {
		name = links[from - ARRAY_LEN(texts)];
		type = S_IFLNK;
	} else {
		name = others[from - ARRAY_LEN(texts) - ARRAY_LEN(links)].name;
		type = others[from - ARRAY_LEN(texts) - ARRAY_LEN(links)].mode & S_IFMT;
	}
	strncpy(out->name, name, sizeof(out->name) - 1);
	out->name[sizeof(out->name) - 1] = 0;
	out->next = from + 1;
	out->type = (uint8_t)(type >> 12);
	return true;
}

static const struct node_magic pid_magic = { .lookup = pid_lookup, .next = pid_next };

/* ---- PID/task */

static int task_lookup(struct node *directory, const char *name, struct node **out)
{
	struct thread *thread;
	uint32_t tid;
	bool found;

	if (!proc_number(name, &tid) || tid == 0)
		return -ENOENT;
	tree_lock();
	thread = thread_find_locked(tid);
	found = thread != NULL && thread->process != NULL && thread->process->pid == directory->pid;
	tree_unlock();
	return found ? proc_made_directory(directory, name, directory->pid, tid, &pid_magic, out) : -ENOENT;
}

static bool task_next(struct node *directory, uint64_t from, struct magic_name *out)
{
	struct process *process = process_find(directory->pid);
	uint32_t found = 0;

	if (process == NULL)
		return false;
	spin_lock(&process->lock, RANK_PROCESS);
	list_for_each (pos, &process->threads) {
		uint32_t tid = list_entry(pos, struct thread, link)->tid;

		if (tid >= from && (found == 0 || tid < found))
			found = tid;
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	process_put(process);
	number_name(found, out);
	return found != 0;
}

static const struct node_magic task_magic = { .lookup = task_lookup, .next = task_next };

/* ---- /proc */

static int root_lookup(struct node *directory, const char *name, struct node **out)
{
	struct process *process;
	uint32_t pid;

	if (!proc_number(name, &pid) || pid == 0)
		return -ENOENT;
	process = process_find(pid);
	if (process == NULL)
		return -ENOENT;
	process_put(process);
	return proc_made_directory(directory, name, pid, 0, &pid_magic, out);
}

static bool root_next(struct node *directory, uint64_t from, struct magic_name *out)
{
	uint32_t found = 0;

	(void)directory;
	tree_lock();
	list_for_each (pos, process_list_locked()) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->pid >= from && (found == 0 || process->pid < found))
			found = process->pid;
	}
	tree_unlock();
	number_name(found, out);
	return found != 0;
}

static const struct node_magic root_magic = { .lookup = root_lookup, .next = root_next };

/* Boot arguments are looked up before there is a process. */
static int64_t self_text(struct node *link, char *out, uint64_t bytes)
{
	(void)link;
	if (current_process() == NULL)
		return -ENOENT;
	return snprintf(out, bytes, "%u", current_process()->pid);
}

static const struct node_magic self_magic = { .text = self_text };

static int64_t thread_self_text(struct node *link, char *out, uint64_t bytes)
{
	(void)link;
	if (current_process() == NULL)
		return -ENOENT;
	return snprintf(out, bytes, "%u/task/%u", current_process()->pid, current_thread()->tid);
}

static const struct node_magic thread_self_magic = { .text = thread_self_text };

static int add_link(const char *path, const struct node_magic *magic)
{
	struct node *link;
	int error = proc_made(S_IFLNK | 0777U, 0, 0, magic, &link);

	if (error != 0)
		return error;
	error = tree_place(path, link);
	node_put(link);
	return error;
}

int proc_pid_init(struct node *root)
{
	int error;

	comm_ops = proc_ops;
	comm_ops.write = comm_write;
	root->closed = false;
	error = add_link("/proc/self", &self_magic);
	if (error == 0)
		error = add_link("/proc/thread-self", &thread_self_magic);
	root->closed = true;
	root->magic = &root_magic;
	return error;
}
