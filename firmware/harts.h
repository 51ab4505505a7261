/* hart.c and trap.S towards the rest of firmware/; everybody else uses hart.h. */
#ifndef FIRMWARE_HARTS_H
#define FIRMWARE_HARTS_H

#include "firmware/hart.h"
#include "lib/types.h"

/* This hart's trap vector and what goes with it. Called by start.S, on every hart. */
void trap_init(void);
/* trap.S, start.S */
void trap_entry(void);
void trap_entry_cip453(void);
void trap_entry_traced(void); /* page faults go to trap_fault_traced */
void trap_entry_cip453_traced(void);
void hart_start_entry(void);
uint64_t trap_probe_stimecmp(void);
/* trap.S: a counter's CSR, 0 (cycle) to 31; and whether this hart lets us at it. Not after a user trap. */
uint64_t hpm_read(uint64_t number);
uint64_t trap_probe_hpm(uint64_t number);
/* trap.S: whether 8 bytes there can be read; write: and keep what is written. They hold afterwards what they held. */
uint64_t trap_probe_memory(uint64_t *at, bool write);
/* trap.S: whether a register there, of 1 or 4 bytes, can be read. */
uint64_t trap_probe_device(volatile void *at, unsigned width);

extern struct hart boot_hart;

/* Makes the blocks and stacks of the usable harts; the boot hart moves to its own. Its node, or ends in boot_fail. */
int harts_find(const void *fdt, uint64_t boot_id);
void hart_main(void);
/* Does nothing more. */
_Noreturn void hart_park(void);

/*
 * The device behind machine_power_off, if the tree has one. Before and after kmap_init: its registers are mapped
 * then.
 */
void power_find(const void *fdt);
void power_map(void);

#endif
