/* Registers are memory on this machine. Contract: mmio.h. */
#include "drivers/mmio.h"

uint8_t mmio_read8(volatile void *regs, unsigned at)
{
	return *((volatile uint8_t *)regs + at);
}

uint32_t mmio_read32(volatile void *regs, unsigned at)
{
	return *(volatile uint32_t *)(volatile void *)((volatile uint8_t *)regs + at);
}

void mmio_write32(volatile void *regs, unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(volatile void *)((volatile uint8_t *)regs + at) = value;
}
