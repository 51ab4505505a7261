/* Advisory locks on files: flock, and fcntl's record locks. */
#ifndef KERNEL_FILE_LOCK_H
#define KERNEL_FILE_LOCK_H

#include "kernel/file.h"

#define F_GETLK	     5U
#define F_SETLK	     6U
#define F_SETLKW     7U
#define F_OFD_GETLK  36U
#define F_OFD_SETLK  37U
#define F_OFD_SETLKW 38U

/* fcntl with one of these commands; argument: the program's struct flock. May block. */
int64_t file_lock_fcntl(int fd, struct file *file, uint32_t command, uint64_t argument);
/* How many there are, of all files: mostly there is nothing to look for. */
extern _Atomic uint32_t file_locks;

void file_lock_closed_some(struct fd_table *table, struct file *file);
void file_lock_release_some(struct file *file);

/* A descriptor of the file has left the table: record locks that were taken through the table go, whichever descriptor they were taken by. */
static inline void file_lock_closed(struct fd_table *table, struct file *file)
{
	/* relaxed: whoever set a lock that this must find did so before, on a file that both hold */
	if (atomic_load_explicit(&file_locks, memory_order_relaxed) != 0)
		file_lock_closed_some(table, file);
}

/* The open file goes, and with it what it holds by flock or F_OFD_SETLK. */
static inline void file_lock_release(struct file *file)
{
	/* relaxed: as above */
	if (atomic_load_explicit(&file_locks, memory_order_relaxed) != 0)
		file_lock_release_some(file);
}

#endif
