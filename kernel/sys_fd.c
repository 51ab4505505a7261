/* System calls on descriptors and on what open files are, rather than on their bytes. */
#include <string.h>

#include "kernel/file_lock.h"
#include "kernel/pipe.h"
#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/space.h"

#define F_DUPFD		0U
#define F_GETFD		1U
#define F_SETFD		2U
#define F_GETFL		3U
#define F_SETFL		4U
#define F_DUPFD_CLOEXEC 1030U
#define F_SETPIPE_SZ	1031U
#define F_GETPIPE_SZ	1032U
#define F_ADD_SEALS	1033U
#define F_GET_SEALS	1034U
#define FD_CLOEXEC	1U
#define SETTABLE	(O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)
#define PIPE_BYTES	65536

#define FIONREAD 0x541BU
#define FIONBIO	 0x5421U
#define FIONCLEX 0x5450U
#define FIOCLEX	 0x5451U

#define CLOSE_RANGE_UNSHARE 2U
#define CLOSE_RANGE_CLOEXEC 4U

#define MFD_CLOEXEC	  1U
#define MFD_ALLOW_SEALING 2U
#define MFD_NOEXEC_SEAL	  8U
#define MFD_EXEC	  16U
#define MFD_NAME_MAX	  249U
#define MFD_PREFIX	  "memfd:" /* to its name, where /proc says it */

static struct fd_table *files(void)
{
	return current_process()->files;
}

/* The caller's count goes into the table, or is given back. */
static int64_t install(struct file *file, bool cloexec, unsigned from)
{
	int fd = fdtable_install(files(), file, cloexec, from);

	if (fd < 0)
		file_put(file);
	return fd;
}

int64_t sys_openat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[2];
	struct node *from;
	struct file *file;
	char *path;
	int error = user_path(a[1], false, &path);

	if (error != 0)
		return error;
	error = path_start((int)a[0], path, &from);
	if (error == 0) {
		error = path_open(from, path, flags, mode_masked(a[3]), &file);
		node_put(from);
	}
	kfree(path);
	return error != 0 ? error : install(file, (flags & O_CLOEXEC) != 0, 0);
}

int64_t sys_close(const uint64_t *a)
{
	return fdtable_close(files(), (int)a[0]);
}

int64_t sys_close_range(const uint64_t *a)
{
	unsigned first = (uint32_t)a[0], last = (uint32_t)a[1], flags = (uint32_t)a[2];
	int error = 0;

	if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0 || first > last)
		return -EINVAL;
	/* The threads of one process share a table by design here; another process's is what can be left. */
	if ((flags & CLOSE_RANGE_UNSHARE) != 0)
		error = current_process()->thread_count == 1 ? process_unshare_files() : -EINVAL;
	if (error == 0)
		fdtable_close_range(files(), first, last, (flags & CLOSE_RANGE_CLOEXEC) != 0);
	return error;
}

int64_t sys_dup(const uint64_t *a)
{
	struct file *file;
	int error = file_get((int)a[0], &file);

	return error != 0 ? error : install(file, false, 0);
}

int64_t sys_dup3(const uint64_t *a)
{
	if (((uint32_t)a[2] & ~O_CLOEXEC) != 0 || (int)a[0] == (int)a[1])
		return -EINVAL;
	return fdtable_dup_to(files(), (int)a[0], (int)a[1], ((uint32_t)a[2] & O_CLOEXEC) != 0);
}

static int64_t pipe_install(struct file *reader, struct file *writer, unsigned flags, int fds[2])
{
	bool cloexec = (flags & O_CLOEXEC) != 0;
	int64_t error = install(reader, cloexec, 0);

	if (error < 0) {
		file_put(writer);
		return error;
	}
	fds[0] = (int)error;
	error = install(writer, cloexec, 0);
	if (error < 0) {
		(void)!fdtable_close(files(), fds[0]);
		return error;
	}
	fds[1] = (int)error;
	return 0;
}

int64_t sys_pipe2(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[1];
	struct file *reader, *writer;
	int64_t error;
	int fds[2];

	if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0)
		return -EINVAL;
	error = pipe_create(flags, &reader, &writer);
	if (error == 0)
		error = pipe_install(reader, writer, flags, fds);
	if (error != 0)
		return error;
	error = user_write(current_space(), VADDR(a[0]), fds, sizeof(fds));
	if (error != 0) {
		(void)!fdtable_close(files(), fds[0]);
		(void)!fdtable_close(files(), fds[1]);
	}
	return error;
}

static int64_t fcntl_dup(struct file *file, uint64_t from, bool cloexec)
{
	if (from >= fdtable_limit(files()))
		return -EINVAL;
	file_hold(file);
	return install(file, cloexec, (unsigned)from);
}

