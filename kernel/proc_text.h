/* What /proc/PID's files say: proc_text.c, proc_maps.c. Each appends to text; a process that has no memory any more has none
 * to tell of. No lock held. */
#ifndef KERNEL_PROC_TEXT_H
#define KERNEL_PROC_TEXT_H

#include "lib/types.h"

struct file;
struct file_ops;
struct process;
struct text;

void proc_maps(struct text *text, struct process *process);
void proc_smaps(struct text *text, struct process *process);
void proc_smaps_rollup(struct text *text, struct process *process);
void proc_statm(struct text *text, struct process *process);
void proc_status(struct text *text, struct process *process);
void proc_stat(struct text *text, struct process *process);
void proc_cmdline(struct text *text, struct process *process);
void proc_comm(struct text *text, struct process *process);
void proc_environ(struct text *text, struct process *process);
void proc_limits(struct text *text, struct process *process);
void proc_mounts(struct text *text, struct process *process);

extern const struct file_ops pagemap_ops;			       /* proc_maps.c */
int64_t proc_seek(struct file *file, int64_t offset, unsigned whence); /* proc.c */

/* Sizes of a process's memory in pages. */
struct proc_sizes {
	uint64_t pages, resident, shared, data, stack, text;
};
void proc_measure(struct process *process, struct proc_sizes *out);

#endif
