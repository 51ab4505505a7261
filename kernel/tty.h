/* The console as a terminal, or, with the boot argument tty=0, as what a pipe would be. */
#ifndef KERNEL_TTY_H
#define KERNEL_TTY_H

#include "kernel/file.h"

/* ioctl requests of a terminal, as Linux numbers them. */
#define TCGETS	   0x5401U
#define TCSETS	   0x5402U
#define TCSETSW	   0x5403U
#define TCSETSF	   0x5404U
#define TCSBRK	   0x5409U
#define TCXONC	   0x540AU
#define TCFLSH	   0x540BU
#define TIOCSCTTY  0x540EU
#define TIOCGPGRP  0x540FU
#define TIOCSPGRP  0x5410U
#define TIOCOUTQ   0x5411U
#define TIOCGWINSZ 0x5413U
#define TIOCSWINSZ 0x5414U
#define TIOCINQ	   0x541BU
#define TIOCNOTTY  0x5422U
#define TIOCGSID   0x5429U

extern const struct file_ops tty_ops;

/* Once, after console_probe. terminal: line editing, echo and signals; otherwise bytes and their end, straight through. */
void tty_init(bool terminal);

bool tty_is_terminal(void);
/* Whether it is a terminal, and the calling process's controlling one: what /dev/tty is then. */
bool tty_is_controlling(void);
/* An open file of it, which writes to standard error's channel if err. Takes over the caller's count of node when it succeeds. */
int tty_open(unsigned flags, bool err, struct node *node, struct file **out) MUST_CHECK;

#endif
