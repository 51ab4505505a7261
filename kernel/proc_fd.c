/*
 * /proc/PID/fd and /proc/PID/fdinfo: what a process has open. As in proc_pid.c, nothing is kept: each look is at the descriptor
 * table as it is then.
 *
 * Locks: none held on entry; process->lock to find the table, the table's own for its files, the file's for its position.
 */
#include <stdio.h>

#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "kernel/tree.h"
#include "lib/errno.h"

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

static int64_t fd_text(struct node *link, char *out, uint64_t bytes)
{
	struct file_stat stat = { 0 };
	struct file *file;
	int64_t n = fd_file(link->pid, link->number, &file);

	if (n != 0)
		return n;
	if (file->node != NULL && !(node_is(file->node, S_IFIFO) && file->node->fifo.nameless)) {
		n = proc_path_text(file->node, out, bytes);
	} else if (file->ops->stat == NULL || file->ops->stat(file, &stat) != 0) {
		n = snprintf(out, bytes, "anon_inode:[file]");
	} else {
		n = snprintf(out, bytes, "%s:[%llu]",
			     (stat.mode & S_IFMT) == S_IFIFO   ? "pipe"
			     : (stat.mode & S_IFMT) == S_IFREG ? "pidfd"
							       : "socket",
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

/* Of PID/fd or PID/fdinfo: which descriptor the name says, if it is open. */
static int fd_named(struct node *directory, const char *name, uint32_t *fd)
{
	struct file *file;
	int error;

	if (!proc_number(name, fd))
		return -ENOENT;
	error = fd_file(directory->pid, *fd, &file);
	if (error == 0)
		file_put(file);
	return error;
}

static int fd_lookup(struct node *directory, const char *name, struct node **out)
{
	uint32_t fd;
	int error = fd_named(directory, name, &fd);

	return error != 0 ? error : proc_made(S_IFLNK | 0700U, directory->pid, fd, &fd_link_magic, out);
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
	out->type = (directory->magic == &proc_fd_magic ? S_IFLNK : S_IFREG) >> 12;
	fdtable_put(table);
	return found;
}

const struct node_magic proc_fd_magic = { .lookup = fd_lookup, .next = fd_next };

/* ---- PID/fdinfo */

static int fdinfo_text(struct text *text, struct process *process, uint32_t fd)
{
	struct fd_table *table = pid_table(process->pid);
	struct file_stat stat = { 0 };
	uint64_t position;
	struct file *file;
	int cloexec, error;

	if (table == NULL)
		return -ENOENT;
	error = fdtable_lookup(table, (int)fd, &file);
	cloexec = fdtable_cloexec(table, (int)fd);
	fdtable_put(table);
	if (error != 0)
		return -ENOENT;
	spin_lock(&file->lock, RANK_FILE);
	position = file->position;
	spin_unlock(&file->lock, RANK_FILE);
	if (file->node != NULL)
		stat.inode = file->node->inode;
	else if (file->ops->stat != NULL)
		(void)file->ops->stat(file, &stat);
	text_put(text, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t1\nino:\t%llu\n", (long long)position,
		 file_flags(file) | (cloexec > 0 ? O_CLOEXEC : 0), (unsigned long long)stat.inode);
	file_put(file);
	return 0;
}

static int fdinfo_lookup(struct node *directory, const char *name, struct node **out)
{
	uint32_t fd;
	int error = fd_named(directory, name, &fd);

	if (error == 0)
		error = proc_made(S_IFREG | 0444U, directory->pid, fd, NULL, out);
	if (error == 0) {
		(*out)->ops = &proc_ops;
		(*out)->made.of_number = fdinfo_text;
	}
	return error;
}

const struct node_magic proc_fdinfo_magic = { .lookup = fdinfo_lookup, .next = fd_next };
