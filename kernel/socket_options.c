/* What is asked and said of sockets: options, names, shutdown. Numbers are asm-generic's. */
#include "kernel/process.h"
#include "kernel/socket.h"
#include "kernel/sys_file.h"
#include "mm/space.h"

#define SOL_SOCKET	1U
#define SO_REUSEADDR	2U
#define SO_TYPE		3U
#define SO_ERROR	4U
#define SO_SNDBUF	7U
#define SO_RCVBUF	8U
#define SO_PASSCRED	16U
#define SO_PEERCRED	17U
#define SO_RCVTIMEO	20U
#define SO_SNDTIMEO	21U
#define SO_ACCEPTCONN	30U
#define SO_SNDBUFFORCE	32U
#define SO_RCVBUFFORCE	33U
#define SO_PROTOCOL	38U
#define SO_DOMAIN	39U
#define SO_RCVTIMEO_NEW 66U
#define SO_SNDTIMEO_NEW 67U

#define LIMIT_MAX     212992U /* net.core.wmem_max */
#define SEND_LEAST    4608U
#define RECEIVE_LEAST 2304U
#define NS_PER_SEC    INT64_C(1000000000)
#define SECONDS_MAX   (INT64_MAX / NS_PER_SEC - 1)

struct timeval {
	int64_t tv_sec;
	int64_t tv_usec;
};

int64_t sys_shutdown(const uint64_t *a)
{
	static const unsigned of_how[3] = { SHUT_READING, SHUT_WRITING, SHUT_BOTH };
	struct socket *socket;
	unsigned mine;
	int error = socket_get((int)a[0], &socket);

	if (error != 0)
		return error;
	if ((uint32_t)a[1] > 2) {
		file_put(socket->file);
		return -EINVAL;
	}
	mine = of_how[(uint32_t)a[1]];
	pair_lock(socket->pair);
	socket->shut |= mine;
	wake_all(&socket->queue);
	if (!socket->peer->closed && socket->pair->type != SOCK_DGRAM) {
		socket->peer->shut |= ((mine & SHUT_READING) != 0 ? SHUT_WRITING : 0) |
				      ((mine & SHUT_WRITING) != 0 ? SHUT_READING : 0);
		wake_all(&socket->peer->queue);
	} else if (!socket->peer->closed) {
		wake_all(&socket->peer->queue);
	}
	pair_unlock(socket->pair);
	file_put(socket->file);
	return 0;
}

/* ---- Names: no socket here has one. */

static int put_name(uint64_t address, uint64_t length)
{
	uint16_t family = AF_UNIX;
	int32_t room, real = sizeof(family);
	int error = user_read(current_space(), &room, VADDR(length), sizeof(room));

	if (error == 0 && room < 0)
		error = -EINVAL;
	if (error == 0)
		error = user_write(current_space(), VADDR(address), &family, (uint64_t)MIN(room, real));
	return error != 0 ? error : user_write(current_space(), VADDR(length), &real, sizeof(real));
}

static int64_t name_of(const uint64_t *a, bool peer)
{
	struct socket *socket;
	int error = socket_get((int)a[0], &socket);

	if (error != 0)
		return error;
	error = peer && socket->disconnected ? -ENOTCONN : put_name(a[1], a[2]);
	file_put(socket->file);
	return error;
}

int64_t sys_getsockname(const uint64_t *a)
{
	return name_of(a, false);
}

int64_t sys_getpeername(const uint64_t *a)
{
	return name_of(a, true);
}

/* ---- Options. */

static struct timeval timeval_of(uint64_t ns)
{
	if (ns == WAIT_FOREVER)
		return (struct timeval){ 0, 0 };
	return (struct timeval){ (int64_t)(ns / (uint64_t)NS_PER_SEC), (int64_t)(ns % (uint64_t)NS_PER_SEC / 1000) };
}

