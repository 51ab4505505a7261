/*
 * socketpair(AF_UNIX): the open files. There are no other sockets: every family is EAFNOSUPPORT to socket().
 *
 * An end's file owns the end: the pair goes when both files have. The pair's lock guards both ends (socket.h); an end sleeps on
 * its own queue, whatever it waits for, and whoever changes something that it may wait for wakes it: the peer, under the lock, so that
 * the pair is there.
 */
#include "kernel/socket.h"

#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "mm/slab.h"
#include "mm/space.h"

#define AF_MAX	      46U
#define SOCK_TYPE     0xfU
#define SOCK_PACKET   10U
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC  O_CLOEXEC
#define LIMIT_DEFAULT 212992U

#define FIONREAD 0x541BU
#define SIOCOUTQ 0x5411U

static unsigned flags_of(const struct file *file)
{
	return (file_flags(file) & O_NONBLOCK) != 0 ? MSG_DONTWAIT : 0;
}

static int64_t socket_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct socket_receive receive = { .flags = flags_of(file) };
	int64_t result;

	(void)at;
	if (io->left == 0)
		return 0;
	result = socket_receive(file->data, io, &receive);
	rights_drop(receive.rights);
	return result;
}

static int64_t socket_write(struct file *file, struct io *io, const uint64_t *at)
{
	struct socket_send send = { .flags = flags_of(file) };

	(void)at;
	return socket_send(file->data, io, &send);
}

static unsigned socket_poll(struct file *file, struct wait_queue **queue)
{
	struct socket *socket = file->data;
	unsigned events;

	*queue = &socket->queue;
	pair_lock(socket->pair);
	events = (socket->error != 0 ? POLLERR : 0) | (socket->shut == SHUT_BOTH ? POLLHUP : 0);
	if ((socket->shut & SHUT_READING) != 0)
		events |= POLLRDHUP | POLLIN;
	if (!list_empty(&socket->messages))
		events |= POLLIN;
	if (socket_writable_locked(socket))
		events |= POLLOUT;
	pair_unlock(socket->pair);
	return events;
}

static int socket_stat(struct file *file, struct file_stat *out)
{
	const struct socket *socket = file->data;

	*out = (struct file_stat){
		.device = 4, .inode = socket->inode, .mode = S_IFSOCK | 0777U, .links = 1, .block_size = PAGE_SIZE
	};
	return 0;
}

/* A stream: all there is; others: the next message. */
static uint64_t to_read_locked(const struct socket *socket)
{
	uint64_t bytes = 0;

	list_for_each (pos, &socket->messages) {
		const struct message *message = list_entry(pos, struct message, link);

		bytes += message->bytes - message->got;
		if (socket->pair->type == SOCK_DGRAM)
			break;
	}
	return bytes;
}

static int64_t socket_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	struct socket *socket = file->data;
	int32_t value;

	if (request != FIONREAD && request != SIOCOUTQ)
		return -ENOTTY;
	pair_lock(socket->pair);
	value = (int32_t)(request == FIONREAD ? to_read_locked(socket) : socket->sent);
	pair_unlock(socket->pair);
	return user_write(current_space(), VADDR(argument), &value, sizeof(value));
}

/* [pair] A connection ends for both, with an error where something was not read. */
static void end_connection(struct socket *socket)
{
	if (socket->pair->type == SOCK_DGRAM)
		return;
	socket->peer->shut = SHUT_BOTH;
	if (!list_empty(&socket->messages))
		socket->peer->error = -ECONNRESET;
}

static void socket_release(struct file *file)
{
	struct socket *socket = file->data;
	struct socket_pair *pair = socket->pair;
	struct list gone;
	bool last;

	list_init(&gone);
	in_flight_enter();
	pair_lock(pair);
	end_connection(socket);
	socket->closed = true;
	socket_purge_locked(socket, false, &gone);
	last = --pair->open == 0;
	if (!last)
		wake_all(&socket->peer->queue);
	pair_unlock(pair);
	in_flight_leave();
	if (last)
		kfree(pair);
	messages_drop(&gone);
	rights_collect();
}

static const struct file_ops socket_ops = {
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.stat = socket_stat,
	.ioctl = socket_ioctl,
	.release = socket_release,
	.lost = rights_collect,
};

struct socket *socket_of(const struct file *file)
{
	return file->ops == &socket_ops ? file->data : NULL;
}

