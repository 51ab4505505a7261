/*
 * Programs' FP registers. Contract of fp.c. Each hart remembers whose contents its registers have, by a stamp: equal stamps are equal
 * contents, so a fork neither copies what the put-by thread has already, nor do switches between parent and child load anything.
 */
#ifndef KERNEL_FP_H
#define KERNEL_FP_H

#include "lib/types.h"

struct runqueue;
struct thread;

/* All zero. */
#define FP_ZERO 0U

/* A hart's registers before any thread ran on it. */
void fp_init(struct runqueue *queue);

/* Of a switch on the calling hart: what the registers have is kept, if it is not yet; they become next's. */
void fp_leave(struct runqueue *queue, struct thread *thread);
void fp_enter(struct runqueue *queue, struct thread *next);

/* The calling thread: thread->fp becomes what the registers are; the registers what thread->fp has been changed to; both zero. */
void fp_store(struct thread *thread);
void fp_load(struct thread *thread);
void fp_clear(struct thread *thread);
/* A new thread's become those of the calling one. */
void fp_inherit(struct thread *parent, struct thread *child);

#endif