/* 0, or -ENOPROTOOPT. */
static int number_option(struct socket *socket, uint32_t option, int32_t *value)
{
	switch (option) {
	case SO_TYPE:
		*value = (int32_t)socket->pair->type;
		return 0;
	case SO_ERROR:
		pair_lock(socket->pair);
		*value = -socket_error_locked(socket);
		pair_unlock(socket->pair);
		return 0;
	case SO_SNDBUF:
		*value = (int32_t)socket->send_limit;
		return 0;
	case SO_RCVBUF:
		*value = (int32_t)socket->receive_limit;
		return 0;
	case SO_PASSCRED:
		*value = socket->pass_credentials;
		return 0;
	case SO_DOMAIN:
		*value = AF_UNIX;
		return 0;
	case SO_PROTOCOL:
	case SO_ACCEPTCONN:
	case SO_REUSEADDR:
		*value = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int put_option(const uint64_t *a, const void *value, uint64_t bytes, uint64_t room)
{
	uint32_t n = (uint32_t)MIN(bytes, room);
	int error = user_write(current_space(), VADDR(a[3]), value, n);

	return error != 0 ? error : user_write(current_space(), VADDR(a[4]), &n, sizeof(n));
}

static int get_option(struct socket *socket, const uint64_t *a)
{
	uint32_t option = (uint32_t)a[2];
	struct timeval time;
	int32_t room, value;
	int error = user_read(current_space(), &room, VADDR(a[4]), sizeof(room));

	if (error != 0)
		return error;
	if ((uint32_t)a[1] != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (room < 0)
		return -EINVAL;
	if (option == SO_PEERCRED)
		return put_option(a, &socket->pair->credentials, sizeof(socket->pair->credentials), (uint64_t)room);
	if (option == SO_RCVTIMEO || option == SO_RCVTIMEO_NEW || option == SO_SNDTIMEO || option == SO_SNDTIMEO_NEW) {
		time = timeval_of(option == SO_RCVTIMEO || option == SO_RCVTIMEO_NEW ? socket->receive_ns
										     : socket->send_ns);
		return put_option(a, &time, sizeof(time), (uint64_t)room);
	}
	error = number_option(socket, option, &value);
	return error != 0 ? error : put_option(a, &value, sizeof(value), (uint64_t)room);
}

int64_t sys_getsockopt(const uint64_t *a)
{
	struct socket *socket;
	int error = socket_get((int)a[0], &socket);

	if (error != 0)
		return error;
	error = get_option(socket, a);
	file_put(socket->file);
	return error;
}

static int set_time(uint64_t address, uint64_t bytes, uint64_t *ns)
{
	struct timeval time;

	if (bytes < sizeof(time))
		return -EINVAL;
	if (user_read(current_space(), &time, VADDR(address), sizeof(time)) != 0)
		return -EFAULT;
	if (time.tv_usec < 0 || time.tv_usec >= NS_PER_SEC / 1000)
		return -EDOM;
	if (time.tv_sec < 0)
		*ns = 0;
	else if ((time.tv_sec == 0 && time.tv_usec == 0) || time.tv_sec > SECONDS_MAX)
		*ns = WAIT_FOREVER;
	else
		*ns = (uint64_t)(time.tv_sec * NS_PER_SEC + time.tv_usec * 1000);
	return 0;
}

/* Linux doubles what is asked for, for its own books. */
static uint64_t limit_of(int32_t value, uint64_t least, bool force)
{
	uint64_t most = force ? INT32_MAX / 2 : LIMIT_MAX;

	return MAX(MIN((uint64_t)(uint32_t)MAX(value, force ? 0 : value), most) * 2, least);
}

static int set_number(struct socket *socket, uint32_t option, int32_t value)
{
	switch (option) {
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		pair_lock(socket->pair);
		socket->send_limit = limit_of(value, SEND_LEAST, option == SO_SNDBUFFORCE);
		wake_all(&socket->queue);
		pair_unlock(socket->pair);
		return 0;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		socket->receive_limit = limit_of(value, RECEIVE_LEAST, option == SO_RCVBUFFORCE);
		return 0;
	case SO_PASSCRED:
		socket->pass_credentials = value != 0;
		return 0;
	case SO_REUSEADDR:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_option(struct socket *socket, const uint64_t *a)
{
	uint32_t option = (uint32_t)a[2];
	int32_t value, bytes = (int32_t)a[4];

	if (bytes < 0)
		return -EINVAL;
	if ((uint32_t)a[1] != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (bytes < (int32_t)sizeof(value))
		return -EINVAL;
	if (user_read(current_space(), &value, VADDR(a[3]), sizeof(value)) != 0)
		return -EFAULT;
	if (option == SO_RCVTIMEO || option == SO_RCVTIMEO_NEW)
		return set_time(a[3], (uint32_t)bytes, &socket->receive_ns);
	if (option == SO_SNDTIMEO || option == SO_SNDTIMEO_NEW)
		return set_time(a[3], (uint32_t)bytes, &socket->send_ns);
	return set_number(socket, option, value);
}

int64_t sys_setsockopt(const uint64_t *a)
{
	struct socket *socket;
	int error = socket_get((int)a[0], &socket);

	if (error != 0)
		return error;
	error = set_option(socket, a);
	file_put(socket->file);
	return error;
}
