/*
 * Open files and descriptor tables.
 *
 * A struct file is an open file description: what open() makes and dup() shares. It is counted; whoever uses one holds a
 * count, so that close() in another thread never takes it away under a read (fdtable.c says how the races are shut).
 * What it can do is in its ops; an absent op has the errno that Linux gives for it.
 *
 * Errors are negative Linux errnos. Functions that may block are marked so; call them with no lock held.
 */
#ifndef KERNEL_FILE_H
#define KERNEL_FILE_H

#include <stdatomic.h>

#include "lib/lock.h"
#include "lib/types.h"

struct object;
struct space;
struct store;	   /* cache.h */
struct node;	   /* a file, directory, link or device in the tree: tree.h */
struct wait_queue; /* wait.h */

/* ---- Where a read puts its bytes, or a write takes them from: ranges of a program's memory. io.c. */

struct io_range {
	vaddr_t base;
	uint64_t bytes;
};

struct io {
	struct space *space; /* NULL: the ranges are kernel addresses */
	const struct io_range *range;
	uint64_t skip;	 /* bytes of *range that are done */
	uint64_t left;	 /* bytes in all that are not done */
	int error;	 /* why the last io_put or io_take came short; -EWANTED (touch.h): io_touch, and go on */
	bool takes;	 /* what is wanted then is to be read, not written */
	vaddr_t wanted;	 /* where */
	unsigned flags;	 /* RWF_* of pwritev2 */
	uint32_t advice; /* enum cache_advice (cache.h), of what is read */
	uint32_t pieces; /* since this hart last served the others */
};

/* pwritev2 */
#define RWF_HIPRI  1U
#define RWF_DSYNC  2U
#define RWF_SYNC   4U
#define RWF_NOWAIT 8U
#define RWF_APPEND 16U

void io_init(struct io *io, struct space *space, const struct io_range *range, uint64_t bytes);
/* Copies up to n bytes and moves on. How many: fewer than n only at the end, or at a fault, then io->error says which. The
 * count is exact: whatever lies before the faulting page is done. May be called under RANK_FILE. */
uint64_t io_put(struct io *io, const void *src, uint64_t n);
uint64_t io_clear(struct io *io, uint64_t n);
uint64_t io_take(struct io *io, void *dst, uint64_t n);
/*
 * The same to and from an object, with no lock held; may block. Up to limit the object becomes longer; the caller sees to it that nobody
 * changes its size meanwhile where the ranges are the kernel's.
 */
uint64_t io_put_object(struct io *io, struct object *object, uint64_t offset, uint64_t n);
uint64_t io_take_object(struct io *io, struct object *object, uint64_t offset, uint64_t n, uint64_t limit);
/* What these are made of. The next piece, at most n bytes in one page, and where (left > 0); then, that it was moved. False: the
 * thread is being killed. */
uint64_t io_next(struct io *io, uint64_t n, vaddr_t *at);
bool io_advance(struct io *io, uint64_t n);
/* Back to where it was when `then` was a copy of it: what was moved since counts as not moved. The error stays. */
void io_rewind(struct io *io, const struct io *then);
/* After -EWANTED, with no lock held; may block: gets the page that was not there. 0, or what io->error becomes: -EFAULT... */
int io_touch(struct io *io) MUST_CHECK;
/* What a call that copies under its lock waits for before it looks again: the page, if one was wanted; else as wait_block. */
int io_block(struct io *io, bool nonblocking, uint64_t deadline_ns) MUST_CHECK;
/* Between parts of a long transfer, with no lock held: lets other threads run now and then. */
void io_yield(struct io *io);
/* What a call returns that has moved `done` bytes: done, or the error if none. */
int64_t io_result(const struct io *io, uint64_t done);

/* ---- Open files. */

/* Linux/riscv64 open flags (asm-generic). */
#define O_RDONLY    0U
#define O_WRONLY    1U
#define O_RDWR	    2U
#define O_ACCMODE   3U
#define O_CREAT	    0100U
#define O_EXCL	    0200U
#define O_NOCTTY    0400U
#define O_TRUNC	    01000U
#define O_APPEND    02000U
#define O_NONBLOCK  04000U
#define O_DSYNC	    010000U
#define O_ASYNC	    020000U
#define O_DIRECT    040000U
#define O_LARGEFILE 0100000U
#define O_DIRECTORY 0200000U
#define O_NOFOLLOW  0400000U
#define O_NOATIME   01000000U
#define O_CLOEXEC   02000000U
#define O_SYNC	    04010000U
#define O_PATH	    010000000U
#define O_TMPFILE   020200000U

