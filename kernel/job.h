/*
 * Job control: processes that stop and continue, what parents are told of their children, orphaned groups. A process
 * stops when all its threads stand on their way back to user mode.
 */
#ifndef KERNEL_JOB_H
#define KERNEL_JOB_H

#include "kernel/wait.h"
#include "lib/types.h"

struct process;
struct thread;

#define WAIT_STATUS_CONTINUED 0xffff

/* [process lock] */
struct job {
	bool stopping;	   /* all threads stand or are about to */
	bool stopped;	   /* all do, and the parent has been told */
	bool taken;	   /* a stop signal has been taken; SIGCONT makes that forgotten until job_stop has acted */
	int signo;	   /* what stops it */
	unsigned standing; /* threads */
	int report;	   /* what wait4 has not been told yet, as its status; 0: nothing */
	int tell;	   /* CLD_...: the next thread that goes on tells the parent; 0: nothing */
	struct wait_queue queue;
};

void job_init(struct process *process);
/* Once more like new: of a process that is put by. */
void job_reset(struct process *process);

/* The calling thread has taken a stop signal (job.taken). No lock held. */
void job_stop(int signo);
/* For WORK_STOP: stands until the process continues, or the thread is killed. */
void job_stand(void);
/* [process lock] SIGCONT has been sent. */
void job_continue_locked(struct process *process);
/* [process lock] A new thread; one that has left, the tree lock held too: whether the parent is to be told. */
void job_join_locked(struct process *process, struct thread *thread);
bool job_leave_locked(struct process *process);

/* [tree lock] SIGCHLD with that code to the parent, and whoever waits looks again. */
void job_tell_parent_locked(struct process *process, int code);
/* [tree lock] Tells the parent of the end; whether it does not want to wait for the child, who is then reaped at once. */
bool job_child_ended_locked(struct process *parent, struct process *child);

/* [tree lock] Nobody of the session but outside of the group is parent of one in it; ignored is not looked at. */
bool job_orphaned_locked(uint32_t group, const struct process *ignored);
/* [tree lock] process, of whom child is one or itself, ends: SIGHUP and SIGCONT for a group that stands and is orphaned by it. */
void job_hang_up_locked(const struct process *process, const struct process *child);
/* [tree lock] child has lost parent to another: that, and its death signal. */
void job_orphan_locked(const struct process *parent, struct process *child);
/* [process lock] It has ended. */
void job_ended_locked(struct process *process);

#endif
