/*
 * /proc/self and /proc/PID: what each process is, has open and maps.
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
} texts[] = {
	{ "maps", proc_maps },	     { "smaps", proc_smaps },	{ "smaps_rollup", proc_smaps_rollup },
	{ "statm", proc_statm },     { "status", proc_status }, { "stat", proc_stat },
	{ "cmdline", proc_cmdline }, { "comm", proc_comm },	{ "environ", proc_environ },
	{ "limits", proc_limits },   { "mounts", proc_mounts },
};

static const char *const links[] = { [LINK_EXE] = "exe", [LINK_CWD] = "cwd", [LINK_ROOT] = "root" };

#define PAGEMAP_NAME ARRAY_LEN(texts)
#define FD_NAME	     (ARRAY_LEN(texts) + 1)
#define LINK_NAMES   (ARRAY_LEN(texts) + 2)
#define NAMES	     (ARRAY_LEN(texts) + 2 + ARRAY_LEN(links))

/* A number as it is written: no sign, no zeros in front. */
static bool parse_number(const char *name, uint32_t *out)
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

static int made(unsigned mode, uint32_t pid, uint32_t number, const struct node_magic *magic, struct node **out)
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

static int made_directory(struct node *parent, const char *name, uint32_t pid, const struct node_magic *magic,
			  struct node **out)
{
	int error = made(S_IFDIR | 0555U, pid, 0, magic, out);

	if (error != 0)
		return error;
	strncpy((*out)->label, name, MAGIC_NAME - 1);
	node_get(parent);
	(*out)->directory.parent = parent;
	return 0;
}

/* ---- PID/fd */

/* Counted; NULL: the process has ended. */
static struct fd_table *pid_table(uint32_t pid)
{
	struct process *process = process_find(pid);
	struct fd_table *table;

	if (process == NULL)
		return NULL;
	spin_lock(&process->lock, RANK_PROCESS);
	table = process->files;
	if (table != NULL)
		fdtable_get(table);
	spin_unlock(&process->lock, RANK_PROCESS);
	process_put(process);
	return table;
}

static int fd_file(uint32_t pid, uint32_t fd, struct file **out)
{
	struct fd_table *table = pid_table(pid);
	int error;

	if (table == NULL)
		return -ENOENT;
	error = fdtable_lookup(table, (int)fd, out);
	fdtable_put(table);
	return error == -EBADF ? -ENOENT : error;
}

static int64_t path_text(struct node *node, char *out, uint64_t bytes)
{
	int64_t n = node_path(node, out, bytes);

	if (n == -ENOENT)
		n = snprintf(out, bytes, "/%s (deleted)", node->label) + 1;
	return n > 0 ? n - 1 : n;
}

static int64_t fd_text(struct node *link, char *out, uint64_t bytes)
{
	struct file_stat stat = { 0 };
	struct file *file;
	int64_t n = fd_file(link->pid, link->number, &file);

	if (n != 0)
		return n;
	if (file->node != NULL) {
		n = path_text(file->node, out, bytes);
	} else if (file->ops->stat == NULL || file->ops->stat(file, &stat) != 0) {
		n = snprintf(out, bytes, "anon_inode:[file]");
	} else {
		n = snprintf(out, bytes, "%s:[%llu]", (stat.mode & S_IFMT) == S_IFIFO ? "pipe" : "socket",
			     (unsigned long long)stat.inode);
	}
	file_put(file);
	return n;
}

static int fd_jump(struct node *link, struct node **out)
{
	struct file *file;
	int error = fd_file(link->pid, link->number, &file);

	if (error != 0)
		return error;
	if (file->node == NULL) {
		error = -ENXIO;
	} else {
		*out = file->node;
		node_get(*out);
	}
	file_put(file);
	return error;
}

static const struct node_magic fd_link_magic = { .text = fd_text, .jump = fd_jump };

static int fd_lookup(struct node *directory, const char *name, struct node **out)
{
	struct file *file;
	uint32_t fd;
	int error;

	if (!parse_number(name, &fd))
		return -ENOENT;
	error = fd_file(directory->pid, fd, &file);
	if (error != 0)
		return error;
	file_put(file);
	return made(S_IFLNK | 0700U, directory->pid, fd, &fd_link_magic, out);
}

