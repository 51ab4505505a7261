/* What /proc/PID's files say: proc_text.c, proc_maps.c; and what they are made of. Each appends to text; a process that has no memory any more has none
 * to tell of. No lock held. */
#ifndef KERNEL_PROC_TEXT_H
#define KERNEL_PROC_TEXT_H

#include "lib/types.h"

struct file;
struct file_ops;
struct node;
struct node_magic;
struct process;
struct text;

/*
 * Between the lines of what may be long, no lock held: other threads run, the audit may stop the machine. False: nobody wants the rest, as
 * there is no memory for it (text may be NULL), or the reader is to end.
 */
bool proc_goes_on(const struct text *text);

void proc_maps(struct text *text, struct process *process);
void proc_smaps(struct text *text, struct process *process);
void proc_smaps_rollup(struct text *text, struct process *process);
void proc_tables(struct text *text, struct process *process); /* proc_tables.c */
void proc_statm(struct text *text, struct process *process);
void proc_cmdline(struct text *text, struct process *process);
void proc_environ(struct text *text, struct process *process);
void proc_limits(struct text *text, struct process *process);
void proc_mounts(struct text *text, struct process *process);
void hostname_text(struct text *text); /* sys_uname.c */
void domainname_text(struct text *text);
void proc_diskstats(struct text *text); /* proc_disk.c */
void proc_partitions(struct text *text);
void proc_interrupts(struct text *text);
void proc_disks(struct text *text);
void proc_corral_counters(struct text *text); /* proc_corral.c */
void proc_corral_harts(struct text *text);
void proc_corral_memory(struct text *text);
void proc_corral_events(struct text *text);
void proc_corral_audit(struct text *text);
void proc_caches(struct text *text); /* proc_caches.c */
void proc_caches_log(void);

/* Of one thread, or, where tid is 0, of all. 0, or -ESRCH: there is no such thread any more. */
int proc_status(struct text *text, struct process *process, uint32_t tid);
int proc_stat(struct text *text, struct process *process, uint32_t tid);
int proc_comm(struct text *text, struct process *process, uint32_t tid);
/* Names a thread (0: the first) of the calling process, which must be pid. 0 or -EINVAL. */
int proc_set_comm(uint32_t pid, uint32_t tid, const char *name);

/* ---- Nodes that are made up: proc_pid.c. */

/* A number as it is written: no sign, no zeros in front. */
bool proc_number(const char *name, uint32_t *out);
int proc_made(unsigned mode, uint32_t pid, uint32_t number, const struct node_magic *magic, struct node **out)
	MUST_CHECK;
int proc_made_directory(struct node *parent, const char *name, uint32_t pid, uint32_t number,
			const struct node_magic *magic, struct node **out) MUST_CHECK;
/* Where the node is, as links show it. */
int64_t proc_path_text(struct node *node, char *out, uint64_t bytes) MUST_CHECK;

extern const struct node_magic proc_fd_magic, proc_fdinfo_magic; /* proc_fd.c */
/* Makes the node PID/mem of the process: proc_mem.c. */
void proc_mem_node(struct node *node, struct process *process);

extern const struct file_ops pagemap_ops;			       /* proc_maps.c */
int64_t proc_seek(struct file *file, int64_t offset, unsigned whence); /* proc.c */

/* Sizes of a process's memory in pages. */
struct proc_sizes {
	uint64_t pages, resident, shared, data, stack, text;
};
void proc_measure(struct process *process, struct proc_sizes *out);

#endif
