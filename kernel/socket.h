/*
 * Pairs of AF_UNIX sockets: what their parts share. socket.c: the open files; socket_queue.c: messages and waiting for them;
 * socket_rights.c: open files that are on their way; socket_options.c, socket_message.c, socket_control.c: system calls.
 *
 * Locks: in_flight_lock (RANK_IN_FLIGHT, one) guards which files are in messages; pair->lock (RANK_FILE) all that says
 * [pair]. A message with files enters or leaves a queue with both held. What setsockopt changes is read without, where the value of a
 * moment ago is as good.
 */
#ifndef KERNEL_SOCKET_H
#define KERNEL_SOCKET_H

#include "kernel/file.h"
#include "kernel/wait.h"
#include "lib/list.h"

#define AF_UNIX	       1U
#define SOCK_STREAM    1U
#define SOCK_DGRAM     2U
#define SOCK_RAW       3U
#define SOCK_SEQPACKET 5U

#define MSG_OOB		 0x1U
#define MSG_PEEK	 0x2U
#define MSG_CTRUNC	 0x8U
#define MSG_TRUNC	 0x20U
#define MSG_DONTWAIT	 0x40U
#define MSG_WAITALL	 0x100U
#define MSG_NOSIGNAL	 0x4000U
#define MSG_WAITFORONE	 0x10000U
#define MSG_CMSG_CLOEXEC 0x40000000U
#define MSG_CMSG_COMPAT	 0x80000000U

#define SHUT_READING 1U
#define SHUT_WRITING 2U
#define SHUT_BOTH    (SHUT_READING | SHUT_WRITING)

#define RIGHTS_MAX 253U /* files in one message: Linux's SCM_MAX_FD */

/* A struct ucred of the program's. */
struct credentials {
	int32_t pid;
	uint32_t uid, gid;
};

/* Open files in a message, a count each. */
struct rights {
	uint32_t count;
	struct file *file[RIGHTS_MAX];
};

struct message {
	struct list link;
	struct list chunks;
	uint64_t bytes;
	uint64_t got; /* how many of them were read; streams */
	uint64_t charge;
	struct rights *rights; /* NULL: none */
	struct credentials credentials;
};

struct socket {
	struct socket_pair *pair;
	struct socket *peer; /* the other end, as long as the pair lives */
	struct file *file;   /* not counted: for its count */
	struct wait_queue queue;
	uint64_t inode;
	struct list messages; /* to be read here [pair] */
	uint64_t sent;	      /* charge of what the peer has not read [pair] */
	uint32_t with_rights; /* messages with files among those to be read [pair] */
	unsigned shut;	      /* [pair] */
	int error;	      /* told once, then forgotten [pair] */
	bool closed;	      /* [pair] */
	bool disconnected;    /* a datagram found the peer closed [pair] */
	bool pass_credentials;
	uint64_t send_limit, receive_limit; /* SO_SNDBUF, SO_RCVBUF [pair] */
	uint64_t send_ns, receive_ns;	    /* SO_SNDTIMEO, SO_RCVTIMEO; WAIT_FOREVER: none [pair] */

	/* socket_rights.c [in flight] */
	struct list flight; /* of all that are in messages */
	uint32_t flights;   /* how many messages count its file */
	uint32_t unknown;   /* those of them that no message explains that may be garbage */
	bool candidate;
	struct socket *next; /* to be looked through */
};

struct socket_pair {
	struct spinlock lock; /* RANK_FILE */
	unsigned type;
	unsigned open; /* ends [pair] */
	struct credentials credentials;
	struct socket end[2];
};

static inline void pair_lock(struct socket_pair *pair)
{
	spin_lock(&pair->lock, RANK_FILE);
}

static inline void pair_unlock(struct socket_pair *pair)
{
	spin_unlock(&pair->lock, RANK_FILE);
}

/* ---- socket.c */

/* The socket behind a descriptor, whose file has a count for the caller. -EBADF, -ENOTSOCK. */
int socket_get(int fd, struct socket **out) MUST_CHECK;
struct socket *socket_of(const struct file *file); /* NULL: it is none */
/* [pair] The errno that waits to be told, once. */
int socket_error_locked(struct socket *socket);

/* ---- socket_queue.c */

struct socket_send {
	unsigned flags;
	struct rights *rights; /* go with the first message, which then has them: NULL */
	bool credentials_given;
	struct credentials credentials;
};

struct socket_receive {
	unsigned flags;
	unsigned told; /* MSG_TRUNC */
	bool waits;
	struct rights *rights; /* the caller's to give away or drop */
	bool has_credentials;
	struct credentials credentials;
};

/* Bytes or an errno; may block. */
int64_t socket_send(struct socket *socket, struct io *io, struct socket_send *send);
int64_t socket_receive(struct socket *socket, struct io *io, struct socket_receive *receive);
/* [pair] */
bool socket_writable_locked(const struct socket *socket);
/* Takes all messages (only_rights: those with files) out of the socket's queue. [in flight, pair] */
void socket_purge_locked(struct socket *socket, bool only_rights, struct list *out);
/* Not its files. */
void message_free(struct message *message);

/* ---- socket_control.c */

/* Where the next one goes; addresses are the program's. */
struct control {
	uint64_t at;
	uint64_t left;
	unsigned told; /* MSG_CTRUNC */
};

/* Reads what the program sends along; send->rights are the caller's to drop, also where it fails. */
int control_read(uint64_t address, uint64_t bytes, struct socket_send *send) MUST_CHECK;
/* Writes what came along, and takes receive->rights over. 0 or -EFAULT. */
int control_write(const struct socket *socket, struct control *control, struct socket_receive *receive) MUST_CHECK;

/* ---- socket_rights.c */

void in_flight_enter(void);
void in_flight_leave(void);
/* [in flight] The files have been put into a queue, or taken out of it. */
void rights_depart_locked(const struct rights *rights);
void rights_land_locked(const struct rights *rights);
/* 0, or -ETOOMANYREFS: there are more in messages already than this process may have open. */
int rights_may_depart(void) MUST_CHECK;
/* A copy, with counts of its own; NULL: no memory. */
struct rights *rights_copy(const struct rights *rights) MUST_CHECK;
/* Puts the files; NULL is allowed. No lock held. */
void rights_drop(struct rights *rights);
/* Frees messages, taken out of their queues, with their files; no lock held. */
void messages_drop(struct list *messages);
/* A socket has lost a count: what only sockets in messages hold of each other goes. No lock held. */
void rights_collect(void);

#endif
