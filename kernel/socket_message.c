/*
 * System calls that send and receive: addresses and struct msghdr. What moves is socket_queue.c's; control messages: socket_control.c.
 *
 * No socket here has a name, so an address that one gives leads nowhere, and none is ever told.
 */
#include <string.h>

#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/socket.h"
#include "kernel/sys_file.h"
#include "mm/slab.h"
#include "mm/space.h"

#define RANGES_FEW   8U
#define ADDRESS_MAX  128 /* a struct sockaddr_storage */
#define ADDRESS_UNIX 110U
#define MESSAGES_MAX 1024U

/* As programs have them. */
struct message_header {
	uint64_t name;
	int32_t name_bytes;
	int32_t pad;
	uint64_t ranges;
	uint64_t range_count;
	uint64_t control;
	uint64_t control_bytes;
	uint32_t flags;
	uint32_t pad_end;
};

static unsigned all_flags(const struct socket *socket, uint64_t flags)
{
	return (uint32_t)flags | ((file_flags(socket->file) & O_NONBLOCK) != 0 ? MSG_DONTWAIT : 0);
}

/* ---- Addresses. */

/* To a name, of which there is none: what Linux says. length > 0. */
static int send_to_name(uint64_t address, uint32_t length)
{
	char name[ADDRESS_UNIX + 1] = { 0 };
	uint16_t family;
	struct node *from, *node;
	int error;

	if (length <= sizeof(family) || length > ADDRESS_UNIX)
		return -EINVAL;
	error = user_read(current_space(), name, VADDR(address), length);
	if (error != 0)
		return error;
	family = (uint16_t)((uint8_t)name[0] | (uint8_t)name[1] << 8);
	if (family != AF_UNIX)
		return -EINVAL;
	if (name[sizeof(family)] == 0)
		return -ECONNREFUSED;
	from = node_cwd();
	error = path_lookup(from, name + sizeof(family), WALK_FOLLOW, &node);
	node_put(from);
	if (error == 0)
		node_put(node);
	return error != 0 ? error : -ECONNREFUSED;
}

static int check_address(const struct socket *socket, uint64_t address, int32_t length)
{
	if (address == 0 || length == 0)
		return 0;
	if (length < 0 || length > ADDRESS_MAX)
		return -EINVAL;
	if (socket->pair->type == SOCK_STREAM)
		return -EISCONN;
	return socket->pair->type == SOCK_SEQPACKET ? 0 : send_to_name(address, (uint32_t)length);
}

/* ---- sendto, recvfrom. */

int64_t sys_sendto(const uint64_t *a)
{
	struct io_range range = { VADDR(a[1]), MIN(a[2], UINT64_C(0x7ffff000)) };
	struct socket *socket;
	struct socket_send send = { 0 };
	struct io io;
	int64_t result;

	if (!user_range_ok(a[1], a[2]))
		return -EFAULT;
	result = socket_get((int)a[0], &socket);
	if (result != 0)
		return result;
	send.flags = all_flags(socket, a[3]);
	result = check_address(socket, a[4], (int32_t)a[5]);
	io_init(&io, current_space(), &range, range.bytes);
	if (result == 0)
		result = socket_send(socket, &io, &send);
	file_put(socket->file);
	return result;
}

/* What recvfrom says of the sender, who has no name. */
static int put_no_address(uint64_t length)
{
	int32_t room, none = 0;
	int error = user_read(current_space(), &room, VADDR(length), sizeof(room));

	if (error != 0)
		return error;
	return room < 0 ? -EINVAL : user_write(current_space(), VADDR(length), &none, sizeof(none));
}

int64_t sys_recvfrom(const uint64_t *a)
{
	struct io_range range = { VADDR(a[1]), MIN(a[2], UINT64_C(0x7ffff000)) };
	struct socket_receive receive = { 0 };
	struct socket *socket;
	struct io io;
	int64_t result;
	int error;

	if (!user_range_ok(a[1], a[2]))
		return -EFAULT;
	result = socket_get((int)a[0], &socket);
	if (result != 0)
		return result;
	receive.flags = all_flags(socket, a[3]);
	io_init(&io, current_space(), &range, range.bytes);
	result = socket_receive(socket, &io, &receive);
	rights_drop(receive.rights);
	if (result >= 0 && a[4] != 0) {
		error = put_no_address(a[5]);
		result = error != 0 ? error : result;
	}
	file_put(socket->file);
	return result;
}

/* ---- Headers. */

struct ranges {
	struct io_range few[RANGES_FEW];
	struct io_range *range;
	uint64_t bytes;
};

static void ranges_free(struct ranges *ranges)
{
	if (ranges->range != ranges->few)
		kfree(ranges->range);
}

static int header_read(uint64_t address, struct message_header *header, struct ranges *ranges)
{
	int error = user_read(current_space(), header, VADDR(address), sizeof(*header));

	if (error != 0)
		return error;
	if (header->name == 0)
		header->name_bytes = 0;
	if (header->name_bytes < 0)
		return -EINVAL;
	header->name_bytes = MIN(header->name_bytes, ADDRESS_MAX);
	if (header->range_count > RANGES_MAX)
		return -EMSGSIZE;
	ranges->range = ranges->few;
	if (header->range_count > RANGES_FEW)
		ranges->range = kalloc(header->range_count * sizeof(struct io_range));
	if (ranges->range == NULL)
		return -ENOMEM;
	error = user_ranges(ranges->range, header->ranges, header->range_count, &ranges->bytes);
	if (error != 0)
		ranges_free(ranges);
	return error;
}