static bool fd_next(struct node *directory, uint64_t from, struct magic_name *out)
{
	struct fd_table *table = pid_table(directory->pid);
	unsigned limit = table == NULL ? 0 : fdtable_limit(table);
	bool found = false;

	for (uint64_t fd = from; fd < limit && !found; fd++) {
		found = fdtable_cloexec(table, (int)fd) >= 0;
		snprintf(out->name, sizeof(out->name), "%u", (unsigned)fd);
		out->next = fd + 1;
	}
	out->type = S_IFLNK >> 12;
	fdtable_put(table);
	return found;
}

static const struct node_magic fd_magic = { .lookup = fd_lookup, .next = fd_next };

/* ---- PID/exe, PID/cwd, PID/root */

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
	n = path_text(node, out, bytes);
	node_put(node);
	return n;
}

static const struct node_magic link_magic = { .text = link_text, .jump = link_jump };

/* ---- PID */

static int made_text(uint32_t pid, void (*of)(struct text *, struct process *), struct node **out)
{
	int error = made(S_IFREG | 0444U, pid, 0, NULL, out);

	if (error != 0)
		return error;
	(*out)->ops = &proc_ops;
	(*out)->made.of = of;
	return 0;
}

static int pid_lookup(struct node *directory, const char *name, struct node **out)
{
	uint32_t pid = directory->pid;
	int error;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(name, texts[i].name) == 0)
			return made_text(pid, texts[i].of, out);
	for (uint32_t i = 0; i < ARRAY_LEN(links); i++)
		if (strcmp(name, links[i]) == 0)
			return made(S_IFLNK | 0777U, pid, i, &link_magic, out);
	if (strcmp(name, "fd") == 0)
		return made_directory(directory, name, pid, &fd_magic, out);
	if (strcmp(name, "pagemap") != 0)
		return -ENOENT;
	error = made(S_IFREG | 0400U, pid, 0, NULL, out);
	if (error == 0)
		(*out)->ops = &pagemap_ops;
	return error;
}

static bool pid_next(struct node *directory, uint64_t from, struct magic_name *out)
{
	const char *name = from < ARRAY_LEN(texts) ? texts[from].name
			   : from == PAGEMAP_NAME  ? "pagemap"
			   : from == FD_NAME	   ? "fd"
			   : from < NAMES	   ? links[from - LINK_NAMES]
						   : NULL;

	(void)directory;
	if (name == NULL)
		return false;
	strncpy(out->name, name, sizeof(out->name) - 1);
	out->name[sizeof(out->name) - 1] = 0;
	out->next = from + 1;
	out->type = (from == FD_NAME ? S_IFDIR : from >= LINK_NAMES ? S_IFLNK : S_IFREG) >> 12;
	return true;
}

static const struct node_magic pid_magic = { .lookup = pid_lookup, .next = pid_next };

/* ---- /proc */

static int root_lookup(struct node *directory, const char *name, struct node **out)
{
	struct process *process;
	uint32_t pid;

	if (!parse_number(name, &pid) || pid == 0)
		return -ENOENT;
	process = process_find(pid);
	if (process == NULL)
		return -ENOENT;
	process_put(process);
	return made_directory(directory, name, pid, &pid_magic, out);
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
	snprintf(out->name, sizeof(out->name), "%u", found);
	out->next = (uint64_t)found + 1;
	out->type = S_IFDIR >> 12;
	return found != 0;
}

static const struct node_magic root_magic = { .lookup = root_lookup, .next = root_next };

static int64_t self_text(struct node *link, char *out, uint64_t bytes)
{
	(void)link;
	return snprintf(out, bytes, "%u", current_process()->pid);
}

static const struct node_magic self_magic = { .text = self_text };

int proc_pid_init(struct node *root)
{
	struct node *self;
	int error = made(S_IFLNK | 0777U, 0, 0, &self_magic, &self);

	if (error != 0)
		return error;
	root->closed = false;
	error = tree_place("/proc/self", self);
	root->closed = true;
	root->magic = &root_magic;
	node_put(self);
	return error;
}
