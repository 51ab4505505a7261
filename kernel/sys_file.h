/*
 * System calls on files: sys_io.c (bytes), sys_fd.c (descriptors), sys_path.c (names), sys_stat.c, sys_poll.c. What they share.
 */
#ifndef KERNEL_SYS_FILE_H
#define KERNEL_SYS_FILE_H

#include "kernel/file.h"
#include "kernel/syscall.h"
#include "kernel/tree.h"

#define AT_FDCWD	    (-100)
#define AT_SYMLINK_NOFOLLOW 0x100U
#define AT_REMOVEDIR	    0x200U
#define AT_EACCESS	    0x200U
#define AT_SYMLINK_FOLLOW   0x400U
#define AT_NO_AUTOMOUNT	    0x800U
#define AT_EMPTY_PATH	    0x1000U
#define AT_STATX_SYNC_TYPE  0x6000U

#define USER_LIMIT (UINT64_C(1) << 38) /* addresses at and above this are not a program's at all */

/* Whether [base, base + bytes) may be a program's: what Linux's access_ok says. */
static inline bool user_range_ok(uint64_t base, uint64_t bytes)
{
	return base <= USER_LIMIT && bytes <= USER_LIMIT - base;
}

/* A path of the program's, copied; kfree it. -EFAULT, -ENAMETOOLONG, -ENOMEM; -ENOENT when it is empty, unless that is allowed. */
int user_path(uint64_t address, bool empty, char **out) MUST_CHECK;
/* Where a path given with dirfd starts, counted. -EBADF, -ENOTDIR. */
int path_start(int dirfd, const char *path, struct node **out) MUST_CHECK;
/* The two, and the walk. WALK_*. */
int user_lookup(int dirfd, uint64_t address, unsigned flags, struct node **out) MUST_CHECK;
/* The same; with AT_EMPTY_PATH in at_flags an empty path is what dirfd has open. */
int user_lookup_at(int dirfd, uint64_t address, unsigned at_flags, struct node **out) MUST_CHECK;
/* A symbolic link, for reading it; an empty path: the one that dirfd is (O_PATH). -EINVAL, of an empty path -ENOENT: it is none. */
int user_lookup_link(int dirfd, uint64_t address, struct node **out) MUST_CHECK;

#define RANGES_MAX 1024U /* UIO_MAXIOV */
/* Copies and checks count ranges (struct iovec) of the program's; their sum, cut as Linux does, in *bytes. -EFAULT, -EINVAL. */
int user_ranges(struct io_range *range, uint64_t address, uint64_t count, uint64_t *bytes) MUST_CHECK;
int file_stat(struct file *file, struct file_stat *out) MUST_CHECK;
/* The current process's umask taken off. */
unsigned mode_masked(uint64_t mode);

/* sys_io.c */
syscall_fn sys_read, sys_write, sys_readv, sys_writev, sys_pread64, sys_pwrite64, sys_preadv, sys_pwritev, sys_lseek,
	sys_sendfile, sys_preadv2, sys_pwritev2, sys_getdents64, sys_ftruncate, sys_truncate, sys_fallocate;
/* sys_fd.c */
syscall_fn sys_close, sys_close_range, sys_dup, sys_dup3, sys_pipe2, sys_fcntl, sys_ioctl, sys_memfd_create, sys_openat;
/* socket.c, socket_options.c, socket_message.c */
syscall_fn sys_socket, sys_socketpair, sys_shutdown, sys_getsockname, sys_getpeername, sys_getsockopt, sys_setsockopt,
	sys_sendto, sys_recvfrom, sys_sendmsg, sys_recvmsg, sys_sendmmsg, sys_recvmmsg;
/* file_lock.c */
syscall_fn sys_flock;
/* eventfd.c, sys_copy.c */
syscall_fn sys_eventfd2, sys_copy_file_range;
/* sys_sync.c; and sys_msync */
syscall_fn sys_fsync, sys_fdatasync, sys_sync, sys_syncfs, sys_sync_file_range, sys_readahead, sys_fadvise64;
/* sys_path.c */
syscall_fn sys_mkdirat, sys_unlinkat, sys_renameat2, sys_linkat, sys_symlinkat, sys_mknodat, sys_readlinkat, sys_getcwd,
	sys_chdir, sys_fchdir, sys_umask;
/* sys_stat.c */
syscall_fn sys_fstat, sys_newfstatat, sys_statx, sys_faccessat, sys_faccessat2, sys_fchmod, sys_fchmodat, sys_fchmodat2,
	sys_fchown, sys_fchownat, sys_utimensat;
/* sys_mount.c, sys_statfs.c */
syscall_fn sys_mount, sys_umount2, sys_statfs, sys_fstatfs;
/* sys_poll.c */
syscall_fn sys_ppoll, sys_pselect6;

#endif
