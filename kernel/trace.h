/* The boot argument trace=, traced page faults and forks, and the trace as text. */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include "mm/trace.h"

struct space;
struct text;

/* Takes trace= and trace-records=. Ends the machine where they make no sense. Before other harts are started. */
void trace_init(void);

/* A fork that began at this tick, of the current thread, has made the child; tables: how many tables were shared before, by this hart. */
void trace_fork(uint64_t began, const struct space *child, uint64_t tables);

/* /proc/corral/trace. */
void trace_text(struct text *text);

/* The same lines to the log's channel, each behind "trace: ", if there is a trace. When programs have ended. */
void trace_dump(void);

#endif
