/*
 * What a process has of its parent, but for what share.c copies; and what the first one has.
 *
 * Invariant: two processes with the same heritage have the same limits, capabilities and path: it is new whenever one of them changes, and
 * copied with them. A process that is put by (spare.c) keeps all four.
 * Locks: the process's.
 */
#include <string.h>

#include "kernel/file.h"
#include "kernel/process.h"

static const struct rlimit default_limits[RLIMITS] = {
	{ UINT64_MAX, UINT64_MAX },		  /* CPU */
	{ UINT64_MAX, UINT64_MAX },		  /* FSIZE */
	{ UINT64_MAX, UINT64_MAX },		  /* DATA */
	{ UINT64_C(8) << 20, UINT64_MAX },	  /* STACK */
	{ 0, UINT64_MAX },			  /* CORE */
	{ UINT64_MAX, UINT64_MAX },		  /* RSS */
	{ UINT64_MAX, UINT64_MAX },		  /* NPROC */
	{ FD_LIMIT_DEFAULT, FD_LIMIT_MAX },	  /* NOFILE */
	{ UINT64_C(8) << 20, UINT64_C(8) << 20 }, /* MEMLOCK */
	{ UINT64_MAX, UINT64_MAX },		  /* AS */
	{ UINT64_MAX, UINT64_MAX },		  /* LOCKS */
	{ 4096, 4096 },				  /* SIGPENDING */
	{ UINT64_C(819200), UINT64_C(819200) },	  /* MSGQUEUE */
	{ 0, 0 },				  /* NICE */
	{ 0, 0 },				  /* RTPRIO */
	{ UINT64_MAX, UINT64_MAX },		  /* RTTIME */
};

void process_differs_locked(struct process *process)
{
	static _Atomic uint64_t made;

	/* relaxed: only uniqueness counts */
	process->heritage = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
}

/* Mostly the child is made of one that had the same: of a sibling. */
static void copy_heritage(struct process *child, const struct process *parent)
{
	if (child->heritage == parent->heritage)
		return;
	memcpy(child->limits, parent->limits, sizeof(child->limits));
	memcpy(child->capabilities, parent->capabilities, sizeof(child->capabilities));
	memcpy(child->path, parent->path, sizeof(child->path));
	child->heritage = parent->heritage;
}

void process_inherit_locked(struct process *parent, struct process *child)
{
	copy_heritage(child, parent);
	child->no_new_privs = parent->no_new_privs;
	child->undumpable = parent->undumpable;
	/* relaxed: no order is asked for */
	atomic_init(&child->barriers, atomic_load_explicit(&parent->barriers, memory_order_relaxed));
	child->brk_start = parent->brk_start;
	child->brk = parent->brk;
	child->start_sp = parent->start_sp;
	child->exe = parent->exe;
	file_hold(child->exe);
	ptimers_inherit(child);
}

void process_be_first(struct process *process)
{
	process->umask = 022;
	memcpy(process->limits, default_limits, sizeof(process->limits));
	process->capabilities[CAPABILITY_EFFECTIVE] = CAPABILITIES_ALL;
	process->capabilities[CAPABILITY_PERMITTED] = CAPABILITIES_ALL;
}
