/*
 * GPIO lines that end the machine. Contract: gpio.h. The bindings (gpio-restart, gpio-poweroff) ask for the same three steps, and
 * differ in the names of the times. No locks: whoever ends the machine is alone.
 */
#include "firmware/gpio.h"

#include "firmware/trap.h"
#include "firmware/tree.h"
#include "lib/hw.h"

enum { OUTPUT_ENABLE = 0x08, OUTPUT_VALUE = 0x0c, SPECIAL_FUNCTION = 0x38, OUTPUT_INVERT = 0x40 };

#define ACTIVE_LOW  1U
#define LINES	    32U
#define NS_PER_MS   UINT64_C(1000000)
#define DELAY_MS    100U
#define WAIT_MS	    3000U
#define LONGEST_MS  60000U
#define CELLS_BYTES 12

static uint32_t ms(const void *fdt, int node, const char *restart, const char *poweroff, uint32_t absent)
{
	return MIN(tree_u32(fdt, node, restart, tree_u32(fdt, node, poweroff, absent)), LONGEST_MS);
}

void gpio_find(const void *fdt, const char *name, struct gpio_line *out)
{
	int node = tree_find(fdt, name), bytes;
	const fdt32_t *cells = node < 0 ? NULL : fdt_getprop(fdt, node, "gpios", &bytes);
	int controller = cells == NULL || bytes < CELLS_BYTES ? -1 : fdt_node_offset_by_phandle(fdt, fdt32_ld(cells));
	struct phys_range regs;

	*out = (struct gpio_line){ .regs = PADDR(0) };
	if (controller < 0 || tree_reg(fdt, controller, 0, &regs) != 0 || fdt32_ld(cells + 1) >= LINES)
		return;
	if (fdt_node_check_compatible(fdt, controller, "sifive,gpio0") != 0 &&
	    fdt_node_check_compatible(fdt, controller, "sifive,fu540-c000-gpio") != 0 &&
	    fdt_node_check_compatible(fdt, controller, "sifive,fu740-c000-gpio") != 0)
		return;
	out->regs = regs.start;
	out->bit = UINT32_C(1) << fdt32_ld(cells + 1);
	out->active_low = (fdt32_ld(cells + 2) & ACTIVE_LOW) != 0;
	out->active_ms = ms(fdt, node, "active-delay", "active-delay-ms", DELAY_MS);
	out->inactive_ms = ms(fdt, node, "inactive-delay", "inactive-delay-ms", DELAY_MS);
	out->wait_ms = ms(fdt, node, "wait-delay", "timeout-ms", WAIT_MS);
}

static volatile uint32_t *reg(const struct gpio_line *line, uint64_t at)
{
	return hw_direct(PADDR(line->regs.v + at));
}

static void change(const struct gpio_line *line, uint64_t at, bool on)
{
	uint32_t value = *reg(line, at);

	*reg(line, at) = on ? value | line->bit : value & ~line->bit;
	hw_fence_io();
}

static void drive(const struct gpio_line *line, bool active, uint32_t for_ms)
{
	uint64_t until = time_ticks() + ns_to_ticks(for_ms * NS_PER_MS);

	change(line, OUTPUT_VALUE, active != line->active_low);
	while (time_ticks() < until)
		;
}

void gpio_trigger(const struct gpio_line *line)
{
	if (line->regs.v == 0)
		return;
	change(line, SPECIAL_FUNCTION, false);
	change(line, OUTPUT_INVERT, false);
	change(line, OUTPUT_VALUE, line->active_low); /* not active, before it drives anything */
	change(line, OUTPUT_ENABLE, true);
	drive(line, true, line->active_ms);
	drive(line, false, line->inactive_ms);
	drive(line, true, line->wait_ms);
}
