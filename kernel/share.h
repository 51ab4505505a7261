/*
 * What clone lets processes share: signal actions (CLONE_SIGHAND), directory and umask (CLONE_FS). Each has its own copy,
 * under its own lock; the sharers form a ring, and a change is made to all of them, under the tree lock.
 */
#ifndef KERNEL_SHARE_H
#define KERNEL_SHARE_H

#include "lib/list.h"
#include "lib/types.h"

struct node;
struct process;

struct sharing {
	struct list actions, fs;	/* the others [tree lock] */
	bool actions_shared, fs_shared; /* ever [process lock] */
};

/* In no ring. */
void share_init(struct process *process);

/* Once more like new: of a process that is put by, and in no ring. */
void share_reset(struct process *process);

/* [parent's lock] clone: the child, which is not yet published, has copies. [and the tree lock] Of these it shares some from now on. */
void share_inherit_locked(struct process *parent, struct process *child);
void share_join_locked(struct process *parent, struct process *child, bool actions, bool fs);

/* execve: it has actions of its own again, and handlers become default. */
void share_exec(struct process *process);
/* [tree lock] It has ended. */
void share_end_locked(struct process *process);

/* The calling process's and those that share it. The old umask; the directory takes over the caller's count. */
uint32_t share_set_umask(uint32_t mask);
void share_set_cwd(struct node *node);

#endif