int socket_get(int fd, struct socket **out)
{
	struct file *file;
	int error = file_get(fd, &file);

	if (error != 0)
		return error;
	*out = socket_of(file);
	if (*out != NULL)
		return 0;
	error = (file_flags(file) & O_PATH) != 0 ? -EBADF : -ENOTSOCK;
	file_put(file);
	return error;
}

int socket_error_locked(struct socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return error;
}

/* ---- Making a pair. */

static void end_init(struct socket *end, struct socket_pair *pair, struct socket *peer)
{
	static _Atomic uint64_t inodes = 1;

	end->pair = pair;
	end->peer = peer;
	wait_queue_init(&end->queue);
	list_init(&end->messages);
	list_init(&end->flight);
	end->send_limit = end->receive_limit = LIMIT_DEFAULT;
	end->send_ns = end->receive_ns = WAIT_FOREVER;
	/* relaxed: only uniqueness counts */
	end->inode = atomic_fetch_add_explicit(&inodes, 1, memory_order_relaxed);
}

static struct socket_pair *pair_new(unsigned type)
{
	struct socket_pair *pair = kalloc(sizeof(*pair));

	if (pair == NULL)
		return NULL;
	spin_init(&pair->lock);
	pair->type = type == SOCK_RAW ? SOCK_DGRAM : type;
	pair->open = 2;
	pair->credentials.pid = (int32_t)current_process()->pid;
	end_init(&pair->end[0], pair, &pair->end[1]);
	end_init(&pair->end[1], pair, &pair->end[0]);
	return pair;
}

static int pair_create(unsigned type, struct file *made[2])
{
	struct socket_pair *pair = pair_new(type & SOCK_TYPE);
	unsigned flags = O_RDWR | (type & O_NONBLOCK);
	int error;

	if (pair == NULL)
		return -ENOMEM;
	error = file_create(&socket_ops, flags, NULL, &pair->end[0], &made[0]);
	if (error != 0) {
		kfree(pair);
		return error;
	}
	pair->end[0].file = made[0];
	error = file_create(&socket_ops, flags, NULL, &pair->end[1], &made[1]);
	if (error != 0) {
		pair->open = 1;
		file_put(made[0]); /* takes the pair with it */
		return error;
	}
	pair->end[1].file = made[1];
	return 0;
}

static int check_kind(const uint64_t *a)
{
	uint32_t family = (uint32_t)a[0], type = (uint32_t)a[1];

	if ((type & ~(SOCK_TYPE | SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
		return -EINVAL;
	if (family >= AF_MAX)
		return -EAFNOSUPPORT;
	return (type & SOCK_TYPE) > SOCK_PACKET ? -EINVAL : 0;
}

static int check_pair(const uint64_t *a)
{
	uint32_t type = (uint32_t)a[1] & SOCK_TYPE;
	int error = check_kind(a);

	if (error != 0)
		return error;
	if ((uint32_t)a[0] != AF_UNIX)
		return -EAFNOSUPPORT;
	if ((uint32_t)a[2] > 1)
		return -EPROTONOSUPPORT;
	return (type >= SOCK_STREAM && type <= SOCK_RAW) || type == SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
}

int64_t sys_socket(const uint64_t *a)
{
	int error = check_kind(a);

	return error != 0 ? error : -EAFNOSUPPORT;
}

/* Both or none. */
static int install_pair(struct file *made[2], bool cloexec, int fd[2])
{
	struct fd_table *files = current_process()->files;

	fd[0] = fdtable_install(files, made[0], cloexec, 0);
	if (fd[0] < 0) {
		file_put(made[0]);
		file_put(made[1]);
		return fd[0];
	}
	fd[1] = fdtable_install(files, made[1], cloexec, 0);
	if (fd[1] < 0) {
		(void)!fdtable_close(files, fd[0]);
		file_put(made[1]);
	}
	return MIN(fd[1], 0);
}

int64_t sys_socketpair(const uint64_t *a)
{
	struct fd_table *files = current_process()->files;
	struct file *made[2];
	int fd[2];
	int error = check_pair(a);

	if (error == 0)
		error = pair_create((uint32_t)a[1], made);
	if (error == 0)
		error = install_pair(made, ((uint32_t)a[1] & SOCK_CLOEXEC) != 0, fd);
	if (error != 0)
		return error;
	error = user_write(current_space(), VADDR(a[3]), fd, sizeof(fd));
	if (error != 0) {
		(void)!fdtable_close(files, fd[0]);
		(void)!fdtable_close(files, fd[1]);
	}
	return error;
}
