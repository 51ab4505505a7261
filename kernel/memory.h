/* What the memory calls share: sys_memory.c, sys_remap.c, sys_residency.c. */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include "mm/space.h"

struct process;

/* Touches every page of the range, as far as it goes. 0, -ENOMEM, -EINVAL (not allowed), -EFAULT, or -EINTR when the thread is being ended. */
int memory_populate(struct space *space, uint64_t start, uint64_t bytes, enum access access) MUST_CHECK;
/* How far all is mapped from start on: the first address that is not, at most end. */
uint64_t memory_mapped_end(struct space *space, uint64_t start, uint64_t end);
/* 0, or -ENOMEM where a part is not mapped: for hints that change nothing. */
int64_t memory_check_mapped(struct space *space, uint64_t start, uint64_t bytes) MUST_CHECK;
/* mlock of a range, aligned: -ENOMEM where a part is not mapped or cannot be touched. */
int memory_lock_range(uint64_t start, uint64_t bytes, bool on_fault) MUST_CHECK;
/* Whether the calling process may map at that address, chosen by it: 0 or -EPERM. */
int memory_may_place(uint64_t address) MUST_CHECK;
/* What a space made by fork or execve has of the caller's rules, before anything is mapped by it. */
void memory_inherit(const struct space *from, struct space *to);
/* prctl's PR_SET_MDWE, PR_GET_MDWE, once the other arguments are known to be 0. */
int64_t prctl_set_mdwe(uint64_t rules) MUST_CHECK;
int64_t prctl_get_mdwe(void);
/* What is mapped there of files on devices is read in, as far as memory is free: a hint. sys_sync.c */
void memory_will_need(uint64_t start, uint64_t bytes);
/* MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL of what is mapped there. */
void memory_will_read(uint64_t start, uint64_t bytes, int advice);
/* Rounds bytes up to pages; false: too many for user space. */
bool memory_round_up(uint64_t *bytes);
/*
 * 0, or -ENOMEM where the process would have more than RLIMIT_AS, or RLIMIT_DATA of private writable memory, with `bytes`
 * more of these permissions. Costs nothing while there is no limit; else a look at all regions.
 */
int memory_may_grow(struct process *process, uint64_t bytes, uint64_t perm, bool shared) MUST_CHECK;

#endif
