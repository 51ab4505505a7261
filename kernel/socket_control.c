/*
 * Control messages: what goes with bytes from one socket to another: open files (SCM_RIGHTS), credentials (SCM_CREDENTIALS).
 *
 * They are read into the kernel as a whole before any is looked at, and written piece by piece to the program's buffer.
 */
#include <string.h>

#include "kernel/process.h"
#include "kernel/socket.h"
#include "kernel/sys_file.h"
#include "mm/slab.h"
#include "mm/space.h"

#define SOL_SOCKET	1
#define SCM_RIGHTS	1
#define SCM_CREDENTIALS 2
#define CONTROL_MAX	UINT64_C(131072) /* net.core.optmem_max */

struct control_header {
	uint64_t bytes; /* with this header */
	int32_t level;
	int32_t type;
};

/* ---- Control messages that are sent. */

static int take_files(const char *data, uint64_t bytes, struct socket_send *send)
{
	uint64_t count = bytes / sizeof(int32_t);

	if (count == 0)
		return 0;
	if (send->rights == NULL)
		send->rights = kalloc(sizeof(*send->rights));
	if (send->rights == NULL)
		return -ENOMEM;
	if (count > RIGHTS_MAX - send->rights->count)
		return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		struct rights *rights = send->rights;
		int32_t fd;
		int error;

		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		error = file_get(fd, &rights->file[rights->count]);
		if (error != 0)
			return error;
		rights->count++;
	}
	return 0;
}

/* Everybody is root, who may say whatever is so. */
static int take_credentials(const char *data, uint64_t bytes, struct socket_send *send)
{
	struct process *process;

	if (bytes != sizeof(send->credentials))
		return -EINVAL;
	memcpy(&send->credentials, data, sizeof(send->credentials));
	if (send->credentials.uid == UINT32_MAX || send->credentials.gid == UINT32_MAX)
		return -EINVAL;
	process = process_find((uint32_t)send->credentials.pid);
	if (process == NULL)
		return -ESRCH;
	process_put(process);
	send->credentials_given = true;
	return 0;
}

static int take_control(const char *control, uint64_t total, struct socket_send *send)
{
	uint64_t at = 0;
	int error = 0;

	while (error == 0 && total - at >= sizeof(struct control_header)) {
		struct control_header header;
		const char *data = control + at + sizeof(header);
		uint64_t bytes;

		memcpy(&header, control + at, sizeof(header));
		if (header.bytes < sizeof(header) || header.bytes > total - at)
			return -EINVAL;
		bytes = header.bytes - sizeof(header);
		if (header.level == SOL_SOCKET && header.type == SCM_RIGHTS)
			error = take_files(data, bytes, send);
		else if (header.level == SOL_SOCKET && header.type == SCM_CREDENTIALS)
			error = take_credentials(data, bytes, send);
		else if (header.level == SOL_SOCKET)
			error = -EINVAL;
		at += MIN(ALIGN_UP(header.bytes, 8U), total - at);
	}
	if (error == 0 && send->rights != NULL)
		error = rights_may_depart();
	return error;
}

int control_read(uint64_t address, uint64_t bytes, struct socket_send *send)
{
	char *control;
	int error;

	if (address == 0 || bytes == 0)
		return 0;
	if (bytes > CONTROL_MAX)
		return -ENOBUFS;
	control = kalloc(bytes);
	if (control == NULL)
		return -ENOBUFS;
	error = user_read(current_space(), control, VADDR(address), bytes);
	if (error == 0)
		error = take_control(control, bytes, send);
	kfree(control);
	return error;
}

/* ---- Control messages that are received. */

static int control_put(struct control *control, int32_t type, const void *data, uint64_t bytes)
{
	struct control_header header = { sizeof(header) + bytes, SOL_SOCKET, type };
	int error;

	if (control->at == 0 || control->left < sizeof(header)) {
		control->told = MSG_CTRUNC;
		return 0;
	}
	if (control->left < header.bytes) {
		control->told = MSG_CTRUNC;
		header.bytes = control->left;
	}
	error = user_write(current_space(), VADDR(control->at), &header, sizeof(header));
	if (error == 0)
		error = user_write(current_space(), VADDR(control->at + sizeof(header)), data,
				   header.bytes - sizeof(header));
	if (error != 0)
		return error;
	bytes = MIN(ALIGN_UP(sizeof(header) + bytes, 8U), control->left);
	control->at += bytes;
	control->left -= bytes;
	return 0;
}

/* A descriptor for one of the files, written to the program. Its count is taken over if that was possible. */
static int file_put_out(struct file *file, bool cloexec, uint64_t address)
{
	struct fd_table *files = current_process()->files;
	int fd = fdtable_install(files, file, cloexec, 0);
	int error;

	if (fd < 0)
		return fd;
	file_hold(file);
	error = user_write(current_space(), VADDR(address), &fd, sizeof(fd));
	if (error != 0)
		(void)!fdtable_close(files, fd);
	else
		file_put(file);
	return error;
}

/* As many as there is room and descriptors for; the others are closed, which MSG_CTRUNC says. */
static int control_put_files(struct control *control, struct rights *rights, bool cloexec)
{
	struct control_header header = { 0, SOL_SOCKET, SCM_RIGHTS };
	uint64_t room = control->at == 0 || control->left <= sizeof(header) ? 0 : control->left - sizeof(header);
	uint32_t most = (uint32_t)MIN(room / sizeof(int32_t), rights->count), done = 0;
	uint64_t bytes;
	int error = 0;

	while (done < most &&
	       file_put_out(rights->file[done], cloexec, control->at + sizeof(header) + done * sizeof(int32_t)) == 0)
		done++;
	if (done < rights->count)
		control->told = MSG_CTRUNC;
	if (done != 0) {
		header.bytes = sizeof(header) + done * sizeof(int32_t);
		error = user_write(current_space(), VADDR(control->at), &header, sizeof(header));
		bytes = MIN(ALIGN_UP(header.bytes, 8U), control->left);
		control->at += bytes;
		control->left -= bytes;
	}
	for (uint32_t i = done; i < rights->count; i++)
		file_put(rights->file[i]);
	kfree(rights);
	return error;
}

int control_write(const struct socket *socket, struct control *control, struct socket_receive *receive)
{
	int error = 0;

	if (socket->pass_credentials && receive->has_credentials)
		error = control_put(control, SCM_CREDENTIALS, &receive->credentials, sizeof(receive->credentials));
	if (receive->rights != NULL && error == 0)
		error = control_put_files(control, receive->rights, (receive->flags & MSG_CMSG_CLOEXEC) != 0);
	else
		rights_drop(receive->rights);
	return error;
}
