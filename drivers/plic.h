/*
 * The platform-level interrupt controller (RISC-V PLIC specification 1.0): contexts and sources.
 *
 * A source goes to one hart: the boot hart's until plic_spread, then each to the next of the harts that run. That hart takes it
 * wherever it is: in a program, or idle; in the kernel when it next leaves that or breathes.
 */
#ifndef DRIVERS_PLIC_H
#define DRIVERS_PLIC_H

#include "lib/types.h"

/* Whether its device had anything to say. A source whose handler says no too often in a row is turned off, with a line. */
typedef bool plic_handler(void *arg);

/* plic_probe.c: looks for the controller, and says so where there is none. */
void plic_probe(const void *fdt);

/* Where the registers of contexts begin, and how many bytes each has. */
#define PLIC_CONTEXTS	   0x200000U
#define PLIC_CONTEXT_BYTES 0x1000U

/* The core: registers, sources 1 .. sources - 1, nothing routed; and the S-mode context of each hart that has one. */
void plic_init(volatile void *regs, unsigned sources);
void plic_context(unsigned hart, unsigned context);

/* Routes source to handler(arg), on the calling hart. name stays. -ENODEV, -EINVAL: no such source, -EBUSY. */
int plic_enable(unsigned source, plic_handler *handler, void *arg, const char *name) MUST_CHECK;
/* Gives the sources to these harts by turns. By the hart that all of them go to so far, once, and not within plic_serve. */
void plic_spread(uint64_t harts);
/* Each hart once: threshold 0 for its own S-mode context. */
void plic_init_hart(void);
/* External interrupt on this hart: claims and runs handlers until there is none. */
void plic_serve(void);

/* What a source has done: where it goes to, and how often it came there and, before, at the hart that enabled it. */
struct plic_line {
	const char *name;
	unsigned hart, first;
	uint64_t count, count_first;
};
unsigned plic_sources(void);				/* 0: there is no controller */
bool plic_line(unsigned source, struct plic_line *out); /* whether it is in use */

#endif
