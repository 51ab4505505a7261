/*
 * Processes as open files: pidfd_open, pidfd_send_signal, pidfd_getfd, process_mrelease, and what poll says of one.
 *
 * The file has a reference to the process, so its number is never another's, also after the process was waited for: then it is
 * forgotten, and calls on it say ESRCH.
 * Locks: none of its own; zombie and forgotten are under the tree lock.
 */
#include "kernel/pidfd.h"

#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "mm/space.h"

#define PIDFD_SIGNAL_THREAD	   1U
#define PIDFD_SIGNAL_THREAD_GROUP  2U
#define PIDFD_SIGNAL_PROCESS_GROUP 4U

static unsigned pidfd_poll(struct file *file, struct wait_queue **queue)
{
	struct process *process = file->data;
	unsigned events;

	*queue = &process->ended;
	tree_lock();
	events = (process->zombie ? POLLIN : 0) | (process->forgotten ? POLLHUP : 0);
	tree_unlock();
	return events;
}

static int pidfd_stat(struct file *file, struct file_stat *out)
{
	const struct process *process = file->data;

	*out = (struct file_stat){
		.device = 5, .inode = process->pid, .mode = S_IFREG | 0700U, .links = 1, .block_size = PAGE_SIZE
	};
	return 0;
}

static void pidfd_release(struct file *file)
{
	process_put(file->data);
}

static const struct file_ops pidfd_ops = { .poll = pidfd_poll, .stat = pidfd_stat, .release = pidfd_release };

int pidfd_install(struct process *process, unsigned flags)
{
	struct file *file;
	int fd, error = file_create(&pidfd_ops, O_RDWR | flags, NULL, process, &file);

	if (error != 0)
		return error;
	process_get(process);
	fd = fdtable_install(current_process()->files, file, true, 0);
	if (fd < 0)
		file_put(file);
	return fd;
}

int pidfd_process(int fd, struct process **out, unsigned *flags)
{
	struct file *file;
	int error = file_get(fd, &file);

	if (error != 0)
		return error;
	if (file->ops != &pidfd_ops) {
		error = -EBADF;
	} else {
		*out = file->data;
		*flags = file_flags(file);
		process_get(*out);
	}
	file_put(file);
	return error;
}

/* As pidfd_process, of one that has not been waited for. -EBADF, -ESRCH. */
static int living(int fd, struct process **out)
{
	unsigned flags;
	bool gone;
	int error = pidfd_process(fd, out, &flags);

	if (error != 0)
		return error;
	tree_lock();
	gone = (*out)->forgotten;
	tree_unlock();
	if (gone)
		process_put(*out);
	return gone ? -ESRCH : 0;
}

static bool is_thread(uint32_t tid)
{
	bool is;

	tree_lock();
	is = thread_find_locked(tid) != NULL;
	tree_unlock();
	return is;
}

int64_t sys_pidfd_open(const uint64_t *a)
{
	int32_t pid = (int32_t)a[0];
	struct process *process;
	int fd;

	if (((uint32_t)a[1] & ~O_NONBLOCK) != 0 || pid <= 0)
		return -EINVAL;
	process = process_find((uint32_t)pid);
	if (process == NULL)
		return is_thread((uint32_t)pid) ? -EINVAL : -ESRCH;
	fd = pidfd_install(process, (uint32_t)a[1]);
	process_put(process);
	return fd;
}

/* ---- Signals. */

static int send_locked(struct process *process, const struct siginfo *info, unsigned flags)
{
	struct thread *thread;

	if (process->forgotten)
		return -ESRCH;
	if ((flags & PIDFD_SIGNAL_THREAD) == 0)
		return info->signo == 0 ? 0 : signal_process(process, info);
	thread = thread_find_locked(process->pid);
	if (thread == NULL)
		return process->zombie ? 0 : -ESRCH;
	return info->signo == 0 ? 0 : signal_thread(thread, info);
}

