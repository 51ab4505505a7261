/*
 * Messages between the two sockets of a pair: making, queueing, reading them, and waiting for either.
 *
 * A stream is a queue of messages of at most STREAM_PIECE, read without regard to where they end, but for those that carry
 * files or, where they are asked for, other credentials. A message is charged to its sender with what it takes in memory until it is read.
 *
 * A message is filled before it is queued, with no lock held; it is read under the pair's lock, so that what one reader
 * takes lies together. Whether there is room is looked at before it is filled: senders at once may exceed the limit by a message each.
 */
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/socket.h"
#include "kernel/syscall.h"
#include "kernel/touch.h"
#include "mm/slab.h"

#define STREAM_PIECE   32768U
#define MESSAGE_CHARGE 576U /* what Linux counts for an empty one */
#define CHUNK_BYTES    (PAGE_SIZE - sizeof(struct chunk))

struct chunk {
	struct list link;
	uint64_t bytes;
	char data[];
};

/* ---- Messages. */

void message_free(struct message *message)
{
	list_for_each_safe (pos, next, &message->chunks)
		kfree(list_entry(pos, struct chunk, link));
	kfree(message);
}

static int message_fill(struct message *message, struct io *io, uint64_t n)
{
	while (message->bytes < n) {
		uint64_t piece = MIN(n - message->bytes, CHUNK_BYTES);
		struct chunk *chunk = kalloc(sizeof(*chunk) + piece);

		if (chunk == NULL)
			return -ENOBUFS;
		chunk->bytes = piece;
		list_add_tail(&message->chunks, &chunk->link);
		if (io_take(io, chunk->data, piece) != piece)
			return io->error;
		message->bytes += piece;
	}
	return 0;
}

/* Of the next n bytes of io. -EFAULT, -ENOBUFS. */
static int message_create(struct io *io, uint64_t n, struct message **out)
{
	struct message *message = kalloc(sizeof(*message));
	int error;

	if (message == NULL)
		return -ENOBUFS;
	list_init(&message->link);
	list_init(&message->chunks);
	message->charge = MESSAGE_CHARGE + ALIGN_UP(n, 64U);
	error = message_fill(message, io, n);
	if (error != 0)
		message_free(message);
	else
		*out = message;
	return error;
}

/* Copies up to n bytes from `from` on. How many; fewer: io->error. */
static uint64_t message_put(const struct message *message, uint64_t from, uint64_t n, struct io *io)
{
	uint64_t done = 0;

	touch_forbid();
	list_for_each (pos, &message->chunks) {
		const struct chunk *chunk = list_entry(pos, struct chunk, link);
		uint64_t piece;

		if (from >= chunk->bytes) {
			from -= chunk->bytes;
			continue;
		}
		piece = MIN(n - done, chunk->bytes - from);
		done += io_put(io, chunk->data + from, piece);
		if (io->error != 0 || done == n)
			break;
		from = 0;
	}
	touch_allow();
	return done;
}

/* [pair; in flight where it has rights] */
static void message_unlink(struct socket *socket, struct message *message, struct list *out)
{
	if (message->rights != NULL) {
		rights_land_locked(message->rights);
		socket->with_rights--;
	}
	socket->peer->sent -= message->charge;
	list_del(&message->link);
	list_add_tail(out, &message->link);
}

void socket_purge_locked(struct socket *socket, bool only_rights, struct list *out)
{
	list_for_each_safe (pos, next, &socket->messages) {
		struct message *message = list_entry(pos, struct message, link);

		if (!only_rights || message->rights != NULL)
			message_unlink(socket, message, out);
	}
}

/* ---- Sending. */

static uint64_t deadline_of(unsigned flags, uint64_t ns)
{
	if ((flags & MSG_DONTWAIT) != 0 || ns == 0)
		return 0;
	return ns == WAIT_FOREVER ? WAIT_FOREVER : deadline_after(ns);
}

static int wait_until(uint64_t deadline_ns)
{
	int error = deadline_ns == 0 ? -EAGAIN : wait_block(deadline_ns);

	return error == -ETIMEDOUT ? -EAGAIN : error;
}

bool socket_writable_locked(const struct socket *socket)
{
	return socket->sent * 4 <= socket->send_limit;
}

/* 1: a message may be sent; 0: not yet; or an errno. */
static int may_send(struct socket *socket)
{
	int result;

	pair_lock(socket->pair);
	result = socket_error_locked(socket);
	if (result == 0)
		result = (socket->shut & SHUT_WRITING) != 0 ? -EPIPE : socket->sent < socket->send_limit;
	pair_unlock(socket->pair);
	return result;
}

static int wait_for_room(struct socket *socket, uint64_t deadline_ns)
{
	struct waiter waiter = { 0 };
	int result = may_send(socket);

	while (result == 0) {
		wait_prepare(&socket->queue, &waiter);
		result = may_send(socket);
		if (result == 0)
			result = wait_until(deadline_ns);
	}
	wait_finish(&socket->queue, &waiter);
	return MIN(result, 0);
}

