/*
 * Registers of devices, for drivers whose tests put a fake device in their place: mmio.c on the target, the test's own on
 * the host. One access of that width each; no order but program order among accesses to devices (hw_fence_io for more).
 */
#ifndef DRIVERS_MMIO_H
#define DRIVERS_MMIO_H

#include "lib/types.h"

uint8_t mmio_read8(volatile void *regs, unsigned at);
uint32_t mmio_read32(volatile void *regs, unsigned at);
void mmio_write32(volatile void *regs, unsigned at, uint32_t value);

#endif
