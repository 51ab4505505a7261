/*
 * The platform-level interrupt controller (RISC-V PLIC specification 1.0): contexts and sources from the device tree.
 */
#ifndef DRIVERS_PLIC_H
#define DRIVERS_PLIC_H

#include "lib/types.h"

void plic_probe(const void *fdt);
/* Routes source to handler(arg), on the boot hart's context. */
int plic_enable(unsigned source, void (*handler)(void *arg), void *arg) MUST_CHECK;
/* Each hart once: threshold 0 for its own S-mode context. */
void plic_init_hart(void);
/* External interrupt on this hart: claims and runs handlers until there is none. */
void plic_serve(void);

#endif
