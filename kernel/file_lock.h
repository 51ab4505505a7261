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
/* A descriptor of the file has left the table: record locks that were taken through the table go, whichever descriptor they were taken by. */
void file_lock_closed(struct fd_table *table, struct file *file);
/* The open file goes, and with it what it holds by flock or F_OFD_SETLK. */
void file_lock_release(struct file *file);

#endif
