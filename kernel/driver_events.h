/* What drivers with threads of their own need of the kernel: drivers/event.h. */
#ifndef KERNEL_DRIVER_EVENTS_H
#define KERNEL_DRIVER_EVENTS_H

#include "drivers/event.h"

extern const struct event_ops driver_events;

#endif
