/* The console as a terminal, or, with the boot argument tty=0, as what a pipe would be. */
#ifndef KERNEL_TTY_H
#define KERNEL_TTY_H

#include "kernel/file.h"

extern const struct file_ops tty_ops;

/* Once, after console_probe. terminal: line editing, echo and signals; otherwise bytes and their end, straight through. */
void tty_init(bool terminal);

#endif