#define POLLIN	  0x001U
#define POLLPRI	  0x002U
#define POLLOUT	  0x004U
#define POLLERR	  0x008U
#define POLLHUP	  0x010U
#define POLLNVAL  0x020U
#define POLLRDHUP 0x2000U

/* What stat, fstat and statx tell, before it takes one of their shapes. */
struct file_stat {
	uint64_t device;
	uint64_t inode;
	uint32_t mode; /* S_IF* and permission bits */
	uint32_t links;
	uint32_t uid, gid;
	uint64_t rdev;
	uint64_t bytes;
	uint64_t blocks; /* of 512 bytes */
	uint32_t block_size;
	uint64_t accessed_ns, modified_ns, changed_ns; /* since 1970 */
};

struct file;

struct file_ops {
	/* At *at, or, where at is NULL, at the file's position, which moves. May block. Bytes moved or an errno. */
	int64_t (*read)(struct file *file, struct io *io, const uint64_t *at);
	int64_t (*write)(struct file *file, struct io *io, const uint64_t *at);
	/* What is true now, as POLL* bits; *queue: where to wait for a change (NULL: it never changes). Never blocks. */
	unsigned (*poll)(struct file *file, struct wait_queue **queue);
	int64_t (*seek)(struct file *file, int64_t offset, unsigned whence); /* absent: ESPIPE, also for pread */
	int (*stat)(struct file *file, struct file_stat *out);
	int64_t (*ioctl)(struct file *file, uint64_t request, uint64_t argument); /* absent: ENOTTY */
	int64_t (*getdents)(struct file *file, struct io *io);			  /* absent: ENOTDIR */
	int (*object)(struct file *file, struct object **out); /* absent: ENODEV; a reference for the caller */
	int (*truncate)(struct file *file, uint64_t bytes);    /* absent: EINVAL */
	/* What fsync writes back to; NULL: there is nothing behind it. Absent: EINVAL. */
	struct store *(*store)(struct file *file);
	bool takes_words;  /* write wants words of its own, not any bytes: nothing for sendfile; lseek says 0 */
	bool gives_no_run; /* it has positions, and sendfile takes nothing from it all the same */
	void (*release)(struct file *file); /* the last count is gone; no lock held; may not block */
	void (*lost)(
		void); /* a file of these ops, perhaps gone by now, has lost a count that was not the last; no lock held */
};

struct file {
	_Atomic uint32_t count;
	_Atomic uint32_t flags; /* O_ACCMODE, O_APPEND, O_NONBLOCK, ...; only F_SETFL changes it */
	const struct file_ops *ops;
	struct node *node;    /* what was opened in the tree, counted; NULL: a pipe and its like */
	struct spinlock lock; /* RANK_FILE: guards position */
	uint64_t position;
	_Atomic uint32_t advice;     /* posix_fadvise's, enum cache_advice; relaxed: a hint */
	_Atomic uint32_t error_seen; /* of write-back: cache.h */
	_Atomic uint32_t volume_error_seen;
	void *data; /* of the ops */
};

/* A new open file with one count. Takes over the caller's count of node (NULL: none) only when it succeeds. */
int file_create(const struct file_ops *ops, unsigned flags, struct node *node, void *data, struct file **out)
	MUST_CHECK;
void file_hold(struct file *file);
void file_put(struct file *file); /* the last one releases; no lock held */

/* Takes up to n bytes from the position on, below end, for the caller. How many; *start: from where. */
uint64_t file_position_take(struct file *file, uint64_t n, uint64_t end, uint64_t *start);
/* Of the bytes up to `end` that the caller took, the last `unused` were not moved: the position goes back, unless it was moved. */
void file_position_return(struct file *file, uint64_t end, uint64_t unused);

static inline unsigned file_flags(const struct file *file)
{
	/* relaxed: F_SETFL promises no order with I/O that is under way */
	return atomic_load_explicit(&file->flags, memory_order_relaxed);
}

static inline unsigned file_advice(const struct file *file)
{
	return atomic_load_explicit(&file->advice, memory_order_relaxed);
}

static inline bool file_may_read(const struct file *file)
{
	return (file_flags(file) & (O_ACCMODE | O_PATH)) == O_RDONLY ||
	       (file_flags(file) & (O_ACCMODE | O_PATH)) == O_RDWR;
}

static inline bool file_may_write(const struct file *file)
{
	return (file_flags(file) & (O_ACCMODE | O_PATH)) == O_WRONLY ||
	       (file_flags(file) & (O_ACCMODE | O_PATH)) == O_RDWR;
}

/* For mmap: the memory object behind an open file, with a reference for the caller. -ENODEV. The caller checks
 * file_may_read (-EACCES) and, for shared writable mappings, file_may_write. */
