/*
 * One line of a SiFive GPIO controller (FU540-C000 manual, chapter 17) that restarts the board or cuts its power, as the tree's
 * gpio-restart and gpio-poweroff nodes name it.
 */
#ifndef FIRMWARE_GPIO_H
#define FIRMWARE_GPIO_H

#include "lib/types.h"

struct gpio_line {
	paddr_t regs; /* 0: there is no such line */
	uint32_t bit; /* of the registers */
	bool active_low;
	uint32_t active_ms, inactive_ms, wait_ms; /* how long it stays active, and not, and is waited for */
};

/* The first okay node compatible with `name`: "gpio-restart" or "gpio-poweroff". regs is 0 where there is none. */
void gpio_find(const void *fdt, const char *name, struct gpio_line *out);
/* Its registers' size, from regs. */
#define GPIO_BYTES 0x44U
/* Active, not active, active again, for a level or either edge to be seen; returns after wait_ms if nothing came of it. */
void gpio_trigger(const struct gpio_line *line);

#endif