static int64_t send_signal(struct process *process, const struct siginfo *info, unsigned flags)
{
	int64_t result;

	if ((flags & PIDFD_SIGNAL_PROCESS_GROUP) != 0)
		return signal_group(process->pid, info);
	tree_lock();
	result = send_locked(process, info, flags);
	tree_unlock();
	return result;
}

int64_t sys_pidfd_send_signal(const uint64_t *a)
{
	struct siginfo info = { .signo = (int)a[1], .sent = { .pid = (int32_t)current_process()->pid } };
	unsigned flags = (uint32_t)a[3], file_flag;
	struct process *process;
	int64_t result;

	if ((flags & ~(PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP | PIDFD_SIGNAL_PROCESS_GROUP)) != 0 ||
	    (flags & (flags - 1)) != 0)
		return -EINVAL;
	result = pidfd_process((int)a[0], &process, &file_flag);
	if (result != 0)
		return result;
	if ((flags & PIDFD_SIGNAL_THREAD) != 0)
		info.code = SI_TKILL;
	if (a[2] != 0 && user_read(current_space(), &info, VADDR(a[2]), sizeof(info)) != 0)
		result = -EFAULT;
	else if (info.signo != (int)a[1] || info.signo < 0 || info.signo > NSIG)
		result = -EINVAL;
	else if (a[2] != 0 && (process != current_process() || (flags & PIDFD_SIGNAL_PROCESS_GROUP) != 0) &&
		 (info.code >= 0 || info.code == SI_TKILL))
		result = -EPERM;
	if (result == 0)
		result = send_signal(process, &info, flags);
	process_put(process);
	return result;
}

/* ---- Files. */

static int file_of(struct process *process, int fd, struct file **out)
{
	struct fd_table *files;
	int error;

	spin_lock(&process->lock, RANK_PROCESS);
	files = process->files;
	if (files != NULL)
		fdtable_get(files);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (files == NULL)
		return -ESRCH;
	error = fdtable_lookup(files, fd, out);
	fdtable_put(files);
	return error;
}

int64_t sys_pidfd_getfd(const uint64_t *a)
{
	struct process *process;
	struct file *file;
	int result;

	if ((uint32_t)a[2] != 0)
		return -EINVAL;
	result = living((int)a[0], &process);
	if (result != 0)
		return result;
	result = file_of(process, (int)a[1], &file);
	process_put(process);
	if (result != 0)
		return result;
	result = fdtable_install(current_process()->files, file, true, 0);
	if (result < 0)
		file_put(file);
	return result;
}

/* ---- Memory of a process that is being killed. */

struct sharers {
	const struct process *process;
	const struct space *space;
	bool live;
};

static void look_for_sharer(void *ctx, struct process *process)
{
	struct sharers *sharers = ctx;

	spin_lock(&process->lock, RANK_PROCESS);
	if (process->space == sharers->space && !process->ending)
		sharers->live = true;
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* What only this process has: private memory. It runs no more program, so nobody misses it; what cannot be had now goes with it. */
static void discard_private(struct space *space)
{
	struct space_region region;

	for (uint64_t at = 0; space_next_region(space, VADDR(at), &region); at = region.end.v) {
		if (region.object == NULL && !region.shared)
			(void)!space_discard(space, region.start, region.end.v - region.start.v);
		hw_relax();
	}
}

int64_t sys_process_mrelease(const uint64_t *a)
{
	struct sharers sharers = { 0 };
	struct process *process;
	struct space *space;
	int error;

	if ((uint32_t)a[1] != 0)
		return -EINVAL;
	error = living((int)a[0], &process);
	if (error != 0)
		return error;
	space = process_space(process);
	if (space != NULL) {
		sharers.space = space;
		process_visit(look_for_sharer, &sharers);
		if (sharers.live)
			error = -EINVAL;
		else
			discard_private(space);
		space_put(space);
	}
	process_put(process);
	return space == NULL ? -ESRCH : error;
}