int file_object(struct file *file, struct object **out) MUST_CHECK;

/* For a shared mapping of object, which file gave: takes PERM_W off *max_perm where a seal says so; -EPERM: perm has it. When
 * *max_perm keeps it, the object has a writer more (object_writer_put, once the mapping is there or has failed). */
int file_seal_map(struct file *file, struct object *object, uint64_t perm, uint64_t *max_perm) MUST_CHECK;

/* ---- Descriptors of the current process. */

/* The open file behind fd of the current process, with a count for the caller. -EBADF. */
int file_get(int fd, struct file **out) MUST_CHECK;

/* ---- Descriptor tables: fdtable.c. Each is counted: CLONE_FILES shares one. */

#define FD_LIMIT_DEFAULT 1024U	/* RLIMIT_NOFILE, soft */
#define FD_LIMIT_MAX	 65536U /* RLIMIT_NOFILE, hard: the most a table grows to */

struct fd_table;

struct fd_table *fdtable_create(void) MUST_CHECK; /* empty, one reference; NULL: no memory */
int fdtable_clone(struct fd_table *table, struct fd_table **out)
	MUST_CHECK; /* fork: same files, own slots. 0, -ENOMEM */
void fdtable_get(struct fd_table *table);
void fdtable_put(struct fd_table *table);  /* NULL is allowed; the last one closes everything; never blocks */
void fdtable_exec(struct fd_table *table); /* closes what is close-on-exec */
/* For prlimit64(RLIMIT_NOFILE): the soft limit goes with the table. Setting it above FD_LIMIT_MAX is the caller's error. */
unsigned fdtable_limit(const struct fd_table *table);
/* Descriptors beyond this one no call of select looks at: what Linux's table would hold. */
unsigned fdtable_room(struct fd_table *table);
void fdtable_set_limit(struct fd_table *table, unsigned limit);

/* Init's descriptors 0, 1 and 2: the console (as the boot argument tty=0|1 says). 0 or -ENOMEM. Into an empty table. */
int fdtable_open_console(struct fd_table *table) MUST_CHECK;

/* The lowest free descriptor from `from` on, for file, whose count is taken over on success. The fd, -EMFILE, -ENOMEM. */
int fdtable_install(struct fd_table *table, struct file *file, bool cloexec, unsigned from) MUST_CHECK;
int fdtable_lookup(struct fd_table *table, int fd, struct file **out) MUST_CHECK; /* with a count; -EBADF */
int fdtable_close(struct fd_table *table, int fd) MUST_CHECK;
/* dup3: atomically makes `to` name what `from` names. `to`, -EBADF, -ENOMEM. */
int fdtable_dup_to(struct fd_table *table, int from, int to, bool cloexec) MUST_CHECK;
int fdtable_cloexec(struct fd_table *table, int fd) MUST_CHECK; /* 0, 1, -EBADF */
int fdtable_set_cloexec(struct fd_table *table, int fd, bool cloexec) MUST_CHECK;
/* close_range: closes, or marks close-on-exec, all of [first, last]. */
void fdtable_close_range(struct fd_table *table, unsigned first, unsigned last, bool cloexec_only);

/* ---- The tree, as kernel-core needs it. Before any of these: */

/* Builds the file tree from the initramfs (NULL, 0: an empty one) and sets up the console's terminal. 0 or -ENOMEM; boot_fail with one
 * line that says what is wrong with the archive. Asks for the boot argument tty. */
int files_init(const void *initrd, uint64_t bytes) MUST_CHECK;

/* For execve: the object of the executable regular file that path (a kernel string) names, with a reference; and an open file
 * that stands for its being run: as long as it is held, opening for writing is -ETXTBSY. exe->node is its place in the tree.
 * -ENOENT, -EACCES, -ELOOP, -ETXTBSY: it is open for writing, ... */
int file_open_exec(const char *path, struct object **out, struct file **exe) MUST_CHECK;

/* Takes down the whole tree, so that what is then not free was lost. When no process is left, before power-off. */
void files_end(void);

struct node *node_root(void); /* with a count: init's cwd */
/* The current process's cwd, with a count: for fork. chdir swaps process->cwd under the process's lock, so another thread may
 * change it at any time. The root for a thread of the kernel's own. */
struct node *node_cwd(void);
void node_get(struct node *node);
/* Its absolute path: the length with the final 0, -ENOENT (it has no name any more), -ERANGE. */
int64_t node_path(struct node *node, char *buffer, uint64_t bytes) MUST_CHECK;
void node_put(struct node *node); /* NULL is allowed */

#endif
