/* The kernel's log: lines for people, on the console's kernel channel. Never from a fault path. Any context, any hart. */
#ifndef FIRMWARE_LOG_H
#define FIRMWARE_LOG_H

/* One line; the newline is added. Printed as "[    0.012345] corral: ..." */
void klog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