static void file_set_flags(struct file *file, unsigned which, unsigned to)
{
	uint32_t old = file_flags(file);

	/* relaxed: promises no order with I/O under way; a lost race with another F_SETFL is tried again */
	while (!atomic_compare_exchange_weak_explicit(&file->flags, &old, (old & ~which) | (to & which),
						      memory_order_relaxed, memory_order_relaxed))
		continue;
}

static int64_t fcntl_file(struct file *file, const uint64_t *a)
{
	uint32_t command = (uint32_t)a[1];
	bool is_path = (file_flags(file) & O_PATH) != 0;

	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return fcntl_dup(file, (uint32_t)a[2], command == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return fdtable_cloexec(files(), (int)a[0]);
	case F_SETFD:
		return fdtable_set_cloexec(files(), (int)a[0], (a[2] & FD_CLOEXEC) != 0);
	case F_GETFL:
		return file_flags(file);
	case F_SETFL:
		if (!is_path)
			file_set_flags(file, SETTABLE, (uint32_t)a[2]);
		return is_path ? -EBADF : 0;
	case F_ADD_SEALS:
		return is_path ? -EBADF : file_add_seals(file, (uint32_t)a[2]);
	case F_GET_SEALS:
		return is_path ? -EBADF : file_seals(file);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return is_path ? -EBADF : file_lock_fcntl((int)a[0], file, command, a[2]);
	case F_GETPIPE_SZ:
		return file_is_pipe(file) ? PIPE_BYTES : -EBADF;
	case F_SETPIPE_SZ:
		if (!file_is_pipe(file))
			return -EBADF;
		return a[2] <= PIPE_BYTES ? PIPE_BYTES : -EPERM;
	default:
		return is_path ? -EBADF : -EINVAL;
	}
}

int64_t sys_fcntl(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	result = fcntl_file(file, a);
	file_put(file);
	return result;
}

static int64_t ioctl_nonblocking(struct file *file, uint64_t argument)
{
	uint32_t on;
	int error = user_read(current_space(), &on, VADDR(argument), sizeof(on));

	if (error == 0)
		file_set_flags(file, O_NONBLOCK, on != 0 ? O_NONBLOCK : 0);
	return error;
}

static int64_t ioctl_left(struct file *file, uint64_t argument)
{
	int32_t left;

	spin_lock(&file->lock, RANK_FILE);
	left = (int32_t)(object_bytes(file->data) -
			 file->position); /* what fits, and below 0 behind the end: as on Linux */
	spin_unlock(&file->lock, RANK_FILE);
	return user_write(current_space(), VADDR(argument), &left, sizeof(left));
}

static int64_t ioctl_file(struct file *file, const uint64_t *a)
{
	uint32_t request = (uint32_t)a[1];

	if ((file_flags(file) & O_PATH) != 0)
		return -EBADF;
	if (request == FIOCLEX || request == FIONCLEX)
		return fdtable_set_cloexec(files(), (int)a[0], request == FIOCLEX);
	if (request == FIONBIO)
		return ioctl_nonblocking(file, a[2]);
	if (request == FICLONE || request == FICLONERANGE)
		return file_clone(file, request, a[2]);
	if (request == FIONREAD && file->ops == &regular_ops)
		return ioctl_left(file, a[2]);
	return file->ops->ioctl == NULL ? -ENOTTY : file->ops->ioctl(file, request, a[2]);
}

int64_t sys_ioctl(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	result = ioctl_file(file, a);
	file_put(file);
	return result;
}

/* A regular file that no name leads to. */
int64_t sys_memfd_create(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[1];
	char name[sizeof(MFD_PREFIX) + MFD_NAME_MAX] = MFD_PREFIX;
	struct node *node;
	struct file *file;
	int64_t error;

	if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) != 0 ||
	    (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL;
	error = user_read_string(current_space(), name + sizeof(MFD_PREFIX) - 1, VADDR(a[0]), MFD_NAME_MAX + 1);
	if (error < 0)
		return error == -ENAMETOOLONG ? -EINVAL : error;
	error = node_create(S_IFREG | ((flags & MFD_NOEXEC_SEAL) != 0 ? 0666U : 0777U), &node);
	if (error != 0)
		return error;
	node->name = kalloc(strlen(name) + 1);
	if (node->name == NULL) {
		node_put(node);
		return -ENOMEM;
	}
	strcpy(node->name, name);
	node->regular.sealable = (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)) != 0;
	node->regular.seals = (flags & MFD_NOEXEC_SEAL) != 0 ? F_SEAL_EXEC : 0;
	error = node_open(node, O_RDWR, &file);
	node_put(node);
	return error != 0 ? error : install(file, (flags & MFD_CLOEXEC) != 0, 0);
}