/* [pair] As Linux has it: noted only where one of the two wants to see them, or they were given. */
static void message_sign(struct message *message, const struct socket *socket, const struct socket_send *send)
{
	message->credentials = (struct credentials){ 0, 65534, 65534 };
	if (send->credentials_given)
		message->credentials = send->credentials;
	else if (socket->pass_credentials || socket->peer->pass_credentials)
		message->credentials = (struct credentials){ .pid = (int32_t)current_process()->pid };
}

static void queue_locked(struct socket *socket, struct message *message, struct socket_send *send)
{
	struct socket *peer = socket->peer;

	message_sign(message, socket, send);
	message->rights = send->rights;
	if (send->rights != NULL) {
		rights_depart_locked(send->rights);
		peer->with_rights++;
	}
	send->rights = NULL;
	socket->sent += message->charge;
	list_add_tail(&peer->messages, &message->link);
	wake_all(&peer->queue);
}

static int queue_message(struct socket *socket, struct message *message, struct socket_send *send)
{
	bool both = send->rights != NULL;
	int error = 0;

	if (both)
		in_flight_enter();
	pair_lock(socket->pair);
	if (socket->peer->closed)
		error = socket->pair->type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
	else if ((socket->peer->shut & SHUT_READING) != 0)
		error = -EPIPE;
	else
		queue_locked(socket, message, send);
	pair_unlock(socket->pair);
	if (both)
		in_flight_leave();
	return error;
}

/* A datagram found the peer closed: the socket has none any more, and forgets what it sent. */
static void disconnect(struct socket *socket)
{
	struct list gone;

	list_init(&gone);
	in_flight_enter();
	pair_lock(socket->pair);
	socket->disconnected = true;
	socket_purge_locked(socket, false, &gone);
	pair_unlock(socket->pair);
	in_flight_leave();
	messages_drop(&gone);
}

static int send_message(struct socket *socket, struct io *io, uint64_t n, struct socket_send *send, uint64_t deadline)
{
	struct message *message;
	int error = wait_for_room(socket, deadline);

	if (error == 0)
		error = message_create(io, n, &message);
	if (error != 0)
		return error;
	error = queue_message(socket, message, send);
	if (error != 0)
		message_free(message);
	return error;
}

static bool may_not_write(struct socket *socket)
{
	bool shut;

	pair_lock(socket->pair);
	shut = (socket->shut & SHUT_WRITING) != 0;
	pair_unlock(socket->pair);
	return shut;
}

static int64_t send_stream(struct socket *socket, struct io *io, struct socket_send *send, uint64_t deadline)
{
	uint64_t done = 0;
	int error = may_not_write(socket) ? -EPIPE : 0;

	while (error == 0 && io->left != 0) {
		uint64_t n = MIN(io->left, MIN(socket->send_limit / 2 - 64, STREAM_PIECE));

		error = send_message(socket, io, n, send, deadline);
		if (error == 0)
			done += n;
		io_yield(io);
	}
	if (error == -EPIPE && done == 0 && (send->flags & MSG_NOSIGNAL) == 0)
		signal_self(SIGPIPE);
	return done != 0 ? (int64_t)done : error;
}

int64_t socket_send(struct socket *socket, struct io *io, struct socket_send *send)
{
	uint64_t deadline, bytes = io->left;
	int64_t result;

	if ((send->flags & MSG_OOB) != 0)
		return -EOPNOTSUPP;
	deadline = deadline_of(send->flags, socket->send_ns);
	if (socket->pair->type == SOCK_STREAM)
		result = send_stream(socket, io, send, deadline);
	else if (socket->disconnected)
		result = -ENOTCONN;
	else if (bytes > socket->send_limit - 32)
		result = -EMSGSIZE;
	else
		result = send_message(socket, io, bytes, send, deadline);
	if (result == -ECONNREFUSED)
		disconnect(socket);
	if (result != -EINTR)
		deadline_done();
	return result == 0 ? (int64_t)bytes : result;
}

/* ---- Receiving. */

/* Both locks where a message with files may be read, which *both says; else the pair's. */
static void receive_lock(struct socket *socket, bool *both)
{
	pair_lock(socket->pair);
	*both = socket->with_rights != 0;
	if (!*both)
		return;
	pair_unlock(socket->pair);
	in_flight_enter();
	pair_lock(socket->pair);
}

static void receive_unlock(struct socket *socket, bool both)
{
	pair_unlock(socket->pair);
	if (both)
		in_flight_leave();
}

/* What goes with a message that is being read. Without memory a look at it shows no files, as on Linux. */
static void take_along(struct message *message, struct socket_receive *receive)
{
	receive->credentials = message->credentials;
	receive->has_credentials = true;
	if (message->rights != NULL && (receive->flags & MSG_PEEK) != 0)
		receive->rights = rights_copy(message->rights);
}

/* The message has been unlinked, or stays without its files. */
static void take_rights(struct message *message, struct socket_receive *receive)
{
	receive->rights = message->rights;
	message->rights = NULL;
}

