/* Which calls random_compare.c makes, and of what values. */
#ifndef TESTS_USER_RANDOM_COMPARE_H
#define TESTS_USER_RANDOM_COMPARE_H

#include "check.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { AREA_PAGES = 48, DATA_PAGES = 16, FDS = 12, EPISODE = 200 };

#define AREA_AT ((char *)0x1fffff0000) /* in two leaf tables, in two tables above those */

/*
 * Arguments: a page; l length of a range; p protection; m map flags; f descriptor; d memfd; o offset; z size; v advice; r mremap flags;
 * b buffer; n bytes; i small; I vector; c how many; S path; D directory; O open flags; M mode; F fcntl command; s signal; x anything; 0 nothing.
 */
static const struct call {
	short number;
	const char *args;
} calls[] = {
	{ SYS_mmap, "alpmdo" },
	{ SYS_mmap, "alpmdo" },
	{ SYS_mmap, "alpmfo" },
	{ SYS_munmap, "al" },
	{ SYS_mprotect, "alp" },
	{ SYS_mprotect, "alp" },
	{ SYS_madvise, "alv" },
	{ SYS_mremap, "allra" },
	{ SYS_mremap, "allra" },
	{ SYS_msync, "ali" },
	{ SYS_mlock, "al" },
	{ SYS_munlock, "al" },
	{ SYS_read, "fbn" },
	{ SYS_write, "fbn" },
	{ SYS_pread64, "fbno" },
	{ SYS_pwrite64, "fbno" },
	{ SYS_readv, "fIc" },
	{ SYS_writev, "fIc" },
	{ SYS_preadv, "fIco" },
	{ SYS_pwritev, "fIco" },
	{ SYS_lseek, "foi" },
	{ SYS_ftruncate, "fz" },
	{ SYS_fallocate, "fioz" },
	{ SYS_fsync, "f" },
	{ SYS_copy_file_range, "fbfbn0" },
	{ SYS_sendfile, "ffbn" },
	{ SYS_openat, "DSOM" },
	{ SYS_mkdirat, "DSM" },
	{ SYS_unlinkat, "DSi" },
	{ SYS_renameat2, "DSDSi" },
	{ SYS_linkat, "DSDS0" },
	{ SYS_symlinkat, "SDS" },
	{ SYS_readlinkat, "DSbn" },
	{ SYS_fchmodat, "DSM" },
	{ SYS_truncate, "Sz" },
	{ SYS_dup, "f" },
	{ SYS_fcntl, "fFi" },
	{ SYS_ioctl, "fib" },
	{ SYS_sendto, "fbn000" },
	{ SYS_recvfrom, "fbn000" },
	{ SYS_shutdown, "fi" },
	{ SYS_process_vm_readv, "0IcIc0" },
	{ SYS_process_vm_writev, "0IcIc0" },
	{ SYS_futex, "bii0bi" },
	{ SYS_clock_getres, "ib" },
	{ SYS_rt_sigprocmask, "ibbs" },
	{ SYS_kill, "0s" },
	{ SYS_prctl, "ib" },
	{ SYS_prlimit64, "0i0b" },
	{ SYS_getcwd, "bn" },
	{ SYS_memfd_create, "Si" },
	{ SYS_umask, "M" },
	{ SYS_flock, "fi" },
};

/* Not PROT_WRITE alone, which is PROT_READ, too, on Corral (docs/abi.md), and MADV_POPULATE_READ tells. */
static const uint64_t protections[] = { 3, 3, 3, 3, 1, 0, 5, 3, 7, 99 };
static const uint64_t map_kinds[] = { MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
				      MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
				      MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS,
				      MAP_PRIVATE | MAP_FIXED,
				      MAP_PRIVATE | MAP_FIXED,
				      MAP_SHARED | MAP_FIXED,
				      MAP_SHARED | MAP_FIXED,
				      MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS,
				      MAP_PRIVATE | MAP_FIXED | MAP_POPULATE,
				      MAP_SHARED_VALIDATE | MAP_FIXED,
				      MAP_FIXED };
/* Not MADV_DONTFORK, which Corral has for private anonymous memory only (docs/abi.md). */
static const uint64_t advices[] = { MADV_DONTNEED,
				    MADV_DONTNEED,
				    MADV_DONTNEED,
				    MADV_DOFORK,
				    MADV_NORMAL,
				    MADV_SEQUENTIAL,
				    MADV_WIPEONFORK,
				    22,
				    23,
				    MADV_KEEPONFORK,
				    9999 };
static const uint64_t remaps[] = {
	0, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED, 7, 8
};
static const uint64_t fallocates[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       FALLOC_FL_PUNCH_HOLE };
static const uint64_t fcntls[] = {
	F_GETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETPIPE_SZ, F_SETFD, 9999
};
static const uint64_t open_flags[] = { O_RDONLY,
				       O_RDWR,
				       O_RDWR | O_CREAT,
				       O_RDWR | O_CREAT | O_EXCL,
				       O_WRONLY | O_TRUNC,
				       O_RDONLY | O_DIRECTORY,
				       O_RDONLY | O_NOFOLLOW,
				       O_PATH,
				       O_WRONLY | O_APPEND };
static const int odd_fds[] = { -1, 39, 100000 };
static const char paths[][16] = { "file", "other", "link",	 "folder",	 "folder/inner", ".",
				  "..",	  "",	   "file/below", "/tmp/compare", "missing/x",	 "link/inner" };
static const uint64_t odd_lengths[] = {
	0, 1, 4095, 0x7ffffffffffff000, 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff
};
/* None that goes on behind the data: Linux cuts a long one, and how much it moves up to a fault is not determined. */
static const uint64_t odd_pieces[] = { 0, 1, 4095, 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff };
static const uint64_t odd_offsets[] = {
	1, 4097, 0x7ffffffffffff000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff
};
static const uint64_t bad_addresses[] = {
	0, 8, 0x4000000000, 0xffffffc080200000, 0xfffffffffffff000, 0xffffffffffffffff
};

#endif
