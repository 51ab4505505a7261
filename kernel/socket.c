/*
 * socketpair(AF_UNIX, SOCK_STREAM): two pipes, one each way. There are no other sockets: every family is EAFNOSUPPORT.
 *
 * Both pipes wait on the pair's one queue, so that poll has one to wait on whatever it waits for. An end holds its two
 * pipe files and a count of the pair, which it gives back last: a pipe wakes the queue only in calls on an end.
 * Locks: none of its own.
 */
#include "kernel/pipe.h"
#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "kernel/wait.h"
#include "mm/slab.h"
#include "mm/space.h"

#define AF_UNIX	      1U
#define AF_MAX	      46U
#define SOCK_TYPE     0xfU
#define SOCK_STREAM   1U
#define SOCK_PACKET   10U
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC  O_CLOEXEC

struct pair {
	_Atomic uint32_t ends;
	struct wait_queue queue;
};

struct end {
	struct pair *pair;
	struct file *in, *out;
};

/* The pipe's end does as the socket's O_NONBLOCK says; two calls at once with F_SETFL between them may see either. */
static struct file *end_file(const struct file *file, struct file *inner, unsigned mode)
{
	/* relaxed: as F_SETFL */
	atomic_store_explicit(&inner->flags, mode | (file_flags(file) & O_NONBLOCK), memory_order_relaxed);
	return inner;
}

static int64_t socket_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct end *end = file->data;

	return end->in->ops->read(end_file(file, end->in, O_RDONLY), io, at);
}

static int64_t socket_write(struct file *file, struct io *io, const uint64_t *at)
{
	struct end *end = file->data;

	return end->out->ops->write(end_file(file, end->out, O_WRONLY), io, at);
}

/* The other end has both files or neither: where it has gone, there is an end to be read, and writing is an error. */
static unsigned socket_poll(struct file *file, struct wait_queue **queue)
{
	struct end *end = file->data;
	unsigned in = end->in->ops->poll(end->in, queue);
	unsigned out = end->out->ops->poll(end->out, queue);

	*queue = &end->pair->queue;
	return (in & POLLHUP) != 0 ? in | POLLIN | POLLOUT : (in | out);
}

static int socket_stat(struct file *file, struct file_stat *out)
{
	struct end *end = file->data;
	int error = end->in->ops->stat(end->in, out);

	out->mode = S_IFSOCK | 0777U;
	return error;
}

static int64_t socket_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	struct end *end = file->data;

	return end->in->ops->ioctl(end->in, request, argument);
}

static void end_free(struct end *end)
{
	/* acq_rel: the other end is done with the queue */
	if (atomic_fetch_sub_explicit(&end->pair->ends, 1, memory_order_acq_rel) == 1)
		kfree(end->pair);
	kfree(end);
}

static void socket_release(struct file *file)
{
	struct end *end = file->data;

	file_put(end->in);
	file_put(end->out);
	end_free(end);
}

static const struct file_ops socket_ops = {
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.stat = socket_stat,
	.ioctl = socket_ioctl,
	.release = socket_release,
};

/* Takes over the counts of in, out and the pair, also when it fails. */
static int socket_create(struct pair *pair, struct file *in, struct file *out, unsigned flags, struct file **made)
{
	struct end *end = kalloc(sizeof(*end));
	int error = -ENOMEM;

	if (end != NULL) {
		*end = (struct end){ pair, in, out };
		error = file_create(&socket_ops, O_RDWR | (flags & O_NONBLOCK), NULL, end, made);
	}
	if (error == 0)
		return 0;
	file_put(in);
	file_put(out);
	if (end != NULL)
		end_free(end);
	/* acq_rel: as in end_free */
	else if (atomic_fetch_sub_explicit(&pair->ends, 1, memory_order_acq_rel) == 1)
		kfree(pair);
	return error;
}

static int pair_files(struct pair *pair, struct file *file[4])
{
	int error = pipe_create(0, &pair->queue, &file[0], &file[1]);

	if (error != 0)
		return error;
	error = pipe_create(0, &pair->queue, &file[2], &file[3]);
	if (error != 0) {
		file_put(file[0]);
		file_put(file[1]);
	}
	return error;
}

static int pair_create(unsigned flags, struct file *made[2])
{
	struct pair *pair = kalloc(sizeof(*pair));
	struct file *file[4];
	int error, other;

	if (pair == NULL)
		return -ENOMEM;
	wait_queue_init(&pair->queue);
	atomic_init(&pair->ends, 2);
	error = pair_files(pair, file);
	if (error != 0) {
		kfree(pair);
		return error;
	}
	error = socket_create(pair, file[0], file[3], flags, &made[0]);
	other = socket_create(pair, file[2], file[1], flags, &made[1]);
	if (error == 0 && other != 0)
		file_put(made[0]);
	if (error != 0 && other == 0)
		file_put(made[1]);
	return error != 0 ? error : other;
}

static int check_kind(uint32_t family, uint32_t type)
{
	if ((type & ~(SOCK_TYPE | SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
		return -EINVAL;
	if (family >= AF_MAX)
		return -EAFNOSUPPORT;
	return (type & SOCK_TYPE) > SOCK_PACKET ? -EINVAL : 0;
}

int64_t sys_socket(const uint64_t *a)
{
	int error = check_kind((uint32_t)a[0], (uint32_t)a[1]);

	return error != 0 ? error : -EAFNOSUPPORT;
}

int64_t sys_socketpair(const uint64_t *a)
{
	struct fd_table *files = current_process()->files;
	uint32_t type = (uint32_t)a[1];
	bool cloexec = (type & SOCK_CLOEXEC) != 0;
	struct file *made[2];
	int fd[2];
	int error = check_kind((uint32_t)a[0], type);

	if (error != 0)
		return error;
	if ((uint32_t)a[0] != AF_UNIX)
		return -EAFNOSUPPORT;
	if ((type & SOCK_TYPE) != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	if ((uint32_t)a[2] > 1)
		return -EPROTONOSUPPORT;
	error = pair_create(type, made);
	if (error != 0)
		return error;
	fd[0] = fdtable_install(files, made[0], cloexec, 0);
	fd[1] = fd[0] < 0 ? fd[0] : fdtable_install(files, made[1], cloexec, 0);
	if (fd[0] < 0)
		file_put(made[0]);
	if (fd[1] < 0)
		file_put(made[1]);
	error = fd[1] < 0 ? fd[1] : user_write(current_space(), VADDR(a[3]), fd, sizeof(fd));
	if (error != 0) {
		if (fd[0] >= 0)
			(void)!fdtable_close(files, fd[0]);
		if (fd[1] >= 0)
			(void)!fdtable_close(files, fd[1]);
	}
	return error;
}

/* send and recv without flags and addresses, which are write and read. */
static int check_socket(const uint64_t *a)
{
	struct file *file;
	int error = file_get((int)a[0], &file);

	if (error != 0)
		return error;
	if (file->ops != &socket_ops)
		error = -ENOTSOCK;
	else if ((uint32_t)a[3] != 0)
		error = -EOPNOTSUPP;
	file_put(file);
	return error;
}

int64_t sys_sendto(const uint64_t *a)
{
	int error = check_socket(a);

	if (error == 0 && a[4] != 0)
		error = -EISCONN;
	return error != 0 ? error : sys_write(a);
}

int64_t sys_recvfrom(const uint64_t *a)
{
	int error = check_socket(a);

	return error != 0 ? error : sys_read(a);
}