/* A read that waits is at its end where reading is shut; one that does not finds nothing, on datagram sockets. */
static int64_t packet_locked(struct socket *socket, struct io *io, struct socket_receive *receive, struct list *done)
{
	const struct io before = *io;
	struct message *message;
	uint64_t n;
	int error = socket_error_locked(socket);

	if (error != 0)
		return error;
	if (list_empty(&socket->messages))
		return (socket->shut & SHUT_READING) != 0 && (socket->pair->type != SOCK_DGRAM || receive->waits)
			       ? 0
			       : -EAGAIN;
	message = list_first(&socket->messages, struct message, link);
	n = MIN(io->left, message->bytes);
	if (n < message->bytes)
		receive->told |= MSG_TRUNC;
	if (message_put(message, 0, n, io) != n)
		error = io->error;
	if (error == -EWANTED) {
		io_rewind(io, &before);
		return error;
	}
	take_along(message, receive);
	if ((receive->flags & MSG_PEEK) == 0) {
		message_unlink(socket, message, done);
		take_rights(message, receive);
	}
	if (error != 0)
		return error;
	return (int64_t)((receive->flags & MSG_TRUNC) != 0 ? message->bytes : n);
}

static bool same_writer(const struct message *message, const struct socket_receive *receive)
{
	const struct credentials *a = &message->credentials, *b = &receive->credentials;

	return !receive->has_credentials || (a->pid == b->pid && a->uid == b->uid && a->gid == b->gid);
}

/* One message of a stream, as far as it goes. Whether the next one may follow. */
static bool piece_locked(struct socket *socket, struct message *message, struct io *io, struct socket_receive *receive,
			 struct list *done)
{
	const struct io before = *io;
	uint64_t n = MIN(io->left, message->bytes - message->got);
	uint64_t moved = message_put(message, message->got, n, io);
	bool rights = message->rights != NULL;

	if (io->error == -EWANTED)
		io_rewind(io, &before);
	if (io->error == -EWANTED || (moved == 0 && n != 0))
		return false;
	take_along(message, receive);
	if ((receive->flags & MSG_PEEK) != 0)
		return !rights && io->error == 0;
	message->got += moved;
	if (rights) {
		rights_land_locked(message->rights);
		socket->with_rights--;
		take_rights(message, receive);
	}
	if (message->got == message->bytes)
		message_unlink(socket, message, done);
	return !rights && io->error == 0;
}

/* What there is; -EAGAIN: nothing. */
static int64_t stream_locked(struct socket *socket, struct io *io, struct socket_receive *receive, struct list *done)
{
	const struct io before = *io;
	bool empty = list_empty(&socket->messages);
	int error = 0;

	list_for_each_safe (pos, next, &socket->messages) {
		struct message *message = list_entry(pos, struct message, link);

		if (io->left == 0 || (socket->pass_credentials && !same_writer(message, receive)) ||
		    !piece_locked(socket, message, io, receive, done))
			break;
	}
	if (empty) {
		error = socket_error_locked(socket);
		if (error == 0)
			error = (socket->shut & SHUT_READING) != 0 ? 0 : -EAGAIN;
	}
	if (io->error == -EWANTED && (receive->flags & MSG_PEEK) != 0)
		io_rewind(io, &before);
	return error != 0 ? error : io_result(io, before.left - io->left);
}

static int64_t try_receive(struct socket *socket, struct io *io, struct socket_receive *receive)
{
	struct list done;
	int64_t result;
	bool both, read;

	list_init(&done);
	io->error = 0;
	receive_lock(socket, &both);
	if (socket->pair->type == SOCK_STREAM)
		result = stream_locked(socket, io, receive, &done);
	else
		result = packet_locked(socket, io, receive, &done);
	read = !list_empty(&done);
	if (read && !socket->peer->closed)
		wake_all(&socket->peer->queue);
	receive_unlock(socket, both);
	messages_drop(&done);
	return result;
}

/* Whether a call that has moved `done` bytes, and now found this, goes on. */
static bool goes_on(const struct socket *socket, const struct io *io, const struct socket_receive *receive,
		    uint64_t done, int64_t result)
{
	bool all = socket->pair->type == SOCK_STREAM && (receive->flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;

	if (result == -EAGAIN)
		return done == 0 || all;
	return all && result > 0 && io->left != 0 && io->error == 0 && receive->rights == NULL;
}

int64_t socket_receive(struct socket *socket, struct io *io, struct socket_receive *receive)
{
	struct waiter waiter = { 0 };
	uint64_t deadline, done = 0;
	int64_t result;

	if ((receive->flags & MSG_OOB) != 0)
		return -EOPNOTSUPP;
	deadline = deadline_of(receive->flags, socket->receive_ns);
	receive->waits = deadline != 0;
	do {
		wait_prepare(&socket->queue, &waiter);
		result = try_receive(socket, io, receive);
		done += result > 0 ? (uint64_t)result : 0;
		if (io->error == -EWANTED) {
			result = io_touch(io);
		} else if (!goes_on(socket, io, receive, done, result)) {
			break;
		} else if (result == -EAGAIN) {
			result = wait_until(deadline);
		}
	} while (result >= 0);
	wait_finish(&socket->queue, &waiter);
	if (result != -EINTR)
		deadline_done();
	return done != 0 ? (int64_t)done : result;
}