/* ---- sendmsg, recvmsg. */

static int64_t send_one(struct socket *socket, uint64_t address, uint64_t flags)
{
	struct socket_send send = { .flags = all_flags(socket, flags) };
	struct message_header header;
	struct ranges ranges;
	struct io io;
	int64_t result = header_read(address, &header, &ranges);

	if (result != 0)
		return result;
	result = control_read(header.control, header.control_bytes, &send);
	if (result == 0)
		result = check_address(socket, header.name, header.name_bytes);
	io_init(&io, current_space(), ranges.range, ranges.bytes);
	if (result == 0)
		result = socket_send(socket, &io, &send);
	rights_drop(send.rights);
	ranges_free(&ranges);
	return result;
}

int64_t sys_sendmsg(const uint64_t *a)
{
	struct socket *socket;
	int64_t result;

	if (((uint32_t)a[2] & MSG_CMSG_COMPAT) != 0)
		return -EINVAL;
	result = socket_get((int)a[0], &socket);
	if (result != 0)
		return result;
	result = send_one(socket, a[1], a[2]);
	file_put(socket->file);
	return result;
}

/* What recvmsg changes in the header. */
static int header_write(uint64_t address, const struct message_header *header, uint32_t flags, uint64_t control_bytes)
{
	const int32_t no_name = 0;
	int error = 0;

	if (header->name != 0)
		error = user_write(current_space(), VADDR(address + offsetof(struct message_header, name_bytes)),
				   &no_name, sizeof(no_name));
	if (error == 0)
		error = user_write(current_space(), VADDR(address + offsetof(struct message_header, flags)), &flags,
				   sizeof(flags));
	if (error == 0)
		error = user_write(current_space(), VADDR(address + offsetof(struct message_header, control_bytes)),
				   &control_bytes, sizeof(control_bytes));
	return error;
}

static int64_t receive_one(struct socket *socket, uint64_t address, uint64_t flags)
{
	struct socket_receive receive = { .flags = all_flags(socket, flags) };
	struct message_header header;
	struct control control;
	struct ranges ranges;
	struct io io;
	int64_t result = header_read(address, &header, &ranges);
	int error = 0;

	if (result != 0)
		return result;
	control = (struct control){ .at = header.control, .left = header.control_bytes };
	io_init(&io, current_space(), ranges.range, ranges.bytes);
	result = socket_receive(socket, &io, &receive);
	if (result >= 0) {
		error = control_write(socket, &control, &receive);
		if (error == 0)
			error = header_write(address, &header,
					     receive.told | control.told | (receive.flags & MSG_CMSG_CLOEXEC),
					     header.control_bytes - control.left);
	} else {
		rights_drop(receive.rights);
	}
	ranges_free(&ranges);
	return error != 0 ? error : result;
}

int64_t sys_recvmsg(const uint64_t *a)
{
	struct socket *socket;
	int64_t result;

	if (((uint32_t)a[2] & MSG_CMSG_COMPAT) != 0)
		return -EINVAL;
	result = socket_get((int)a[0], &socket);
	if (result != 0)
		return result;
	result = receive_one(socket, a[1], a[2]);
	file_put(socket->file);
	return result;
}

/* ---- sendmmsg, recvmmsg: a struct msghdr and a length each. */

#define ELEMENT_BYTES 64U

static int64_t many(const uint64_t *a, int64_t (*one)(struct socket *, uint64_t, uint64_t), uint64_t deadline_ns)
{
	uint32_t count = MIN((uint32_t)a[2], MESSAGES_MAX), done = 0;
	uint64_t flags = (uint32_t)a[3] & ~(uint64_t)MSG_WAITFORONE;
	struct socket *socket;
	int64_t result = socket_get((int)a[0], &socket);

	if (result != 0)
		return result;
	while (done < count) {
		uint64_t at = a[1] + (uint64_t)done * ELEMENT_BYTES;
		uint32_t bytes;

		result = one(socket, at, flags);
		bytes = (uint32_t)result;
		if (result >= 0)
			result = user_write(current_space(), VADDR(at + sizeof(struct message_header)), &bytes,
					    sizeof(bytes));
		if (result < 0)
			break;
		done++;
		if ((a[3] & MSG_WAITFORONE) != 0)
			flags |= MSG_DONTWAIT;
		if (time_ns() >= deadline_ns)
			break;
		hw_relax();
	}
	file_put(socket->file);
	return done != 0 ? done : result;
}

int64_t sys_sendmmsg(const uint64_t *a)
{
	if (((uint32_t)a[3] & MSG_CMSG_COMPAT) != 0)
		return -EINVAL;
	return many(a, send_one, WAIT_FOREVER);
}

/* The time is looked at after each message, as on Linux. */
int64_t sys_recvmmsg(const uint64_t *a)
{
	uint64_t ns, deadline_ns = WAIT_FOREVER;
	int error = 0;

	if (((uint32_t)a[3] & MSG_CMSG_COMPAT) != 0)
		return -EINVAL;
	if (a[4] != 0)
		error = user_timespec(a[4], &ns);
	if (error == 0 && a[4] != 0)
		deadline_ns = time_ns() + MIN(ns, WAIT_FOREVER / 2);
	return error != 0 ? error : many(a, receive_one, deadline_ns);
}
