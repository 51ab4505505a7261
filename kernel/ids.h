/* Ids: what process.c uses of ids.c; what everybody may use is in process.h. All [tree lock] but ids_init. */
#ifndef KERNEL_IDS_H
#define KERNEL_IDS_H

#include "lib/types.h"

struct process;
struct thread;

void ids_init(void);
uint32_t ids_new_locked(void);
void ids_add_process_locked(struct process *process);
void ids_add_thread_locked(struct thread *thread);

#endif
